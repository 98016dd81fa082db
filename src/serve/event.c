/*
 * event.c: many connections in one process, by epoll(7).
 *
 * The way of a message: epoll_wait, recv into the loop's one buffer, a turn of
 * the session, send from that same buffer. Three system calls for one client,
 * towards two for many; epoll_ctl is called only when a peer stops reading.
 * A connection owns memory for bytes only while a peer has not taken them.
 */
#include "serve/models.h"
#include "serve/conn.h"
#include "net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS         256   /* connections served before the queues are looked at again */
#define ACCEPTS        16    /* connections taken at once, so that the open ones wait little */
#define BACKLOG_MAX    65535 /* as much as --backlog allows */
#define TURNS          16    /* turns of a session that always has more to say, likewise */
#define ANSWER_BATCHES 4
#define BUFFER_BYTES   SOCKEYE__RECORD_BYTES /* one record must fit */

/* What is in an event's data: a connection, or an odd number. */
#define TAG_STOP         UINT64_C(1)
#define TAG_SITE(i)      ((uint64_t)(i)*2 + 3)
#define TAG_SITE_OF(tag) (((tag)-3) / 2)

struct conn {
	struct sockeye__conn c;
	uint32_t watched; /* what epoll reports: EPOLLIN, EPOLLOUT, both or neither */
	_Alignas(8) uint8_t state[];
};

struct loop {
	struct sockeye__worker *w;
	struct sockeye_counters *counters;
	bool shows; /* show_messages */
	int ep;
	bool watching; /* the listeners are in the epoll set */
	bool stopping;
	uint64_t resume_ns; /* no accepting before; 0 no pause */
	struct sockeye__clocks clocks;
	struct sockeye__answerer *answerer;
	struct sockeye_turn turn;
	uint8_t *buf;
	uint8_t room[SOCKEYE__ROOM_BYTES];
};

/* --- one connection --- */

static void conn_close(struct loop *l, struct conn *c, enum sockeye__end end)
{
	sockeye__timers_clear(&l->clocks.timers, &c->c.timer);
	sockeye__dismiss(l->w, &c->c.v, end); /* close(2) takes it out of the epoll set */
	sockeye__queue_drop(&c->c.out);
	sockeye__queue_drop(&c->c.in);
	free(c);
}

/* The socket is watched level-triggered: whatever it was, epoll says again. */
static bool not_now(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == EINTR;
}

