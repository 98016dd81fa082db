/* messages.c: the loop of a session of messages (messages.h). */
#include "talk/messages_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <sockeye/time.h>

#include "base/invariant.h"
#include "net/net.h"

enum { SRC, DST, STOP, SOCKS };

/* Asserts the invariants that hold between any two steps. */
static void messages_check(const struct sockeye__messages *m)
{
	enum sockeye__talk_end end = m->r.end;

	assert(m->unanswered <= m->r.sent);
	assert(m->to_fd >= 0 || (m->o->listening && m->r.sent == 0));
	assert(!m->peer_ended || m->o->records);
	assert(end != SOCKEYE__TALK_SOCKET || (m->r.err < 0 && m->r.op != NULL));
	switch (m->phase) {
	case SOCKEYE__MESSAGES_RUNNING:
		assert(end == SOCKEYE__TALK_DONE || end == SOCKEYE__TALK_COUNT);
		assert(end != SOCKEYE__TALK_COUNT || m->r.received >= m->o->count_max);
		break;
	case SOCKEYE__MESSAGES_BROKEN:
		assert(m->o->records && m->sending_done);
		assert(end == SOCKEYE__TALK_SOCKET || end == SOCKEYE__TALK_COUNT);
		break;
	case SOCKEYE__MESSAGES_OVER:
		assert(end == SOCKEYE__TALK_STOPPED || end == SOCKEYE__TALK_READER || m->r.err < 0);
		break;
	}
}

/* --- the local descriptors --- */

static void input_read(struct sockeye__messages *m)
{
	int err = sockeye__message_input_read(&m->input);

	if (err < 0 && err != -EAGAIN)
		sockeye__messages_finish(m, SOCKEYE__TALK_INPUT, err);
}

static void output_write(struct sockeye__messages *m)
{
	size_t waiting;

	if (m->dst.kind == SOCKEYE__STANDARD_IO_NONE)
		sockeye__filtered_queue_consume(&m->recvq,
						sockeye__filtered_queue_waiting(&m->recvq));
	while ((waiting = sockeye__filtered_queue_waiting(&m->recvq)) > 0) {
		ssize_t n =
		    sockeye__standard_io_write(&m->dst, m->recvq.buf + m->recvq.start, waiting);

		if (n == -EAGAIN)
			return;
		if (n == -EPIPE || n == -ECONNRESET)
			sockeye__messages_finish(m, SOCKEYE__TALK_READER, 0);
		else if (n < 0)
			sockeye__messages_finish(m, SOCKEYE__TALK_OUTPUT, (int)n);
		if (n < 0)
			return;
		sockeye__filtered_queue_consume(&m->recvq, (size_t)n);
	}
}

/* --- the end --- */

/* Whether the input has ended and the wait for replies is over. */
static bool exchange_is_over(const struct sockeye__messages *m)
{
	if (!sockeye__message_input_done(&m->input))
		return false;
	if (m->o->until_sent)
		return true;
	if (m->o->listening || (m->o->receive_only && !m->o->wait_all))
		return false;
	if (m->o->wait_all || m->o->records)
		return m->o->wait_all && sockeye__messages_silent(m);
	return sockeye__messages_answered(m) || sockeye__messages_silent(m);
}

static bool is_over(const struct sockeye__messages *m)
{
	if (m->phase == SOCKEYE__MESSAGES_OVER)
		return true;
	if (sockeye__filtered_queue_waiting(&m->recvq) > 0)
		return false;
	if (m->r.end == SOCKEYE__TALK_COUNT || (m->peer_ended && m->sending_done))
		return true;
	return exchange_is_over(m);
}

/* Whether to poll the input. Returns false while another job has the terminal, and sets
 * *until_ns so that the loop checks again soon. */
static bool wants_input(const struct sockeye__messages *m, uint64_t *until_ns)
{
	const uint8_t *data;
	size_t len;

	if (m->to_fd < 0 || m->input.ended || m->sending_done ||
	    sockeye__message_input_next(&m->input, &data, &len))
		return false;
	if (sockeye__standard_io_may_read(&m->input.src))
		return true;
	*until_ns = sockeye__earlier(*until_ns, m->now_ns + SOCKEYE__TALK_JOB_NS);
	return false;
}

static uint64_t deadline(const struct sockeye__messages *m)
{
	uint64_t at = m->o->idle_ns ? m->moved_ns + m->o->idle_ns : 0;
	bool awaiting = sockeye__message_input_done(&m->input) && !m->o->listening &&
			(!m->o->records || m->o->wait_all);

	at = sockeye__earlier(at, sockeye__messages_send_ns(m));
	if (awaiting && !sockeye__messages_silent(m))
		at = sockeye__earlier(at, sockeye__messages_silence_ns(m));
	return at;
}

static void prepare(const struct sockeye__messages *m, bool reading, struct pollfd *fds)
{
	bool receiving = !m->peer_ended && sockeye__messages_has_room(m);
	bool showing = sockeye__filtered_queue_waiting(&m->recvq) > 0;

	fds[SRC] = (struct pollfd){.fd = reading ? m->input.src.fd : -1, .events = POLLIN};
	/* Polling without events lets a listener notice that the output was closed by its
	 * reader. */
	fds[DST] = (struct pollfd){.fd = showing || m->o->listening ? m->dst.fd : -1,
				   .events = showing ? POLLOUT : 0};
	fds[STOP] = (struct pollfd){.fd = m->o->stop_fd, .events = POLLIN};
	/* After a peer has half-closed, only POLLHUP and POLLERR are of interest. */
	for (size_t i = 0; i < m->fd_count; i++)
		fds[SOCKS + i] = (struct pollfd){
		    .fd = receiving || (m->peer_ended && !m->sending_done) ? m->fds[i] : -1,
		    .events = receiving ? POLLIN : 0,
		};
}

