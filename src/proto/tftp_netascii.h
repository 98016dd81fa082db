/*
 * tftp_netascii.h: netascii (RFC 1350, section 1; RFC 764). A line ends with CR LF,
 * and any other CR is sent as CR NUL. decode(encode(x)) is x for every x.
 *
 * Both directions accept pieces of any size, so blocks and windows may split a pair.
 */
#ifndef SOCKEYE_PROTO_TFTP_NETASCII_H
#define SOCKEYE_PROTO_TFTP_NETASCII_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed at the beginning of a stream. */
struct sockeye__netascii {
	bool half;      /* the first byte of a pair was written (encoding) or read (decoding) */
	uint8_t second; /* encoding: the second byte of that pair */
};

/* Encodes as much of in[] as fits in out[]. Returns the number of bytes written and sets
 * *taken to the number of bytes read. If all of in[] is taken and out[] is not full, no
 * second byte of a pair is pending. */
size_t sockeye__netascii_encode(struct sockeye__netascii *s, const uint8_t *in, size_t len,
				size_t *taken, uint8_t *out, size_t cap);

/* Decodes all of in[] into out[], which has room for len + 1 bytes. Returns the bytes
 * written. Keeps a CR that neither LF nor NUL follows. */
size_t sockeye__netascii_decode(struct sockeye__netascii *s, const uint8_t *in, size_t len,
				uint8_t *out);

/* Ends decoding. If the last byte was a CR, writes it. Returns the number of bytes written,
 * 0 or 1. */
size_t sockeye__netascii_end(struct sockeye__netascii *s, uint8_t out[1]);

#endif
