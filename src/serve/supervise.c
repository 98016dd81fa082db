/*
 * supervise.c: the supervisor. It starts the workers, replaces workers that die, adds up
 * their counters and stops them. It does not handle client data.
 *
 * Workers see the stop as end of file on a pipe, so that no signal handler runs in them
 * and no signal is lost.
 */
#include "serve/internal.h"
#include "base/deadline.h"
#include "base/invariant.h"
#include "net/net.h"
#include "serve/process.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MALLOC_KEEP_BYTES (4 << 20)
#define REAP_NS           (SOCKEYE_NS_PER_S / 5) /* between checks for ended workers without a pidfd */
#define RESPAWN_MIN_NS    (100 * SOCKEYE_NS_PER_MS)
#define RESPAWN_MAX_NS    (5 * SOCKEYE_NS_PER_S)
#define STEADY_NS         SOCKEYE_NS_PER_S /* a worker that ran this long is replaced immediately */

enum child_state {
	CHILD_WAITS, /* starts at respawn_ns */
	CHILD_RUNS,
	CHILD_ENDED, /* not restarted, because the server is stopping */
};

struct child {
	const struct sockeye__crew *crew;
	unsigned member;
	enum child_state state;
	struct sockeye__process process; /* CHILD_RUNS: the worker; otherwise none */
	uint64_t started_ns;
	uint64_t respawn_ns; /* 0: now */
	uint64_t backoff_ns;
};

enum phase {
	PHASE_SERVES,
	PHASE_DRAINS, /* workers finish their sessions, until kill_ns */
};

struct supervisor {
	struct sockeye__server *server;
	pid_t pid;
	struct child *children;
	struct pollfd *polled; /* the children, then signal_fd and stop_fd */
	unsigned running;
	int signal_fd;
	bool on_terminal; /* stop at SIGHUP once the controlling terminal is gone */
	enum phase phase;
	uint64_t kill_ns; /* the end of the grace period */
	struct sockeye__totals totals;
};

/* Asserts the invariants that hold after each step. */
static void child_check(const struct supervisor *s, const struct child *c)
{
	unsigned index = (unsigned)(c - s->children);

	assert(c->crew->first + c->member == index);
	assert(c->member < c->crew->processes);
	assert((c->state == CHILD_RUNS) == (c->process.pid > 0));
	assert(c->state != CHILD_WAITS || s->phase == PHASE_SERVES);
	assert(c->state != CHILD_ENDED || s->phase == PHASE_DRAINS);
	assert(c->backoff_ns <= RESPAWN_MAX_NS);
	assert(c->state == CHILD_RUNS || sockeye__counters_of(s->server->shared, index)->open == 0);
}

static void supervisor_check(const struct supervisor *s)
{
	unsigned running = 0;

	for (unsigned i = 0; i < s->server->processes; i++) {
		child_check(s, &s->children[i]);
		running += s->children[i].state == CHILD_RUNS;
	}
	assert(running == s->running);
	assert((s->server->stop_wr < 0) == (s->phase == PHASE_DRAINS));
}

/* Returns the share of `max` for worker `index` of `workers`, at least 1. */
static uint32_t share(uint32_t max, unsigned workers, unsigned index)
{
	uint32_t n = max / workers + (index < max % workers);

	return n > 0 ? n : 1;
}

/* This worker's share of connections_max. UINT32_MAX: no limit, or no worker accepts
 * connections. */
static uint32_t conns_share(const struct sockeye__server *server, const struct child *c)
{
	if (server->opts->connections_max == 0 || server->acceptors == 0)
		return UINT32_MAX;
	return share(server->opts->connections_max, server->acceptors,
		     c->crew->acceptors_before + c->member);
}

