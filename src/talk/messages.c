/* messages.c: messages between sockets and two local descriptors (messages.h). */
#include "talk/messages_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <sockeye/time.h>

#include "net/net.h"

enum { SRC, DST, STOP, SOCKS };

/* --- the two descriptors --- */

static void read_input(struct sockeye__messages *t)
{
	int err = sockeye__message_input_read(&t->input);

	if (err < 0 && err != -EAGAIN)
		sockeye__messages_finish(t, SOCKEYE__TALK_INPUT, err);
}

static void to_out(struct sockeye__messages *t)
{
	size_t waiting;

	if (t->dst.kind == SOCKEYE__STANDARD_IO_NONE)
		sockeye__filtered_queue_consume(&t->in, sockeye__filtered_queue_waiting(&t->in));
	while ((waiting = sockeye__filtered_queue_waiting(&t->in)) > 0) {
		ssize_t n = sockeye__standard_io_write(&t->dst, t->in.buf + t->in.start, waiting);

		if (n == -EAGAIN)
			return;
		if (n == -EPIPE || n == -ECONNRESET)
			sockeye__messages_finish(t, SOCKEYE__TALK_READER, 0);
		else if (n < 0)
			sockeye__messages_finish(t, SOCKEYE__TALK_OUTPUT, (int)n);
		if (n < 0)
			return;
		sockeye__filtered_queue_consume(&t->in, (size_t)n);
	}
}

/* --- when it is over --- */

static bool conversation_over(const struct sockeye__messages *t)
{
	if (t->o->listening || !sockeye__message_input_done(&t->input))
		return false;
	if (t->o->wait_all || t->o->records)
		return t->o->wait_all && sockeye__messages_silent(t);
	return sockeye__messages_answered(t) || sockeye__messages_silent(t);
}

static bool is_over(const struct sockeye__messages *t)
{
	if (t->finished)
		return true;
	if (sockeye__filtered_queue_waiting(&t->in) > 0)
		return false;
	if (t->r.end == SOCKEYE__TALK_COUNT || (t->peer_ended && t->shut))
		return true;
	return conversation_over(t);
}

static uint64_t deadline(const struct sockeye__messages *t)
{
	uint64_t at = t->o->idle_ns ? t->moved_ns + t->o->idle_ns : 0;
	bool done = sockeye__message_input_done(&t->input) && !t->o->listening &&
		    (!t->o->records || t->o->wait_all);

	at = sockeye__earlier(at, sockeye__messages_send_ns(t));
	if (done && !sockeye__messages_silent(t))
		at = sockeye__earlier(at, sockeye__messages_silence_ns(t));
	return at;
}

static void prepare(const struct sockeye__messages *t, struct pollfd *fds)
{
	const uint8_t *data;
	size_t len;
	bool receiving = !t->peer_ended && sockeye__messages_has_room(t);
	bool showing = sockeye__filtered_queue_waiting(&t->in) > 0;
	bool reading = t->to_fd >= 0 && !t->input.ended && !t->shut &&
		       !sockeye__message_input_next(&t->input, &data, &len);

	fds[SRC] = (struct pollfd){.fd = reading ? t->input.src.fd : -1, .events = POLLIN};
	/* A listener has no other end than that its reader has gone. */
	fds[DST] = (struct pollfd){.fd = showing || t->o->listening ? t->dst.fd : -1,
				   .events = showing ? POLLOUT : 0};
	fds[STOP] = (struct pollfd){.fd = t->o->stop_fd, .events = POLLIN};
	/* A peer that has ended is watched for having gone altogether. */
	for (size_t i = 0; i < t->fd_count; i++)
		fds[SOCKS + i] = (struct pollfd){
		    .fd = receiving || (t->peer_ended && !t->shut) ? t->fds[i] : -1,
		    .events = receiving ? POLLIN : 0,
		};
}

