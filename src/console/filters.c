/* filters.c: escapes for a terminal, LF to CRLF (filters.h). */
#include "console/filters.h"

#include <string.h>

#include <sockeye/text.h>

/* Returns the length of the UTF-8 character that starts with `lead`, or 1 if no character does
 * (RFC 3629, section 4). */
static size_t character_len(uint8_t lead)
{
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	if (lead >= 0xf0 && lead <= 0xf4)
		return 4;
	return 1;
}

/* Returns the length of the unit at the start of in[0..len): a character, CRLF, or one
 * byte. Returns 0 if the length depends on bytes after in[len - 1]. */
static size_t unit_len(const uint8_t *in, size_t len)
{
	size_t want = character_len(in[0]);

	if (in[0] == '\r') {
		if (len < 2)
			return 0;
		return in[1] == '\n' ? 2 : 1;
	}
	for (size_t i = 1; i < want; i++) {
		if (i == len)
			return 0;
		if ((in[i] & 0xc0) != 0x80)
			return 1;
	}
	return want;
}

static size_t put_unit(const uint8_t *in, size_t len, uint8_t *room)
{
	char text[20];
	size_t n;

	if (strchr("\n\t\\", in[0]) && in[0] != '\0') {
		room[0] = in[0];
		return 1;
	}
	if (len == 2 && in[0] == '\r') {
		memcpy(room, in, 2);
		return 2;
	}
	n = sockeye_escape(in, len, text, sizeof text);
	memcpy(room, text, n);
	return n;
}

static size_t put_plain(const uint8_t *in, size_t len, uint8_t *room)
{
	size_t n = 0;

	while (n < len && in[n] >= ' ' && in[n] < 0x7f)
		n++;
	memcpy(room, in, n);
	return n;
}

/* Encodes the complete units of in[0..len) and sets *out_n to the bytes written.
 * Returns the bytes consumed, which may exclude an incomplete last unit. */
static size_t put_units(const uint8_t *in, size_t len, uint8_t *room, size_t *out_n)
{
	size_t taken = 0, n = 0;

	while (taken < len) {
		size_t plain = put_plain(in + taken, len - taken, room + n), unit;

		taken += plain;
		n += plain;
		if (taken == len)
			break;
		unit = unit_len(in + taken, len - taken);
		if (unit == 0)
			break;
		n += put_unit(in + taken, unit, room + n);
		taken += unit;
	}
	*out_n = n;
	return taken;
}

size_t sockeye__filter_safe_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room)
{
	struct sockeye__filter_safe *safe = arg;
	size_t total = 0, n, taken;

	/* Add bytes to the held bytes one at a time. If the held bytes turn out not to
	 * begin a character, the first of them is escaped and the rest may stay held. */
	while (safe->held_len > 0 && len > 0) {
		safe->held[safe->held_len++] = *in++;
		len--;
		taken = put_units(safe->held, safe->held_len, room + total, &n);
		total += n;
		safe->held_len -= taken;
		memmove(safe->held, safe->held + taken, safe->held_len);
	}
	taken = put_units(in, len, room + total, &n);
	total += n;
	if (len > taken) {
		safe->held_len = len - taken;
		memcpy(safe->held, in + taken, safe->held_len);
	}
	return total;
}

size_t sockeye__filter_safe_end(void *arg, uint8_t *room)
{
	struct sockeye__filter_safe *safe = arg;
	size_t n = 0;

	for (size_t i = 0; i < safe->held_len; i++)
		n += put_unit(safe->held + i, 1, room + n);
	safe->held_len = 0;
	return n;
}

size_t sockeye__filter_crlf_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room)
{
	struct sockeye__filter_crlf *crlf = arg;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (in[i] == '\n' && !crlf->after_cr)
			room[n++] = '\r';
		room[n++] = in[i];
		crlf->after_cr = in[i] == '\r';
	}
	return n;
}
