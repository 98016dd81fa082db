/* stream_send.c: sends the input to the peer (stream.h). */
#include "talk/stream_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

void sockeye__stream_input_read(struct sockeye__stream *s)
{
	uint8_t *where;
	size_t room = sockeye__filtered_queue_room(&s->sendq, &where);
	ssize_t n;

	if (s->sending != SOCKEYE__STREAM_OPEN || room == 0)
		return;
	if (s->first_len > 0) {
		n = (ssize_t)(s->first_len < room ? s->first_len : room);
		memcpy(where, s->first, (size_t)n);
		s->first += n;
		s->first_len -= (size_t)n;
	} else if (s->src.kind == SOCKEYE__STANDARD_IO_NONE) {
		n = 0;
	} else {
		n = sockeye__standard_io_read_job(&s->src, where, room);
	}
	if (n > 0)
		sockeye__filtered_queue_add(&s->sendq, (size_t)n);
	else if (n == 0)
		sockeye__stream_source_close(s, true);
	else if (n != -EAGAIN)
		sockeye__stream_finish(s, SOCKEYE__TALK_INPUT, (int)n);
}

static void sending_end(struct sockeye__stream *s)
{
	s->sending = SOCKEYE__STREAM_DONE;
	/* Fails only if the connection is gone; receiving reports that. */
	if (!s->o->no_shutdown && s->phase != SOCKEYE__STREAM_DISCARDING)
		shutdown(s->fd, SHUT_WR);
	if (s->o->wait_limited)
		s->wait_until_ns = s->now_ns + s->o->wait_ns;
}

/* Sends as much as the socket accepts without blocking. Returns false if it accepts
 * nothing or fails. */
static bool send_some(struct sockeye__stream *s, const uint8_t *data, size_t len, int flags,
		      size_t *out_sent)
{
	ssize_t n;

	do
		n = send(s->fd, data, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		sockeye__stream_sending_failed(s, "send", -errno);
	if (n < 0)
		return false;
	if (s->o->on_moved)
		s->o->on_moved(s->o->arg, SOCKEYE__TALK_SENT, data, (size_t)n);
	s->r.sent += (size_t)n;
	s->moved_ns = s->now_ns;
	*out_sent = (size_t)n;
	return true;
}

/* Sends the last byte in a separate call: MSG_OOB marks the last byte that the kernel
 * accepts, which after a partial send is not the intended one. */
static void send_urgent(struct sockeye__stream *s)
{
	size_t n = 0;

	while (s->urgent_len > 0) {
		bool last = s->urgent_len == 1;

		if (!send_some(s, s->urgent, last ? 1 : s->urgent_len - 1, last ? MSG_OOB : 0, &n))
			break;
		s->urgent += n;
		s->urgent_len -= n;
	}
	/* The socket does not support MSG_OOB, but the connection is still open, so no end
	 * of file would end the session: end it here. */
	if (s->r.err == -EOPNOTSUPP)
		s->phase = SOCKEYE__STREAM_OVER;
}

void sockeye__stream_send(struct sockeye__stream *s)
{
	size_t waiting, n;

	send_urgent(s);
	while (s->urgent_len == 0 && s->sending != SOCKEYE__STREAM_DONE &&
	       (waiting = sockeye__filtered_queue_waiting(&s->sendq)) > 0) {
		if (!send_some(s, s->sendq.buf + s->sendq.start, waiting, 0, &n))
			return;
		sockeye__filtered_queue_consume(&s->sendq, n);
	}
	if (s->sending == SOCKEYE__STREAM_DRAINING && sockeye__stream_to_send(s) == 0)
		sending_end(s);
}