static void turn(struct sockeye__messages *t, const struct pollfd *fds)
{
	if (fds[STOP].revents) {
		sockeye__messages_finish(t, SOCKEYE__TALK_STOPPED, 0);
		return;
	}
	if (fds[DST].revents & (POLLERR | POLLHUP)) {
		sockeye__messages_finish(t, SOCKEYE__TALK_READER, 0);
		return;
	}
	if (fds[SRC].revents)
		read_input(t);
	for (size_t i = 0; i < t->fd_count; i++) {
		if (fds[SOCKS + i].revents & POLLERR)
			sockeye__messages_errors_take(t, t->fds[i]);
		if (fds[SOCKS + i].revents & (POLLHUP | POLLERR) && t->peer_ended)
			t->shut = true;
		else if (fds[SOCKS + i].revents)
			sockeye__messages_receive(t, t->fds[i]);
	}
	to_out(t);
}

static void run(struct sockeye__messages *t)
{
	struct pollfd fds[SOCKS + SOCKEYE__MESSAGES_SOCKETS_MAX];

	for (;;) {
		bool more = sockeye__messages_send(t);
		uint64_t until = more ? SOCKEYE__MESSAGES_AT_ONCE : deadline(t);
		int n;

		if (is_over(t))
			return;
		prepare(t, fds);
		n = poll(fds, SOCKS + t->fd_count, sockeye__poll_ms(until, t->now_ns));
		t->now_ns = sockeye_now().mono_ns;
		if (n > 0)
			turn(t, fds);
		else if (t->o->idle_ns && t->now_ns >= t->moved_ns + t->o->idle_ns && !is_over(t))
			sockeye__messages_finish(t, SOCKEYE__TALK_IDLE, -ETIME);
	}
}

/* --- beginning --- */

static int prepare_sockets(struct sockeye__messages *t)
{
	if (t->o->records)
		return sockeye__records_stamp(t->to_fd);
	for (size_t i = 0; i < t->fd_count; i++)
		t->queued_errors |= sockeye_dgram_want_errors(t->fds[i]) == 0;
	if (t->o->listening)
		for (size_t i = 0; i < t->fd_count; i++)
			sockeye_dgram_want_local(t->fds[i]);
	if (!t->o->unconnected)
		return 0;
	if (sockeye_peer_name(t->to_fd, &t->to.peer) < 0)
		return -ENOTCONN;
	return sockeye_dgram_reconnect(t->to_fd, NULL);
}

/* The buffer serves both ways, one message at a time. */
static int allocate(struct sockeye__messages *t)
{
	size_t bytes =
	    t->o->bytes_max > SOCKEYE__TALK_PEEK_MAX ? t->o->bytes_max : SOCKEYE__TALK_PEEK_MAX;
	int err;

	if (t->o->to_peer && bytes < t->o->to_peer->factor * (size_t)SOCKEYE__MESSAGE_MAX)
		bytes = t->o->to_peer->factor * (size_t)SOCKEYE__MESSAGE_MAX;
	t->bytes = malloc(bytes);
	if (!t->bytes)
		return -ENOMEM;
	t->need = SOCKEYE__MESSAGES_FACTOR * t->o->bytes_max + SOCKEYE__FILTERED_QUEUE_NOTE_ROOM;
	err = sockeye__filtered_queue_init(&t->in, 4 * t->need, NULL);
	if (err < 0)
		return err;
	return sockeye__message_input_init(&t->input, t->o->words, t->o->word_count, t->o->in_fd,
					   t->o->per, t->o->per_size);
}

int sockeye__messages_run(const int *fds, size_t count, const struct sockeye__messages_opts *opts,
			  struct sockeye__messages_result *out)
{
	struct sockeye__messages t = {
	    .fds = fds,
	    .fd_count = count,
	    .o = opts,
	    .to_fd = opts->listening ? -1 : fds[0],
	    .next_switch = opts->switches,
	    .switches_left = opts->switch_count,
	    .window = SOCKEYE__MESSAGES_WINDOW,
	    .now_ns = sockeye_now().mono_ns,
	};
	int err = allocate(&t);

	if (err == 0)
		err = prepare_sockets(&t);
	if (err == 0) {
		t.moved_ns = t.now_ns;
		sockeye__standard_io_open(&t.dst, opts->out_fd, true);
		run(&t);
		if (opts->out_lines)
			sockeye__standard_io_end_line(&t.dst, t.in.buf + t.in.start,
						      sockeye__filtered_queue_waiting(&t.in));
		sockeye__standard_io_close(&t.dst, false);
		*out = t.r;
	}
	sockeye__message_input_fini(&t.input);
	sockeye__filtered_queue_fini(&t.in);
	free(t.bytes);
	return err;
}
