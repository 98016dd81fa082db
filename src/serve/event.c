/*
 * event.c: many connections in one process, with epoll(7).
 *
 * For each message: epoll_wait, recv into the loop's only input buffer, a turn of the
 * session, send from that buffer or from l->room. That is three system calls for each
 * message with one client, and close to two with many, because one epoll_wait serves
 * several of them. While input and output flow, a message needs no epoll_ctl. A
 * connection has memory for data only while input waits for the session or output waits
 * for the peer.
 */
#include "serve/models.h"
#include "base/invariant.h"
#include "serve/event_internal.h"
#include "net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX     256 /* events, and then expired timers, handled in one turn of the loop */
#define ACCEPTS_MAX    16  /* clients accepted per event: open connections must not wait long */
#define TURNS_MAX      16  /* consecutive turns of a session that always has more output */
#define ANSWER_BATCHES 4   /* batches of datagrams handled per event */
#define BUFFER_BYTES   SOCKEYE__RECORD_BYTES /* one record must fit */

struct conn {
	struct sockeye__conn base;
	uint32_t watched; /* the events in the epoll set: EPOLLIN, EPOLLOUT, both or neither */
	_Alignas(8) uint8_t state[];
};

/* --- one connection --- */

/* Whether the waiting input has reached its limit: no more is read until the session takes
 * some. */
static bool is_full(const struct conn *c)
{
	return sockeye__queue_left(c->base.in) >= SOCKEYE_INPUT_MAX;
}

/* Asserts the invariants of a connection between two steps. */
static void conn_check(const struct sockeye__loop *l, const struct conn *c)
{
	const struct sockeye__conn *base = &c->base;
	bool reads = base->out == NULL && !base->visit.in_end && !is_full(c);
	bool writes = base->out != NULL || base->after_output == SOCKEYE__AFTER_TURN;

	sockeye__conn_check(&l->clocks, base, true);
	/* A connection that is to be closed stays open only to send its last output. */
	assert(base->after_output != SOCKEYE__AFTER_CLOSE || base->out != NULL);
	/* Input is read only while no output waits for the peer and the waiting input is below
	 * its limit. */
	assert(((c->watched & EPOLLIN) != 0) == reads);
	assert(((c->watched & EPOLLOUT) != 0) == writes);
	/* An event or a deadline will continue or end the connection. */
	assert(c->watched != 0 || base->deadline_ns != 0);
	/* conn_leftover() always removes the whole queue, so the read position is 0. */
	assert(base->in == NULL || base->in->at == 0);
}

static void conn_close(struct sockeye__loop *l, struct conn *c, enum sockeye__end end)
{
	sockeye__timers_clear(&l->clocks.timers, &c->base.timer);
	/* Closes the file descriptor, which also removes it from the epoll set. */
	sockeye__dismiss(l->worker, &c->base.visit, end);
	sockeye__queue_drop(&c->base.out);
	sockeye__queue_drop(&c->base.in);
	free(c);
}

/* Whether the call can succeed later. epoll watches the socket level-triggered, and
 * reports an event when it is ready. */
static bool would_block(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == EINTR;
}

/* Sends as much as the socket accepts without blocking. Returns the number of bytes sent,
 * which may be 0, or -errno. */
SOCKEYE__HOT ssize_t conn_send(struct sockeye__loop *l, struct conn *c, const uint8_t *out,
			       size_t len)
{
	ssize_t n = send(c->base.visit.fd, out, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return would_block(errno) ? 0 : -errno;
	c->base.active_ns = l->clocks.now.mono_ns;
	c->base.visit.bytes_out += (uint64_t)n;
	sockeye__count(&l->counters->bytes_out, (uint64_t)n);
	return n;
}

/* Ends a step: watches for the event that continues the connection, or closes the
 * connection if no event can. While output waits, no input is read. */
SOCKEYE__HOT void conn_watch(struct sockeye__loop *l, struct conn *c)
{
	bool full = c->base.in != NULL && is_full(c);
	uint32_t events = 0;

	if (c->base.out == NULL && !c->base.visit.in_end && !full)
		events = EPOLLIN;
	if (c->base.out != NULL || c->base.after_output == SOCKEYE__AFTER_TURN)
		events |= EPOLLOUT;
	if (events == 0 && c->base.deadline_ns == 0) {
		conn_close(l, c, full ? SOCKEYE__END_ERROR : SOCKEYE__END_DONE);
		return;
	}
	if (events != c->watched) {
		struct epoll_event ev = {.events = events, .data.ptr = c};

		c->watched = events;
		(void)epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->base.visit.fd, &ev);
	}
	if (l->clocks.needed && sockeye__conn_timer_set(&l->clocks, &c->base) < 0) {
		conn_close(l, c, SOCKEYE__END_ERROR);
		return;
	}
	sockeye__invariant(conn_check(l, c));
}

