/*
 * tftp_netascii.h: netascii (RFC 1350 1, RFC 764): a line ends in CR LF, and a
 * CR of its own is CR NUL. decode(encode(x)) is x for every x.
 *
 * Both work on pieces of any size, so a pair may straddle blocks and windows.
 */
#ifndef SOCKEYE_PROTO_TFTP_NETASCII_H
#define SOCKEYE_PROTO_TFTP_NETASCII_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero is a stream's beginning. */
struct sockeye__netascii {
	bool half;      /* encoding: the second byte of a pair is owed; decoding: a CR is held */
	uint8_t second; /* encoding: that byte */
};

/* Encodes as much of in[] as fits into out[]; returns what was written and sets
 * what was taken. With all of in[] taken and room left, nothing is owed. */
size_t sockeye__netascii_encode(struct sockeye__netascii *s, const uint8_t *in, size_t len,
				size_t *taken, uint8_t *out, size_t cap);

/* Decodes all of in[] into out[], len + 1 bytes. CR before anything but LF and
 * NUL stays. */
size_t sockeye__netascii_decode(struct sockeye__netascii *s, const uint8_t *in, size_t len,
				uint8_t *out);

/* The end of input: a CR that is still held, 0 or 1 bytes. */
size_t sockeye__netascii_end(struct sockeye__netascii *s, uint8_t out[1]);

#endif
