/*
 * blocking.c: one session with blocking calls: receive, turn, send. The models
 * iterative, fork, prefork and thread use it.
 *
 * A message takes two system calls: the socket has timeouts (SO_RCVTIMEO, SO_SNDTIMEO),
 * so poll(2) is not needed.
 */
#include "serve/internal.h"
#include "net/net.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

struct session {
	struct sockeye__worker *worker;
	struct sockeye__visit *visit;
	uint64_t idle_ns;    /* the idle limit, a duration; 0: none */
	uint64_t end_ns;     /* the time limit, a deadline; 0: none */
	uint64_t timeout_ns; /* the current timeout of the socket */
	uint64_t active_ns;  /* when the last byte was transferred, if a deadline needs it */
	enum sockeye__end end;
	bool ended;
	size_t start, len; /* in[start..start + len): received, not yet taken by the service */
	_Alignas(64) uint8_t in[SOCKEYE_INPUT_MAX]; /* copies to odd addresses are slower */
	uint8_t room[SOCKEYE__ROOM_BYTES];
	_Alignas(16) uint8_t state[SOCKEYE_STATE_MAX];
};

static void finish(struct session *s, enum sockeye__end end)
{
	if (!s->ended)
		s->end = end;
	s->ended = true;
}

static void active(struct session *s)
{
	if (s->idle_ns != 0 && s->visit->site->service->uses_time)
		s->active_ns = sockeye_now().mono_ns;
}

/* Sets the socket's timeouts to the idle time, or to the time left until end_ns if that
 * is less. Returns false if no time is left. */
