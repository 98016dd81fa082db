/*
 * messages_internal.h: shared by the files that implement messages.h. messages.c polls,
 * messages_send.c sends at the pace of the replies, messages_receive.c receives
 * messages and errors, and messages_end.c ends the session.
 */
#ifndef SOCKEYE_TALK_MESSAGES_INTERNAL_H
#define SOCKEYE_TALK_MESSAGES_INTERNAL_H

#include "base/deadline.h"
#include "talk/messages.h"

#define SOCKEYE__MESSAGES_AT_ONCE 1 /* a deadline that has passed */

/* The number of unanswered messages at which sending waits for replies. Small enough
 * that an echo server overflows neither its receive queue nor ours. */
#define SOCKEYE__MESSAGES_WINDOW 64

enum sockeye__messages_phase {
	SOCKEYE__MESSAGES_RUNNING,
	SOCKEYE__MESSAGES_BROKEN, /* records: the connection failed; receives queued records */
	SOCKEYE__MESSAGES_OVER,   /* ends now */
};

struct sockeye__messages {
	const int *fds;
	size_t fd_count;
	const struct sockeye__messages_opts *o;
	struct sockeye__message_input input;
	struct sockeye__standard_io dst;
	struct sockeye__filtered_queue recvq;
	uint8_t *buf;                  /* one received message, or the filter's output */
	size_t message_room;           /* output room for one message and a note */
	int to_fd;                     /* the socket to send from; -1: not known yet */
	struct sockeye_dgram to;       /* the peer to send to; no peer: the socket is connected */
	struct sockeye_sockaddr first; /* opts->unconnected: the peer before disconnecting */
	size_t to_index;               /* next peer: 0: `first`, i: opts->also[i - 1] */
	const struct sockeye__peer_switch *next_switch;
	size_t switches_left;
	enum sockeye__messages_phase phase;
	bool error_queue;  /* the socket reports errors in its error queue */
	bool sending_done; /* no more messages will be sent */
	bool peer_ended;   /* no more records will be received */
	size_t peek_max;   /* 0 once done */
	uint64_t now_ns, moved_ns, pause_until_ns;
	uint64_t unanswered, window; /* messages; the window grows if no reply arrives */
	struct sockeye__messages_result r;
};

/* --- messages_end.c --- */

/* Ends the session now. */
void sockeye__messages_finish(struct sockeye__messages *m, enum sockeye__talk_end end, int err);

/* Ends the session because the call `op` on a connection of records failed, but only
 * after receiving and writing the records that arrived before. */
void sockeye__messages_connection_failed(struct sockeye__messages *m, const char *op, int err);

/* Returns room in the output for an event, or NULL if the output is full. The event is
 * then counted but not printed, so that sending does not depend on the output's
 * reader. */
uint8_t *sockeye__messages_event_room(struct sockeye__messages *m);

/* --- messages_send.c --- */

/* Sends the messages that may be sent now. Returns true if more may be ready. */
bool sockeye__messages_send(struct sockeye__messages *m);

/* Returns the time at which waiting messages may be sent even without an event; 0:
 * none. */
uint64_t sockeye__messages_send_ns(const struct sockeye__messages *m);

/* Whether every message has a reply or an error. */
bool sockeye__messages_answered(const struct sockeye__messages *m);

/* Return the time at which the wait for replies ends, and whether that time has passed. */
uint64_t sockeye__messages_silence_ns(const struct sockeye__messages *m);
bool sockeye__messages_silent(const struct sockeye__messages *m);

/* --- messages_receive.c --- */

/* Whether the output queue has room for the next message. */
bool sockeye__messages_has_room(const struct sockeye__messages *m);

/* Receives from the socket until it is empty or the output queue is full. */
void sockeye__messages_receive(struct sockeye__messages *m, int fd);

/* Counts and reports a message that was not delivered. */
void sockeye__messages_error(struct sockeye__messages *m, struct sockeye_dgram_error *error);

/* Takes all errors from the error queue, which also clears the socket's pending error,
 * and returns their number. Reports only network errors: the send that causes a
 * local error has returned that error. */
size_t sockeye__messages_errors_take(struct sockeye__messages *m, int fd);

#endif
