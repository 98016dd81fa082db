/*
 * stream.h: copies between a stream socket and two local descriptors.
 *
 * Each direction has its own queue, so a slow reader of one direction never stops the
 * other. The end of the input half-closes the connection (unless no_shutdown), and the
 * end of the peer's data closes the output (unless keep_out). A terminal is not read
 * while another job is in the foreground.
 */
#ifndef SOCKEYE_TALK_STREAM_H
#define SOCKEYE_TALK_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/filtered_queue.h"
#include "talk/talk.h"

struct sockeye__stream_opts {
	int in_fd, out_fd;    /* -1: send nothing; discard what is received */
	const uint8_t *first; /* sent before the bytes of in_fd */
	size_t first_len;
	const char *urgent;     /* sent before all other bytes; its last byte is urgent data */
	bool no_shutdown;       /* do not half-close when the input ends */
	bool keep_in, keep_out; /* do not close in_fd or out_fd when its direction ends */
	bool out_lines;         /* the output is lines: complete the last one at the end */
	bool until_peer_ends;   /* end when the peer does, even if the input has not ended */
	bool until_peer_leaves; /* like until_peer_ends if in_fd is a terminal without unread
				 * input */
	bool wait_limited;      /* end wait_ns after the input was sent */
	uint64_t wait_ns;
	uint64_t idle_ns;   /* end after this time without data; 0: no limit */
	uint32_t lines_max; /* end after this many lines from the peer; 0: no limit */
	size_t peek_max;    /* peek at this many of the first bytes; 0: do not peek */
	int stop_fd;        /* end immediately when it becomes readable; -1: none */
	const struct sockeye__filter *to_peer, *to_out; /* may be NULL */

	/* Called with each piece that was sent or received. May be NULL. */
	void (*on_moved)(void *arg, enum sockeye__talk_direction direction, const uint8_t *data,
			 size_t len);
	/* Writes at most SOCKEYE__FILTERED_QUEUE_NOTE_ROOM bytes about the event, which
	 * are output at this point, to room. Returns their number. May be NULL. */
	size_t (*on_note)(void *arg, const struct sockeye__talk_note *note, uint8_t *room);
	void *arg;
};

struct sockeye__stream_result {
	enum sockeye__talk_end end;
	int err;        /* a negative code; 0 if no call failed */
	const char *op; /* of SOCKEYE__TALK_SOCKET: "send" or "receive" */
	bool input_ended;
	bool peer_ended_last;    /* the peer ended its side after our half-close */
	uint64_t sent, received; /* bytes */
};

/* Copies until the session ends. May call shutdown(2) on fd, but leaves it open. Returns
 * 0 with *out filled in, however the session ended, or -ENOMEM if it could not begin. */
int sockeye__stream_run(int fd, const struct sockeye__stream_opts *opts,
			struct sockeye__stream_result *out);

#endif
