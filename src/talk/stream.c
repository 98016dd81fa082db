/* stream.c: a stream between a socket and two local descriptors (stream.h). */
#include "talk/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <sockeye/stream.h>
#include <sockeye/time.h>

#include "base/deadline.h"
#include "net/net.h"
#include "console/standard_io.h"

enum { SRC, SOCK, DST, STOP, POLLED };

struct stream {
	int fd;
	const struct sockeye__stream_opts *o;
	struct sockeye__standard_io src, dst;
	struct sockeye__filtered_queue out, in; /* towards the peer, from the peer */
	const uint8_t *first, *urgent;
	size_t first_len, urgent_len; /* still to be sent */
	bool src_open;                /* there may be more to send */
	bool out_done;                /* nothing more will be sent, and the peer was told */
	bool peer_open;               /* there may be more to receive */
	bool leaving;                 /* the session is over when `in` is empty */
	bool discard;                 /* nobody reads the output: what comes is dropped */
	bool peeked;
	bool finished;
	uint32_t lines_left;
	uint64_t now_ns, moved_ns, wait_until_ns;
	struct sockeye__stream_result r;
};

static void finish(struct stream *p, enum sockeye__talk_end end, int err)
{
	p->finished = true;
	p->r.end = end;
	p->r.err = err;
}

static void source_close(struct stream *p, bool ended)
{
	if (!p->src_open)
		return;
	p->src_open = false;
	p->first_len = 0;
	p->r.input_ended = ended;
	sockeye__filtered_queue_end(&p->out);
	sockeye__standard_io_close(&p->src, !p->o->keep_in);
}

static void peer_note(struct stream *p, enum sockeye__talk_note_kind kind, const uint8_t *data,
		      size_t len)
{
	struct sockeye__talk_note note = {kind, p->r.received, data, len};

	if (p->o->on_note && !p->discard)
		sockeye__filtered_queue_note_add(
		    &p->in,
		    p->o->on_note(p->o->arg, &note, sockeye__filtered_queue_note_room(&p->in)));
}

/* Nothing more is received; what was is still to be passed on. */
static void peer_close(struct stream *p, bool ended)
{
	if (!p->peer_open)
		return;
	p->peer_open = false;
	sockeye__filtered_queue_end(&p->in);
	if (ended)
		peer_note(p, SOCKEYE__TALK_NOTE_END, NULL, 0);
}

static void leave(struct stream *p, enum sockeye__talk_end end)
{
	p->leaving = true;
	p->r.end = end;
	peer_close(p, false);
}

/* Nothing can be sent any more. The peer may still be heard: a UNIX socket
 * says EPIPE when the peer only stopped reading, and a reset leaves what came
 * before it in the queue. */
static void sending_failed(struct stream *p, const char *op, int err)
{
	source_close(p, false);
	sockeye__filtered_queue_consume(&p->out, sockeye__filtered_queue_waiting(&p->out));
	p->urgent_len = 0;
	p->out_done = true;
	if (err < 0 && p->r.err == 0) {
		p->r.end = SOCKEYE__TALK_SOCKET;
		p->r.err = err;
		p->r.op = op;
	}
}

/* Takes no more input and ends when what was taken has been sent; the peer is
 * read on, or it might stop reading us. */
static void reader_left(struct stream *p)
{
	sockeye__filtered_queue_consume(&p->in, sockeye__filtered_queue_waiting(&p->in));
	sockeye__standard_io_close(&p->dst, !p->o->keep_out);
	p->discard = true;
	p->r.end = SOCKEYE__TALK_READER;
	source_close(p, false);
}

