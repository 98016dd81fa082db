/*
 * error.h: error codes, with their names, texts and exit codes.
 *
 * Unless its description says otherwise, a call returns 0 or a count on success, and a
 * negative code on failure: -errno for an error of the kernel, or one of the SOCKEYE_E
 * codes for an error in an address, from the resolver or from the peer. SOCKEYE_E codes
 * are below -4095, the lowest code of the kernel. The library never prints and never exits.
 */
#ifndef SOCKEYE_ERROR_H
#define SOCKEYE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include <sockeye/visibility.h>

SOCKEYE_BEGIN

/* The exit codes of all subcommands, one for each kind of cause. */
enum sockeye_exit {
	SOCKEYE_EXIT_DONE = 0,
	SOCKEYE_EXIT_FAILURE = 1,   /* any other cause */
	SOCKEYE_EXIT_USAGE = 2,     /* invalid command line or address */
	SOCKEYE_EXIT_NOT_FOUND = 3, /* host name or service name not found */
	SOCKEYE_EXIT_REFUSED = 4,   /* connection refused */
	SOCKEYE_EXIT_TIMED_OUT = 5,
	SOCKEYE_EXIT_NETWORK = 6,      /* unreachable, or another network error */
	SOCKEYE_EXIT_RESET = 7,        /* reset, or closed by the peer too early */
	SOCKEYE_EXIT_PROTOCOL = 8,     /* the peer replied with an error or violated the protocol */
	SOCKEYE_EXIT_LOCAL = 9,        /* local file, permission or resource */
	SOCKEYE_EXIT_UNSUPPORTED = 10, /* not supported by this kernel or build */
	SOCKEYE_EXIT_INTERRUPTED = 130,
};

/* X(name, code, exit, text): the table of sockeye's codes. The enum below, the names,
 * the texts and the table in the manual derive from it. */
#define SOCKEYE_ERRORS(X) \
	X(NONAME, -5001, NOT_FOUND, "name not found") \
	X(NAME_TRY_AGAIN, -5002, NOT_FOUND, "the name server did not answer; try again later") \
	X(NAME_FAIL, -5003, NOT_FOUND, "the name server failed") \
	X(NAME_FAMILY, -5004, NOT_FOUND, "the name has no address of this family") \
	X(SERVICE, -5005, NOT_FOUND, "service name not found in the services database") \
	X(SCHEME, -5101, USAGE, "unknown scheme") \
	X(OPTION, -5102, USAGE, "unknown address option") \
	X(OPTION_VALUE, -5103, USAGE, "invalid value of an address option") \
	X(HOST, -5104, USAGE, "invalid host") \
	X(PORT, -5105, USAGE, "invalid port") \
	X(PATH, -5106, USAGE, "invalid path") \
	X(PATH_TOO_LONG, -5107, USAGE, "socket path too long") \
	X(SYNTAX, -5108, USAGE, "malformed address") \
	X(EOF, -5201, RESET, "closed by the peer before the end") \
	X(LINE_TOO_LONG, -5202, PROTOCOL, "line too long") \
	X(TRUNCATED, -5203, PROTOCOL, "datagram truncated") \
	X(MISMATCH, -5204, PROTOCOL, "the reply differs from what was sent") \
	X(PEER, -5205, PROTOCOL, "the peer replied with an error") \
	X(IN_USE_LIVE, -5301, LOCAL, "another server uses this socket path") \
	X(NOT_A_SOCKET, -5302, LOCAL, "the path exists and is not a socket") \
	X(MODEL, -5303, USAGE, "unknown server model") \
	X(SCHEME_UNSUPPORTED, -5304, UNSUPPORTED, "the scheme is not supported here") \
	X(RULES, -5305, LOCAL, "invalid rules")

enum sockeye_error {
#define SOCKEYE_ERROR_ENUM(name, code, exit, text) SOCKEYE_E_##name = (code),
	SOCKEYE_ERRORS(SOCKEYE_ERROR_ENUM)
#undef SOCKEYE_ERROR_ENUM
};

/* Returns the text of a negative code, for example "Connection refused". Returns
 * "Success" for err >= 0 and "Unknown error" for an unknown code. The string is
 * constant and in English. Thread-safe. */
SOCKEYE_API const char *sockeye_error_text(int err);

/* Returns the name of a negative code, for example "ECONNREFUSED" or "NONAME", for
 * programs and manuals. Returns "OK" for err >= 0 and "UNKNOWN" for an unknown code.
 * The string is constant. Thread-safe. */
SOCKEYE_API const char *sockeye_error_name(int err);

/* Returns the exit code (enum sockeye_exit) for a negative code, the same in every
 * subcommand. Returns SOCKEYE_EXIT_DONE for err >= 0. Thread-safe. */
SOCKEYE_API int sockeye_error_exit(int err);

/* Which step of a call failed, on which address, and why. The caller owns the struct.
 * A call that returns 0 or more does not write to it. */
struct sockeye_fail {
	const char *op;    /* "resolve", "socket", "bind", "listen", "connect"; constant */
	char address[320]; /* as it was written; may be "" */
	int err;           /* the code that the call returned */
	char detail[160];  /* additional text, such as the known schemes; may be "" */
	bool explained;    /* the detail has the cause: sockeye_fail_text() adds no hint */
};

/* Writes "connect tcp://[::1]:7: Connection refused" into buf, followed by the detail
 * in parentheses and, after a semicolon, by a hint if there is one. Escapes control
 * bytes. Returns the length of the whole text in bytes; like snprintf(), it truncates
 * text that does not fit, and writes a NUL if cap > 0. Thread-safe. */
SOCKEYE_API size_t sockeye_fail_text(const struct sockeye_fail *fail, char *buf, size_t cap);

SOCKEYE_END

#endif
