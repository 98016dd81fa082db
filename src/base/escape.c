/*
 * escape.c: makes untrusted bytes safe to print on a terminal.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <sockeye/text.h>

#include "base/out.h"

/* Decodes the UTF-8 character at p. Returns its length in bytes, or 0 if the bytes are
 * invalid, which includes overlong forms and surrogates (RFC 3629, section 3). */
static size_t utf8_decode(const uint8_t *p, size_t len, uint32_t *out_char)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint32_t c = n <= 1 ? p[0] : p[0] & (0x7fu >> n);

	if (n == 0 || n > len || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*out_char = c;
	return n;
}

/* Whether a character changes how a terminal shows the text around it: C0 and C1
 * controls, and characters that reorder or break a line. A peer could forge log lines
 * with them (Unicode Technical Report 36, section 3.2). */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static void put_byte(struct sockeye__out *out, uint8_t byte)
{
	static const char hex[] = "0123456789abcdef";
	static const char named[] = "\0\n\r\t\x1b\\";
	static const char names[] = "0nrte\\";
	const char *p = memchr(named, byte, sizeof named - 1);

	if (p != NULL)
		sockeye__out_piece(out, (char[]){'\\', names[p - named]}, 2);
	else
		sockeye__out_piece(out, (char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
}

void sockeye__out_escaped(struct sockeye__out *out, const void *data, size_t len, bool again)
{
	const uint8_t *p = data;
	uint32_t c = 0;

	for (size_t n; len > 0; p += n, len -= n) {
		n = utf8_decode(p, len, &c);
		if (n > 0 && !is_control(c) && (c != '\\' || again)) {
			sockeye__out_piece(out, (const char *)p, n);
			continue;
		}
		n = 1;
		put_byte(out, *p);
	}
}

size_t sockeye_escape(const void *data, size_t len, char *buf, size_t cap)
{
	struct sockeye__out out = sockeye__out_to(buf, cap);

	sockeye__out_escaped(&out, data, len, false);
	return out.len;
}
