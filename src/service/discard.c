/* discard.c: takes all input and never replies (RFC 863). */
#include "service/service.h"

static void discard_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state;
	(void)config;
	t->in_taken = t->in_len;
	t->close = t->in_end;
}

static void discard_datagram(const void *config, struct sockeye_answer *a)
{
	(void)config;
	a->send = false;
}

const struct sockeye_service sockeye__discard = {
    .name = "discard",
    .summary = "takes everything, returns nothing (RFC 863)",
    .port = 9,
    .turn = discard_turn,
    .datagram = discard_datagram,
};