/* Sends what the peer takes now: bytes, 0 when it takes none, or -errno. */
SOCKEYE__HOT ssize_t conn_send(struct loop *l, struct conn *c, const uint8_t *out, size_t len)
{
	ssize_t n = send(c->c.v.fd, out, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return not_now(errno) ? 0 : -errno;
	c->c.active_ns = l->clocks.now.mono_ns;
	c->c.v.bytes_out += (uint64_t)n;
	sockeye__count(&l->counters->bytes_out, (uint64_t)n);
	return n;
}

/* The session has done what it can: watch for what it needs next. What the
 * peer has not taken stops its input. */
SOCKEYE__HOT void conn_rest(struct loop *l, struct conn *c)
{
	bool full = c->c.in != NULL && sockeye__queue_left(c->c.in) >= SOCKEYE_INPUT_MAX;
	uint32_t events = 0;

	if (c->c.out == NULL && !c->c.v.in_end && !full)
		events = EPOLLIN;
	if (c->c.out != NULL || c->c.more)
		events |= EPOLLOUT;
	if (events == 0 && c->c.deadline_ns == 0) { /* nothing can ever happen again */
		conn_close(l, c, full ? SOCKEYE__END_ERROR : SOCKEYE__END_DONE);
		return;
	}
	if (events != c->watched) {
		struct epoll_event ev = {.events = events, .data.ptr = c};

		c->watched = events;
		(void)epoll_ctl(l->ep, EPOLL_CTL_MOD, c->c.v.fd, &ev);
	}
	if (l->clocks.needed && sockeye__conn_time(&l->clocks, &c->c) < 0)
		conn_close(l, c, SOCKEYE__END_ERROR);
}

/* Sends the output of a turn. False when the connection is closed; what the
 * peer has not taken waits. */
static bool conn_say(struct loop *l, struct conn *c, const struct sockeye_turn *t)
{
	if (t->out_len > 0) {
		ssize_t n = conn_send(l, c, t->out, t->out_len);

		if (n < 0) {
			conn_close(l, c, sockeye__end_of((int)n));
			return false;
		}
		if (!sockeye__queue_add(&c->c.out, t->out + n, t->out_len - (size_t)n)) {
			conn_close(l, c, SOCKEYE__END_ERROR);
			return false;
		}
	}
	if (t->close && c->c.out == NULL) {
		conn_close(l, c, SOCKEYE__END_DONE);
		return false;
	}
	c->c.more = t->more;
	c->c.close = t->close;
	c->c.deadline_ns = t->deadline_ns;
	return true;
}

/* Turns of the session on in[0..len), in the loop's buffer, until it has no
 * more to say or the peer takes no more. */
static void conn_turns(struct loop *l, struct conn *c, uint8_t *in, size_t len)
{
	struct sockeye_turn *t = &l->turn;
	bool again = true;

	for (int turns = 0; again && turns < TURNS; turns++) {
		t->in = in;
		t->in_len = len;
		t->in_end = c->c.v.in_end;
		t->whole = c->c.v.site->whole;
		sockeye__turn(c->c.v.site, c->state, t);
		in += t->in_taken;
		len -= t->in_taken;
		if (!conn_say(l, c, t))
			return;
		again = c->c.out == NULL &&
			(c->c.more || (len > 0 && (t->in_taken > 0 || t->out_len > 0)));
	}
	if (again) /* it had its share of turns: the others first */
		c->c.more = true;
	if (sockeye__queue_add(&c->c.in, in, len))
		conn_rest(l, c);
	else
		conn_close(l, c, SOCKEYE__END_ERROR);
}

/* Puts what the session left over at the start of the loop's buffer. */
static size_t conn_leftover(struct loop *l, struct conn *c)
{
	size_t len = sockeye__queue_left(c->c.in);

	if (len > 0)
		memcpy(l->buf, c->c.in->data + c->c.in->at, len);
	sockeye__queue_drop(&c->c.in);
	return len;
}

static void conn_read(struct loop *l, struct conn *c)
{
	size_t kept = c->c.in != NULL ? conn_leftover(l, c) : 0;
	size_t room = BUFFER_BYTES - kept;
	ssize_t n = recv(c->c.v.fd, l->buf + kept, room, sockeye__record_flags(c->c.v.site));

	if (n > (ssize_t)room) {
		conn_close(l, c, sockeye__end_of(sockeye__record_cut(l->w)));
		return;
	}
	if (n < 0 && !not_now(errno)) {
		conn_close(l, c, sockeye__end_of(-errno));
		return;
	}
	if (n == 0)
		c->c.v.in_end = !sockeye__record_empty(c->c.v.site, c->c.v.fd);
	if (n > 0) {
		c->c.active_ns = l->clocks.now.mono_ns;
		c->c.v.bytes_in += (uint64_t)n;
		sockeye__count(&l->counters->bytes_in, (uint64_t)n);
		if (l->shows)
			sockeye__visit_show(l->w, &c->c.v, l->buf + kept, (size_t)n);
		kept += (size_t)n;
	}
	conn_turns(l, c, l->buf, kept);
}

/* The peer takes output again: first what waits, then what the session has. */
static void conn_flush(struct loop *l, struct conn *c)
{
	struct sockeye__queue *out = c->c.out;

	if (out != NULL) {
		ssize_t n = conn_send(l, c, out->data + out->at, out->len - out->at);

		if (n < 0) {
			conn_close(l, c, sockeye__end_of((int)n));
			return;
		}
		out->at += (size_t)n;
		if (out->at < out->len)
			return;
		sockeye__queue_drop(&c->c.out);
		if (c->c.close) {
			conn_close(l, c, SOCKEYE__END_DONE);
			return;
		}
	}
	if (c->c.more || c->c.in != NULL)
		conn_turns(l, c, l->buf, conn_leftover(l, c));
	else
		conn_rest(l, c);
}

static void conn_ready(struct loop *l, struct conn *c, uint32_t events)
{
	if (c->watched == 0) /* only a reset is reported now */
		conn_close(l, c, SOCKEYE__END_RESET);
	else if ((c->watched & EPOLLIN) && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		conn_read(l, c);
	else
		conn_flush(l, c);
}

static void conn_expired(struct loop *l, struct conn *c)
{
	switch (sockeye__conn_due(&l->clocks, &c->c)) {
	case SOCKEYE__DUE_IDLE:
		conn_close(l, c, SOCKEYE__END_IDLE);
		break;
	case SOCKEYE__DUE_TIME:
		conn_close(l, c, SOCKEYE__END_TIME);
		break;
	case SOCKEYE__DUE_TURN:
		c->c.more = true; /* once its output has left */
		if (c->c.out == NULL)
			conn_turns(l, c, l->buf, conn_leftover(l, c));
		else
			conn_rest(l, c);
		break;
	case SOCKEYE__DUE_LATER:
		if (sockeye__conn_time(&l->clocks, &c->c) < 0)
			conn_close(l, c, SOCKEYE__END_ERROR);
		break;
	}
}

static void conn_open(struct loop *l, const struct sockeye__visit *v)
{
	struct conn *c = calloc(1, sizeof *c + v->site->service->state_size);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

	if (c == NULL || epoll_ctl(l->ep, EPOLL_CTL_ADD, v->fd, &ev) < 0) {
		free(c);
		sockeye__turn_away(l->w, v, "no memory for a connection; it was closed", -ENOMEM);
		return;
	}
	c->c.v = *v;
	c->watched = EPOLLIN;
	c->c.born_ns = c->c.active_ns = l->clocks.now.mono_ns;
	if (v->site->service->speaks_first)
		conn_turns(l, c, l->buf, 0);
	else if (l->clocks.needed && sockeye__conn_time(&l->clocks, &c->c) < 0)
		conn_close(l, c, SOCKEYE__END_ERROR);
} /* NOLINT(clang-analyzer-unix.Malloc): the epoll set has it now */

/* --- the loop --- */

static bool watch(struct loop *l, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event ev = {.events = events, .data.u64 = tag};

	return epoll_ctl(l->ep, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static void listeners_unwatch(struct loop *l)
{
	const struct sockeye__server *server = l->w->server;

	for (size_t i = 0; i < server->site_count; i++)
		if (server->sites[i].stream)
			epoll_ctl(l->ep, EPOLL_CTL_DEL, sockeye__site_fd(l->w, i), NULL);
	l->watching = false;
}

/* All of them or, when memory is short, none for a while. One client wakes one
 * worker where workers share a listener. */
static void listeners_watch(struct loop *l)
{
	const struct sockeye__server *server = l->w->server;
	bool watched = true;

	for (size_t i = 0; i < server->site_count && watched; i++) {
		bool shared = server->sites[i].fd_count == 1 && server->workers > 1;

		if (server->sites[i].stream)
			watched =
			    watch(l, sockeye__site_fd(l->w, i),
				  EPOLLIN | (shared ? (uint32_t)EPOLLEXCLUSIVE : 0), TAG_SITE(i));
	}
	l->watching = true;
	if (!watched) {
		sockeye__warn_rarely(l->w, "cannot watch for clients; trying again", -errno);
		listeners_unwatch(l);
		l->resume_ns = sockeye_now().mono_ns + SOCKEYE__PAUSE_NS;
	}
}

/* Watches the listeners exactly when a client could be taken. */
static void listeners_settle(struct loop *l)
{
	bool want = !l->stopping && l->w->conns < l->w->conns_max;

	if (l->resume_ns != 0) {
		if (sockeye_now().mono_ns < l->resume_ns)
			want = false;
		else
			l->resume_ns = 0;
	}
	if (want && !l->watching)
		listeners_watch(l);
	else if (!want && l->watching)
		listeners_unwatch(l);
}

static void clients_take(struct loop *l, size_t i, int max)
{
	for (int n = 0; n < max && l->w->conns < l->w->conns_max; n++) {
		struct sockeye_sockaddr peer;
		struct sockeye__visit v;
		int fd = sockeye_accept(sockeye__site_fd(l->w, i), true, 0, &peer);

		if (fd >= 0) {
			if (sockeye__admit(l->w, &l->w->server->sites[i], fd, &peer, &v))
				conn_open(l, &v);
			continue;
		}
		if (!l->stopping && sockeye__accept_starved(l->w, fd))
			l->resume_ns = sockeye_now().mono_ns + SOCKEYE__PAUSE_NS;
		break;
	}
}

/* Those who connected before the stop are still served; then the listeners
 * refuse. */
static void stop(struct loop *l)
{
	l->stopping = true;
	for (size_t i = 0; i < l->w->server->site_count; i++) {
		int fd = sockeye__site_fd(l->w, i);

		if (l->w->server->sites[i].stream) {
			clients_take(l, i, BACKLOG_MAX);
			shutdown(fd, SHUT_RD);
		} else {
			for (int n = 0; n < SOCKEYE__LAST_BATCHES; n++)
				if (!sockeye__answer(l->answerer, i))
					break;
			epoll_ctl(l->ep, EPOLL_CTL_DEL, fd, NULL);
		}
	}
	epoll_ctl(l->ep, EPOLL_CTL_DEL, l->w->server->stop_rd, NULL);
}

static void dispatch(struct loop *l, const struct epoll_event *ev)
{
	size_t i;

	if (!(ev->data.u64 & 1)) {
		conn_ready(l, ev->data.ptr, ev->events);
		return;
	}
	if (ev->data.u64 == TAG_STOP) {
		stop(l);
		return;
	}
	i = TAG_SITE_OF(ev->data.u64);
	if (l->w->server->sites[i].stream)
		clients_take(l, i, ACCEPTS);
	else
		for (int n = 0; n < ANSWER_BATCHES && sockeye__answer(l->answerer, i); n++)
			;
}

static void loop_turn(struct loop *l)
{
	struct epoll_event evs[EVENTS];
	struct sockeye__conn *c;
	bool timed = l->clocks.needed || l->resume_ns != 0;
	int n = epoll_wait(l->ep, evs, EVENTS,
			   timed ? sockeye__clocks_wait_ms(&l->clocks, l->resume_ns) : -1);

	if (l->clocks.needed)
		l->turn.now = l->clocks.now = sockeye_now();
	for (int i = 0; i < n; i++)
		dispatch(l, &evs[i]);
	for (int i = 0; l->clocks.needed && i < EVENTS; i++) {
		c = sockeye__clocks_expired(&l->clocks);
		if (c == NULL)
			break;
		conn_expired(l, (struct conn *)c);
	}
	listeners_settle(l);
}

/* 0 or -errno. */
static int loop_open(struct loop *l)
{
	const struct sockeye__server *server = l->w->server;

	l->ep = epoll_create1(EPOLL_CLOEXEC);
	if (l->ep < 0)
		return -errno;
	l->buf = aligned_alloc(4096, BUFFER_BYTES); /* copies run faster to a page's start */
	if (l->buf == NULL)
		return -ENOMEM;
	sockeye__clocks_init(&l->clocks, server);
	l->turn.room = l->room;
	l->turn.room_len = sizeof l->room;
	if (!watch(l, server->stop_rd, EPOLLIN, TAG_STOP))
		return -errno;
	for (size_t i = 0; i < server->site_count; i++) {
		if (server->sites[i].stream)
			continue;
		if (l->answerer == NULL && (l->answerer = sockeye__answerer_new(l->w)) == NULL)
			return -ENOMEM;
		if (!watch(l, sockeye__site_fd(l->w, i), EPOLLIN, TAG_SITE(i)))
			return -errno;
	}
	listeners_watch(l);
	return 0;
}

static void run(struct sockeye__worker *w)
{
	struct loop *l = calloc(1, sizeof *l);
	int err;

	if (l == NULL) {
		sockeye__cannot_start(w, -ENOMEM);
		return;
	}
	l->w = w;
	l->counters = w->counters;
	l->shows = w->server->opts->show_messages;
	err = loop_open(l);
	if (err < 0)
		sockeye__cannot_start(w, err);
	while (err == 0 && (!l->stopping || w->conns > 0))
		loop_turn(l);
	sockeye__answerer_free(l->answerer);
	sockeye__timers_fini(&l->clocks.timers);
	free(l->buf);
	free(l);
}

const struct sockeye__model sockeye__model_event = {
    .name = "event",
    .summary = "many connections in each of a few processes, by epoll",
    .own_sockets = true,
    .run = run,
};
