/*
 * tftp_netascii.c: converts files to netascii and back (tftp_netascii.h).
 */
#include "proto/tftp_netascii.h"

size_t sockeye__netascii_encode(struct sockeye__netascii *s, const uint8_t *in, size_t len,
				size_t *taken, uint8_t *out, size_t cap)
{
	size_t from = 0, to = 0;

	while (to < cap && (s->half || from < len)) {
		uint8_t c;

		if (s->half) {
			out[to++] = s->second;
			s->half = false;
			continue;
		}
		c = in[from++];
		if (c == '\n' || c == '\r') {
			s->half = true;
			s->second = c == '\n' ? '\n' : '\0';
			c = '\r';
		}
		out[to++] = c;
	}
	*taken = from;
	return to;
}

size_t sockeye__netascii_decode(struct sockeye__netascii *s, const uint8_t *in, size_t len,
				uint8_t *out)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t c = in[i];

		if (s->half && (c == '\n' || c == '\0')) {
			s->half = false;
			out[to++] = c == '\n' ? '\n' : '\r';
			continue;
		}
		if (s->half)
			out[to++] = '\r';
		s->half = c == '\r';
		if (!s->half)
			out[to++] = c;
	}
	return to;
}

size_t sockeye__netascii_end(struct sockeye__netascii *s, uint8_t out[1])
{
	if (!s->half)
		return 0;
	s->half = false;
	out[0] = '\r';
	return 1;
}
