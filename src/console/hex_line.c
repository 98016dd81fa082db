/* hex_line.c: one line of a hex dump (hex_line.h). */
#include "console/hex_line.h"

size_t sockeye__hex_line_print(char *room, uint64_t offset, const uint8_t *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char *p = room;

	for (int shift = 36; shift >= 0; shift -= 4)
		*p++ = digits[offset >> shift & 15];
	*p++ = ' ';
	for (size_t i = 0; i < SOCKEYE__HEX_LINE_BYTES; i++) {
		if (i % 8 == 0)
			*p++ = ' ';
		*p++ = i < len ? digits[data[i] >> 4] : ' ';
		*p++ = i < len ? digits[data[i] & 15] : ' ';
		*p++ = ' ';
	}
	*p++ = ' ';
	*p++ = '|';
	for (size_t i = 0; i < len; i++)
		*p++ = data[i] >= ' ' && data[i] < 0x7f ? (char)data[i] : '.';
	*p++ = '|';
	*p++ = '\n';
	return (size_t)(p - room);
}
