/* echo.c: returns the bytes that it receives (RFC 862), without copying them. */
#include "service/service.h"

static void echo_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state;
	(void)config;
	t->in_taken = t->in_len;
	t->out = t->in;
	t->out_len = t->in_len;
	t->close = t->in_end;
}

static void echo_datagram(const void *config, struct sockeye_answer *a)
{
	(void)config;
	a->send = true; /* also for an empty datagram */
	a->out = a->in;
	a->out_len = a->in_len;
}

const struct sockeye_service sockeye__echo = {
    .name = "echo",
    .summary = "returns what it receives (RFC 862)",
    .port = 7,
    .turn = echo_turn,
    .datagram = echo_datagram,
};
