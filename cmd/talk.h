/*
 * messages.h: what connect and listen have in common: options, and one session
 * over a socket from its first byte to its exit code.
 */
#ifndef SOCKEYE_CMD_TALK_H
#define SOCKEYE_CMD_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/addr.h>

#include "cli/cli.h"
#include "talk/messages.h"

/* The struct of both subcommands begins with this one. */
struct session_opts {
	struct cli_common common;
	bool crlf, hex, raw, stats, no_shutdown, linger0, ipv4, ipv6;
	struct cli_list messages;
	const char *per, *urgent;
	uint64_t wait_ns, idle_ns, buffer;
	uint32_t peek, count;
};

#define SESSION_WAIT_NOT_GIVEN UINT64_MAX
#define SESSION_DEFAULTS \
	{ \
		.wait_ns = SESSION_WAIT_NOT_GIVEN \
	}

extern const struct cli_option session_options[];

enum session_kind { SESSION_STREAM, SESSION_RECORDS, SESSION_DATAGRAMS };

/* What the scheme's sockets carry; of fd:N, what the socket says. */
enum session_kind session_kind_of(const struct sockeye_addr *addr);

/* Puts -4 and -6 into the address and checks the options against each other
 * and the kind: CLI_GO, or 2 after a line that says what is wrong. */
int session_check(const struct session_opts *o, const struct cli_command *command,
		  struct sockeye_addr *addr);

struct session {
	const struct session_opts *o;
	const char *address;                  /* whom it is with, for words */
	char switched[SOCKEYE_ADDR_TEXT_MAX]; /* what address is after a switch */
	enum session_kind kind;
	int in_fd;          /* -1: nothing to send */
	int stop_fd;        /* of stop_open */
	bool more_follow;   /* other sessions: the standard descriptors stay open */
	uint32_t count_max; /* leave after so many messages, or lines of a stream; 0 no limit */
	bool unconnected, listening; /* datagrams, as in struct sockeye__talk_opts */
	const struct sockeye__switch *switches;
	size_t switch_count;
	bool reader_left; /* out: nobody reads standard output any more */
	bool input_ended; /* out: nothing is left for the next session */
};

/* Runs one session over the sockets (one, unless listening to datagrams),
 * says how it ended and returns the exit code. The sockets stay the caller's. */
int session_run(struct session *s, const int *fds, size_t count);

/* Closes as the options say. */
void session_close(const struct session_opts *o, int fd);

/* Says which two ends `fd` has: with -v or --json. event: "connected". */
void session_tell_names(const struct session_opts *o, const char *event, int fd);

#endif
