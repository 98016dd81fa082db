/*
 * time.c: seconds since 1900-01-01 00:00 UTC as four bytes (RFC 868). On
 * 2036-02-07 06:28:16 the count exceeds 32 bits and continues at 0, as clients
 * expect.
 */
#include "service/service.h"

#define TIME_BYTES  4
#define FROM_1900_S INT64_C(2208988800) /* to 1970 (RFC 868) */

static size_t time_bytes(uint8_t *to, struct sockeye_now now)
{
	int64_t ns_per_s = (int64_t)SOCKEYE_NS_PER_S;
	int64_t since_1970 = now.real_ns / ns_per_s - (now.real_ns % ns_per_s < 0);
	uint32_t s = (uint32_t)(since_1970 + FROM_1900_S);

	to[0] = (uint8_t)(s >> 24);
	to[1] = (uint8_t)(s >> 16);
	to[2] = (uint8_t)(s >> 8);
	to[3] = (uint8_t)s;
	return TIME_BYTES;
}

static void time_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state;
	(void)config;
	t->in_taken = t->in_len;
	t->out = t->room;
	t->out_len = time_bytes(t->room, t->now);
	t->close = true;
}

static void time_datagram(const void *config, struct sockeye_answer *a)
{
	(void)config;
	a->send = true;
	a->out = a->room;
	a->out_len = time_bytes(a->room, a->now);
}

const struct sockeye_service sockeye__time = {
    .name = "time",
    .summary = "seconds since 1900 in four bytes (RFC 868)",
    .port = 37,
    .uses_time = true,
    .speaks_first = true,
    .amplifies = true,
    .turn = time_turn,
    .datagram = time_datagram,
};
