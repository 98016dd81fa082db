/*
 * talk.h: shared by stream.h and messages.h: how a session ends, and the events
 * between the bytes received.
 */
#ifndef SOCKEYE_TALK_TALK_H
#define SOCKEYE_TALK_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/time.h>

#define SOCKEYE__TALK_PEEK_MAX 4096

/* How often a background job checks whether it may read its terminal again. */
#define SOCKEYE__TALK_JOB_NS (200 * SOCKEYE_NS_PER_MS)

enum sockeye__talk_direction { SOCKEYE__TALK_SENT, SOCKEYE__TALK_RECEIVED };

/* Why a session ended. */
enum sockeye__talk_end {
	SOCKEYE__TALK_DONE,    /* both directions ended, or the wait for replies is over */
	SOCKEYE__TALK_WAITED,  /* wait_ns has passed since the input ended */
	SOCKEYE__TALK_COUNT,   /* lines_max or count_max was reached */
	SOCKEYE__TALK_READER,  /* the reader of out_fd closed it */
	SOCKEYE__TALK_STOPPED, /* stop_fd became readable */
	SOCKEYE__TALK_IDLE,    /* idle_ns passed without data; err is -ETIME */
	SOCKEYE__TALK_SOCKET,  /* the call `op` failed with err; earlier data was written */
	SOCKEYE__TALK_INPUT,   /* reading in_fd failed with err */
	SOCKEYE__TALK_OUTPUT,  /* writing out_fd failed with err */
};

enum sockeye__talk_note_kind {
	SOCKEYE__TALK_NOTE_END,    /* the peer closed its side */
	SOCKEYE__TALK_NOTE_URGENT, /* data[0] is urgent data, and not part of the stream */
	SOCKEYE__TALK_NOTE_PEEK,   /* data[0..len) is still in the receive queue */
};

/* An event between the bytes received. */
struct sockeye__talk_note {
	enum sockeye__talk_note_kind kind;
	uint64_t position; /* bytes received before it */
	const uint8_t *data;
	size_t len;
	bool input_open; /* the input has not ended */
};

/* Prepares a connection for close(2): half-closes it and discards bytes that still
 * arrive. Closing with unread bytes would send a reset (RFC 1122, section 4.2.2.13),
 * and the peer could lose bytes that it has not read yet. Returns when the peer ends
 * its side, after half a second at most. */
void sockeye__talk_linger(int fd);

#endif
