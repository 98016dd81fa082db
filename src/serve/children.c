/* children.c: starts, replaces and ends workers (children.h). */
#include "serve/children.h"
#include "base/deadline.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MALLOC_KEEP_BYTES (4 << 20)
#define REAP_NS           (SOCKEYE_NS_PER_S / 5) /* between checks for ended workers without a pidfd */
#define RESPAWN_MIN_NS    (100 * SOCKEYE_NS_PER_MS)
#define RESPAWN_MAX_NS    (5 * SOCKEYE_NS_PER_S)
#define STEADY_NS         SOCKEYE_NS_PER_S /* a worker that ran this long is replaced immediately */

/* --- start --- */

/* Returns the share of `max` for worker `index` of `workers`, at least 1. */
static uint32_t share(uint32_t max, unsigned workers, unsigned index)
{
	uint32_t n = max / workers + (index < max % workers);

	return n > 0 ? n : 1;
}

/* This worker's share of connections_max. UINT32_MAX: no limit, or no worker accepts
 * connections. */
static uint32_t conns_share(const struct sockeye__server *server,
			    const struct sockeye__child *child)
{
	if (server->opts->connections_max == 0 || server->acceptors == 0)
		return UINT32_MAX;
	return share(server->opts->connections_max, server->acceptors,
		     child->crew->acceptors_before + child->member);
}

/* In a worker: closes the supervisor's links, except those to older workers of the same
 * member. */
static void links_keep(const struct sockeye__children *c, struct sockeye__worker *w)
{
	w->older = w->link_fd >= 0 ? calloc(w->crew->seats, sizeof *w->older) : NULL;
	for (unsigned i = 0; i < c->server->seats; i++) {
		const struct sockeye__child *child = &c->list[i];

		if (child->link < 0)
			continue;
		if (w->older != NULL && child->state == SOCKEYE__CHILD_RETIRES &&
		    child->crew == w->crew && child->member == w->member)
			w->older[w->older_count++] = child->link;
		else
			close(child->link);
	}
}

/* In a worker: closes the descriptors of the supervisor. Other descriptors of the caller stay
 * open: its services may use them. */
static void descriptors_close(const struct sockeye__children *c, struct sockeye__worker *w)
{
	const struct sockeye__server *server = c->server;

	close(server->stop_wr); /* the stop pipe must end when the supervisor closes it */
	close(c->signal_fd);
	if (server->opts->stop_fd > 0)
		close(server->opts->stop_fd);
	for (unsigned i = 0; i < server->seats; i++)
		if (c->list[i].process.fd >= 0)
			close(c->list[i].process.fd);
	links_keep(c, w);
}

static _Noreturn void worker_main(struct sockeye__children *c, unsigned index, int link)
{
	const struct sockeye__server *server = c->server;
	const struct sockeye__child *child = &c->list[index];
	struct sockeye__worker w = {
	    .server = server,
	    .crew = child->crew,
	    .context = child->crew->spec != NULL ? child->crew->spec->context : NULL,
	    .index = index,
	    .seat = index - child->crew->first,
	    .member = child->member,
	    .link_fd = link,
	    .stop_fd = server->stop_rd,
	    .conns_max = conns_share(server, child),
	    .counters = sockeye__counters_of(server->shared, index),
	    .spec_counters = sockeye__crew_counters(child->crew) != NULL
				 ? sockeye__spec_counters_of(server->shared, index)
				 : NULL,
	    .turns = sockeye__turns_of(server->shared, index),
	};
	int err;

	sockeye__worker_waits(&w); /* counts as waiting until its loop begins, if it has one */
	descriptors_close(c, &w);
	err = child->crew->switches_user ? sockeye__user_become(&child->crew->user) : 0;
	if (err < 0) {
		sockeye__cannot_start(&w, err);
		_exit(1);
	}
	/* Die with the supervisor, since no other process would stop this one. Must follow
	 * the user switch, which clears the setting (prctl(2)). */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != c->supervisor)
		_exit(1);
	sockeye__sites_keep_own(&w);
	/* Workers constantly allocate and free buffers of 100 KiB. Returning their pages to
	 * the kernel each time would cost more than moving the bytes. */
	mallopt(M_MMAP_THRESHOLD, MALLOC_KEEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP_BYTES);
	if (child->crew->model != NULL && !child->crew->model->confines &&
	    sockeye__sandbox_enter(&w, -1, false) < 0)
		_exit(1);
	child->crew->run(&w);
	_exit(0);
}

