/*
 * tftp_options.h: what client and server agree on before a transfer: blksize
 * (RFC 2348), timeout and tsize (RFC 2349), windowsize (RFC 7440), and
 * tftp-hpa's utimeout, rollover and blksize2.
 *
 *   client                              server
 *   options_encode into the request  -> options_parse, options_negotiate
 *   oack_check                       <- oack_encode
 */
#ifndef SOCKEYE_PROTO_TFTP_OPTIONS_H
#define SOCKEYE_PROTO_TFTP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/tftp_packet.h"

#define SOCKEYE__TFTP_BLKSIZE_DEFAULT 512
#define SOCKEYE__TFTP_BLKSIZE_MIN     8
#define SOCKEYE__TFTP_BLKSIZE_MAX     65464
#define SOCKEYE__TFTP_WINDOW_CEILING  64 /* what a server grants unless told otherwise */
#define SOCKEYE__TFTP_OACK_MAX        160

enum sockeye__tftp_option {
	SOCKEYE__TFTP_BLKSIZE,
	SOCKEYE__TFTP_BLKSIZE2, /* rounded down to a power of two */
	SOCKEYE__TFTP_TIMEOUT,  /* seconds */
	SOCKEYE__TFTP_UTIMEOUT, /* microseconds */
	SOCKEYE__TFTP_TSIZE,
	SOCKEYE__TFTP_WINDOWSIZE,
	SOCKEYE__TFTP_ROLLOVER, /* the block after 65535: 0 or 1 */
	SOCKEYE__TFTP_OPTIONS,
};

#define SOCKEYE__TFTP_BIT(option) (1u << (option))

/* Asked, granted or in force. */
struct sockeye__tftp_options {
	unsigned has; /* a bit for each of value[] that counts */
	uint64_t value[SOCKEYE__TFTP_OPTIONS];
};

/* What a server allows; zero is the sensible default. */
struct sockeye__tftp_policy {
	uint16_t blksize_max; /* 0: as RFC 2348 */
	uint16_t window_max;  /* 0: SOCKEYE__TFTP_WINDOW_CEILING */
	unsigned refused;     /* bits of options that are never granted */
};

static inline bool sockeye__tftp_has(const struct sockeye__tftp_options *o,
				     enum sockeye__tftp_option option)
{
	return (o->has & SOCKEYE__TFTP_BIT(option)) != 0;
}

static inline void sockeye__tftp_set(struct sockeye__tftp_options *o,
				     enum sockeye__tftp_option option, uint64_t value)
{
	o->has |= SOCKEYE__TFTP_BIT(option);
	o->value[option] = value;
}

/* The option of that name in any letter case, or -EINVAL. */
int sockeye__tftp_option_named(const char *name, size_t len);
const char *sockeye__tftp_option_name(enum sockeye__tftp_option option);

/* What is in force: the value agreed on, or the protocol's default. */
uint16_t sockeye__tftp_blksize(const struct sockeye__tftp_options *o);
uint16_t sockeye__tftp_windowsize(const struct sockeye__tftp_options *o);
uint64_t sockeye__tftp_timeout_ns(const struct sockeye__tftp_options *o); /* 0: none */

/* The options of a request that have a value with a meaning; the first of each
 * name counts. Names in any letter case. */
struct sockeye__tftp_options sockeye__tftp_options_parse(struct sockeye__span pairs);

/* What a server grants. `size`: what there is to read, NULL where the length on
 * the wire is not known; for an upload what was asked is echoed. */
struct sockeye__tftp_options
sockeye__tftp_options_negotiate(const struct sockeye__tftp_options *asked,
				const struct sockeye__tftp_policy *policy, bool upload,
				const uint64_t *size);

/* Appends the pairs; returns their length or -ENOBUFS. */
ssize_t sockeye__tftp_options_encode(uint8_t *buf, size_t cap,
				     const struct sockeye__tftp_options *o);

/* 0, or -EPROTO when the server grants what was not asked, or more than that,
 * or what is no value: the transfer then ends with ERROR 8 (RFC 2347). */
int sockeye__tftp_oack_check(const struct sockeye__tftp_options *asked, struct sockeye__span pairs,
			     struct sockeye__tftp_options *out);

#endif
