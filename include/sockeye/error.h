/*
 * error.h: what went wrong, as numbers, names, sentences and exit codes.
 *
 * Every call returns 0 or a count on success and a negative code on failure:
 * -errno for what the kernel said, or one of the SOCKEYE_E codes below -4095
 * (the kernel's own range ends there) for what a resolver, an address or a
 * peer said. Nothing in the library prints or exits.
 */
#ifndef SOCKEYE_ERROR_H
#define SOCKEYE_ERROR_H

#include <stddef.h>

#include <sockeye/visibility.h>

SOCKEYE_BEGIN

/* The exit codes of the command, one per kind of cause. */
enum sockeye_exit {
	SOCKEYE_EXIT_DONE = 0,
	SOCKEYE_EXIT_FAILURE = 1,   /* none of the causes below */
	SOCKEYE_EXIT_USAGE = 2,     /* the command line or an address is wrong */
	SOCKEYE_EXIT_NOT_FOUND = 3, /* name or service not found */
	SOCKEYE_EXIT_REFUSED = 4,   /* connection refused */
	SOCKEYE_EXIT_TIMED_OUT = 5,
	SOCKEYE_EXIT_NETWORK = 6,      /* unreachable, or another network error */
	SOCKEYE_EXIT_RESET = 7,        /* reset, or closed by the peer too early */
	SOCKEYE_EXIT_PROTOCOL = 8,     /* the peer answered with a protocol error */
	SOCKEYE_EXIT_LOCAL = 9,        /* local file, permission or resource */
	SOCKEYE_EXIT_UNSUPPORTED = 10, /* this kernel or build cannot do it */
	SOCKEYE_EXIT_INTERRUPTED = 130,
};

/* X(name, code, exit, text): the one table of our own codes. It makes the
 * enum below, the names, the sentences and the table in the manual. */
#define SOCKEYE_ERRORS(X) \
	X(NONAME, -5001, NOT_FOUND, "name not found") \
	X(NAME_TRY_AGAIN, -5002, NOT_FOUND, "name server did not answer, try again later") \
	X(NAME_FAIL, -5003, NOT_FOUND, "name server failed") \
	X(NAME_FAMILY, -5004, NOT_FOUND, "name has no address of this family") \
	X(SERVICE, -5005, NOT_FOUND, "service name not found in the services database") \
	X(SCHEME, -5101, USAGE, "unknown scheme") \
	X(OPTION, -5102, USAGE, "unknown address option") \
	X(OPTION_VALUE, -5103, USAGE, "bad value for an address option") \
	X(HOST, -5104, USAGE, "bad host") \
	X(PORT, -5105, USAGE, "bad port") \
	X(PATH, -5106, USAGE, "bad path") \
	X(PATH_TOO_LONG, -5107, USAGE, "socket path too long") \
	X(SYNTAX, -5108, USAGE, "malformed address") \
	X(EOF, -5201, RESET, "closed by the peer before the end") \
	X(LINE_TOO_LONG, -5202, PROTOCOL, "line too long") \
	X(TRUNCATED, -5203, PROTOCOL, "datagram truncated") \
	X(MISMATCH, -5204, PROTOCOL, "peer answered with other bytes than were sent") \
	X(PEER, -5205, PROTOCOL, "peer answered with an error") \
	X(IN_USE_LIVE, -5301, LOCAL, "a live server already listens on this socket path") \
	X(NOT_A_SOCKET, -5302, LOCAL, "the path exists and is not a socket") \
	X(MODEL, -5303, USAGE, "unknown server model") \
	X(SCHEME_UNSUPPORTED, -5304, UNSUPPORTED, "this build cannot open this scheme") \
	X(RULES, -5305, LOCAL, "the rules are wrong")

enum sockeye_error {
#define SOCKEYE_ERROR_ENUM(name, code, exit, text) SOCKEYE_E_##name = (code),
	SOCKEYE_ERRORS(SOCKEYE_ERROR_ENUM)
#undef SOCKEYE_ERROR_ENUM
};

/* One sentence for `err` (negative, as the library returns it), for example
 * "Connection refused"; "Success" for err >= 0, "Unknown error" for what nobody
 * returns. The string is constant, in English. Thread-safe. */
SOCKEYE_API const char *sockeye_error_text(int err);

/* The symbol for `err`, for example "ECONNREFUSED" or "NONAME"; for machines
 * and manuals; "OK" for err >= 0, "UNKNOWN" as above. The string is constant.
 * Thread-safe. */
SOCKEYE_API const char *sockeye_error_name(int err);

/* The exit code (enum sockeye_exit) that `err` has in every subcommand;
 * SOCKEYE_EXIT_DONE for err >= 0. An int, as main returns it. Thread-safe. */
SOCKEYE_API int sockeye_error_exit(int err);

/* Which step of a call failed, on which address, and why. The caller owns it;
 * a call that returns 0 or more leaves it alone. */
struct sockeye_fail {
	const char *op;    /* "resolve", "socket", "bind", "listen", "connect"; constant */
	char address[320]; /* as sockeye_addr_print gives it; may be "" */
	int err;           /* what the call returned */
	char detail[160];  /* more for a person, such as the known schemes; may be "" */
};

/* "connect tcp://[::1]:7: Connection refused", the detail in brackets and,
 * where there is one, what to do about it behind a semicolon, into buf (always
 * NUL-terminated when cap > 0, cut when it does not fit). Returns the length
 * the whole text has, as snprintf. Control bytes of the address and the detail
 * are escaped. Thread-safe. */
SOCKEYE_API size_t sockeye_fail_text(const struct sockeye_fail *fail, char *buf, size_t cap);

SOCKEYE_END

#endif