/* Sends the output of a turn and queues the part that the socket does not accept.
 * Returns false if the connection has been closed. */
SOCKEYE__HOT bool conn_output(struct sockeye__loop *l, struct conn *c, const struct sockeye_turn *t)
{
	if (t->out_len > 0) {
		ssize_t n = conn_send(l, c, t->out, t->out_len);

		if (n < 0) {
			conn_close(l, c, sockeye__end_of((int)n));
			return false;
		}
		if (!sockeye__queue_add(&c->base.out, t->out + n, t->out_len - (size_t)n)) {
			conn_close(l, c, SOCKEYE__END_ERROR);
			return false;
		}
	}
	if (t->close && c->base.out == NULL) {
		conn_close(l, c, SOCKEYE__END_DONE);
		return false;
	}
	c->base.after_output = sockeye__after_output(t);
	c->base.deadline_ns = t->deadline_ns;
	return true;
}

/* Gives the session turns on in[0..len), which is in the loop's buffer, until it has no
 * more output or the socket accepts no more. */
static void conn_turns(struct sockeye__loop *l, struct conn *c, uint8_t *in, size_t len)
{
	struct sockeye_turn *t = &l->turn;
	bool again = true;

	for (int turns = 0; again && turns < TURNS_MAX; turns++) {
		t->in = in;
		t->in_len = len;
		t->in_end = c->base.visit.in_end;
		t->in_is_record = c->base.visit.site->keeps_records;
		sockeye__turn(c->base.visit.site, c->state, t);
		in += t->in_taken;
		len -= t->in_taken;
		if (!conn_output(l, c, t))
			return;
		again = c->base.out == NULL &&
			(t->more || (len > 0 && (t->in_taken > 0 || t->out_len > 0)));
	}
	if (again) /* continue after the other connections */
		c->base.after_output = SOCKEYE__AFTER_TURN;
	if (sockeye__queue_add(&c->base.in, in, len))
		conn_watch(l, c);
	else
		conn_close(l, c, SOCKEYE__END_ERROR);
}

/* Moves the input that the session has not taken to the start of the loop's buffer, and
 * returns its length. */
static size_t conn_leftover(struct sockeye__loop *l, struct conn *c)
{
	size_t len = sockeye__queue_left(c->base.in);

	if (len > 0)
		memcpy(l->buffer, c->base.in->data + c->base.in->at, len);
	sockeye__queue_drop(&c->base.in);
	return len;
}

static void conn_read(struct sockeye__loop *l, struct conn *c)
{
	size_t len = c->base.in != NULL ? conn_leftover(l, c) : 0;
	size_t room = BUFFER_BYTES - len;
	ssize_t n = recv(c->base.visit.fd, l->buffer + len, room,
			 sockeye__record_flags(c->base.visit.site));

	if (n > (ssize_t)room) {
		conn_close(l, c, sockeye__end_of(sockeye__record_cut(l->worker)));
		return;
	}
	if (n < 0 && !would_block(errno)) {
		conn_close(l, c, sockeye__end_of(-errno));
		return;
	}
	if (n == 0)
		c->base.visit.in_end = !sockeye__record_empty(c->base.visit.site, c->base.visit.fd);
	if (n > 0) {
		c->base.active_ns = l->clocks.now.mono_ns;
		c->base.visit.bytes_in += (uint64_t)n;
		sockeye__count(&l->counters->bytes_in, (uint64_t)n);
		if (l->show_messages)
			sockeye__visit_show(l->worker, &c->base.visit, l->buffer + len, (size_t)n);
		len += (size_t)n;
	}
	conn_turns(l, c, l->buffer, len);
}

/* The socket accepts output again: sends the queued output, then gives the session
 * turns. */
