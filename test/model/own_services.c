/* own_services.c: services with deadlines, or with input that they leave (own_services.h). */
#include "own_services.h"

#include <string.h>

#include <sockeye/stream.h>

struct ticker {
	uint64_t next_ns;
	unsigned count;
};

/* Sends "tick" every TICK_NS, and discards all input. */
static void ticker_turn(void *state, const void *config, struct sockeye_turn *t)
{
	struct ticker *s = state;

	(void)config;
	t->in_taken = t->in_len;
	t->deadline_ns = s->next_ns;
	if (t->now.mono_ns < s->next_ns)
		return;
	memcpy(t->room, "tick\n", 5);
	t->out = t->room;
	t->out_len = 5;
	t->deadline_ns = s->next_ns = t->now.mono_ns + TICK_NS;
	t->close = ++s->count == TICKS;
}

/* Fills its room every TICK_NS, forever. */
static void flood_turn(void *state, const void *config, struct sockeye_turn *t)
{
	struct ticker *s = state;

	(void)config;
	t->in_taken = t->in_len;
	t->deadline_ns = s->next_ns;
	if (t->now.mono_ns < s->next_ns)
		return;
	memset(t->room, 'x', t->room_len);
	t->out = t->room;
	t->out_len = t->room_len;
	t->more = s->count++ < 2000; /* at first as fast as possible */
	t->deadline_ns = s->next_ns = t->more ? 0 : t->now.mono_ns + TICK_NS;
}

/* Takes no input before a message is complete, and replies with its first and last byte.
 * Replies to the incomplete rest at the end with an 'R' before these. */
static void gather_turn(void *state, const void *config, struct sockeye_turn *t)
{
	size_t len = t->in_len < MESSAGE ? t->in_len : MESSAGE;
	uint8_t *out = t->room;

	(void)state, (void)config;
	t->close = t->in_end && t->in_len <= MESSAGE;
	if (len == 0 || (len < MESSAGE && !t->in_end))
		return;
	if (len < MESSAGE)
		*out++ = 'R';
	*out++ = t->in[0];
	*out++ = t->in[len - 1];
	t->in_taken = len;
	t->out = t->room;
	t->out_len = (size_t)(out - t->room);
	t->more = t->in_len - len >= MESSAGE || (t->in_end && !t->close);
}

/* Echoes one byte in each turn; odd bytes from the input, even ones from the room. */
static void sip_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state, (void)config;
	if (t->in_len > 0) {
		t->in_taken = 1;
		t->room[0] = t->in[0];
		t->out = t->in[0] & 1 ? t->in : t->room;
		t->out_len = 1;
		t->more = t->in_len > 1;
	}
	t->close = t->in_end && t->in_len <= 1;
}

/* Sends "ding" TICK_NS after its first input. */
static void alarm_turn(void *state, const void *config, struct sockeye_turn *t)
{
	struct ticker *s = state;

	(void)config;
	t->in_taken = t->in_len;
	if (s->next_ns == 0 && t->in_len > 0)
		s->next_ns = t->now.mono_ns + TICK_NS;
	t->deadline_ns = s->next_ns;
	if (s->next_ns == 0 || t->now.mono_ns < s->next_ns)
		return;
	memcpy(t->room, "ding", 4);
	t->out = t->room;
	t->out_len = 4;
	t->close = true;
}

/* Takes all input and never asks to close. */
static void sink_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state, (void)config;
	t->in_taken = t->in_len;
}

const struct sockeye_service ticker = {
    .name = "ticker",
    .state_size = sizeof(struct ticker),
    .uses_time = true,
    .speaks_first = true,
    .turn = ticker_turn,
};
const struct sockeye_service flood = {
    .name = "flood",
    .state_size = sizeof(struct ticker),
    .uses_time = true,
    .speaks_first = true,
    .turn = flood_turn,
};
const struct sockeye_service alarm_clock = {
    .name = "alarm",
    .state_size = sizeof(struct ticker),
    .uses_time = true,
    .turn = alarm_turn,
};
const struct sockeye_service sink = {.name = "sink", .turn = sink_turn};
const struct sockeye_service gather = {.name = "gather", .turn = gather_turn};
const struct sockeye_service sip = {.name = "sip", .turn = sip_turn};