/* Starts a worker. Returns 0 or -errno. */
static int child_fork(struct sockeye__children *c, struct sockeye__child *child, uint64_t now)
{
	int err, link[2] = {-1, -1};

	if (sockeye__renewal_applies(child->crew) &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, link) < 0)
		return -errno;
	err = sockeye__process_fork(&child->process);
	if (err == 1) {
		if (link[0] >= 0)
			close(link[0]);
		worker_main(c, (unsigned)(child - c->list), link[1]);
	}
	if (link[1] >= 0)
		close(link[1]);
	if (err < 0) {
		if (link[0] >= 0)
			close(link[0]);
		return err;
	}
	child->link = link[0];
	child->generation = child->crew->generation;
	child->state = SOCKEYE__CHILD_RUNS;
	child->started_ns = now;
	child->watched = (struct sockeye__watched){0};
	c->running++;
	return 0;
}

static void warn(const struct sockeye__children *c, const char *text, int err)
{
	sockeye__event(
	    c->server->opts,
	    &(struct sockeye_event){.kind = SOCKEYE_EVENT_WARNING, .text = text, .err = err});
}

bool sockeye__child_start(struct sockeye__children *c, struct sockeye__child *child, uint64_t now)
{
	int err = child_fork(c, child, now);

	if (err < 0)
		warn(c, "cannot start a worker; retrying in 1 s", err);
	return err == 0;
}

void sockeye__children_start(struct sockeye__children *c, uint64_t now)
{
	for (unsigned i = 0; i < c->server->seats; i++) {
		struct sockeye__child *child = &c->list[i];

		if (child->state == SOCKEYE__CHILD_WAITS && now >= child->respawn_ns &&
		    !sockeye__child_start(c, child, now))
			child->respawn_ns = now + SOCKEYE_NS_PER_S;
	}
}

/* --- death --- */

/* Releases the slots of a dead worker and counts its open connections as closed_stop. */
static void child_account(struct sockeye__children *c, unsigned index)
{
	const struct sockeye__child *child = &c->list[index];
	const struct sockeye__crew_spec *spec = child->crew->spec;
	const struct sockeye__counter_table *table = sockeye__crew_counters(child->crew);
	struct sockeye__counters *counters = sockeye__counters_of(c->server->shared, index);
	uint64_t *spec_counters = sockeye__spec_counters_of(c->server->shared, index);

	counters->closed_stop += counters->open;
	sockeye__counters_clear_gauges(&sockeye__counters_table, (uint64_t *)counters);
	if (spec != NULL && spec->on_death != NULL)
		spec->on_death(spec->context, index - child->crew->first,
			       table != NULL ? spec_counters : NULL);
	if (table != NULL)
		sockeye__counters_clear_gauges(table, spec_counters);
	if (c->server->shared->sources != NULL)
		sockeye__sources_forget(c->server->shared->sources, index);
}

static bool crew_runs(const struct sockeye__children *c, const struct sockeye__crew *crew)
{
	for (unsigned k = 0; k < crew->processes; k++)
		if (c->list[crew->first + k].state == SOCKEYE__CHILD_RUNS)
			return true;
	return false;
}

/* Refuses clients at the listeners that no worker serves any more: the worker's own SO_REUSEPORT
 * sockets, or the crew's shared sockets if this was its last worker. Otherwise clients
 * would wait in the backlog until the other crews have ended. */
static void listeners_refuse(const struct sockeye__children *c, const struct sockeye__child *child)
{
	for (size_t i = 0; i < child->crew->site_count; i++) {
		const struct sockeye__site *site = &child->crew->sites[i];

		if (site->stream && site->fd_count > 1)
			sockeye__site_refuse(site, site->fds[child->member]);
		else if (site->stream && !crew_runs(c, child->crew))
			sockeye__site_refuse(site, site->fds[0]);
	}
}