static _Noreturn void worker_main(struct supervisor *s, unsigned index)
{
	const struct sockeye__server *server = s->server;
	const struct child *c = &s->children[index];
	struct sockeye__worker w = {
	    .server = server,
	    .crew = c->crew,
	    .context = c->crew->spec != NULL ? c->crew->spec->context : NULL,
	    .index = index,
	    .member = c->member,
	    .stop_fd = server->stop_rd,
	    .conns_max = conns_share(server, c),
	    .counters = sockeye__counters_of(server->shared, index),
	    .spec_counters = sockeye__crew_counters(c->crew) != NULL
				 ? sockeye__spec_counters_of(server->shared, index)
				 : NULL,
	};
	int err;

	close(server->stop_wr); /* the stop pipe must end when the supervisor closes it */
	close(s->signal_fd);
	for (unsigned i = 0; i < server->processes; i++)
		if (s->children[i].process.fd >= 0)
			close(s->children[i].process.fd);
	err = c->crew->switches_user ? sockeye__user_become(&c->crew->user) : 0;
	if (err < 0) {
		sockeye__cannot_start(&w, err);
		_exit(1);
	}
	/* Die with the supervisor, since no other process would stop this one. Must follow
	 * the user switch, which clears the setting (prctl(2)). */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->pid)
		_exit(1);
	sockeye__sites_keep_own(&w);
	/* Workers constantly allocate and free buffers of 100 KiB. Returning their pages to
	 * the kernel each time would cost more than moving the bytes. */
	mallopt(M_MMAP_THRESHOLD, MALLOC_KEEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP_BYTES);
	c->crew->run(&w);
	_exit(0);
}

static int child_start(struct supervisor *s, unsigned index, uint64_t now)
{
	struct child *c = &s->children[index];
	int err = sockeye__process_fork(&c->process);

	if (err == 1)
		worker_main(s, index);
	if (err < 0)
		return err;
	c->state = CHILD_RUNS;
	c->started_ns = now;
	s->running++;
	return 0;
}

/* Releases the slots of a dead worker and counts its open connections as closed_stop. */
static void child_account(struct supervisor *s, unsigned index)
{
	const struct child *child = &s->children[index];
	const struct sockeye__crew_spec *spec = child->crew->spec;
	const struct sockeye__counter_table *table = sockeye__crew_counters(child->crew);
	struct sockeye__counters *counters = sockeye__counters_of(s->server->shared, index);
	uint64_t *spec_counters = sockeye__spec_counters_of(s->server->shared, index);

	counters->closed_stop += counters->open;
	sockeye__counters_clear_gauges(&sockeye__counters_table, (uint64_t *)counters);
	if (spec != NULL && spec->on_death != NULL)
		spec->on_death(spec->context, child->member, table != NULL ? spec_counters : NULL);
	if (table != NULL)
		sockeye__counters_clear_gauges(table, spec_counters);
	if (s->server->shared->sources != NULL)
		sockeye__sources_forget(s->server->shared->sources, index);
}

static void warn(struct supervisor *s, const char *text, int err)
{
	sockeye__event(
	    s->server->opts,
	    &(struct sockeye_event){.kind = SOCKEYE_EVENT_WARNING, .text = text, .err = err});
}

static bool crew_runs(const struct supervisor *s, const struct sockeye__crew *crew)
{
	for (unsigned k = 0; k < crew->processes; k++)
		if (s->children[crew->first + k].state == CHILD_RUNS)
			return true;
	return false;
}

/* Shuts down the listeners that no worker serves any more: the worker's own SO_REUSEPORT
 * sockets, or the crew's shared sockets if this was its last worker. Otherwise clients
 * would wait in the backlog until the other crews have ended. */
static void listeners_refuse(const struct supervisor *s, const struct child *c)
{
	for (size_t i = 0; i < c->crew->site_count; i++) {
		const struct sockeye__site *site = &c->crew->sites[i];

		if (site->stream && site->fd_count > 1)
			shutdown(site->fds[c->member], SHUT_RD);
		else if (site->stream && !crew_runs(s, c->crew))
			shutdown(site->fds[0], SHUT_RD);
	}
}

static void child_died(struct supervisor *s, unsigned index, bool killed, uint64_t now)
{
	struct child *c = &s->children[index];
	bool steady = now - c->started_ns >= STEADY_NS;

	s->running--;
	child_account(s, index);
	if (s->phase == PHASE_DRAINS) {
		c->state = CHILD_ENDED;
		listeners_refuse(s, c);
		return;
	}
	c->state = CHILD_WAITS;
	sockeye__counters_of(s->server->shared, index)->workers_died++;
	c->backoff_ns = steady ? 0 : c->backoff_ns == 0 ? RESPAWN_MIN_NS : c->backoff_ns * 2;
	if (c->backoff_ns > RESPAWN_MAX_NS)
		c->backoff_ns = RESPAWN_MAX_NS;
	c->respawn_ns = now + c->backoff_ns;
	warn(s,
	     killed ? "a worker was killed by a signal and is being replaced"
		    : "a worker ended and is being replaced",
	     0);
}