static void conn_flush(struct sockeye__loop *l, struct conn *c)
{
	struct sockeye__queue *out = c->base.out;

	if (out != NULL) {
		ssize_t n = conn_send(l, c, out->data + out->at, out->len - out->at);

		if (n < 0) {
			conn_close(l, c, sockeye__end_of((int)n));
			return;
		}
		out->at += (size_t)n;
		if (out->at < out->len) {
			sockeye__invariant(conn_check(l, c));
			return;
		}
		sockeye__queue_drop(&c->base.out);
		if (c->base.after_output == SOCKEYE__AFTER_CLOSE) {
			conn_close(l, c, SOCKEYE__END_DONE);
			return;
		}
	}
	if (c->base.after_output == SOCKEYE__AFTER_TURN || c->base.in != NULL)
		conn_turns(l, c, l->buffer, conn_leftover(l, c));
	else
		conn_watch(l, c);
}

static void conn_ready(struct sockeye__loop *l, struct conn *c, uint32_t events)
{
	if (c->watched == 0) /* epoll then reports only an error or a hangup */
		conn_close(l, c, SOCKEYE__END_RESET);
	else if ((c->watched & EPOLLIN) && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		conn_read(l, c);
	else
		conn_flush(l, c);
}

static void conn_deadline(struct sockeye__loop *l, struct conn *c)
{
	if (c->base.out == NULL) {
		conn_turns(l, c, l->buffer, conn_leftover(l, c));
		return;
	}
	if (c->base.after_output == SOCKEYE__AFTER_WAIT)
		c->base.after_output = SOCKEYE__AFTER_TURN;
	conn_watch(l, c);
}

static void conn_expired(struct sockeye__loop *l, struct conn *c)
{
	switch (sockeye__conn_due(&l->clocks, &c->base)) {
	case SOCKEYE__DUE_IDLE:
		conn_close(l, c, SOCKEYE__END_IDLE);
		break;
	case SOCKEYE__DUE_TIME:
		conn_close(l, c, SOCKEYE__END_TIME);
		break;
	case SOCKEYE__DUE_TURN:
		conn_deadline(l, c);
		break;
	case SOCKEYE__DUE_NOTHING:
		conn_watch(l, c);
		break;
	}
}

static void conn_open(struct sockeye__loop *l, const struct sockeye__visit *v)
{
	struct conn *c = calloc(1, sizeof *c + v->site->service->state_size);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};

	/* ENOSPC: the user has watched as many descriptors as the kernel allows
	 * (/proc/sys/fs/epoll/max_user_watches). */
	if (c == NULL || epoll_ctl(l->epoll, EPOLL_CTL_ADD, v->fd, &ev) < 0) {
		int err = c == NULL ? -ENOMEM : -errno;

		free(c);
		sockeye__turn_away(l->worker, v, "cannot add a connection to epoll; closed it",
				   err);
		return;
	}
	c->base.visit = *v;
	c->watched = EPOLLIN;
	c->base.opened_ns = c->base.active_ns = l->clocks.now.mono_ns;
	if (v->site->service->speaks_first)
		conn_turns(l, c, l->buffer, 0);
	else
		conn_watch(l, c);
} /* NOLINT(clang-analyzer-unix.Malloc): the epoll set refers to it */

/* --- the loop --- */

/* Watches the listeners while the worker may accept clients: not while it stops, has its
 * maximum of connections, or pauses. */
static void listeners_settle(struct sockeye__loop *l)
{
	bool want = !l->stopping && l->worker->conns < l->worker->conns_max;

	if (l->resume_ns != 0) {
		if (sockeye_now().mono_ns < l->resume_ns)
			want = false;
		else
			l->resume_ns = 0;
	}
	if (want && !l->listeners_watched)
		sockeye__loop_listeners_watch(l);
	else if (!want && l->listeners_watched)
		sockeye__loop_listeners_unwatch(l);
}

static void clients_accept(struct sockeye__loop *l, size_t i, int max)
{
	for (int n = 0; n < max && l->worker->conns < l->worker->conns_max; n++) {
		struct sockeye_sockaddr peer;
		struct sockeye__visit v;
		int fd = sockeye__site_accept(l->worker, i, true, &peer);

		if (fd >= 0) {
			if (sockeye__admit(l->worker, &l->worker->crew->sites[i], fd, &peer, &v)) {
				sockeye__visit_open(l->worker, &v);
				conn_open(l, &v);
			}
			continue;
		}
		if (!l->stopping && sockeye__accept_starved(l->worker, fd))
			l->resume_ns = sockeye_now().mono_ns + SOCKEYE__PAUSE_NS;
		break;
	}
}

/* Accepts the clients in the backlog, refuses further clients, and replies to the datagrams
 * already queued. listeners_settle() then stops watching the listeners. */
