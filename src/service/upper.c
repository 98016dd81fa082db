/*
 * upper.c: converts ASCII letters to upper case in place. All other bytes, including
 * UTF-8, are unchanged. The result does not depend on the locale, unlike toupper(3).
 */
#include "service/service.h"

/* At -O2 gcc vectorizes a loop of this fixed length, but not a loop of unknown
 * length. */
#define BLOCK 16

static inline uint8_t upper(uint8_t c)
{
	return (uint8_t)(c - 'a') < 26 ? c ^ 0x20 : c;
}

static void upper_bytes(uint8_t *p, size_t len)
{
	for (; len >= BLOCK; p += BLOCK, len -= BLOCK)
		for (size_t i = 0; i < BLOCK; i++)
			p[i] = upper(p[i]);
	for (size_t i = 0; i < len; i++)
		p[i] = upper(p[i]);
}

static void upper_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state;
	(void)config;
	upper_bytes(t->in, t->in_len);
	t->in_taken = t->in_len;
	t->out = t->in;
	t->out_len = t->in_len;
	t->close = t->in_end;
}

static void upper_datagram(const void *config, struct sockeye_answer *a)
{
	(void)config;
	upper_bytes(a->in, a->in_len);
	a->send = true;
	a->out = a->in;
	a->out_len = a->in_len;
}

const struct sockeye_service sockeye__upper = {
    .name = "upper",
    .summary = "converts ASCII letters to upper case",
    .port = 1,
    .turn = upper_turn,
    .datagram = upper_datagram,
};