/* Reaps the workers whose file descriptors poll(2) reported, and those without one. */
static void children_reap(struct supervisor *s, uint64_t now)
{
	bool killed;

	for (unsigned i = 0; i < s->server->processes; i++)
		if (s->children[i].state == CHILD_RUNS &&
		    (s->polled[i].revents != 0 || s->children[i].process.fd < 0) &&
		    sockeye__process_ended(&s->children[i].process, &killed))
			child_died(s, i, killed, now);
}

static void children_respawn(struct supervisor *s, uint64_t now)
{
	for (unsigned i = 0; i < s->server->processes; i++) {
		struct child *c = &s->children[i];
		int err;

		if (c->state != CHILD_WAITS || now < c->respawn_ns)
			continue;
		err = child_start(s, i, now);
		if (err < 0) {
			warn(s, "cannot start a worker; retrying in 1 s", err);
			c->respawn_ns = now + SOCKEYE_NS_PER_S;
		}
	}
}

static void children_kill(struct supervisor *s)
{
	for (unsigned i = 0; i < s->server->processes; i++)
		if (s->children[i].state == CHILD_RUNS)
			sockeye__process_signal(&s->children[i].process, SIGKILL);
}

/* --- signals --- */

static void stop(struct supervisor *s, uint64_t now)
{
	if (s->phase == PHASE_DRAINS) { /* the second stop */
		children_kill(s);
		return;
	}
	s->phase = PHASE_DRAINS;
	s->kill_ns = now + sockeye__grace_ns(s->server);
	close(s->server->stop_wr);
	s->server->stop_wr = -1;
	for (unsigned i = 0; i < s->server->processes; i++)
		if (s->children[i].state == CHILD_WAITS) {
			s->children[i].state = CHILD_ENDED;
			listeners_refuse(s, &s->children[i]);
		}
}

static bool reloads(const struct sockeye__crew *crew)
{
	return crew->spec != NULL && crew->spec->reload != NULL;
}

static void crews_reload(const struct supervisor *s)
{
	const struct sockeye__server *server = s->server;

	for (size_t i = 0; i < server->crew_count; i++) {
		const struct sockeye__crew *crew = &server->crews[i];

		if (!reloads(crew) || !crew->spec->reload(crew->spec->context, server->opts))
			continue;
		for (unsigned k = 0; k < crew->processes; k++)
			if (s->children[crew->first + k].state == CHILD_RUNS)
				sockeye__process_signal(&s->children[crew->first + k].process,
							SIGHUP);
	}
}

/* Stops the server if its controlling terminal is gone: the kernel, and perhaps the shell,
 * sends SIGHUP when a terminal hangs up. Otherwise the operator has sent SIGHUP to request
 * a reload. */
static void hangup(struct supervisor *s, uint64_t now)
{
	if (!s->on_terminal || sockeye__has_terminal())
		crews_reload(s);
	else if (s->phase == PHASE_SERVES)
		stop(s, now);
}

static void signals_take(struct supervisor *s, uint64_t now)
{
	struct signalfd_siginfo si;

	while (read(s->signal_fd, &si, sizeof si) == (ssize_t)sizeof si) {
		if (si.ssi_signo == SIGUSR1)
			sockeye__totals_report(&s->totals, s->server);
		else if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			stop(s, now);
		else if (si.ssi_signo == SIGHUP)
			hangup(s, now);
	}
}

/* Returns the next time at which the supervisor must act without a signal, or 0 if there
 * is none. */
static uint64_t next_deadline(const struct supervisor *s, uint64_t now)
{
	uint64_t next = s->phase == PHASE_DRAINS ? s->kill_ns : 0;

	for (unsigned i = 0; i < s->server->processes; i++) {
		const struct child *c = &s->children[i];

		if (c->state == CHILD_WAITS)
			next = sockeye__earlier(next, c->respawn_ns);
		else if (c->state == CHILD_RUNS && c->process.fd < 0) /* poll(2) cannot report it */
			next = sockeye__earlier(next, now + REAP_NS);
	}
	return next;
}

/* Waits until a worker ends, a signal arrives, stop_fd becomes readable or the next deadline
 * passes. Returns the events of stop_fd, or -errno. */
