/*
 * addr_internal.h: what the files of the address parser and printer share.
 *
 * addr_scheme.c   the table of schemes
 * addr_parse.c    from text: the scheme, then what its kind asks for
 * addr_host.c     "host:port"
 * addr_options.c  the table of options, read and printed
 * addr_print.c    to text
 * percent.c       %XX, both ways
 */
#ifndef SOCKEYE_PROTO_ADDR_INTERNAL_H
#define SOCKEYE_PROTO_ADDR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>

#include "base/out.h"

enum sockeye__kind_of_scheme {
	SOCKEYE__INET,      /* scheme://host... */
	SOCKEYE__UNIX,      /* scheme:path */
	SOCKEYE__INHERITED, /* fd:number */
};

struct sockeye__scheme {
	const char *name;
	enum sockeye__kind_of_scheme kind;
	bool stream;
	bool no_port;  /* the protocol has none */
	bool file;     /* "/file" may follow the host */
	uint16_t port; /* when none is given; 0: one must be */
};

#define SOCKEYE__SCHEMES (SOCKEYE_FD + 1)

extern const struct sockeye__scheme sockeye__schemes[SOCKEYE__SCHEMES];

/* A part of the text. */
struct sockeye__slice {
	const char *at;
	size_t len;
};

/* One address being read. */
struct sockeye__reader {
	const char *text;
	struct sockeye_fail *why; /* may be NULL */
	struct sockeye_addr addr;
};

/* Fills in why, and returns err. What of the text goes into the detail must be
 * safe to show. */
int sockeye__addr_fail(const struct sockeye__reader *r, int err, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

/* Digits of that base and nothing else: -EINVAL, or -ERANGE beyond max. */
int sockeye__number_parse(struct sockeye__slice text, unsigned base, uint64_t max,
			  uint64_t *out_value);

/* Reads "host:port" into r->addr. */
int sockeye__addr_host_port(struct sockeye__reader *r, struct sockeye__slice text);

/* Reads what is behind '?' into r->addr.opts. */
int sockeye__addr_options_parse(struct sockeye__reader *r, const char *text);

/* Writes "?option&option=value", or nothing. */
void sockeye__addr_options_print(const struct sockeye_addr *addr, struct sockeye__out *out);

/* Undoes %XX. Returns the length, of which at most cap bytes were written, or
 * -EINVAL for what is no escape and for bare control characters. */
ssize_t sockeye__percent_decode(struct sockeye__slice text, char *buf, size_t cap);

/* Writes every byte that is no visible ASCII character or one of the special
 * as %XX: what is printed is one word and safe to show. */
void sockeye__percent_encode(const char *text, size_t len, const char *special,
			     struct sockeye__out *out);

#endif
