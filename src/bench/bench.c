/*
 * bench.c: the load generator's loop: open all connections, warm up, measure,
 * wait for the replies that are still in flight. See bench.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <sockeye/time.h>

#include "net/net.h"
#include "bench/internal.h"

#define EVENTS_MAX     512
#define TICK_NS        (20 * SOCKEYE_NS_PER_MS) /* timeouts are late by up to this */
#define RETRY_TICK_NS  (2 * SOCKEYE_NS_PER_MS)  /* used instead while the server is down */
#define RETRIES        64                       /* failed connections opened again per tick */
#define CONNECTING_MAX 128                      /* while opening: a server's backlog is finite */
#define TIMEOUT_STREAM (10 * SOCKEYE_NS_PER_S)
#define TIMEOUT_DGRAM  (1 * SOCKEYE_NS_PER_S)

/* --- opening --- */

/* Handles a failure to open a connection: tries the next address if none has worked so
 * far, otherwise ends the run. */
static void open_failed(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn, int err)
{
	run->connecting = 0;
	sockeye__bench_close(conn, false);
	if (run->result->connections == 0 && run->name + 1 < run->names_end) {
		run->name++;
		run->opened = 0;
		return;
	}
	sockeye__bench_error_count(run, err);
	sockeye__bench_blame(run, "connect", err);
	run->phase = SOCKEYE__BENCH_OVER;
}

/* Returns how many connections are opened before the first message. With churn this is
 * one, to find out which address works. */
static uint32_t open_wanted(const struct sockeye__bench_run *run)
{
	return run->opts.churn == SOCKEYE__BENCH_KEEP ? run->opts.connections : 1;
}

/* Opens a single connection first, which shows whether the address works, then the
 * others. */
static void open_more(struct sockeye__bench_run *run)
{

	while (run->phase == SOCKEYE__BENCH_OPENING && run->opened < open_wanted(run) &&
	       run->connecting < (run->result->connections > 0 ? CONNECTING_MAX : 1)) {
		struct sockeye__bench_conn *conn = &run->conns[run->opened];
		int err = sockeye__bench_open(run, conn);

		if (err == -EAGAIN) /* a UNIX-domain server's backlog is full: wait for a tick */
			return;
		if (err < 0) {
			open_failed(run, conn, err);
			continue;
		}
		run->opened++;
		run->connecting += conn->life == SOCKEYE__BENCH_CONNECTING;
	}
}

static bool all_open(const struct sockeye__bench_run *run)
{
	return run->opened == open_wanted(run) && run->connecting == 0;
}

static void opening_turn(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	int err;

	/* The server has sent data or closed the connection. A later phase handles that. */
	if (conn->life == SOCKEYE__BENCH_CONNECTED) {
		sockeye__bench_watch(run, conn, EPOLLIN | EPOLLET);
		return;
	}
	err = sockeye__bench_connected(run, conn);
	if (err < 0) {
		open_failed(run, conn, err);
		return;
	}
	run->connecting--;
	sockeye__bench_watch(run, conn, EPOLLIN);
}

/* --- phases --- */

static void pump(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	if (conn->life == SOCKEYE__BENCH_CLOSED && conn->retrying)
		sockeye__bench_reopen(run, conn);
	else if (conn->life == SOCKEYE__BENCH_CLOSED)
		sockeye__bench_stream_renew(run, conn);
	if (conn->life == SOCKEYE__BENCH_CONNECTED && run->stream)
		sockeye__bench_stream_pump(run, conn);
	else if (conn->life == SOCKEYE__BENCH_CONNECTED)
		sockeye__bench_dgram_pump(run, conn);
}

static void pump_all(struct sockeye__bench_run *run)
{
	for (uint32_t i = 0; i < run->opts.connections; i++)
		pump(run, &run->conns[i]);
}

