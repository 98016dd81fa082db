/*
 * tftp_options.h: the options that client and server negotiate before a transfer:
 * blksize (RFC 2348), timeout and tsize (RFC 2349), windowsize (RFC 7440), and
 * tftp-hpa's utimeout, rollover and blksize2.
 *
 *   client                              server
 *   options_encode into the request  -> options_parse, options_negotiate
 *   oack_check                       <- options_encode into the OACK
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
#define SOCKEYE__TFTP_WINDOW_CEILING  64 /* the most that a server grants by default */
#define SOCKEYE__TFTP_OACK_MAX        160

enum sockeye__tftp_option {
	SOCKEYE__TFTP_BLKSIZE,
	SOCKEYE__TFTP_BLKSIZE2, /* rounded down to a power of two */
	SOCKEYE__TFTP_TIMEOUT,  /* seconds */
	SOCKEYE__TFTP_UTIMEOUT, /* microseconds */
	SOCKEYE__TFTP_TSIZE,
	SOCKEYE__TFTP_WINDOWSIZE,
	SOCKEYE__TFTP_ROLLOVER, /* the number after 65535: 0 or 1 */
	SOCKEYE__TFTP_OPTIONS,
};

#define SOCKEYE__TFTP_BIT(option) (1u << (option))

/* Options that are requested, granted or in force. */
struct sockeye__tftp_options {
	unsigned has; /* one bit for each valid element of value[] */
	uint64_t value[SOCKEYE__TFTP_OPTIONS];
};

/* The limits of what a server grants. Zeroed: the defaults. */
struct sockeye__tftp_policy {
	uint16_t blksize_max; /* 0: the maximum of RFC 2348 */
	uint16_t window_max;  /* 0: SOCKEYE__TFTP_WINDOW_CEILING */
	unsigned refused;     /* the bits of options that are never granted */
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

/* Returns the option with this name, in any letter case, or -EINVAL. */
int sockeye__tftp_option_named(const char *name, size_t len);
const char *sockeye__tftp_option_name(enum sockeye__tftp_option option);

/* Return the negotiated value, or the protocol's default. */
uint16_t sockeye__tftp_blksize(const struct sockeye__tftp_options *o);
uint16_t sockeye__tftp_windowsize(const struct sockeye__tftp_options *o);
uint64_t sockeye__tftp_timeout_ns(const struct sockeye__tftp_options *o); /* 0: not negotiated */

/* Returns the options of a request that have a valid value. Names may have any letter
 * case. If a name is repeated, the first one counts. */
struct sockeye__tftp_options sockeye__tftp_options_parse(struct sockeye__span pairs);

/* Returns the options that a server grants. `size` is the size of the file to read, or
 * NULL if its length on the wire is unknown. For an upload, tsize is granted as
 * requested. */
struct sockeye__tftp_options
sockeye__tftp_options_negotiate(const struct sockeye__tftp_options *asked,
				const struct sockeye__tftp_policy *policy, bool upload,
				const uint64_t *size);

/* Writes the options as pairs of strings. Returns their length or -ENOBUFS. */
ssize_t sockeye__tftp_options_encode(uint8_t *buf, size_t cap,
				     const struct sockeye__tftp_options *o);

/* Checks the options of an OACK. Returns 0, or -EPROTO if the server grants an option
 * that was not requested, a value above the request, or an invalid value. The
 * transfer then ends with ERROR 8 (RFC 2347). */
int sockeye__tftp_oack_check(const struct sockeye__tftp_options *asked, struct sockeye__span pairs,
			     struct sockeye__tftp_options *out);

#endif
