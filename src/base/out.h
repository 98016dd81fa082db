/*
 * out.h: writing text piece by piece into a caller's buffer by the rules of
 * snprintf: always terminated when there is room for a NUL, and the length
 * counted is that of the whole text. A piece goes in whole or not at all, and
 * after one that did not fit nothing follows, so that no escape, no character
 * and no number is cut in half.
 */
#ifndef SOCKEYE_BASE_OUT_H
#define SOCKEYE_BASE_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct sockeye__out {
	char *at;
	size_t room; /* bytes left for pieces and the NUL; 0 when something was cut */
	size_t len;  /* of the whole text */
};

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

/* Text that may be cut anywhere. */
static inline void sockeye__out_text(struct sockeye__out *out, const char *text)
{
	for (; *text != '\0'; text++)
		sockeye__out_piece(out, text, 1);
}

/* data[0..len) as sockeye_escape writes it. With `again`, the text has been
 * through it once, so a backslash stays one. */
void sockeye__out_escaped(struct sockeye__out *out, const void *data, size_t len, bool again);

#endif
