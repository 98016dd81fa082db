/*
 * uring.c: many connections in one process, by io_uring(7).
 *
 * A message costs less than one system call: connections and input arrive from
 * multishot requests, input in buffers that the ring provides, output leaves
 * from those same buffers, and all requests of a turn are submitted by the call
 * that waits for the next.
 *
 * What keeps it from hanging where well-known examples do: it does not wait
 * for its own sends and yet hears of every one that comes up short
 * (uring_conn.c), and no slow peer can keep the buffers of the others
 * (uring_input.c).
 */
#include "serve/models.h"
#include "serve/uring_internal.h"
#include "net/net.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ANSWER_BATCHES 4
#define EXPIRED_MAX    1024

/* --- clients and datagrams --- */

/* A multishot accept cannot be told how many to take: with a limit on
 * connections the listener is polled instead. */
static bool limited(const struct sockeye__uring *l)
{
	return l->w->conns_max != UINT32_MAX;
}

static bool may_accept(const struct sockeye__uring *l)
{
	return !l->stopping && l->resume_ns == 0 && l->w->conns < l->w->conns_max;
}

static void site_arm(struct sockeye__uring *l, size_t i)
{
	const struct sockeye__site *site = &l->w->crew->sites[i];
	int fd = sockeye__site_fd(l->w, i);

	if (l->accepting[i] || l->stopping)
		return;
	if (site->stream && !may_accept(l)) {
		l->unarmed = l->chores = true;
		return;
	}
	if (site->stream && !limited(l))
		io_uring_prep_multishot_accept(
		    sockeye__uring_entry(l, sockeye__uring_site_tag(i, SOCKEYE__URING_ACCEPT)), fd,
		    NULL, NULL, SOCK_CLOEXEC);
	else
		io_uring_prep_poll_add(
		    sockeye__uring_entry(l, sockeye__uring_site_tag(i, SOCKEYE__URING_POLL)), fd,
		    POLLIN);
	l->accepting[i] = true;
}

static void sites_settle(struct sockeye__uring *l)
{
	if (l->resume_ns != 0 && sockeye_now().mono_ns >= l->resume_ns)
		l->resume_ns = 0;
	l->unarmed = false;
	for (size_t i = 0; i < l->w->crew->site_count; i++)
		site_arm(l, i);
}

static void accept_failed(struct sockeye__uring *l, int err)
{
	if (!l->stopping && sockeye__accept_starved(l->w, err))
		l->resume_ns = sockeye_now().mono_ns + SOCKEYE__PAUSE_NS;
}

static void client_admit(struct sockeye__uring *l, size_t i, int fd,
			 const struct sockeye_sockaddr *peer)
{
	struct sockeye__visit v;

	if (sockeye__admit(l->w, &l->w->crew->sites[i], fd, peer, &v))
		sockeye__uring_conn_open(l, &v);
}

static void clients_take(struct sockeye__uring *l, size_t i)
{
	while (l->w->conns < l->w->conns_max) {
		struct sockeye_sockaddr peer;
		int fd = sockeye_accept(sockeye__site_fd(l->w, i), true, 0, &peer);

		if (fd < 0) {
			accept_failed(l, fd);
			break;
		}
		client_admit(l, i, fd, &peer);
	}
}

static void on_accept(struct sockeye__uring *l, size_t i, const struct io_uring_cqe *cqe)
{
	const struct sockeye_serve_opts *opts = l->w->server->opts;
	struct sockeye_sockaddr peer = {0};

	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		l->accepting[i] = false;
		l->unarmed = l->chores = true;
	}
	if (cqe->res < 0) {
		accept_failed(l, cqe->res);
		return;
	}
	if (opts->verbose || opts->show_messages || opts->per_source_max > 0)
		(void)sockeye_peer_name(cqe->res, &peer);
	client_admit(l, i, cqe->res, &peer);
}

static void on_poll(struct sockeye__uring *l, size_t i)
{
	l->accepting[i] = false;
	l->unarmed = l->chores = true;
	if (l->w->crew->sites[i].stream)
		clients_take(l, i);
	else
		for (int n = 0; n < ANSWER_BATCHES && sockeye__answer(l->answerer, i); n++)
			;
}

/* Those who connected before the stop are still served; then the listeners
 * refuse, which also ends the requests that accept. */
static void stop(struct sockeye__uring *l)
{
	l->stopping = true;
	for (size_t i = 0; i < l->w->crew->site_count; i++) {
		if (l->w->crew->sites[i].stream) {
			clients_take(l, i);
			shutdown(sockeye__site_fd(l->w, i), SHUT_RD);
		} else {
			for (int n = 0; n < SOCKEYE__LAST_BATCHES; n++)
				if (!sockeye__answer(l->answerer, i))
					break;
		}
	}
}

/* --- the loop --- */