static bool timeouts_set(struct session *s)
{
	uint64_t want = s->idle_ns;

	if (s->end_ns != 0) {
		uint64_t now = sockeye_now().mono_ns;

		if (now >= s->end_ns)
			return false;
		if (want == 0 || s->end_ns - now < want)
			want = s->end_ns - now;
	}
	if (want != s->timeout_ns) {
		uint64_t us = (want + 999) / 1000; /* rounded up: 0 would mean no timeout */
		struct timeval tv = {
		    .tv_sec = (time_t)(us / 1000000),
		    .tv_usec = (suseconds_t)(us % 1000000),
		};

		setsockopt(s->visit->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
		setsockopt(s->visit->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
		s->timeout_ns = want;
	}
	return true;
}

static void failed(struct session *s, int err)
{
	if (err != EAGAIN && err != EWOULDBLOCK)
		finish(s, sockeye__end_of(-err));
	else if (s->end_ns != 0 && sockeye_now().mono_ns >= s->end_ns)
		finish(s, SOCKEYE__END_TIME);
	else
		finish(s, SOCKEYE__END_IDLE);
}

static void transmit(struct session *s, const uint8_t *out, size_t len)
{
	size_t sent = 0;

	while (sent < len && !s->ended) {
		ssize_t n = send(s->visit->fd, out + sent, len - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno != EINTR)
			failed(s, errno);
		if (sent < len && s->end_ns != 0 && !timeouts_set(s))
			finish(s, SOCKEYE__END_TIME);
	}
	active(s);
	s->visit->bytes_out += sent;
	sockeye__count(&s->worker->counters->bytes_out, sent);
}

/* Appends received bytes to the input that waits for the service. */
static void receive(struct session *s, int flags)
{
	size_t room = sizeof s->in - s->len;
	ssize_t n;

	if (s->start > 0) {
		memmove(s->in, s->in + s->start, s->len); /* all output has been sent */
		s->start = 0;
	}
	if (s->len == sizeof s->in) {
		finish(s, SOCKEYE__END_ERROR); /* the service no longer takes input */
		return;
	}
	do
		n = recv(s->visit->fd, s->in + s->len, room,
			 flags | sockeye__record_flags(s->visit->site));
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (!(flags & MSG_DONTWAIT) || (errno != EAGAIN && errno != EWOULDBLOCK))
			failed(s, errno);
		return;
	}
	if (n > (ssize_t)room) {
		finish(s, sockeye__end_of(sockeye__record_cut(s->worker)));
		return;
	}
	if (n == 0)
		s->visit->in_end = !sockeye__record_empty(s->visit->site, s->visit->fd);
	else
		sockeye__visit_show(s->worker, s->visit, s->in + s->len, (size_t)n);
	active(s);
	s->len += (size_t)n;
	s->visit->bytes_in += (uint64_t)n;
	sockeye__count(&s->worker->counters->bytes_in, (uint64_t)n);
}

/* Runs one turn. Returns whether the service took input or wrote output. */
static bool step(struct session *s, struct sockeye_turn *t)
{
	const struct sockeye__site *site = s->visit->site;

	t->in = s->in + s->start;
	t->in_len = s->len;
	t->room = s->room;
	t->room_len = sizeof s->room;
	t->in_end = s->visit->in_end;
	t->in_is_record = site->keeps_records;
	if (site->service->uses_time)
		t->now = sockeye_now();
	sockeye__turn(site, s->state, t);
	s->start += t->in_taken;
	s->len -= t->in_taken;
	if (t->out_len > 0)
		transmit(s, t->out, t->out_len);
	if (t->close)
		finish(s, SOCKEYE__END_DONE);
	return t->in_taken > 0 || t->out_len > 0;
}

/* Waits for the session's deadline and, if there is room, for input, but not beyond the
 * limits of the connection. */
static void await_deadline(struct session *s, uint64_t deadline_ns)
{
	uint64_t idle_at = s->idle_ns != 0 ? s->active_ns + s->idle_ns : UINT64_MAX;
	uint64_t end_at = s->end_ns != 0 ? s->end_ns : UINT64_MAX;
	uint64_t limit_ns = idle_at < end_at ? idle_at : end_at;
	bool reads = !s->visit->in_end && s->len < sizeof s->in;
	int err = sockeye__wait(s->visit->fd, reads ? POLLIN : 0,
				deadline_ns < limit_ns ? deadline_ns : limit_ns);

	if (err == 0 && reads)
		receive(s, MSG_DONTWAIT);
	else if (err == 0) /* without POLLIN, poll(2) reports only an error or a hangup */
		finish(s, SOCKEYE__END_RESET);
	else if (err != -ETIMEDOUT)
		finish(s, SOCKEYE__END_ERROR);
	else if (limit_ns < deadline_ns)
		finish(s, idle_at < end_at ? SOCKEYE__END_IDLE : SOCKEYE__END_TIME);
}

/* Waits until the session needs its next turn: for input or for its deadline. */
static void await(struct session *s, const struct sockeye_turn *t)
{
	if (s->end_ns != 0 && !timeouts_set(s)) {
		finish(s, SOCKEYE__END_TIME);
	} else if (t->more) {
		if (!s->visit->in_end && s->len < sizeof s->in)
			receive(s, MSG_DONTWAIT);
	} else if (t->deadline_ns != 0) {
		await_deadline(s, t->deadline_ns);
	} else if (s->visit->in_end) {
		finish(s, SOCKEYE__END_DONE); /* no event can follow */
	} else {
		receive(s, 0);
	}
}

static void session_start(struct session *s, struct sockeye__worker *w, struct sockeye__visit *v)
{
	const struct sockeye_serve_opts *opts = w->server->opts;

	s->worker = w;
	s->visit = v;
	s->idle_ns = opts->idle_ms * SOCKEYE_NS_PER_MS;
	s->end_ns = sockeye_deadline_ms(opts->time_ms);
	s->timeout_ns = 0;
	s->end = SOCKEYE__END_DONE;
	s->ended = false;
	s->start = s->len = 0;
	memset(s->state, 0, sizeof s->state);
	active(s);
}

static enum sockeye__end run(struct session *s)
{
	struct sockeye_turn t = {0};

	if (!timeouts_set(s))
		return SOCKEYE__END_TIME;
	if (!s->visit->site->service->speaks_first)
		receive(s, 0);
	while (!s->ended) {
		bool moved = step(s, &t);

		if (!s->ended && !(moved && s->len > 0))
			await(s, &t);
	}
	return s->end;
}

enum sockeye__end sockeye__session_run(struct sockeye__worker *w, struct sockeye__visit *v)
{
	/* On the heap, because unused pages of its 272 KiB take no memory there. On the
	 * stack, -fstack-clash-protection would touch all of them. */
	struct session *s = aligned_alloc(64, sizeof *s);
	enum sockeye__end end;

	sockeye__visit_open(w, v);
	if (s == NULL)
		return SOCKEYE__END_ERROR;
	session_start(s, w, v);
	end = run(s);
	free(s);
	return end;
}
