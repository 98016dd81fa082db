/*
 * addr_internal.h: shared by the files that parse and print addresses.
 *
 * addr_scheme.c   the table of schemes
 * addr_fail.c     reports why a text is not an address
 * addr_parse.c    parses the scheme, then the rest, which depends on the kind of scheme
 * addr_host.c     parses "host:port"
 * addr_options.c  parses and prints the options, by a table
 * addr_print.c    prints an address
 */
#ifndef SOCKEYE_PROTO_ADDR_INTERNAL_H
#define SOCKEYE_PROTO_ADDR_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>

#include "base/out.h"
#include "base/slice.h"

enum sockeye__kind_of_scheme {
	SOCKEYE__INET,      /* scheme://host... */
	SOCKEYE__UNIX,      /* scheme:path */
	SOCKEYE__INHERITED, /* fd:number */
};

struct sockeye__scheme {
	const char *name;
	enum sockeye__kind_of_scheme kind;
	bool stream;
	bool no_port;  /* the protocol has no ports */
	bool file;     /* "/file" may follow the host */
	uint16_t port; /* the default port; 0: the address must have one */
};

#define SOCKEYE__SCHEMES (SOCKEYE_FD + 1)

extern const struct sockeye__scheme sockeye__schemes[SOCKEYE__SCHEMES];

/* An address that is being parsed. */
struct sockeye__reader {
	const char *text;
	struct sockeye_fail *why; /* may be NULL */
	struct sockeye_addr addr;
};

/* Fills in *r->why unless it is NULL, and returns err. The detail is a format of
 * printf(); its arguments must be safe to print. */
int sockeye__addr_fail(const struct sockeye__reader *r, int err, const char *detail, ...)
    __attribute__((format(printf, 3, 4)));

/* Parses "host:port" into r->addr. */
int sockeye__addr_host_port(struct sockeye__reader *r, struct sockeye__slice text);

/* Parses the options after '?' into r->addr.opts. */
int sockeye__addr_options_parse(struct sockeye__reader *r, const char *text);

/* Writes "?option&option=value", or nothing if no option is set. */
void sockeye__addr_options_print(const struct sockeye_addr *addr, struct sockeye__out *out);

#endif