/* Begins the messages that are due, on the connections in turn. */
static void pump_due(struct sockeye__bench_run *run)
{
	for (uint32_t i = 0; i < run->opts.connections && sockeye__bench_due_ns(run) <= run->now_ns;
	     i++) {
		pump(run, &run->conns[run->next_conn]);
		run->next_conn = (run->next_conn + 1) % run->opts.connections;
	}
}

static void measure(struct sockeye__bench_run *run)
{
	if (run->opts.on_phase != NULL)
		run->opts.on_phase(run->opts.arg, true);
	run->now_ns = sockeye__clock_ns(CLOCK_MONOTONIC);
	run->phase = SOCKEYE__BENCH_MEASURE;
	run->start_ns = run->now_ns;
	run->end_ns = run->opts.time_ns > 0 ? run->now_ns + run->opts.time_ns : UINT64_MAX;
	run->start_cpu_ns = sockeye__clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	run->to_begin = run->opts.count;
	run->schedule_ns = run->now_ns;
	run->scheduled = 0;
}

static void start(struct sockeye__bench_run *run)
{
	if (run->opts.warmup_ns > 0) {
		run->phase = SOCKEYE__BENCH_WARMUP;
		run->end_ns = run->now_ns + run->opts.warmup_ns;
		run->schedule_ns = run->now_ns;
	} else {
		measure(run);
	}
	pump_all(run);
}

/* Ends the measurement. Of replies that arrive later, only the latency is recorded. */
static void finish(struct sockeye__bench_run *run)
{
	if (run->phase == SOCKEYE__BENCH_MEASURE) {
		sockeye__bench_unsent(run);
		run->result->elapsed_ns = run->now_ns - run->start_ns;
		run->result->cpu_ns =
		    sockeye__clock_ns(CLOCK_PROCESS_CPUTIME_ID) - run->start_cpu_ns;
		if (run->opts.on_phase != NULL)
			run->opts.on_phase(run->opts.arg, false);
		sockeye__bench_down_end(run);
	}
	run->end_ns = run->now_ns + run->opts.hold_ns;
	run->phase = SOCKEYE__BENCH_DRAIN;
}

static bool is_done(const struct sockeye__bench_run *run)
{
	return run->usable == 0 || run->now_ns >= run->end_ns ||
	       (run->opts.count > 0 && run->to_begin == 0 && run->in_flight == 0);
}

static void advance(struct sockeye__bench_run *run)
{
	if (run->phase == SOCKEYE__BENCH_OPENING) {
		open_more(run);
		if (run->phase == SOCKEYE__BENCH_OPENING && all_open(run))
			start(run);
	}
	if (run->phase == SOCKEYE__BENCH_WARMUP && run->usable > 0 && run->now_ns >= run->end_ns) {
		measure(run);
		pump_all(run); /* also those that wait for the reply to a lost datagram */
	}
	if ((run->phase == SOCKEYE__BENCH_MEASURE && is_done(run)) ||
	    (run->phase == SOCKEYE__BENCH_WARMUP && run->usable == 0))
		finish(run);
	if (run->phase == SOCKEYE__BENCH_DRAIN && run->in_flight == 0 &&
	    (run->now_ns >= run->end_ns || run->usable == 0))
		run->phase = SOCKEYE__BENCH_OVER;
}

/* Gives up on an overdue reply or connection attempt. */
static void expire(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	bool waiting = conn->life == SOCKEYE__BENCH_CONNECTING || conn->begun > conn->answered;

	if (conn->fd < 0)
		return;
	if (!run->stream) {
		sockeye__bench_dgram_expire(run, conn);
		return;
	}
	if (!waiting || run->now_ns - conn->moved_ns < run->opts.timeout_ns)
		return;
	if (run->phase == SOCKEYE__BENCH_OPENING)
		open_failed(run, conn, -ETIMEDOUT);
	else
		sockeye__bench_broke(run, conn, -ETIMEDOUT);
}