static void stop(struct sockeye__loop *l)
{
	l->stopping = true;
	for (size_t i = 0; i < l->worker->crew->site_count; i++) {
		int fd = sockeye__site_fd(l->worker, i);

		if (l->worker->crew->sites[i].stream) {
			clients_accept(l, i, SOCKEYE__BACKLOG_MAX);
			sockeye__site_refuse(&l->worker->crew->sites[i], fd);
		} else {
			for (int n = 0; n < SOCKEYE__LAST_BATCHES; n++)
				if (!sockeye__answer(l->answerer, i))
					break;
			epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
		}
	}
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, l->worker->stop_fd, NULL);
}

static void dispatch(struct sockeye__loop *l, const struct epoll_event *ev)
{
	size_t i;

	if (!(ev->data.u64 & 1)) {
		conn_ready(l, ev->data.ptr, ev->events);
		return;
	}
	if (ev->data.u64 == SOCKEYE__LOOP_TAG_STOP) {
		stop(l);
		return;
	}
	i = SOCKEYE__LOOP_TAG_SITE_OF(ev->data.u64);
	if (l->worker->crew->sites[i].stream)
		clients_accept(l, i, ACCEPTS_MAX);
	else
		for (int n = 0; n < ANSWER_BATCHES && sockeye__answer(l->answerer, i); n++)
			;
}

static void loop_turn(struct sockeye__loop *l)
{
	struct epoll_event evs[EVENTS_MAX];
	struct sockeye__conn *c;
	bool timed = l->clocks.needed || l->resume_ns != 0;
	int n;

	sockeye__worker_waits(l->worker);
	n = epoll_wait(l->epoll, evs, EVENTS_MAX,
		       timed ? sockeye__clocks_wait_ms(&l->clocks, l->resume_ns) : -1);
	sockeye__worker_works(l->worker);
	if (l->clocks.needed)
		l->turn.now = l->clocks.now = sockeye_now();
	for (int i = 0; i < n; i++)
		dispatch(l, &evs[i]);
	for (int i = 0; l->clocks.needed && i < EVENTS_MAX; i++) {
		c = sockeye__clocks_expired(&l->clocks);
		if (c == NULL)
			break;
		conn_expired(l, (struct conn *)c);
	}
	listeners_settle(l);
}

/* Returns 0 or -errno. */
static int loop_open(struct sockeye__loop *l)
{
	const struct sockeye__crew *crew = l->worker->crew;

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return -errno;
	/* Copies to the start of a page are faster. */
	l->buffer = aligned_alloc(4096, BUFFER_BYTES);
	if (l->buffer == NULL)
		return -ENOMEM;
	sockeye__clocks_init(&l->clocks, l->worker);
	l->turn.room = l->room;
	l->turn.room_len = sizeof l->room;
	if (!sockeye__loop_watch(l, l->worker->stop_fd, EPOLLIN, SOCKEYE__LOOP_TAG_STOP))
		return -errno;
	for (size_t i = 0; i < crew->site_count; i++) {
		if (crew->sites[i].stream)
			continue;
		if (l->answerer == NULL && (l->answerer = sockeye__answerer_new(l->worker)) == NULL)
			return -ENOMEM;
		if (!sockeye__loop_watch(l, sockeye__site_fd(l->worker, i), EPOLLIN,
					 SOCKEYE__LOOP_TAG_SITE(i)))
			return -errno;
	}
	sockeye__loop_listeners_watch(l);
	return 0;
}

static void run(struct sockeye__worker *w)
{
	struct sockeye__loop *l = calloc(1, sizeof *l);
	int err;

	if (l == NULL) {
		sockeye__cannot_start(w, -ENOMEM);
		return;
	}
	l->worker = w;
	l->counters = w->counters;
	l->show_messages = w->server->opts->show_messages;
	err = loop_open(l);
	if (err < 0)
		sockeye__cannot_start(w, err);
	while (err == 0 && (!l->stopping || w->conns > 0))
		loop_turn(l);
	sockeye__worker_waits(w);
	sockeye__answerer_free(l->answerer);
	sockeye__timers_fini(&l->clocks.timers);
	free(l->buffer);
	free(l);
}

const struct sockeye__model sockeye__model_event = {
    .facts =
	{
	    .name = "event",
	    .summary = "many connections in each of a few processes, with epoll",
	    .own_sockets = true,
	},
    .run = run,
};
