/*
 * tftp_packet.h: the packets of TFTP (RFC 1350, 2347) as bytes.
 *
 * Decoding copies nothing: texts point into the packet.
 */
#ifndef SOCKEYE_PROTO_TFTP_PACKET_H
#define SOCKEYE_PROTO_TFTP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

#define SOCKEYE__TFTP_HEADER 4 /* bytes before the payload of a DATA */

enum sockeye__tftp_opcode {
	SOCKEYE__TFTP_RRQ = 1,
	SOCKEYE__TFTP_WRQ,
	SOCKEYE__TFTP_DATA,
	SOCKEYE__TFTP_ACK,
	SOCKEYE__TFTP_ERROR,
	SOCKEYE__TFTP_OACK,
};

enum sockeye__tftp_code {
	SOCKEYE__TFTP_UNDEFINED,
	SOCKEYE__TFTP_NOT_FOUND,
	SOCKEYE__TFTP_ACCESS,
	SOCKEYE__TFTP_DISK_FULL,
	SOCKEYE__TFTP_ILLEGAL,
	SOCKEYE__TFTP_UNKNOWN_TID,
	SOCKEYE__TFTP_EXISTS,
	SOCKEYE__TFTP_NO_USER,
	SOCKEYE__TFTP_OPTION_REFUSED, /* RFC 2347 */
};

enum sockeye__tftp_mode {
	SOCKEYE__TFTP_OCTET,
	SOCKEYE__TFTP_NETASCII,
};

struct sockeye__tftp_packet {
	enum sockeye__tftp_opcode opcode;
	uint16_t number;              /* DATA, ACK: block; ERROR: code */
	struct sockeye__span payload; /* DATA */
	struct sockeye__span text;    /* ERROR: without its NUL; not safe to print */
	struct sockeye__span name;    /* RRQ, WRQ: not empty, no NUL; not safe to print */
	enum sockeye__tftp_mode mode; /* RRQ, WRQ */
	struct sockeye__span options; /* RRQ, WRQ, OACK: for sockeye__tftp_pair_next */
};

struct sockeye__tftp_pair {
	struct sockeye__span name, value;
};

/* Decodes a packet. Returns 0, -EBADMSG (too short, a string is not terminated, or no
 * name), -EPROTONOSUPPORT (unknown mode) or -ENOMSG (unknown opcode). A request with
 * an unknown mode is written to *out except for its mode. Bytes after an ACK are
 * ignored. The text of an ERROR may lack its NUL, or be missing. */
int sockeye__tftp_decode(const void *packet, size_t len, struct sockeye__tftp_packet *out);

/* Removes the first option from `rest`. Returns false if there is none. Garbage after
 * the last pair and a name without a value end the list (Apple's Open Firmware and
 * Tivoli's PXE send them). */
bool sockeye__tftp_pair_next(struct sockeye__span *rest, struct sockeye__tftp_pair *out);

/* Encode the header of a DATA packet, and a complete ACK. */
void sockeye__tftp_data_encode(uint8_t out[SOCKEYE__TFTP_HEADER], uint16_t block);
void sockeye__tftp_ack_encode(uint8_t out[SOCKEYE__TFTP_HEADER], uint16_t block);

/* Encodes an ERROR and returns its length. A text that does not fit is cut. cap must
 * be at least 5. */
size_t sockeye__tftp_error_encode(uint8_t *buf, size_t cap, uint16_t code, const char *text);

/* Encodes a request without options; sockeye__tftp_options_encode() appends them. The
 * name must not contain a NUL. Returns the length or -ENOBUFS. */
ssize_t sockeye__tftp_request_encode(uint8_t *buf, size_t cap, enum sockeye__tftp_opcode opcode,
				     struct sockeye__span name, enum sockeye__tftp_mode mode);

static inline uint16_t sockeye__tftp_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void sockeye__tftp_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

#endif
