/* stream.c: copies between a stream socket and two local descriptors (stream.h). */
#include "talk/stream_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <sockeye/time.h>

#include "base/deadline.h"
#include "base/invariant.h"
#include "net/net.h"

enum { SRC, SOCK, DST, STOP, POLLED };

/* Asserts the invariants that hold between any two steps. */
static void stream_check(const struct sockeye__stream *s)
{
	enum sockeye__talk_end end = s->r.end;
	bool dst_released = s->dst.kind == SOCKEYE__STANDARD_IO_NONE;

	assert(s->sending == SOCKEYE__STREAM_OPEN || s->src.kind == SOCKEYE__STANDARD_IO_NONE);
	assert(s->sending == SOCKEYE__STREAM_OPEN || s->first_len == 0);
	assert(s->sending != SOCKEYE__STREAM_DONE || sockeye__stream_to_send(s) == 0);
	assert(s->receiving != SOCKEYE__STREAM_DONE || sockeye__stream_to_write(s) == 0);
	assert(s->sending != SOCKEYE__STREAM_OPEN || !s->r.input_ended);
	assert(s->sending == SOCKEYE__STREAM_DONE || s->wait_until_ns == 0);
	assert(end != SOCKEYE__TALK_SOCKET || (s->r.err < 0 && s->r.op != NULL));
	switch (s->phase) {
	case SOCKEYE__STREAM_RUNNING:
		assert(end == SOCKEYE__TALK_DONE || end == SOCKEYE__TALK_SOCKET);
		assert(dst_released == (s->o->out_fd < 0 || s->receiving == SOCKEYE__STREAM_DONE));
		assert(s->o->lines_max == 0 || s->lines_left > 0);
		break;
	case SOCKEYE__STREAM_LEAVING:
		assert(end == SOCKEYE__TALK_WAITED || end == SOCKEYE__TALK_COUNT ||
		       end == SOCKEYE__TALK_SOCKET);
		assert(s->receiving != SOCKEYE__STREAM_OPEN);
		break;
	case SOCKEYE__STREAM_DISCARDING:
		assert(end == SOCKEYE__TALK_READER || end == SOCKEYE__TALK_SOCKET);
		assert(s->sending != SOCKEYE__STREAM_OPEN && dst_released &&
		       sockeye__stream_to_write(s) == 0);
		break;
	case SOCKEYE__STREAM_OVER:
		assert(end == SOCKEYE__TALK_STOPPED || s->r.err < 0);
		break;
	}
}

static bool is_over(const struct sockeye__stream *s)
{
	bool sent = s->sending == SOCKEYE__STREAM_DONE ||
		    (s->o->until_peer_ends && sockeye__stream_to_send(s) == 0);

	switch (s->phase) {
	case SOCKEYE__STREAM_RUNNING:
		return s->receiving == SOCKEYE__STREAM_DONE && sent;
	case SOCKEYE__STREAM_LEAVING:
		return sockeye__stream_to_write(s) == 0;
	case SOCKEYE__STREAM_DISCARDING:
		return sockeye__stream_to_send(s) == 0;
	case SOCKEYE__STREAM_OVER:
		break;
	}
	return true;
}

static struct pollfd watch(int fd, bool wanted, short events)
{
	return (struct pollfd){.fd = wanted ? fd : -1, .events = events};
}

/* Whether the input has not ended and its queue has room. */
static bool wants_input(struct sockeye__stream *s)
{
	uint8_t *where;

	return s->sending == SOCKEYE__STREAM_OPEN &&
	       sockeye__filtered_queue_room(&s->sendq, &where) > 0;
}

/* Leaves out descriptors that are not needed: poll(2) reports POLLHUP and POLLERR
 * even if they were not requested, so every call would return immediately. Two
 * descriptors are watched only for these events: a socket whose peer closed its side
 * while we may still send (the peer may reset the connection), and an output whose
 * reader may close it after the input has ended. */