static void turn(struct sockeye__messages *m, const struct pollfd *fds)
{
	if (fds[STOP].revents) {
		sockeye__messages_finish(m, SOCKEYE__TALK_STOPPED, 0);
		return;
	}
	if (fds[DST].revents & (POLLERR | POLLHUP)) {
		sockeye__messages_finish(m, SOCKEYE__TALK_READER, 0);
		return;
	}
	if (fds[SRC].revents)
		input_read(m);
	for (size_t i = 0; i < m->fd_count; i++) {
		if (fds[SOCKS + i].revents & POLLERR)
			sockeye__messages_errors_take(m, m->fds[i]);
		if (fds[SOCKS + i].revents & (POLLHUP | POLLERR) && m->peer_ended)
			m->sending_done = true;
		else if (fds[SOCKS + i].revents)
			sockeye__messages_receive(m, m->fds[i]);
	}
	output_write(m);
}

/* Ends the input of a terminal after the peer has ended and everything typed has been
 * read. */
static void check_peer_left(struct sockeye__messages *m)
{
	if (m->o->until_peer_leaves && m->input.src.tty && m->peer_ended && !m->input.ended &&
	    !sockeye__standard_io_typed(&m->input.src))
		m->input.ended = true;
}

static void run(struct sockeye__messages *m)
{
	struct pollfd fds[SOCKS + SOCKEYE__MESSAGES_SOCKETS_MAX];

	for (;;) {
		bool more = sockeye__messages_send(m);
		uint64_t until = more ? SOCKEYE__MESSAGES_AT_ONCE : deadline(m);
		bool reading;
		int n;

		sockeye__invariant(messages_check(m));
		if (is_over(m))
			return;
		reading = wants_input(m, &until);
		prepare(m, reading, fds);
		n = poll(fds, SOCKS + m->fd_count, sockeye__poll_ms(until, m->now_ns));
		m->now_ns = sockeye_now().mono_ns;
		if (n > 0)
			turn(m, fds);
		else if (m->o->idle_ns && m->now_ns >= m->moved_ns + m->o->idle_ns && !is_over(m))
			sockeye__messages_finish(m, SOCKEYE__TALK_IDLE, -ETIME);
		check_peer_left(m);
		sockeye__invariant(messages_check(m));
	}
}

/* --- the start --- */

/* Returns 0, or a negative code if the options do not fit the socket. */
static int prepare_sockets(struct sockeye__messages *m)
{
	if (m->o->records)
		return sockeye__records_stamp(m->to_fd);
	for (size_t i = 0; i < m->fd_count; i++)
		m->error_queue |= sockeye_dgram_want_errors(m->fds[i]) == 0;
	if (m->o->listening)
		for (size_t i = 0; i < m->fd_count; i++)
			sockeye_dgram_want_local(m->fds[i]);
	if (!m->o->unconnected)
		return 0;
	if (sockeye_peer_name(m->to_fd, &m->to.peer) < 0)
		return -ENOTCONN;
	m->first = m->to.peer;
	return sockeye_dgram_reconnect(m->to_fd, NULL);
}

/* Returns 0 or -ENOMEM. Both directions share m->buf, one message at a time. */
static int allocate(struct sockeye__messages *m)
{
	size_t bytes =
	    m->o->bytes_max > SOCKEYE__TALK_PEEK_MAX ? m->o->bytes_max : SOCKEYE__TALK_PEEK_MAX;
	int err;

	if (m->o->to_peer && bytes < m->o->to_peer->factor * (size_t)SOCKEYE__MESSAGE_MAX)
		bytes = m->o->to_peer->factor * (size_t)SOCKEYE__MESSAGE_MAX;
	m->buf = malloc(bytes);
	if (!m->buf)
		return -ENOMEM;
	m->message_room =
	    SOCKEYE__MESSAGES_FACTOR * m->o->bytes_max + SOCKEYE__FILTERED_QUEUE_NOTE_ROOM;
	err = sockeye__filtered_queue_init(&m->recvq, 4 * m->message_room, NULL);
	if (err < 0)
		return err;
	return sockeye__message_input_init(&m->input, m->o->words, m->o->word_count, m->o->in_fd,
					   m->o->per, m->o->per_size);
}

int sockeye__messages_run(const int *fds, size_t count, const struct sockeye__messages_opts *opts,
			  struct sockeye__messages_result *out)
{
	struct sockeye__messages m = {
	    .fds = fds,
	    .fd_count = count,
	    .o = opts,
	    .to_fd = opts->listening ? -1 : fds[0],
	    .next_switch = opts->switches,
	    .switches_left = opts->switch_count,
	    .window = SOCKEYE__MESSAGES_WINDOW,
	    .peek_max = opts->peek_max,
	    .now_ns = sockeye_now().mono_ns,
	};
	int err = allocate(&m);

	if (err == 0)
		err = prepare_sockets(&m);
	if (err == 0) {
		m.moved_ns = m.now_ns;
		sockeye__standard_io_open(&m.dst, opts->out_fd, true);
		run(&m);
		if (opts->out_lines)
			sockeye__standard_io_end_line(&m.dst, m.recvq.buf + m.recvq.start,
						      sockeye__filtered_queue_waiting(&m.recvq));
		sockeye__standard_io_close(&m.dst, false);
		*out = m.r;
	}
	sockeye__message_input_fini(&m.input);
	sockeye__filtered_queue_fini(&m.recvq);
	free(m.buf);
	return err;
}
