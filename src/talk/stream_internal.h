/*
 * stream_internal.h: shared by the files that implement stream.h. stream.c polls,
 * stream_send.c moves bytes from the input to the peer, stream_receive.c from the
 * peer to the output, and stream_end.c ends a direction or the session.
 */
#ifndef SOCKEYE_TALK_STREAM_INTERNAL_H
#define SOCKEYE_TALK_STREAM_INTERNAL_H

#include "console/standard_io.h"
#include "talk/stream.h"

/* One direction: source, queue, destination. */
enum sockeye__stream_direction {
	SOCKEYE__STREAM_OPEN,     /* the source may give more bytes */
	SOCKEYE__STREAM_DRAINING, /* the source has ended; its last bytes may be queued */
	SOCKEYE__STREAM_DONE,     /* the queue is empty and stays empty */
};

enum sockeye__stream_phase {
	SOCKEYE__STREAM_RUNNING,    /* ends when both directions are done */
	SOCKEYE__STREAM_LEAVING,    /* receives no more; ends when recvq is written */
	SOCKEYE__STREAM_DISCARDING, /* has no output any more; ends when sendq is sent */
	SOCKEYE__STREAM_OVER,       /* ends now */
};

struct sockeye__stream {
	int fd;
	const struct sockeye__stream_opts *o;
	struct sockeye__standard_io src, dst;
	struct sockeye__filtered_queue sendq, recvq;
	const uint8_t *first, *urgent;
	size_t first_len, urgent_len; /* not sent yet */
	enum sockeye__stream_direction sending, receiving;
	enum sockeye__stream_phase phase;
	size_t peek_max; /* 0 once done */
	uint32_t lines_left;
	uint64_t now_ns, moved_ns, wait_until_ns;
	struct sockeye__stream_result r;
};

/* Return the number of bytes that the peer, or the output, has not accepted yet. */
static inline size_t sockeye__stream_to_send(const struct sockeye__stream *s)
{
	return s->urgent_len + sockeye__filtered_queue_waiting(&s->sendq);
}

static inline size_t sockeye__stream_to_write(const struct sockeye__stream *s)
{
	return sockeye__filtered_queue_waiting(&s->recvq);
}

/* --- stream_send.c --- */

/* Reads the input once, or takes bytes of opts->first. */
void sockeye__stream_input_read(struct sockeye__stream *s);

/* Sends as much as the socket accepts, and half-closes it after the last byte. */
void sockeye__stream_send(struct sockeye__stream *s);

/* --- stream_receive.c --- */

/* Receives once. revents is what poll(2) returned for the socket. */
void sockeye__stream_receive(struct sockeye__stream *s, short revents);

/* Writes as much as the output accepts, and closes it after the last byte. */
void sockeye__stream_output_write(struct sockeye__stream *s);

/* --- stream_end.c --- */

/* Ends the session now. */
void sockeye__stream_finish(struct sockeye__stream *s, enum sockeye__talk_end end, int err);

/* Ends the session once the bytes received so far are written. */
void sockeye__stream_leave(struct sockeye__stream *s, enum sockeye__talk_end end);

/* Stops reading the input. `ended`: because the input is at its end. */
void sockeye__stream_source_close(struct sockeye__stream *s, bool ended);

/* Stops receiving. `ended`: because the peer closed its side. */
void sockeye__stream_peer_close(struct sockeye__stream *s, bool ended);

/* Stops sending after the call `op` failed with err; err is 0 if the peer is gone without
 * an error. Receiving continues: a UNIX-domain socket returns EPIPE when the peer only
 * stopped reading, and after a reset the receive queue still has earlier bytes. */
void sockeye__stream_sending_failed(struct sockeye__stream *s, const char *op, int err);

/* Called when the reader of the output has closed it. Reads no more input, and ends the
 * session once the queued input is sent. Until then, receives and discards: a peer whose
 * sends block might stop reading, too. */
void sockeye__stream_reader_left(struct sockeye__stream *s);

/* Queues a note for the output, after the bytes received so far. */
void sockeye__stream_note(struct sockeye__stream *s, enum sockeye__talk_note_kind kind,
			  const uint8_t *data, size_t len);

#endif