static void prepare(struct sockeye__stream *s, bool reading, struct pollfd *fds)
{
	uint8_t *where;
	bool receiving = s->receiving == SOCKEYE__STREAM_OPEN &&
			 sockeye__filtered_queue_room(&s->recvq, &where) > 0;
	bool writing = sockeye__stream_to_write(s) > 0;
	bool may_reset = s->receiving != SOCKEYE__STREAM_OPEN && s->sending != SOCKEYE__STREAM_DONE;
	short events = (short)((receiving ? POLLIN | POLLPRI : 0) |
			       (sockeye__stream_to_send(s) > 0 ? POLLOUT : 0));

	fds[SRC] = watch(s->src.fd, reading, POLLIN);
	fds[SOCK] = watch(s->fd, events || may_reset, events);
	fds[DST] =
	    watch(s->dst.fd, writing || s->sending != SOCKEYE__STREAM_OPEN, writing ? POLLOUT : 0);
	fds[STOP] = watch(s->o->stop_fd, true, POLLIN);
}

/* Asserts that something will end the wait in poll(2): a descriptor or a deadline. */
static void wakeup_check(const struct sockeye__stream *s, const struct pollfd *fds,
			 uint64_t until_ns)
{
	assert(!is_over(s));
	assert(sockeye__stream_to_send(s) == 0 || fds[SOCK].events & POLLOUT);
	assert(sockeye__stream_to_write(s) == 0 || fds[DST].events & POLLOUT);
	assert(s->first_len == 0 || sockeye__stream_to_send(s) > 0);
	assert(fds[SRC].fd >= 0 || fds[SOCK].events || (fds[DST].fd >= 0 && fds[DST].events) ||
	       until_ns > 0);
}

/* A peer that closed its side may still reset the connection. If bytes are queued,
 * sending them returns that error. */
static void peer_gone(struct sockeye__stream *s, short revents)
{
	int err = 0;

	if (s->receiving == SOCKEYE__STREAM_OPEN || !(revents & (POLLERR | POLLHUP)) ||
	    sockeye__stream_to_send(s) > 0)
		return;
	sockeye__option_get(s->fd, SOL_SOCKET, SO_ERROR, &err);
	sockeye__stream_sending_failed(s, "send", -err);
}

static void turn(struct sockeye__stream *s, const struct pollfd *fds)
{
	if (fds[STOP].revents) {
		sockeye__stream_finish(s, SOCKEYE__TALK_STOPPED, 0);
		return;
	}
	if (fds[SRC].revents)
		sockeye__stream_input_read(s);
	sockeye__invariant(stream_check(s));
	if (fds[SOCK].revents & ~POLLOUT)
		sockeye__stream_receive(s, fds[SOCK].revents);
	sockeye__invariant(stream_check(s));
	peer_gone(s, fds[SOCK].revents);
	sockeye__stream_send(s);
	sockeye__invariant(stream_check(s));
	if (fds[DST].revents & (POLLERR | POLLHUP) && sockeye__stream_to_write(s) == 0)
		sockeye__stream_reader_left(s);
	sockeye__invariant(stream_check(s));
	sockeye__stream_output_write(s);
}

static uint64_t idle_deadline(const struct sockeye__stream *s)
{
	return s->o->idle_ns ? s->moved_ns + s->o->idle_ns : 0;
}

static void check_time(struct sockeye__stream *s)
{
	uint64_t idle = idle_deadline(s);

	if (is_over(s)) /* keeps the end that was recorded */
		return;
	if (s->wait_until_ns && s->now_ns >= s->wait_until_ns)
		sockeye__stream_leave(s, SOCKEYE__TALK_WAITED);
	if (idle && s->now_ns >= idle && !is_over(s))
		sockeye__stream_finish(s, SOCKEYE__TALK_IDLE, -ETIME);
}

/* Whether there is input that poll(2) does not report: opts->first, or the end of an
 * input that does not exist. */
static bool input_is_ready(const struct sockeye__stream *s)
{
	return s->first_len > 0 ||
	       (s->sending == SOCKEYE__STREAM_OPEN && s->src.kind == SOCKEYE__STANDARD_IO_NONE);
}