/* Counts and reports a worker that ended unexpectedly, also one that the watchdog killed. */
static void crash_report(const struct sockeye__children *c, unsigned index, bool killed)
{
	static const char *const texts[3][2] = {
	    {"a worker ended and is being replaced",
	     "a worker was killed by a signal and is being replaced"},
	    {"a worker failed during the stop; its sessions ended",
	     "a worker was killed by a signal during the stop; its sessions ended"},
	    {"a worker failed while it finished its last sessions; they ended",
	     "a worker was killed by a signal while it finished its last sessions; they ended"},
	};
	const int row = c->phase == SOCKEYE__PHASE_DRAINS                ? 1
			: c->list[index].state == SOCKEYE__CHILD_RETIRES ? 2
									 : 0;

	sockeye__counters_of(c->server->shared, index)->workers_died++;
	warn(c, texts[row][killed], 0);
}

static void child_died(struct sockeye__children *c, unsigned index, enum sockeye__process_end end,
		       uint64_t now)
{
	struct sockeye__child *child = &c->list[index];
	bool steady = now - child->started_ns >= STEADY_NS;
	bool ends = c->phase == SOCKEYE__PHASE_DRAINS || child->state == SOCKEYE__CHILD_RETIRES;

	c->running--;
	if (child->link >= 0)
		close(child->link);
	child->link = -1;
	child_account(c, index);
	if (!ends || (end != SOCKEYE__PROCESS_DONE && !c->killing))
		crash_report(c, index, end == SOCKEYE__PROCESS_KILLED);
	if (c->phase == SOCKEYE__PHASE_DRAINS) {
		child->state = SOCKEYE__CHILD_ENDED;
		listeners_refuse(c, child);
		return;
	}
	if (child->state == SOCKEYE__CHILD_RETIRES) {
		child->state = SOCKEYE__CHILD_FREE;
		return;
	}
	child->state = SOCKEYE__CHILD_WAITS;
	child->backoff_ns = steady                   ? 0
			    : child->backoff_ns == 0 ? RESPAWN_MIN_NS
						     : child->backoff_ns * 2;
	if (child->backoff_ns > RESPAWN_MAX_NS)
		child->backoff_ns = RESPAWN_MAX_NS;
	child->respawn_ns = now + child->backoff_ns;
}

void sockeye__children_reap(struct sockeye__children *c, const struct pollfd *polled, uint64_t now)
{
	enum sockeye__process_end end;

	for (unsigned i = 0; i < c->server->seats; i++)
		if (sockeye__child_has_process(&c->list[i]) &&
		    (polled[c->list[i].poll_at].revents != 0 || c->list[i].process.fd < 0) &&
		    sockeye__process_ended(&c->list[i].process, &end))
			child_died(c, i, end, now);
}

unsigned sockeye__children_poll(struct sockeye__children *c, struct pollfd *polled)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->server->seats; i++) { /* poll(2) skips -1 */
		struct sockeye__child *child = &c->list[i];
		bool may_ask = child->state == SOCKEYE__CHILD_RUNS;

		if (!sockeye__child_has_process(child))
			continue;
		child->poll_at = n;
		polled[n++] = (struct pollfd){.fd = child->process.fd, .events = POLLIN};
		polled[n++] = (struct pollfd){.fd = may_ask ? child->link : -1, .events = POLLIN};
	}
	return n;
}

uint64_t sockeye__children_due_ns(const struct sockeye__children *c, uint64_t now)
{
	uint64_t next = c->phase == SOCKEYE__PHASE_SERVES ? c->renew_ns : 0;

	for (unsigned i = 0; i < c->server->seats; i++) {
		const struct sockeye__child *child = &c->list[i];

		if (child->state == SOCKEYE__CHILD_WAITS)
			next = sockeye__earlier(next, child->respawn_ns);
		else if (sockeye__child_has_process(child) && child->process.fd < 0)
			next = sockeye__earlier(next, now + REAP_NS);
	}
	return next;
}