static void dispatch(struct sockeye__uring *l, const struct io_uring_cqe *cqe)
{
	uint64_t which = cqe->user_data & ~SOCKEYE__URING_OP_MASK;
	struct sockeye__uring_conn *c = (struct sockeye__uring_conn *)(uintptr_t)which;

	switch ((enum sockeye__uring_op)(cqe->user_data & SOCKEYE__URING_OP_MASK)) {
	case SOCKEYE__URING_RECEIVE:
		sockeye__uring_on_receive(l, c, cqe->res, cqe->flags);
		break;
	case SOCKEYE__URING_SEND:
		sockeye__uring_on_send(l, c, cqe->res);
		break;
	case SOCKEYE__URING_CANCEL:
		sockeye__uring_on_cancel(l, c);
		break;
	case SOCKEYE__URING_ACCEPT:
		on_accept(l, which >> SOCKEYE__URING_OP_BITS, cqe);
		break;
	case SOCKEYE__URING_POLL:
		on_poll(l, which >> SOCKEYE__URING_OP_BITS);
		break;
	case SOCKEYE__URING_STOP:
		stop(l);
		break;
	}
}

/* The light sends of the turn before have been submitted and so are over; of
 * those that failed the completions, which come first, have been seen. */
static void lent_return(struct sockeye__uring *l)
{
	struct sockeye__uring_lent *lent = l->lent_before;

	for (uint32_t i = 0; i < lent->count; i++)
		if (lent->ids[i] >= 0)
			sockeye__uring_buffer_give(l, lent->ids[i]);
	lent->count = 0;
}

static void turn_begin(struct sockeye__uring *l)
{
	struct sockeye__uring_lent *empty = l->lent_before;

	l->turn_count++;
	l->lent_before = l->lent;
	l->lent = empty;
	if (l->clocks.needed)
		l->turn.now = l->clocks.now = sockeye_now();
}

static void expire(struct sockeye__uring *l)
{
	/* Bounded: a session whose deadline is always past must not stop the rest. */
	for (int i = 0; i < EXPIRED_MAX; i++) {
		struct sockeye__conn *c = sockeye__clocks_expired(&l->clocks);

		if (c == NULL)
			break;
		sockeye__uring_conn_expired(l, (struct sockeye__uring_conn *)c);
	}
}

static void chores_do(struct sockeye__uring *l)
{
	l->chores = false;
	sockeye__uring_conns_settle(l);
	if (l->unarmed)
		sites_settle(l);
}

/* Not inlined: its timespec would put a stack guard on every turn. */
static __attribute__((noinline)) void wait_timed(struct sockeye__uring *l)
{
	int ms = sockeye__clocks_wait_ms(&l->clocks, l->resume_ns);
	struct __kernel_timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	struct io_uring_cqe *cqe;

	if (ms < 0)
		(void)io_uring_submit_and_wait(&l->ring, 1);
	else
		(void)io_uring_submit_and_wait_timeout(&l->ring, &cqe, 1, &ts, NULL);
}

static void submit_and_wait(struct sockeye__uring *l)
{
	if (l->hurry) {
		l->hurry = false;
		(void)io_uring_submit_and_get_events(&l->ring);
	} else if (l->clocks.needed || l->resume_ns != 0) {
		wait_timed(l);
	} else {
		(void)io_uring_submit_and_wait(&l->ring, 1);
	}
	/* In the next turn the light sends of this one count as over, but the
	 * kernel takes fewer requests than there are when memory is short (EAGAIN). */
	while (l->ring.sq.sqe_tail != *l->ring.sq.khead)
		(void)io_uring_submit(&l->ring);
}

static void completions_take(struct sockeye__uring *l)
{
	struct io_uring_cq *cq = &l->ring.cq;
	unsigned head = *cq->khead, tail = io_uring_smp_load_acquire(cq->ktail);

	for (; head != tail; head++)
		dispatch(l, &cq->cqes[head & cq->ring_mask]);
	io_uring_smp_store_release(cq->khead, head);
}

/* Whether the kernel had more completions than the queue; now they are there. */
static bool overflown(struct sockeye__uring *l)
{
	return io_uring_cq_has_overflow(&l->ring) && io_uring_get_events(&l->ring) >= 0;
}

static void loop_turn(struct sockeye__uring *l)
{
	submit_and_wait(l);
	turn_begin(l);
	do
		completions_take(l);
	while (overflown(l)); /* which may hold the failure of a light send */
	lent_return(l);
	if (l->clocks.needed)
		expire(l);
	if (l->chores)
		chores_do(l);
}

/* 0 or -errno. */
static int loop_open(struct sockeye__uring *l)
{
	int err = sockeye__uring_open(l);

	if (err < 0)
		return err;
	l->accepting = calloc(l->w->crew->site_count, sizeof *l->accepting);
	l->answerer = sockeye__answerer_new(l->w);
	if (l->accepting == NULL || l->answerer == NULL)
		return -ENOMEM;
	sockeye__clocks_init(&l->clocks, l->w);
	l->turn.room = l->room;
	l->turn.room_len = sizeof l->room;
	io_uring_prep_poll_add(sockeye__uring_entry(l, SOCKEYE__URING_STOP), l->w->stop_fd, POLLIN);
	sites_settle(l);
	return 0;
}

static void run(struct sockeye__worker *w)
{
	struct sockeye__uring *l = calloc(1, sizeof *l);
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
	sockeye__uring_close(l);
	sockeye__answerer_free(l->answerer);
	sockeye__timers_fini(&l->clocks.timers);
	free(l->accepting);
	free(l);
}

const struct sockeye__model sockeye__model_uring = {
    .name = "uring",
    .summary = "many connections in each of a few processes, by io_uring",
    .own_sockets = true,
    .probe = sockeye__uring_probe,
    .run = run,
};