/* Ends the input of a terminal once the peer has closed its side and everything
 * typed has been sent, so
 * that the user need not type Ctrl-D. */
static void check_peer_left(struct sockeye__stream *s)
{
	if (s->o->until_peer_leaves && s->src.tty && s->phase == SOCKEYE__STREAM_RUNNING &&
	    s->receiving == SOCKEYE__STREAM_DONE && s->sending == SOCKEYE__STREAM_OPEN &&
	    sockeye__stream_to_send(s) == 0 && !sockeye__standard_io_typed(&s->src))
		sockeye__stream_source_close(s, false);
}

/* Sends input that poll(2) does not report, until none is left or the socket accepts no
 * more. */
static void send_ready_input(struct sockeye__stream *s)
{
	uint8_t *where;

	do {
		while (input_is_ready(s) && sockeye__filtered_queue_room(&s->sendq, &where) > 0)
			sockeye__stream_input_read(s);
		sockeye__stream_send(s);
	} while (input_is_ready(s) && sockeye__stream_to_send(s) == 0);
}

static void run(struct sockeye__stream *s)
{
	struct pollfd fds[POLLED];

	while (!is_over(s)) {
		uint64_t until_ns;
		bool reading;
		int n;

		send_ready_input(s); /* may end the session, or set wait_until_ns */
		sockeye__invariant(stream_check(s));
		if (is_over(s))
			return;
		until_ns = s->phase == SOCKEYE__STREAM_LEAVING ? 0 : s->wait_until_ns;
		until_ns = sockeye__earlier(until_ns, idle_deadline(s));
		reading = wants_input(s);
		if (reading && !sockeye__standard_io_may_read(&s->src)) {
			until_ns = sockeye__earlier(until_ns, s->now_ns + SOCKEYE__TALK_JOB_NS);
			reading = false;
		}
		prepare(s, reading, fds);
		sockeye__invariant(wakeup_check(s, fds, until_ns));
		n = poll(fds, POLLED, sockeye__poll_ms(until_ns, s->now_ns));
		s->now_ns = sockeye_now().mono_ns;
		if (n > 0)
			turn(s, fds);
		sockeye__invariant(stream_check(s));
		check_peer_left(s);
		check_time(s);
		sockeye__invariant(stream_check(s));
	}
}

int sockeye__stream_run(int fd, const struct sockeye__stream_opts *opts,
			struct sockeye__stream_result *out)
{
	struct sockeye__stream s = {
	    .fd = fd,
	    .o = opts,
	    .first = opts->first,
	    .first_len = opts->first_len,
	    .urgent = (const uint8_t *)opts->urgent,
	    .urgent_len = opts->urgent ? strlen(opts->urgent) : 0,
	    .peek_max = opts->peek_max,
	    .lines_left = opts->lines_max,
	    .now_ns = sockeye_now().mono_ns,
	};
	int err =
	    sockeye__filtered_queue_init(&s.sendq, SOCKEYE__FILTERED_QUEUE_BYTES, opts->to_peer);

	if (err == 0)
		err = sockeye__filtered_queue_init(&s.recvq, SOCKEYE__FILTERED_QUEUE_BYTES,
						   opts->to_out);
	if (err == 0) {
		s.moved_ns = s.now_ns;
		sockeye__standard_io_open(&s.src, opts->in_fd, false);
		sockeye__standard_io_open(&s.dst, opts->out_fd, true);
		run(&s);
		if (opts->out_lines)
			sockeye__standard_io_end_line(&s.dst, s.recvq.buf + s.recvq.start,
						      sockeye__stream_to_write(&s));
		sockeye__standard_io_close(&s.src, false);
		sockeye__standard_io_close(&s.dst, false);
		*out = s.r;
	}
	sockeye__filtered_queue_fini(&s.sendq);
	sockeye__filtered_queue_fini(&s.recvq);
	return err;
}
