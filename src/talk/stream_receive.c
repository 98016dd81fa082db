/* stream_receive.c: moves bytes from the peer to the output (stream.h). */
#include "talk/stream_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Receives the urgent byte if it is the next byte. An ordinary receive stops before the
 * urgent mark, and the next one would skip the byte there (RFC 6093, section 2). */
static void urgent_receive(struct sockeye__stream *s)
{
	uint8_t byte;

	if (sockatmark(s->fd) == 1 && recv(s->fd, &byte, 1, MSG_OOB | MSG_DONTWAIT) == 1)
		sockeye__stream_note(s, SOCKEYE__TALK_NOTE_URGENT, &byte, 1);
}

static void peek(struct sockeye__stream *s)
{
	uint8_t data[SOCKEYE__TALK_PEEK_MAX];
	ssize_t n = recv(s->fd, data, s->peek_max, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0) {
		s->peek_max = 0;
		sockeye__stream_note(s, SOCKEYE__TALK_NOTE_PEEK, data, (size_t)n);
	}
}

/* Counts the lines in data[0..len). Returns the length up to the end of the last line
 * that is wanted. */
static size_t lines_count(struct sockeye__stream *s, const uint8_t *data, size_t len)
{
	const uint8_t *at = data;

	while (s->lines_left > 0 && (at = memchr(at, '\n', len - (size_t)(at - data))) != NULL) {
		at++;
		if (--s->lines_left == 0)
			return (size_t)(at - data);
	}
	return len;
}

static void received(struct sockeye__stream *s, const uint8_t *data, size_t len)
{
	bool counting = s->lines_left > 0;

	len = lines_count(s, data, len);
	if (s->o->on_moved)
		s->o->on_moved(s->o->arg, SOCKEYE__TALK_RECEIVED, data, len);
	s->r.received += len;
	s->moved_ns = s->now_ns;
	if (s->phase != SOCKEYE__STREAM_DISCARDING)
		sockeye__filtered_queue_add(&s->recvq, len);
	if (counting && s->lines_left == 0)
		sockeye__stream_leave(s, SOCKEYE__TALK_COUNT);
}

/* Receives only once per poll(2), because poll(2) must report an urgent mark before the
 * next receive runs past it. */
void sockeye__stream_receive(struct sockeye__stream *s, short revents)
{
	uint8_t *where;
	size_t room;
	ssize_t n;

	if (s->receiving != SOCKEYE__STREAM_OPEN ||
	    sockeye__filtered_queue_room(&s->recvq, &where) == 0)
		return;
	if (revents & POLLPRI)
		urgent_receive(s);
	if (s->peek_max > 0)
		peek(s);
	room = sockeye__filtered_queue_room(&s->recvq, &where);
	if (room == 0)
		return;
	do
		n = recv(s->fd, where, room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		received(s, where, (size_t)n);
	} else if (n == 0) {
		sockeye__stream_peer_close(s, true);
	} else if (errno != EAGAIN) {
		sockeye__stream_sending_failed(s, "receive", -errno);
		sockeye__stream_peer_close(s, false);
	}
}

void sockeye__stream_output_write(struct sockeye__stream *s)
{
	size_t waiting;

	if (s->dst.kind == SOCKEYE__STANDARD_IO_NONE) /* no output, or its reader closed it */
		sockeye__filtered_queue_consume(&s->recvq, sockeye__stream_to_write(s));
	while ((waiting = sockeye__stream_to_write(s)) > 0) {
		ssize_t n =
		    sockeye__standard_io_write(&s->dst, s->recvq.buf + s->recvq.start, waiting);

		if (n == -EAGAIN)
			return;
		if (n == -EPIPE || n == -ECONNRESET)
			sockeye__stream_reader_left(s);
		else if (n < 0)
			sockeye__stream_finish(s, SOCKEYE__TALK_OUTPUT, (int)n);
		if (n < 0)
			return;
		s->moved_ns = s->now_ns;
		sockeye__filtered_queue_consume(&s->recvq, (size_t)n);
	}
	if (s->receiving == SOCKEYE__STREAM_OPEN)
		return;
	s->receiving = SOCKEYE__STREAM_DONE;
	if (s->phase != SOCKEYE__STREAM_LEAVING)
		sockeye__standard_io_close(&s->dst, !s->o->keep_out);
}