/* --- stop --- */

void sockeye__children_drain(struct sockeye__children *c)
{
	c->phase = SOCKEYE__PHASE_DRAINS;
	close(c->server->stop_wr);
	c->server->stop_wr = -1;
	for (unsigned i = 0; i < c->server->seats; i++)
		if (c->list[i].state == SOCKEYE__CHILD_WAITS ||
		    c->list[i].state == SOCKEYE__CHILD_FREE) {
			c->list[i].state = SOCKEYE__CHILD_ENDED;
			listeners_refuse(c, &c->list[i]);
		}
}

void sockeye__children_signal(const struct sockeye__children *c, const struct sockeye__crew *crew,
			      int sig)
{
	for (unsigned i = 0; i < c->server->seats; i++)
		if (sockeye__child_has_process(&c->list[i]) &&
		    (crew == NULL || c->list[i].crew == crew))
			sockeye__process_signal(&c->list[i].process, sig);
}

void sockeye__children_kill(struct sockeye__children *c)
{
	c->killing = true;
	sockeye__children_signal(c, NULL, SIGKILL);
}

void sockeye__children_end(struct sockeye__children *c)
{
	sockeye__children_kill(c);
	for (unsigned i = 0; i < c->server->seats; i++)
		if (sockeye__child_has_process(&c->list[i]))
			sockeye__process_kill(&c->list[i].process);
}

/* --- all --- */

int sockeye__children_init(struct sockeye__children *c, struct sockeye__server *server)
{
	*c = (struct sockeye__children){
	    .server = server,
	    .supervisor = getpid(),
	    .signal_fd = -1,
	    .list = calloc(server->seats, sizeof *c->list),
	};
	if (c->list == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < server->crew_count; i++) {
		const struct sockeye__crew *crew = &server->crews[i];

		if (sockeye__renewal_applies(crew))
			c->renew_ns = 1; /* at once */
		for (unsigned k = 0; k < crew->seats; k++)
			c->list[crew->first + k] = (struct sockeye__child){
			    .crew = crew,
			    .member = k,
			    .state =
				k < crew->processes ? SOCKEYE__CHILD_WAITS : SOCKEYE__CHILD_FREE,
			    .link = -1,
			    .process = SOCKEYE__PROCESS_NONE,
			};
	}
	return 0;
}

void sockeye__children_fini(struct sockeye__children *c)
{
	for (unsigned i = 0; c->list != NULL && i < c->server->seats; i++)
		if (c->list[i].link >= 0)
			close(c->list[i].link);
	free(c->list);
	c->list = NULL;
}

static void child_check(const struct sockeye__children *c, const struct sockeye__child *child)
{
	unsigned index = (unsigned)(child - c->list);

	assert(index - child->crew->first < child->crew->seats);
	assert(child->state == SOCKEYE__CHILD_FREE || child->state == SOCKEYE__CHILD_ENDED ||
	       child->member < child->crew->processes);
	assert(sockeye__child_has_process(child) == (child->process.pid > 0));
	assert(sockeye__child_has_process(child) || child->link < 0);
	assert(child->state != SOCKEYE__CHILD_FREE || c->phase == SOCKEYE__PHASE_SERVES);
	assert(child->state != SOCKEYE__CHILD_WAITS || c->phase == SOCKEYE__PHASE_SERVES);
	assert(child->state != SOCKEYE__CHILD_ENDED || c->phase == SOCKEYE__PHASE_DRAINS);
	assert(child->backoff_ns <= RESPAWN_MAX_NS);
	assert(sockeye__child_has_process(child) ||
	       sockeye__counters_of(c->server->shared, index)->open == 0);
}

void sockeye__children_check(const struct sockeye__children *c)
{
	unsigned running = 0;

	for (unsigned i = 0; i < c->server->seats; i++) {
		child_check(c, &c->list[i]);
		running += sockeye__child_has_process(&c->list[i]);
	}
	assert(running == c->running);
	assert((c->server->stop_wr < 0) == (c->phase == SOCKEYE__PHASE_DRAINS));
}