static void from_source(struct stream *p)
{
	uint8_t *where;
	size_t room = sockeye__filtered_queue_room(&p->out, &where);
	ssize_t n;

	if (!p->src_open || room == 0)
		return;
	if (p->first_len > 0) {
		n = (ssize_t)(p->first_len < room ? p->first_len : room);
		memcpy(where, p->first, (size_t)n);
		p->first += n;
		p->first_len -= (size_t)n;
	} else if (p->src.kind == SOCKEYE__STANDARD_IO_NONE) {
		n = 0;
	} else {
		n = sockeye__standard_io_read(&p->src, where, room);
	}
	if (n > 0)
		sockeye__filtered_queue_add(&p->out, (size_t)n);
	else if (n == 0)
		source_close(p, true);
	else if (n != -EAGAIN)
		finish(p, SOCKEYE__TALK_INPUT, (int)n);
}

static void sending_end(struct stream *p)
{
	p->out_done = true;
	/* Fails only when the connection is gone, which receiving will tell. */
	if (!p->o->no_shutdown && !p->discard)
		shutdown(p->fd, SHUT_WR);
	if (p->o->wait_limited)
		p->wait_until_ns = p->now_ns + p->o->wait_ns;
}

/* Sends what the socket takes now; false when that was nothing. */
static bool send_some(struct stream *p, const uint8_t *data, size_t len, int flags,
		      size_t *out_sent)
{
	ssize_t n;

	do
		n = send(p->fd, data, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		sending_failed(p, "send", -errno);
	if (n < 0)
		return false;
	if (p->o->on_moved)
		p->o->on_moved(p->o->arg, SOCKEYE__TALK_SENT, data, (size_t)n);
	p->r.sent += (size_t)n;
	p->moved_ns = p->now_ns;
	*out_sent = (size_t)n;
	return true;
}

/* The last byte alone is sent as urgent: a send that takes only a part makes
 * the last one of that part the urgent one. */
static void urgent_to_peer(struct stream *p)
{
	size_t n = 0;

	while (p->urgent_len > 0) {
		bool last = p->urgent_len == 1;

		if (!send_some(p, p->urgent, last ? 1 : p->urgent_len - 1, last ? MSG_OOB : 0, &n))
			break;
		p->urgent += n;
		p->urgent_len -= n;
	}
	if (p->r.err == -EOPNOTSUPP)
		p->finished = true; /* not the connection's failure: the peer will not end */
}

static size_t to_send(const struct stream *p)
{
	return p->urgent_len + sockeye__filtered_queue_waiting(&p->out);
}

static void to_peer(struct stream *p)
{
	size_t waiting, n;

	urgent_to_peer(p);
	while (p->urgent_len == 0 && !p->out_done &&
	       (waiting = sockeye__filtered_queue_waiting(&p->out)) > 0) {
		if (!send_some(p, p->out.buf + p->out.start, waiting, 0, &n))
			return;
		sockeye__filtered_queue_consume(&p->out, n);
	}
	if (!p->src_open && !p->out_done && to_send(p) == 0)
		sending_end(p);
}

/* The urgent byte, when it is the next one (RFC 6093 2; receiving stops at
 * the mark, and would skip the byte that stands there). */
static void take_urgent(struct stream *p)
{
	uint8_t byte;

	if (sockatmark(p->fd) == 1 && recv(p->fd, &byte, 1, MSG_OOB | MSG_DONTWAIT) == 1)
		peer_note(p, SOCKEYE__TALK_NOTE_URGENT, &byte, 1);
}

static void take_peek(struct stream *p)
{
	uint8_t data[SOCKEYE__TALK_PEEK_MAX];
	ssize_t n = recv(p->fd, data, p->o->peek_max, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0) {
		p->peeked = true;
		peer_note(p, SOCKEYE__TALK_NOTE_PEEK, data, (size_t)n);
	}
}

/* How much of data[0..len) belongs to the lines that are still wanted. */
static size_t wanted(struct stream *p, const uint8_t *data, size_t len)
{
	const uint8_t *at = data;

	while (p->lines_left > 0 && (at = memchr(at, '\n', len - (size_t)(at - data))) != NULL) {
		at++;
		if (--p->lines_left == 0)
			return (size_t)(at - data);
	}
	return len;
}

static void received(struct stream *p, const uint8_t *data, size_t len)
{
	bool counts = p->lines_left > 0;

	len = wanted(p, data, len);
	if (p->o->on_moved)
		p->o->on_moved(p->o->arg, SOCKEYE__TALK_RECEIVED, data, len);
	p->r.received += len;
	p->moved_ns = p->now_ns;
	if (!p->discard)
		sockeye__filtered_queue_add(&p->in, len);
	if (counts && p->lines_left == 0)
		leave(p, SOCKEYE__TALK_COUNT);
}

/* One receive for each poll: an urgent mark that arrives in between is never
 * run over. */
static void from_peer(struct stream *p, short revents)
{
	uint8_t *where;
	size_t room;
	ssize_t n;

	if (!p->peer_open || sockeye__filtered_queue_room(&p->in, &where) == 0)
		return;
	if (revents & POLLPRI)
		take_urgent(p);
	if (p->o->peek_max && !p->peeked)
		take_peek(p);
	room = sockeye__filtered_queue_room(&p->in, &where);
	if (room == 0)
		return;
	do
		n = recv(p->fd, where, room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		received(p, where, (size_t)n);
	} else if (n == 0) {
		peer_close(p, true);
	} else if (errno != EAGAIN) {
		sending_failed(p, "receive", -errno);
		peer_close(p, false);
	}
}

static void to_out(struct stream *p)
{
	size_t waiting;

	if (p->dst.kind == SOCKEYE__STANDARD_IO_NONE) /* nobody asked for it */
		sockeye__filtered_queue_consume(&p->in, sockeye__filtered_queue_waiting(&p->in));
	while ((waiting = sockeye__filtered_queue_waiting(&p->in)) > 0) {
		ssize_t n = sockeye__standard_io_write(&p->dst, p->in.buf + p->in.start, waiting);

		if (n == -EAGAIN)
			return;
		if (n == -EPIPE || n == -ECONNRESET)
			reader_left(p);
		else if (n < 0)
			finish(p, SOCKEYE__TALK_OUTPUT, (int)n);
		if (n < 0)
			return;
		p->moved_ns = p->now_ns;
		sockeye__filtered_queue_consume(&p->in, (size_t)n);
	}
	if (!p->peer_open && !p->leaving)
		sockeye__standard_io_close(&p->dst, !p->o->keep_out);
}

static bool is_over(const struct stream *p)
{
	bool in_done = !p->peer_open && sockeye__filtered_queue_waiting(&p->in) == 0;
	bool sent = to_send(p) == 0;

	if (p->finished)
		return true;
	if (p->discard)
		return sent;
	if (p->leaving)
		return in_done;
	return in_done && (p->out_done || (p->o->until_peer_ends && sent));
}

static struct pollfd watch(int fd, bool wanted_at_all, short events)
{
	return (struct pollfd){.fd = wanted_at_all ? fd : -1, .events = events};
}

/* poll(2) tells of POLLHUP and POLLERR unasked, and again and again: what
 * nothing is wanted of is left out. Two are watched for these alone: a peer
 * that has ended while we may still send (it may reset), and an output when
 * there is no input left to show that its reader has gone. */
static void prepare(struct stream *p, struct pollfd *fds)
{
	uint8_t *where;
	bool full_out = sockeye__filtered_queue_room(&p->out, &where) == 0;
	bool full_in = sockeye__filtered_queue_room(&p->in, &where) == 0;
	bool sending = to_send(p) > 0;
	bool showing = sockeye__filtered_queue_waiting(&p->in) > 0;
	short events =
	    (short)((p->peer_open && !full_in ? POLLIN | POLLPRI : 0) | (sending ? POLLOUT : 0));

	fds[SRC] = watch(p->src.fd, p->src_open && !full_out, POLLIN);
	fds[SOCK] = watch(p->fd, events || (!p->peer_open && !p->out_done), events);
	fds[DST] = watch(p->dst.fd, showing || !p->src_open, showing ? POLLOUT : 0);
	fds[STOP] = watch(p->o->stop_fd, true, POLLIN);
}

/* What a peer that has ended its side can still say: that it is gone. With
 * bytes left to send, sending them will tell. */
static void peer_gone(struct stream *p, short revents)
{
	int err = 0;

	if (p->peer_open || !(revents & (POLLERR | POLLHUP)) || to_send(p) > 0)
		return;
	sockeye__option_get(p->fd, SOL_SOCKET, SO_ERROR, &err);
	sending_failed(p, "send", -err);
}

static void turn(struct stream *p, const struct pollfd *fds)
{
	if (fds[STOP].revents) {
		finish(p, SOCKEYE__TALK_STOPPED, 0);
		return;
	}
	if (fds[SRC].revents)
		from_source(p);
	if (fds[SOCK].revents & ~POLLOUT)
		from_peer(p, fds[SOCK].revents);
	peer_gone(p, fds[SOCK].revents);
	to_peer(p);
	if (fds[DST].revents & (POLLERR | POLLHUP) && sockeye__filtered_queue_waiting(&p->in) == 0)
		reader_left(p);
	to_out(p);
}

static uint64_t idle_deadline(const struct stream *p)
{
	return p->o->idle_ns ? p->moved_ns + p->o->idle_ns : 0;
}

static void check_time(struct stream *p)
{
	uint64_t idle = idle_deadline(p);

	if (is_over(p)) /* how it ended is decided */
		return;
	if (p->wait_until_ns && p->now_ns >= p->wait_until_ns && !p->leaving)
		leave(p, SOCKEYE__TALK_WAITED);
	if (idle && p->now_ns >= idle && !is_over(p))
		finish(p, SOCKEYE__TALK_IDLE, -ETIME);
}

static void run(struct stream *p)
{
	struct pollfd fds[POLLED];

	while (!is_over(p)) {
		uint64_t wait;
		int n;

		while (p->first_len > 0 ||
		       (p->src_open && p->src.kind == SOCKEYE__STANDARD_IO_NONE)) {
			uint8_t *where;

			if (sockeye__filtered_queue_room(&p->out, &where) == 0)
				break;
			from_source(p);
		}
		to_peer(p); /* which may begin the wait */
		wait = p->leaving ? 0 : p->wait_until_ns;
		prepare(p, fds);
		n = poll(fds, POLLED,
			 sockeye__poll_ms(sockeye__earlier(wait, idle_deadline(p)), p->now_ns));
		p->now_ns = sockeye_now().mono_ns;
		if (n > 0)
			turn(p, fds);
		check_time(p);
	}
}

int sockeye__stream_run(int fd, const struct sockeye__stream_opts *opts,
			struct sockeye__stream_result *out)
{
	struct stream p = {
	    .fd = fd,
	    .o = opts,
	    .first = opts->first,
	    .first_len = opts->first_len,
	    .urgent = (const uint8_t *)opts->urgent,
	    .urgent_len = opts->urgent ? strlen(opts->urgent) : 0,
	    .src_open = true,
	    .peer_open = true,
	    .lines_left = opts->lines_max,
	    .now_ns = sockeye_now().mono_ns,
	};
	int err =
	    sockeye__filtered_queue_init(&p.out, SOCKEYE__FILTERED_QUEUE_BYTES, opts->to_peer);

	if (err == 0)
		err = sockeye__filtered_queue_init(&p.in, SOCKEYE__FILTERED_QUEUE_BYTES,
						   opts->to_out);
	if (err == 0) {
		p.moved_ns = p.now_ns;
		sockeye__standard_io_open(&p.src, opts->in_fd, false);
		sockeye__standard_io_open(&p.dst, opts->out_fd, true);
		run(&p);
		if (opts->out_lines)
			sockeye__standard_io_end_line(&p.dst, p.in.buf + p.in.start,
						      sockeye__filtered_queue_waiting(&p.in));
		sockeye__standard_io_close(&p.src, false);
		sockeye__standard_io_close(&p.dst, false);
		*out = p.r;
	}
	sockeye__filtered_queue_fini(&p.out);
	sockeye__filtered_queue_fini(&p.in);
	return err;
}
