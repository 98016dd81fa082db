/*
 * internal.h: what the files of messages.h share. messages.c runs, messages_send.c sends
 * no faster than is answered, messages_receive.c receives messages and errors.
 */
#ifndef SOCKEYE_TALK_INTERNAL_H
#define SOCKEYE_TALK_INTERNAL_H

#include "base/deadline.h"
#include "talk/messages.h"

#define SOCKEYE__MESSAGES_AT_ONCE 1 /* a deadline that has passed */

/* So much may be without an answer before an answer is waited for: a live echo
 * then never overflows our receive queue or its own. */
#define SOCKEYE__MESSAGES_WINDOW 64

struct sockeye__messages {
	const int *fds;
	size_t fd_count;
	const struct sockeye__messages_opts *o;
	struct sockeye__message_input input;
	struct sockeye__standard_io dst;
	struct sockeye__filtered_queue in;
	uint8_t *bytes;          /* one message received, or one being sent through the filter */
	size_t need;             /* room that showing one message may take */
	int to_fd;               /* where messages leave, -1 not known yet */
	struct sockeye_dgram to; /* and where to; no peer when connected */
	const struct sockeye__peer_switch *next_switch;
	size_t switches_left;
	bool queued_errors; /* errors come by the error queue */
	bool shut, peer_ended, peeked, finished;
	bool broken; /* records: an error is noted, and what came before it is received */
	uint64_t now_ns, moved_ns, pause_until_ns;
	uint64_t unanswered, window; /* messages; of those nobody answers more and more go out */
	struct sockeye__messages_result r;
};

/* --- messages_end.c --- */

void sockeye__messages_finish(struct sockeye__messages *t, enum sockeye__talk_end end, int err);

/* A connection of records has failed. The error comes before the records that
 * were received earlier: it is told when those are out. */
void sockeye__messages_connection_failed(struct sockeye__messages *t, const char *op, int err);

/* Room for an event between the messages: one that finds none is counted only,
 * for an output that nobody reads must not stop what is sent. */
uint8_t *sockeye__messages_event_room(struct sockeye__messages *t);

/* --- messages_send.c --- */

/* Sends what may be sent now; true when there may be more. */
bool sockeye__messages_send(struct sockeye__messages *t);

/* When more may be sent that waits now, without anything else happening; 0:
 * never. */
uint64_t sockeye__messages_send_ns(const struct sockeye__messages *t);

bool sockeye__messages_answered(const struct sockeye__messages *t);

/* When silence has lasted long enough. */
uint64_t sockeye__messages_silence_ns(const struct sockeye__messages *t);
bool sockeye__messages_silent(const struct sockeye__messages *t);

/* --- messages_receive.c --- */

bool sockeye__messages_has_room(const struct sockeye__messages *t);
void sockeye__messages_receive(struct sockeye__messages *t, int fd);

/* A message was not delivered. */
void sockeye__messages_error(struct sockeye__messages *t, struct sockeye_dgram_error *error);

/* Takes what is in the error queue, which also clears the socket's pending
 * error. Local errors are what a send returned already. */
size_t sockeye__messages_errors_take(struct sockeye__messages *t, int fd);

#endif
