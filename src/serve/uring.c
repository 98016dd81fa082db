/*
 * uring.c: many connections in one process, with io_uring(7).
 *
 * A message costs less than one system call: multishot requests accept clients and
 * receive input into buffers that the ring provides, output is sent from the same
 * buffers, and the call that waits for completions also submits all requests of a turn.
 *
 * Well-known example programs hang in two cases, after a short send and when a slow peer
 * uses up all buffers. This model handles every short send, without waiting for successful
 * sends (uring_conn.c), and limits the buffers of slow peers (uring_input.c).
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

/* A multishot accept cannot be limited. With a limit on connections, polls the listener
 * instead. */
static bool limited(const struct sockeye__uring *l)
{
	return l->worker->conns_max != UINT32_MAX;
}

static bool may_accept(const struct sockeye__uring *l)
{
	return !l->stopping && l->resume_ns == 0 && l->worker->conns < l->worker->conns_max;
}

static void site_arm(struct sockeye__uring *l, size_t i)
{
	const struct sockeye__site *site = &l->worker->crew->sites[i];
	int fd = sockeye__site_fd(l->worker, i);

	if (l->sites_armed[i] || l->stopping)
		return;
	if (site->stream && !may_accept(l)) {
		l->sites_pending = l->housekeeping = true;
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
	l->sites_armed[i] = true;
}

static void sites_settle(struct sockeye__uring *l)
{
	if (l->resume_ns != 0 && sockeye_now().mono_ns >= l->resume_ns)
		l->resume_ns = 0;
	l->sites_pending = false;
	for (size_t i = 0; i < l->worker->crew->site_count; i++)
		site_arm(l, i);
}

static void accept_failed(struct sockeye__uring *l, int err)
{
	if (!l->stopping && sockeye__accept_starved(l->worker, err))
		l->resume_ns = sockeye_now().mono_ns + SOCKEYE__PAUSE_NS;
}

static void client_admit(struct sockeye__uring *l, size_t i, int fd,
			 const struct sockeye_sockaddr *peer)
{
	struct sockeye__visit v;

	if (sockeye__admit(l->worker, &l->worker->crew->sites[i], fd, peer, &v)) {
		sockeye__visit_open(l->worker, &v);
		sockeye__uring_conn_open(l, &v);
	}
}

static void clients_accept(struct sockeye__uring *l, size_t i)
{
	for (int n = 0; n < SOCKEYE__BACKLOG_MAX && l->worker->conns < l->worker->conns_max; n++) {
		struct sockeye_sockaddr peer;
		int fd = sockeye__site_accept(l->worker, i, true, &peer);

		if (fd < 0) {
			accept_failed(l, fd);
			break;
		}
		client_admit(l, i, fd, &peer);
	}
}

static void on_accept(struct sockeye__uring *l, size_t i, const struct io_uring_cqe *cqe)
{
	const struct sockeye_serve_opts *opts = l->worker->server->opts;
	struct sockeye_sockaddr peer = {0};

	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		l->sites_armed[i] = false;
		l->sites_pending = l->housekeeping = true;
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
	l->sites_armed[i] = false;
	if (l->stopping)
		return;
	l->sites_pending = l->housekeeping = true;
	if (l->worker->crew->sites[i].stream)
		clients_accept(l, i);
	else
		for (int n = 0; n < ANSWER_BATCHES && sockeye__answer(l->answerer, i); n++)
			;
}

/* Cancels the accept or poll of a site. */
static void site_disarm(struct sockeye__uring *l, size_t i)
{
	bool accepts = l->worker->crew->sites[i].stream && !limited(l);
	enum sockeye__uring_op op = accepts ? SOCKEYE__URING_ACCEPT : SOCKEYE__URING_POLL;

	if (l->sites_armed[i])
		io_uring_prep_cancel64(
		    sockeye__uring_entry(l, sockeye__uring_site_tag(i, SOCKEYE__URING_DISARM)),
		    sockeye__uring_site_tag(i, op), 0);
}

/* Accepts the clients in the backlog, refuses further clients, and replies to the datagrams
 * already queued. */
static void stop(struct sockeye__uring *l)
{
	l->stopping = true;
	for (size_t i = 0; i < l->worker->crew->site_count; i++) {
		site_disarm(l, i);
		if (l->worker->crew->sites[i].stream) {
			clients_accept(l, i);
			sockeye__site_refuse(&l->worker->crew->sites[i],
					     sockeye__site_fd(l->worker, i));
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
		sockeye__invariant(sockeye__uring_conn_check(l, c));
		break;
	case SOCKEYE__URING_SEND:
		sockeye__uring_on_send(l, c, cqe->res);
		sockeye__invariant(sockeye__uring_conn_check(l, c));
		break;
	case SOCKEYE__URING_CANCEL:
		sockeye__uring_on_cancel(l, c);
		sockeye__invariant(sockeye__uring_conn_check(l, c));
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
	case SOCKEYE__URING_DISARM:
		break;
	}
}

/* Gives the ring the buffers of the previous turn's quiet sends. The sends have been
 * submitted, so they have completed, and the completions of failed sends have been
 * handled. */
static void quiet_buffers_give(struct sockeye__uring *l)
{
	struct sockeye__uring_quiet *quiet = l->quiet_before;

	for (uint32_t i = 0; i < quiet->count; i++)
		if (quiet->ids[i] >= 0)
			sockeye__uring_buffer_give(l, quiet->ids[i], SOCKEYE__URING_OF_QUIET);
	quiet->count = 0;
}

static void turn_begin(struct sockeye__uring *l)
{
	struct sockeye__uring_quiet *empty = l->quiet_before;

	l->turn_count++;
	l->quiet_before = l->quiet;
	l->quiet = empty;
	if (l->clocks.needed)
		l->turn.now = l->clocks.now = sockeye_now();
}

static void expire(struct sockeye__uring *l)
{
	/* Bounded, so that a session that always sets a past deadline does not block the
	 * others. */
	for (int i = 0; i < EXPIRED_MAX; i++) {
		struct sockeye__conn *c = sockeye__clocks_expired(&l->clocks);

		if (c == NULL)
			break;
		sockeye__uring_conn_expired(l, (struct sockeye__uring_conn *)c);
	}
}

static void keep_house(struct sockeye__uring *l)
{
	l->housekeeping = false;
	sockeye__uring_conns_settle(l);
	if (l->sites_pending)
		sites_settle(l);
}

/* Not inlined: the stack protector checks every function with a timespec, and would
 * otherwise do so in every turn of the loop. */
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
	if (l->go_on) {
		l->go_on = false;
		(void)io_uring_submit_and_get_events(&l->ring);
	} else if (l->clocks.needed || l->resume_ns != 0) {
		wait_timed(l);
	} else {
		(void)io_uring_submit_and_wait(&l->ring, 1);
	}
	/* The next turn assumes that the quiet sends of this turn have completed, so all
	 * requests must be submitted. If memory is short, the kernel accepts only some of
	 * them (EAGAIN): submit the rest again. */
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

/* Whether the kernel had more completions than the completion queue holds. If so, moves
 * the other completions to the queue. */
static bool overflowed(struct sockeye__uring *l)
{
	return io_uring_cq_has_overflow(&l->ring) && io_uring_get_events(&l->ring) >= 0;
}

/* Returns the number of buffers that quiet sends own. Asserts that all are listed. */
static uint32_t quiet_count(const struct sockeye__uring *l)
{
	uint32_t owned = 0, listed = 0;

	for (int32_t id = 0; id < SOCKEYE__URING_BUFFERS; id++)
		owned += l->owners[id] == SOCKEYE__URING_OF_QUIET;
	for (uint32_t i = 0; i < l->quiet->count; i++)
		listed += l->quiet->ids[i] >= 0;
	assert(owned == listed);
	return owned;
}

/* Asserts the invariants at the end of a turn. */
static void loop_check(const struct sockeye__uring *l)
{
	assert(l->quiet_before->count == 0);
	assert(l->closed == NULL);
	/* The loop does not wait for completions while a connection waits for the loop,
	 * and it does its housekeeping again in the next turn. */
	assert(l->go_on || (l->starved == NULL && l->postponed_before == NULL));
	assert(l->postponed == NULL);
	assert(l->housekeeping ||
	       (l->starved == NULL && l->postponed_before == NULL && !l->sites_pending));
	(void)quiet_count(l);
}

/* Asserts the invariants when no connection is left: no buffer is lost. */
static void loop_end_check(const struct sockeye__uring *l)
{
	uint32_t free = quiet_count(l);

	for (int32_t id = 0; id < SOCKEYE__URING_BUFFERS; id++)
		free += l->owners[id] == SOCKEYE__URING_OF_KERNEL;
	assert(free == SOCKEYE__URING_BUFFERS);
	assert(l->stalled == 0);
	assert(l->starved == NULL && l->postponed_before == NULL);
}

static void loop_turn(struct sockeye__uring *l)
{
	sockeye__worker_waits(l->worker);
	submit_and_wait(l);
	sockeye__worker_works(l->worker);
	turn_begin(l);
	do
		completions_take(l);
	while (overflowed(l)); /* such completions may include the failure of a quiet send */
	quiet_buffers_give(l);
	if (l->clocks.needed)
		expire(l);
	if (l->housekeeping)
		keep_house(l);
	sockeye__invariant(loop_check(l));
}

/* Returns 0 or -errno. */
static int loop_open(struct sockeye__uring *l)
{
	int err = sockeye__uring_open(l);

	if (err < 0)
		return err;
	l->sites_armed = calloc(l->worker->crew->site_count, sizeof *l->sites_armed);
	l->answerer = sockeye__answerer_new(l->worker);
	if (l->sites_armed == NULL || l->answerer == NULL)
		return -ENOMEM;
	sockeye__clocks_init(&l->clocks, l->worker);
	l->turn.room = l->room;
	l->turn.room_len = sizeof l->room;
	io_uring_prep_poll_add(sockeye__uring_entry(l, SOCKEYE__URING_STOP), l->worker->stop_fd,
			       POLLIN);
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
	l->worker = w;
	l->counters = w->counters;
	l->show_messages = w->server->opts->show_messages;
	err = loop_open(l);
	if (err < 0)
		sockeye__cannot_start(w, err);
	else if (sockeye__sandbox_enter(w, -1, false) < 0)
		_exit(1);
	while (err == 0 && (!l->stopping || w->conns > 0))
		loop_turn(l);
	if (err == 0)
		sockeye__invariant(loop_end_check(l));
	sockeye__uring_close(l);
	sockeye__answerer_free(l->answerer);
	sockeye__timers_fini(&l->clocks.timers);
	free(l->sites_armed);
	free(l);
}

const struct sockeye__model sockeye__model_uring = {
    .facts =
	{
	    .name = "uring",
	    .summary = "many connections in each of a few processes, with io_uring",
	    .own_sockets = true,
	},
    .calls = SOCKEYE__CALLS_RING,
    .confines = true,
    .probe = sockeye__uring_probe,
    .run = run,
};
