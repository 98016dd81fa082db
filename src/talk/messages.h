/*
 * messages.h: exchanges messages between datagram or seqpacket sockets and two local
 * descriptors. An empty message is an ordinary message and never means the end.
 */
#ifndef SOCKEYE_TALK_MESSAGES_H
#define SOCKEYE_TALK_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/dgram.h>

#include "console/filtered_queue.h"
#include "talk/message_input.h"
#include "talk/talk.h"

#define SOCKEYE__MESSAGES_SOCKETS_MAX 8
#define SOCKEYE__MESSAGES_FACTOR      6 /* output bytes for each byte of a message */

/* Connects the socket to another peer once `after` messages have been sent. */
struct sockeye__peer_switch {
	uint64_t after;
	bool none; /* disconnects the socket; further messages are sent to the last peer */
	struct sockeye_sockaddr peer;
};

struct sockeye__messages_opts {
	int in_fd, out_fd; /* -1: send nothing; discard what on_message writes */
	/* Messages to send instead of those read from in_fd, each after the reply to the
	 * previous one. */
	const char *const *words;
	size_t word_count;
	enum sockeye__message_per per;
	size_t per_size;
	const struct sockeye__filter *to_peer; /* applied to each message; may be NULL */
	bool out_lines;         /* the output is lines: complete the last one at the end */
	bool records;           /* seqpacket: a connection, which ends like a stream */
	bool no_shutdown;       /* records: do not half-close when the input ends */
	bool until_peer_ends;   /* records: end when the peer does, even if the input has not */
	bool until_peer_leaves; /* records: like until_peer_ends if in_fd is a terminal
				 * without unread input */
	bool until_sent;        /* end when the input is sent */
	bool receive_only;      /* do not end because there is no input */
	bool unconnected;       /* disconnect the socket first, to receive from any peer */
	bool listening;         /* send to the latest sender; do not end with the input */
	const struct sockeye_sockaddr *also; /* unconnected: send every message to these, too */
	size_t also_count;
	const struct sockeye__peer_switch *switches;
	size_t switch_count;
	uint64_t wait_ns;   /* after the last message, end when no reply arrives for this time */
	bool wait_all;      /* wait for wait_ns even if every message has a reply */
	uint64_t idle_ns;   /* end after this time without a message; 0: no limit */
	uint32_t count_max; /* end after receiving this many messages; 0: no limit */
	size_t bytes_max;   /* truncate received messages to this length */
	size_t peek_max;    /* peek at this many bytes of the first message; 0: do not peek */
	int stop_fd;        /* end immediately when it becomes readable; -1: none */

	/* Callbacks; each may be NULL. Each except on_sent writes the bytes to output to
	 * `room` and returns their number: on_message at most SOCKEYE__MESSAGES_FACTOR *
	 * dgram->len + SOCKEYE__FILTER_SLACK, the others at most
	 * SOCKEYE__FILTERED_QUEUE_NOTE_ROOM. */
	size_t (*on_message)(void *arg, const struct sockeye_dgram *dgram, const uint8_t *data,
			     uint8_t *room);
	size_t (*on_note)(void *arg, const struct sockeye__talk_note *note, uint8_t *room);
	void (*on_sent)(void *arg, const uint8_t *data, size_t len);
	size_t (*on_error)(void *arg, const struct sockeye_dgram_error *error, uint8_t *room);
	size_t (*on_switch)(void *arg, const struct sockeye__peer_switch *to, uint8_t *room);
	void *arg;
};

struct sockeye__messages_result {
	enum sockeye__talk_end end;
	int err;
	const char *op; /* of SOCKEYE__TALK_SOCKET: "send", "receive" or "connect" */
	uint64_t sent, received, sent_bytes, received_bytes;
	uint64_t errors;              /* messages reported as undelivered */
	int first_error;              /* the code of the first such message */
	struct sockeye_sockaddr peer; /* of the last switch, even if it failed; len 0: none */
};

/* Exchanges messages until the session ends. Only a listener may have more than one
 * socket. The caller closes the sockets. Returns 0 with *out filled in, however the
 * session ended, or a negative code if it could not begin. */
int sockeye__messages_run(const int *fds, size_t count, const struct sockeye__messages_opts *opts,
			  struct sockeye__messages_result *out);

#endif
