/*
 * reply.c: replies to every message with the same text. A message is a datagram, a
 * seqpacket record or a line of a stream; the reply to a line is a line.
 *
 * Many clients send text without LF and wait for the reply. A partial line therefore
 * also gets a reply if no more bytes arrive for a while. Further bytes of the same line
 * get another reply after the next pause. The LF that finally ends the line gets none.
 */
#include <assert.h>
#include <string.h>

#include "service/service.h"

#define PAUSE_NS (100 * SOCKEYE_NS_PER_MS)

struct reply_state {
	uint64_t pause_end_ns; /* when the partial line gets its reply */
	bool unfinished;       /* bytes have arrived since the last LF or reply */
	bool answered;         /* part of the line has had a reply: its LF gets none */
};

struct text {
	const char *ptr;
	size_t len;
	bool add_lf; /* the text does not end with a LF */
};

static struct text text_of(const void *config)
{
	static const char standard[] = "Server got message";
	const struct sockeye_builtin_config *c = config;
	struct text text = {standard, sizeof standard - 1, true};

	if (c && c->text) {
		text.ptr = c->text;
		text.len = c->text_len > 0 ? c->text_len : strlen(c->text);
		text.add_lf = text.len == 0 || text.ptr[text.len - 1] != '\n';
	}
	assert(text.len <= SOCKEYE_ROOM_MIN - 2);
	return text;
}

static uint64_t pause_of(const void *config)
{
	const struct sockeye_builtin_config *c = config;

	return c && c->pause_ns > 0 ? c->pause_ns : PAUSE_NS;
}

/* Takes lines until `max` of them need a reply or the input is used up. Returns the
 * number of lines that need a reply. */
static size_t take_lines(struct reply_state *s, struct sockeye_turn *t, size_t max)
{
	size_t replies = 0;

	while (replies < max && t->in_taken < t->in_len) {
		const uint8_t *rest = t->in + t->in_taken;
		const uint8_t *lf = memchr(rest, '\n', t->in_len - t->in_taken);

		t->in_taken = lf ? (size_t)(lf + 1 - t->in) : t->in_len;
		s->unfinished = lf == NULL;
		if (lf) {
			replies += !s->answered;
			s->answered = false;
		}
	}
	return replies;
}

/* Returns true if the unfinished line gets its reply in this turn. Otherwise sets the
 * deadline for the next turn. */
static bool take_unfinished(struct reply_state *s, struct sockeye_turn *t, uint64_t pause_ns)
{
	if (!s->unfinished)
		return false;
	if (t->in_len > 0)
		s->pause_end_ns =
		    pause_ns < UINT64_MAX - t->now.mono_ns ? t->now.mono_ns + pause_ns : UINT64_MAX;
	if (!t->in_end && (t->in_len > 0 || t->now.mono_ns < s->pause_end_ns)) {
		t->deadline_ns = s->pause_end_ns < UINT64_MAX ? s->pause_end_ns : 0;
		return false;
	}
	s->unfinished = false;
	s->answered = true;
	return true;
}

/* Replies to as many lines as there is room for; the rest of the input stays for the
 * next turn. Returns the number of replies. */
static size_t reply_lines(struct reply_state *s, const struct text *text, const void *config,
			  struct sockeye_turn *t)
{
	const struct sockeye_builtin_config *c = config;
	size_t max = c && c->once ? 1 : t->room_len / (text->len + text->add_lf);
	size_t replies = take_lines(s, t, max);
	uint8_t *p = t->room;

	/* The line is unfinished only if all input was taken, so replies < max here. */
	replies += take_unfinished(s, t, pause_of(config));
	for (size_t i = 0; i < replies; i++) {
		memcpy(p, text->ptr, text->len);
		p += text->len;
		if (text->add_lf)
			*p++ = '\n';
	}
	t->out = t->room;
	t->out_len = (size_t)(p - t->room);
	return replies;
}

static size_t reply_record(const struct text *text, struct sockeye_turn *t)
{
	t->in_taken = t->in_len;
	if (t->in_len == 0) /* the end of input, without a record */
		return 0;
	memcpy(t->room, text->ptr, text->len);
	t->out = t->room;
	t->out_len = text->len;
	return 1;
}

static void reply_turn(void *state, const void *config, struct sockeye_turn *t)
{
	const struct sockeye_builtin_config *c = config;
	bool once = c && c->once;
	struct text text = text_of(config);
	size_t answered =
	    t->in_is_record ? reply_record(&text, t) : reply_lines(state, &text, config, t);
	bool rest = t->in_taken < t->in_len;

	t->close = (once && answered > 0) || (t->in_end && !rest);
	t->more = rest && !t->close;
}

static void reply_datagram(const void *config, struct sockeye_answer *a)
{
	struct text text = text_of(config);

	memcpy(a->room, text.ptr, text.len);
	a->send = true;
	a->out = a->room;
	a->out_len = text.len;
}

static const struct sockeye_option options[] = {
    {"text", 't', "TEXT", "reply with TEXT (default: Server got message)", SOCKEYE_OPTION_TEXT,
     offsetof(struct sockeye_builtin_config, text), .max = SOCKEYE_ROOM_MIN - 2},
    {"pause", 0, "TIME",
     "reply to a partial line if no more of it arrives within TIME (default: 100ms; 0: wait for "
     "the newline or the end of input)",
     SOCKEYE_OPTION_TIME, offsetof(struct sockeye_builtin_config, pause_ns), .streams_only = true},
    {"once", 0, NULL, "close a connection after one reply", SOCKEYE_OPTION_FLAG,
     offsetof(struct sockeye_builtin_config, once), .streams_only = true},
    {NULL},
};

const struct sockeye_service sockeye__reply = {
    .name = "reply",
    .summary = "replies to each line or datagram with a fixed text",
    .port = 2,
    .state_size = sizeof(struct reply_state),
    .uses_time = true,
    .amplifies = true,
    .turn = reply_turn,
    .datagram = reply_datagram,
    .options = options,
};
