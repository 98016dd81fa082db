/*
 * talk.h: shared by connect and listen: the common options, and one session over a socket
 * from its start to the exit code.
 */
#ifndef SOCKEYE_CMD_TALK_H
#define SOCKEYE_CMD_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/addr.h>

#include "cli/cli.h"
#include "talk/messages.h"
#include "talk/stream.h"

/* Must be the first member of both subcommands' structs. */
struct talk_opts {
	struct cli_common common;
	bool crlf, hex, raw, stats, no_shutdown, keep_open, recv_only, send_only, linger0, ipv4,
	    ipv6;
	struct cli_list messages;
	const char *per, *urgent;
	uint64_t wait_ns, idle_ns, deadline_ns, buffer;
	uint32_t peek, count;
};

#define TALK_WAIT_NOT_GIVEN UINT64_MAX
#define TALK_DEFAULTS \
	{ \
		.wait_ns = TALK_WAIT_NOT_GIVEN \
	}

extern const struct cli_option talk_options[];

enum talk_kind { TALK_STREAM, TALK_RECORDS, TALK_DATAGRAMS };

/* Returns the kind of the address's sockets. For fd:N, reads it from the socket. */
enum talk_kind talk_kind_of(const struct sockeye_addr *addr);

/* Applies -4 and -6 to the address and checks the options against each other and
 * against the kind. Returns CLI_GO, or 2 after reporting what is wrong. */
int talk_check(const struct talk_opts *o, const struct cli_command *command,
	       struct sockeye_addr *addr);

/* Parses the value of --per, or NULL for the default. Returns 0 or -EINVAL. */
int talk_per_parse(const char *text, enum sockeye__message_per *out_per, size_t *out_size);

struct talk {
	const struct talk_opts *o;
	const char *address;                     /* the peer, for messages */
	char address_buf[SOCKEYE_ADDR_TEXT_MAX]; /* holds the address after --reconnect */
	enum talk_kind kind;
	int in_fd;          /* -1: nothing to send */
	int stop_fd;        /* from stop_open() */
	bool connects;      /* the peer is a server */
	bool more_follow;   /* another session follows: keep standard input and output open */
	uint32_t count_max; /* end after this many messages, or lines of a stream; 0: no limit */
	bool unconnected, listening;         /* for datagrams: see struct sockeye__messages_opts */
	const struct sockeye_sockaddr *also; /* unconnected: further peers to send to */
	size_t also_count;
	const struct sockeye__peer_switch *switches;
	size_t switch_count;
	bool reader_left; /* result: the reader of standard output closed it */
	bool input_ended; /* result: standard input is at end of file */
};

/* Runs one session over the sockets and reports how it ended. Only a datagram
 * listener has more than one socket. Returns the exit code. The caller keeps the
 * sockets and closes them with talk_close(). */
int talk_run(struct talk *talk, const int *fds, size_t count);

/* Closes the socket, with a reset under --linger0. */
void talk_close(const struct talk_opts *o, int fd);

/* Reports the local and the peer's address of the socket under -v and --json, as
 * the event "connected" or "accepted". */
void talk_report_names(const struct talk_opts *o, const char *event, int fd);

#endif
