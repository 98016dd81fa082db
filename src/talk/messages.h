/*
 * messages.h: messages between datagram or seqpacket sockets and two local
 * descriptors. An empty message is a message, never the end.
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
#define SOCKEYE__MESSAGES_FACTOR      6 /* bytes of output for one received, and the slack */

/* Another peer for the same socket once `after` messages have been sent. */
struct sockeye__peer_switch {
	uint64_t after;
	bool none; /* no peer: the next messages are addressed to the last one */
	struct sockeye_sockaddr peer;
};

struct sockeye__messages_opts {
	int in_fd, out_fd;        /* -1: nothing to send; what comes is only told to on_message */
	const char *const *words; /* messages to send instead of what in_fd has; each */
	size_t word_count;        /* waits for the answer to the one before */
	enum sockeye__message_per per;
	size_t per_size;
	const struct sockeye__filter *to_peer; /* for each message; may be NULL */
	bool out_lines;       /* what out_fd gets is lines, and the last one is not cut */
	bool records;         /* seqpacket: connected, and it ends as a stream does */
	bool no_shutdown;     /* records: the end of the input is not passed on */
	bool until_peer_ends; /* records: it is over then, though the input is not */
	bool unconnected;     /* dissolve the association at the start */
	bool listening;       /* answer the last sender; the end of the input is not the end */
	const struct sockeye__peer_switch *switches;
	size_t switch_count;
	uint64_t wait_ns;   /* how long silence may last after the last message */
	bool wait_all;      /* wait so long even when as many answers came as were asked */
	uint64_t idle_ns;   /* no message either way; 0 no limit */
	uint32_t count_max; /* leave after so many messages received; 0 no limit */
	size_t bytes_max;   /* of one message received; more is cut, and said */
	size_t peek_max;
	int stop_fd; /* -1 none */

	/* All may be NULL. They return the bytes written to room for the output
	 * in this place: of a message at most SOCKEYE__MESSAGES_FACTOR * dgram->len
	 * and the slack, else at most SOCKEYE__FILTERED_QUEUE_NOTE_ROOM. */
	size_t (*on_message)(void *arg, const struct sockeye_dgram *dgram, const uint8_t *data,
			     uint8_t *room);
	size_t (*on_note)(void *arg, const struct sockeye__talk_note *note, uint8_t *room);
	void (*on_sent)(void *arg, const uint8_t *data, size_t len);
	size_t (*on_error)(void *arg, const struct sockeye_dgram_error *error, uint8_t *room);
	size_t (*on_switch)(void *arg, const struct sockeye__peer_switch *to, uint8_t *room);
	void *arg;
};

struct sockeye__messages_result {
	enum sockeye__talk_end end; /* END_DONE: the input has ended and the wait is over */
	int err;
	const char *op; /* of END_SOCKET: "send", "receive" or "connect" */
	uint64_t sent, received, sent_bytes, received_bytes;
	uint64_t errors;              /* messages that something said were not delivered */
	int first_error;              /* the first of them */
	struct sockeye_sockaddr peer; /* of the last switch, also one that failed; len 0: none */
};

/* Talks over `count` sockets (one, unless listening) until it is over. They
 * stay the caller's. Returns 0 and fills in *out however it ended, or a
 * negative code before it began. */
int sockeye__messages_run(const int *fds, size_t count, const struct sockeye__messages_opts *opts,
			  struct sockeye__messages_result *out);

#endif