static void tick(struct sockeye__bench_run *run)
{
	run->next_tick_ns = run->now_ns + (run->down_since_ns != 0 ? RETRY_TICK_NS : TICK_NS);
	for (uint32_t i = 0; i < run->opts.connections; i++)
		expire(run, &run->conns[i]);
	run->retries_left = RETRIES;
	if (run->phase != SOCKEYE__BENCH_OPENING)
		pump_all(run);
	run->retries_left = 0; /* until the next tick */
}

static void turn(struct sockeye__bench_run *run, struct epoll_event *ev)
{
	struct sockeye__bench_conn *conn = ev->data.ptr;

	if (conn == NULL) {
		run->result->interrupted = true;
		finish(run);
		sockeye__bench_unfinished(run);
		run->phase = SOCKEYE__BENCH_OVER;
	} else if (run->phase == SOCKEYE__BENCH_OPENING) {
		opening_turn(run, conn);
	} else if (run->stream) {
		sockeye__bench_stream_turn(run, conn, ev->events);
	} else {
		sockeye__bench_dgram_turn(run, conn, ev->events);
	}
}

/* Returns the time at which the loop must wake up even without an event. */
static uint64_t wake_ns(const struct sockeye__bench_run *run)
{
	uint64_t due_ns = sockeye__bench_due_ns(run), at = run->next_tick_ns;

	/* In the drain phase end_ns may have passed. */
	if (run->end_ns > run->now_ns && run->end_ns < at)
		at = run->end_ns;
	/* A message that is already due waits for a connection, not for a time. */
	return due_ns > run->now_ns && due_ns < at ? due_ns : at;
}

/* Waits for events. With a schedule (opts.rate), the milliseconds of epoll_wait(2) are too
 * coarse. */
static int wait_events(struct sockeye__bench_run *run, struct epoll_event *events)
{
	uint64_t at = wake_ns(run), ns = at > run->now_ns ? at - run->now_ns : 0;
	struct timespec wait = {.tv_sec = (time_t)(ns / SOCKEYE_NS_PER_S),
				.tv_nsec = (long)(ns % SOCKEYE_NS_PER_S)};

	if (run->opts.rate > 0)
		return epoll_pwait2(run->epoll, events, EVENTS_MAX, &wait, NULL);
	return epoll_wait(run->epoll, events, EVENTS_MAX, sockeye__poll_ms(at, run->now_ns));
}

static void loop(struct sockeye__bench_run *run)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	run->now_ns = sockeye__clock_ns(CLOCK_MONOTONIC);
	run->next_tick_ns = run->now_ns + TICK_NS;
	advance(run);
	while (run->phase != SOCKEYE__BENCH_OVER) {
		n = wait_events(run, events);
		run->now_ns = sockeye__clock_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < n && run->phase != SOCKEYE__BENCH_OVER; i++)
			if (events[i].data.ptr == NULL ||
			    ((struct sockeye__bench_conn *)events[i].data.ptr)->fd >= 0)
				turn(run, &events[i]);
		if (run->phase != SOCKEYE__BENCH_OVER && run->now_ns >= run->next_tick_ns)
			tick(run);
		if (run->opts.rate > 0 && run->phase != SOCKEYE__BENCH_OVER &&
		    run->phase != SOCKEYE__BENCH_OPENING)
			pump_due(run);
		if (run->phase != SOCKEYE__BENCH_OVER)
			advance(run);
	}
}

/* --- the run --- */

static void defaults_set(struct sockeye__bench_run *run)
{
	struct sockeye__bench_opts *opts = &run->opts;

	if (opts->connections == 0)
		opts->connections = 1;
	if (opts->in_flight == 0)
		opts->in_flight = 1;
	if (opts->timeout_ns == 0)
		opts->timeout_ns = run->stream ? TIMEOUT_STREAM : TIMEOUT_DGRAM;
	if (opts->expect <= SOCKEYE__BENCH_UPPER)
		opts->reply_len = opts->size;
	run->usable = opts->connections;
	run->end_ns = UINT64_MAX;
}

