/*
 * reply.c: replies to every message with the same text. A message is a datagram, a
 * seqpacket record or a line of a stream; the reply to a line is a line.
 */
#include <assert.h>
#include <string.h>

#include "service/service.h"

struct reply_state {
	bool in_line; /* part of a line has arrived, without its LF */
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

/* Takes at most `max` lines of the input. Returns their number. At the end of input,
 * remaining bytes without a LF count as a line. */
static size_t take_lines(struct reply_state *s, struct sockeye_turn *t, size_t max)
{
	size_t lines = 0;

	while (lines < max && t->in_taken < t->in_len) {
		const uint8_t *rest = t->in + t->in_taken;
		const uint8_t *lf = memchr(rest, '\n', t->in_len - t->in_taken);

		t->in_taken = lf ? (size_t)(lf + 1 - t->in) : t->in_len;
		lines += lf != NULL;
		s->in_line = lf == NULL;
	}
	if (t->in_end && s->in_line) { /* all input is taken, and lines < max */
		s->in_line = false;
		lines++;
	}
	return lines;
}

/* Replies to as many lines as there is room for; the rest of the input stays for the
 * next turn. Returns the number of lines. */
static size_t reply_lines(struct reply_state *s, const struct text *text, bool once,
			  struct sockeye_turn *t)
{
	size_t max = once ? 1 : t->room_len / (text->len + text->add_lf);
	size_t lines = take_lines(s, t, max);
	uint8_t *p = t->room;

	for (size_t i = 0; i < lines; i++) {
		memcpy(p, text->ptr, text->len);
		p += text->len;
		if (text->add_lf)
			*p++ = '\n';
	}
	t->out = t->room;
	t->out_len = (size_t)(p - t->room);
	return lines;
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
	    t->in_is_record ? reply_record(&text, t) : reply_lines(state, &text, once, t);
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
    {"once", 0, NULL, "close a connection after one reply", SOCKEYE_OPTION_FLAG,
     offsetof(struct sockeye_builtin_config, once), .streams_only = true},
    {NULL},
};

const struct sockeye_service sockeye__reply = {
    .name = "reply",
    .summary = "replies to each line or datagram with a fixed text",
    .port = 2,
    .state_size = sizeof(struct reply_state),
    .amplifies = true,
    .turn = reply_turn,
    .datagram = reply_datagram,
    .options = options,
};