static int wait_events(struct supervisor *s)
{
	const unsigned children = s->server->processes;
	const bool watch_stop_fd = s->server->opts->stop_fd > 0 && s->phase == PHASE_SERVES;
	const uint64_t now = sockeye_now().mono_ns;

	for (unsigned i = 0; i < children; i++) /* poll(2) skips -1 */
		s->polled[i] = (struct pollfd){.fd = s->children[i].process.fd, .events = POLLIN};
	s->polled[children] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
	s->polled[children + 1] =
	    (struct pollfd){.fd = watch_stop_fd ? s->server->opts->stop_fd : -1, .events = POLLIN};
	if (poll(s->polled, children + 2, sockeye__poll_ms(next_deadline(s, now), now)) < 0) {
		if (errno != EINTR)
			return -errno;
		for (unsigned i = 0; i < children + 2; i++)
			s->polled[i].revents = 0;
	}
	return s->polled[children + 1].revents;
}

static int watch(struct supervisor *s)
{
	int stop_events = wait_events(s);
	uint64_t now = sockeye_now().mono_ns;

	if (stop_events < 0)
		return stop_events;
	signals_take(s, now);
	if (stop_events != 0 &&
	    s->phase == PHASE_SERVES) /* unless a signal has stopped it already */
		stop(s, now);
	children_reap(s, now);
	if (s->phase == PHASE_SERVES) {
		children_respawn(s, now);
	} else if (now >= s->kill_ns) {
		children_kill(s);
		/* A worker in an uninterruptible call may outlive the signal. Signal it again
		 * in one second instead of spinning. */
		s->kill_ns = now + SOCKEYE_NS_PER_S;
	}
	sockeye__invariant(supervisor_check(s));
	return 0;
}

/* A shell without job control starts background processes with SIGINT ignored. Blocking
 * an ignored signal would make the signalfd receive it. */
static bool is_ignored(int sig)
{
	struct sigaction action;

	return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* The caller of sockeye__supervise() restores the mask. */
static int signals_block(struct supervisor *s)
{
	bool hangs_up = !s->server->opts->no_signals && !is_ignored(SIGHUP);
	sigset_t set;

	s->on_terminal = hangs_up && sockeye__has_terminal();
	sigemptyset(&set);
	if (!s->server->opts->no_signals) {
		sigaddset(&set, SIGTERM);
		if (!is_ignored(SIGINT))
			sigaddset(&set, SIGINT);
		sigaddset(&set, SIGUSR1);
	}
	for (size_t i = 0; i < s->server->crew_count; i++)
		hangs_up |= reloads(&s->server->crews[i]);
	if (hangs_up)
		sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno : 0;
}

static int supervisor_init(struct supervisor *s)
{
	int err = sockeye__totals_init(&s->totals, s->server);

	s->children = calloc(s->server->processes, sizeof *s->children);
	s->polled = calloc(s->server->processes + 2, sizeof *s->polled);
	if (err < 0 || s->children == NULL || s->polled == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->server->crew_count; i++) {
		const struct sockeye__crew *crew = &s->server->crews[i];

		for (unsigned k = 0; k < crew->processes; k++)
			s->children[crew->first + k] = (struct child){
			    .crew = crew, .member = k, .process = SOCKEYE__PROCESS_NONE};
	}
	return 0;
}

static void supervisor_fini(struct supervisor *s)
{
	free(s->children);
	free(s->polled);
	sockeye__totals_fini(&s->totals);
}

static void children_end(struct supervisor *s)
{
	children_kill(s);
	for (unsigned i = 0; i < s->server->processes; i++)
		if (s->children[i].state == CHILD_RUNS)
			sockeye__process_kill(&s->children[i].process);
}

int sockeye__supervise(struct sockeye__server *server, struct sockeye_fail *fail)
{
	struct supervisor s = {.server = server, .pid = getpid(), .signal_fd = -1};
	const char *step = "report ready";
	int err = supervisor_init(&s);

	if (err < 0) {
		supervisor_fini(&s);
		return sockeye__fail_set(fail, "serve", "", err);
	}
	err = signals_block(&s);
	/* Call on_ready before forking the workers: they would inherit the --ready-fd
	 * descriptor, and its reader would not see end of file until they exit. The sockets
	 * already listen, so clients can connect. */
	if (err == 0)
		err = sockeye__ready_report(server);
	if (err == 0) {
		step = "serve";
		children_respawn(&s, sockeye_now().mono_ns);
	}
	while (err == 0 && !(s.phase == PHASE_DRAINS && s.running == 0))
		err = watch(&s);
	if (err < 0) {
		sockeye__fail_set(fail, step, "", err);
		children_end(&s);
	} else if (server->opts->verbose) {
		sockeye__totals_report(&s.totals, server);
	}
	if (s.signal_fd >= 0)
		close(s.signal_fd);
	supervisor_fini(&s);
	return err;
}
