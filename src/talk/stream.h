/*
 * stream.h: one stream between a socket and two local descriptors, each
 * direction a pipe of its own: what one of them waits for never stops the
 * other. The end of the input half-closes, the peer's end closes the output.
 */
#ifndef SOCKEYE_TALK_STREAM_H
#define SOCKEYE_TALK_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/filtered_queue.h"
#include "talk/talk.h"

struct sockeye__stream_opts {
	int in_fd, out_fd;    /* -1: nothing to send; what comes is dropped */
	const uint8_t *first; /* sent before what in_fd has */
	size_t first_len;
	const char *urgent;     /* sent out of band before all: its last byte is the urgent one */
	bool no_shutdown;       /* the end of the input is not passed on */
	bool keep_in, keep_out; /* leave the caller's descriptors open at their ends */
	bool out_lines;         /* what out_fd gets is lines, and the last one is not cut */
	bool until_peer_ends;   /* the session is over then, though the input is not */
	bool wait_limited;      /* leave wait_ns after the input's end was passed on */
	uint64_t wait_ns;
	uint64_t idle_ns;   /* no byte either way; 0 no limit */
	uint32_t lines_max; /* leave after so many lines from the peer; 0 no limit */
	size_t peek_max;    /* look at so much of the first bytes first; 0 do not */
	int stop_fd;        /* readable: stop at once; -1 none */
	const struct sockeye__filter *to_peer, *to_out; /* may be NULL */

	/* Bytes that the socket took or gave. May be NULL. */
	void (*on_moved)(void *arg, enum sockeye__talk_direction side, const uint8_t *data,
			 size_t len);
	/* Returns the bytes written to room, at most SOCKEYE__FILTERED_QUEUE_NOTE_ROOM, for
	 * the output in this place. May be NULL. */
	size_t (*on_note)(void *arg, const struct sockeye__talk_note *note, uint8_t *room);
	void *arg;
};

struct sockeye__stream_result {
	enum sockeye__talk_end end;
	int err;        /* a negative code, 0 when all went well */
	const char *op; /* of END_SOCKET: "send" or "receive" */
	bool input_ended;
	uint64_t sent, received; /* bytes */
};

/* Pumps until the session is over. fd stays the caller's and is not changed,
 * but for shutdown(2). Returns 0 and fills in *out however the session ended,
 * or -ENOMEM before it began. */
int sockeye__stream_run(int fd, const struct sockeye__stream_opts *opts,
			struct sockeye__stream_result *out);

#endif
