/*
 * blocking.c: one session by blocking calls: receive, turn, send. The models
 * iterative, fork, prefork and thread all run this.
 *
 * Two system calls a message: time-outs are the socket's own (SO_RCVTIMEO,
 * SO_SNDTIMEO), so that no poll(2) is needed to keep them.
 */
#include "serve/internal.h"
#include "net/net.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

struct session {
	struct sockeye__worker *w;
	struct sockeye__visit *v;
	uint64_t idle_ns, end_ns; /* a duration; a deadline. 0 none */
	uint64_t timeout_ns;      /* what the socket has now */
	uint64_t active_ns;       /* when the last byte moved, where a deadline needs it */
	enum sockeye__end end;
	bool ended;
	size_t start, len; /* in[start..start + len) was received and not taken */
	_Alignas(64) uint8_t in[SOCKEYE_INPUT_MAX]; /* copies run slower to odd addresses */
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
	if (s->idle_ns != 0 && s->v->site->service->uses_time)
		s->active_ns = sockeye_now().mono_ns;
}

/* Sets the socket's time-outs to the idle time, or to what is left of the
 * longest time when that is less. False when nothing is left. */
static bool timeout_settle(struct session *s)
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
		uint64_t us = (want + 999) / 1000; /* up, for 0 would be "none" */
		struct timeval tv = {
		    .tv_sec = (time_t)(us / 1000000),
		    .tv_usec = (suseconds_t)(us % 1000000),
		};

		setsockopt(s->v->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
		setsockopt(s->v->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
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
		ssize_t n = send(s->v->fd, out + sent, len - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno != EINTR)
			failed(s, errno);
		if (sent < len && s->end_ns != 0 && !timeout_settle(s))
			finish(s, SOCKEYE__END_TIME);
	}
	active(s);
	s->v->bytes_out += sent;
	sockeye__count(&s->w->counters->bytes_out, sent);
}

/* Receives behind what is left over; 0 bytes are the peer's end. */
static void receive(struct session *s, int flags)
{
	size_t room = sizeof s->in - s->len;
	ssize_t n;

	if (s->start > 0) {
		memmove(s->in, s->in + s->start, s->len); /* all output has left */
		s->start = 0;
	}
	if (s->len == sizeof s->in) {
		finish(s, SOCKEYE__END_ERROR); /* the service will never take it */
		return;
	}
	do
		n = recv(s->v->fd, s->in + s->len, room, flags | sockeye__record_flags(s->v->site));
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (!(flags & MSG_DONTWAIT) || (errno != EAGAIN && errno != EWOULDBLOCK))
			failed(s, errno);
		return;
	}
	if (n > (ssize_t)room) {
		finish(s, sockeye__end_of(sockeye__record_cut(s->w)));
		return;
	}
	if (n == 0)
		s->v->in_end = !sockeye__record_empty(s->v->site, s->v->fd);
	else
		sockeye__visit_show(s->w, s->v, s->in + s->len, (size_t)n);
	active(s);
	s->len += (size_t)n;
	s->v->bytes_in += (uint64_t)n;
	sockeye__count(&s->w->counters->bytes_in, (uint64_t)n);
}

/* One turn; returns whether it moved anything. */
static bool step(struct session *s, struct sockeye_turn *t)
{
	const struct sockeye__site *site = s->v->site;

	t->in = s->in + s->start;
	t->in_len = s->len;
	t->room = s->room;
	t->room_len = sizeof s->room;
	t->in_end = s->v->in_end;
	t->whole = site->whole;
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

/* Waits for the session's deadline, for input if there is room, and no longer
 * than the limits allow. */
static void await_deadline(struct session *s, uint64_t deadline_ns)
{
	uint64_t idle_at = s->idle_ns != 0 ? s->active_ns + s->idle_ns : UINT64_MAX;
	uint64_t end_at = s->end_ns != 0 ? s->end_ns : UINT64_MAX;
	uint64_t limit_ns = idle_at < end_at ? idle_at : end_at;
	bool hears = !s->v->in_end && s->len < sizeof s->in;
	int err = sockeye__wait(s->v->fd, hears ? POLLIN : 0,
				deadline_ns < limit_ns ? deadline_ns : limit_ns);

	if (err == 0 && hears)
		receive(s, MSG_DONTWAIT);
	else if (err == 0) /* only a reset is reported now */
		finish(s, SOCKEYE__END_RESET);
	else if (err != -ETIMEDOUT)
		finish(s, SOCKEYE__END_ERROR);
	else if (limit_ns < deadline_ns)
		finish(s, idle_at < end_at ? SOCKEYE__END_IDLE : SOCKEYE__END_TIME);
}

/* Waits for what the next turn needs: more input, or its deadline. */
static void await(struct session *s, const struct sockeye_turn *t)
{
	if (s->end_ns != 0 && !timeout_settle(s)) {
		finish(s, SOCKEYE__END_TIME);
	} else if (t->more) {
		if (!s->v->in_end && s->len < sizeof s->in)
			receive(s, MSG_DONTWAIT);
	} else if (t->deadline_ns != 0) {
		await_deadline(s, t->deadline_ns);
	} else if (s->v->in_end) {
		finish(s, SOCKEYE__END_DONE); /* nothing can ever happen again */
	} else {
		receive(s, 0);
	}
}

static void session_start(struct session *s, struct sockeye__worker *w, struct sockeye__visit *v)
{
	const struct sockeye_serve_opts *opts = w->server->opts;

	s->w = w;
	s->v = v;
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

	if (!timeout_settle(s))
		return SOCKEYE__END_TIME;
	if (!s->v->site->service->speaks_first)
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
	/* Of its 272 KiB only what is used is ever touched; on the stack all would
	 * be (-fstack-clash-protection). */
	struct session *s = aligned_alloc(64, sizeof *s);
	enum sockeye__end end;

	if (s == NULL)
		return SOCKEYE__END_ERROR;
	session_start(s, w, v);
	end = run(s);
	free(s);
	return end;
}
