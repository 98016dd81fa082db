/*
 * chargen.c: an endless pattern of characters (RFC 864). Each line has 72 characters
 * and CRLF, and starts one character later in the ring of the 95 printing characters.
 */
#include <string.h>

#include "service/service.h"

#define RING         95
#define COLUMNS      72
#define LINE         (COLUMNS + 2)
#define PERIOD       (RING * LINE) /* the pattern repeats after this number of bytes */
#define DATAGRAM_MAX 512           /* RFC 864: "between 0 and 512" */

/* The ring, followed by its first characters, so that every line is contiguous. */
static const char ring[] = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
			   "abcdefghijklmnopqrstuvwxyz{|}~"
			   " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`"
			   "abcdef";
_Static_assert(sizeof ring - 1 == RING + COLUMNS - 1, "every line is contiguous");

struct chargen_state {
	size_t pos; /* position of the next byte in the pattern, < PERIOD */
};

/* Writes len bytes of the pattern from position pos. Returns the position after them. */
static size_t chargen_fill(uint8_t *to, size_t len, size_t pos)
{
	while (len > 0) {
		size_t line = pos / LINE, column = pos % LINE;
		const char *piece =
		    column < COLUMNS ? &ring[line + column] : &"\r\n"[column - COLUMNS];
		size_t n = (column < COLUMNS ? COLUMNS : LINE) - column;

		if (n > len)
			n = len;
		memcpy(to, piece, n);
		to += n;
		len -= n;
		pos = (pos + n) % PERIOD;
	}
	return pos;
}

static void chargen_turn(void *state, const void *config, struct sockeye_turn *t)
{
	struct chargen_state *s = state;

	(void)config;
	t->in_taken = t->in_len; /* RFC 864: "any data received is thrown away" */
	if (t->in_end) {
		t->close = true;
		return;
	}
	s->pos = chargen_fill(t->room, t->room_len, s->pos);
	t->out = t->room;
	t->out_len = t->room_len;
	t->more = true;
}

/* Returns the length of a datagram. RFC 864 asks for a random length, but a service draws
 * no random numbers. A multiplicative hash (Knuth) of the time in nanoseconds replaces
 * them. */
static size_t length_of(struct sockeye_now now)
{
	return (size_t)(((uint64_t)now.real_ns * UINT64_C(0x9e3779b97f4a7c15) >> 32) %
			(DATAGRAM_MAX + 1));
}

static void chargen_datagram(const void *config, struct sockeye_answer *a)
{
	const struct sockeye_builtin_config *c = config;
	size_t len = c && c->datagram_len > 0 ? c->datagram_len : length_of(a->now);

	if (len > DATAGRAM_MAX)
		len = DATAGRAM_MAX;
	chargen_fill(a->room, len, 0);
	a->send = true;
	a->out = a->room;
	a->out_len = len;
}

static const struct sockeye_option options[] = {
    {"length", 0, "N", "send datagrams of N bytes (default: varies from 0 to 512)",
     SOCKEYE_OPTION_NUMBER, offsetof(struct sockeye_builtin_config, datagram_len), .min = 1,
     .max = DATAGRAM_MAX, .datagrams_only = true},
    {NULL},
};

const struct sockeye_service sockeye__chargen = {
    .name = "chargen",
    .summary = "an endless pattern of characters (RFC 864)",
    .port = 19,
    .state_size = sizeof(struct chargen_state),
    .uses_time = true,
    .speaks_first = true,
    .amplifies = true,
    .turn = chargen_turn,
    .datagram = chargen_datagram,
    .options = options,
};
