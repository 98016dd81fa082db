/*
 * percent.c: bytes as %XX in text (percent.h).
 */
#include "proto/percent.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

ssize_t sockeye__percent_decode(struct sockeye__slice text, char *buf, size_t cap)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++, len++) {
		int c = (unsigned char)text.at[i];

		if (c < 0x20 || c == 0x7f)
			return -EINVAL;
		if (c == '%') {
			if (text.len - i < 3 || hex_value(text.at[i + 1]) < 0 ||
			    hex_value(text.at[i + 2]) < 0)
				return -EINVAL;
			c = hex_value(text.at[i + 1]) << 4 | hex_value(text.at[i + 2]);
			i += 2;
		}
		if (len < cap)
			buf[len] = (char)c;
	}
	return (ssize_t)len;
}

void sockeye__percent_encode(const char *text, size_t len, const char *special,
			     struct sockeye__out *out)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)text[i];
		char escape[4];

		if (byte > 0x20 && byte < 0x7f && strchr(special, byte) == NULL) {
			sockeye__out_piece(out, text + i, 1);
			continue;
		}
		snprintf(escape, sizeof escape, "%%%02X", byte);
		sockeye__out_piece(out, escape, 3);
	}
}