static void conns_init(struct sockeye__bench_run *run)
{
	for (uint32_t i = 0; i < run->opts.connections; i++) {
		struct sockeye__bench_conn *conn = &run->conns[i];

		conn->fd = -1;
		conn->index = i;
		conn->sent = run->opts.size;
		conn->slots = &run->slots[(size_t)i * run->opts.in_flight];
		sockeye__bench_slots_init(run, conn);
	}
}

static int prepare(struct sockeye__bench_run *run)
{
	size_t room = run->stream ? SOCKEYE__BENCH_STREAM_BYTES
				  : (size_t)SOCKEYE__BENCH_BATCH * SOCKEYE__BENCH_DGRAM_BYTES;
	struct epoll_event ev = {.events = EPOLLIN};
	int err = sockeye__bench_limit(run->opts.connections, run->fail);

	if (err < 0)
		return err;
	run->conns = calloc(run->opts.connections, sizeof *run->conns);
	run->slots =
	    calloc((size_t)run->opts.connections * run->opts.in_flight, sizeof *run->slots);
	run->room = malloc(room);
	run->sent = malloc(run->opts.size + SOCKEYE__BENCH_VARIETY);
	run->expected = malloc(run->opts.reply_len + SOCKEYE__BENCH_VARIETY);
	if (run->conns == NULL || run->slots == NULL || run->room == NULL || run->sent == NULL ||
	    run->expected == NULL)
		return sockeye__fail_set(run->fail, "bench", "", -ENOMEM);
	sockeye__bench_pattern(run);
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run->epoll < 0 || (run->opts.stop_fd > 0 &&
			       epoll_ctl(run->epoll, EPOLL_CTL_ADD, run->opts.stop_fd, &ev) < 0))
		return sockeye__fail_set(run->fail, "bench", "", -errno);
	conns_init(run);
	sockeye__bench_dgram_init(run);
	return 0;
}

static void clean_up(struct sockeye__bench_run *run)
{
	for (uint32_t i = 0; run->conns != NULL && i < run->opts.connections; i++) {
		sockeye__bench_close(&run->conns[i], run->opts.churn == SOCKEYE__BENCH_RST);
		free(run->conns[i].reply);
	}
	if (run->epoll > 0)
		close(run->epoll);
	free(run->conns);
	free(run->slots);
	free(run->sent);
	free(run->expected);
	free(run->room);
}

int sockeye__bench(const struct sockeye_addr *addr, const struct sockeye_sockaddr *names,
		   size_t count, const struct sockeye__bench_opts *opts,
		   struct sockeye__bench_result *out_result, struct sockeye_fail *fail)
{
	struct sockeye__bench_run run = {.opts = *opts,
					 .addr = addr,
					 .name = names,
					 .names_end = names + count,
					 .result = out_result,
					 .fail = fail,
					 .stream = sockeye_scheme_is_stream(addr->scheme)};

	*out_result = (struct sockeye__bench_result){0};
	defaults_set(&run);
	run.err = prepare(&run);
	if (run.err == 0) {
		if (opts->rate > 0)
			(void)prctl(PR_SET_TIMERSLACK, 1); /* the default is 50 us */
		loop(&run);
		out_result->peer = *run.name;
		if (run.down_since_ns != 0)
			sockeye__bench_blame(&run, "bench", run.down_err);
		if (!run.any_reply && !out_result->interrupted)
			sockeye__bench_blame(&run, "bench", -ETIMEDOUT);
	}
	clean_up(&run);
	return run.err;
}

uint64_t sockeye__bench_percentile(const struct sockeye__bench_result *result, double percent)
{
	return sockeye__hist_percentile(&result->latency, percent);
}

double sockeye__bench_mean(const struct sockeye__bench_result *result)
{
	return sockeye__hist_mean(&result->latency);
}
