/*
 * out.h: writes text piece by piece into a caller's buffer, by the rules of
 * snprintf(): the text is terminated if the buffer has room for a NUL, and `len` is
 * the length of the whole text. A piece is written completely or not at all, and
 * nothing is written after a piece that did not fit. So no escape, character or number
 * is truncated.
 */
#ifndef SOCKEYE_BASE_OUT_H
#define SOCKEYE_BASE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct sockeye__out {
	char *at;
	size_t room; /* bytes left for pieces and the NUL; 0 after a piece did not fit */
	size_t len;  /* of the whole text */
};

/* Begins an empty text in buf[0..cap). */
static inline struct sockeye__out sockeye__out_to(char *buf, size_t cap)
{
	if (cap > 0)
		*buf = '\0';
	return (struct sockeye__out){.at = buf, .room = cap};
}

static inline void sockeye__out_piece(struct sockeye__out *out, const char *piece, size_t len)
{
	out->len += len;
	if (len >= out->room) {
		out->room = 0;
		return;
	}
	memcpy(out->at, piece, len);
	out->at += len;
	*out->at = '\0';
	out->room -= len;
}

/* Writes text that may be truncated anywhere. */
static inline void sockeye__out_text(struct sockeye__out *out, const char *text)
{
	for (; *text != '\0'; text++)
		sockeye__out_piece(out, text, 1);
}

/* Writes data[0..len) like sockeye_escape(). Set `again` for text that has been escaped
 * already: a backslash is then not escaped. */
void sockeye__out_escaped(struct sockeye__out *out, const void *data, size_t len, bool again);

#endif
