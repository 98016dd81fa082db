/*
 * supervise.c: the process that binds, starts workers, replaces those that
 * die, counts for all of them, and tells them to stop.
 *
 * It moves no bytes. Workers learn that they are to stop from the end of file
 * on a pipe, so no handler runs in them and no signal can be missed.
 */
#include "serve/server.h"
#include "net/net.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MALLOC_KEEP_BYTES (4 << 20)
#define RESPAWN_MIN_NS    (100 * SOCKEYE_NS_PER_MS)
#define RESPAWN_MAX_NS    (5 * SOCKEYE_NS_PER_S)
#define STEADY_NS         SOCKEYE_NS_PER_S /* a worker that lived so long did not crash at once */

struct child {
	pid_t pid; /* 0: not running */
	uint64_t started_ns;
	uint64_t respawn_ns; /* when to start it again; 0 now */
	uint64_t backoff_ns;
};

struct supervisor {
	struct sockeye__server *server;
	pid_t pid;
	struct child *children;
	unsigned running;
	int signal_fd;
	sigset_t old_mask;
	bool stopping;
	uint64_t kill_ns; /* when the grace is over */
};

static uint32_t share(uint32_t max, unsigned workers, unsigned index)
{
	if (max == 0)
		return UINT32_MAX;
	return max / workers + (index < max % workers);
}

static unsigned children_count(const struct supervisor *s)
{
	return sockeye__workers_all(s->server);
}

static bool is_resident(const struct supervisor *s, unsigned index)
{
	return index >= sockeye__resident_first(s->server);
}

/* The first site of the resident service, when there is one. */
static const struct sockeye__site *resident_site(const struct sockeye__server *server)
{
	return &server->sites[server->site_count];
}

/* The datagram site that the n-th answerer has. */
static size_t answerer_site(const struct sockeye__server *server, unsigned n)
{
	size_t i = 0;

	while (server->sites[i].stream || n-- > 0)
		i++;
	return i;
}

static _Noreturn void worker_main(struct supervisor *s, unsigned index)
{
	const struct sockeye__server *server = s->server;
	struct sockeye__worker w = {
	    .server = server,
	    .index = index,
	    .conns_max = index < server->workers
			     ? share(server->opts->connections_max, server->workers, index)
			     : UINT32_MAX,
	    .counters = &server->shared->worker[index].c,
	};

	/* Without a supervisor nobody would end it: it goes down with it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->pid)
		_exit(1);
	close(server->stop_wr);
	close(s->signal_fd);
	/* Bytes that wait come and go by the 100 KiB; giving their pages back to the
	 * kernel each time costs more than moving them. */
	mallopt(M_MMAP_THRESHOLD, MALLOC_KEEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP_BYTES);
	if (index < server->workers)
		server->model->run(&w);
	else if (is_resident(s, index))
		resident_site(server)->service->resident->run(&w, resident_site(server)->config);
	else
		sockeye__answer_until_stop(&w, answerer_site(server, index - server->workers));
	_exit(0);
}

static int child_start(struct supervisor *s, unsigned index, uint64_t now)
{
	struct child *c = &s->children[index];
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0)
		worker_main(s, index);
	c->pid = pid;
	c->started_ns = now;
	s->running++;
	return 0;
}

/* What a worker that died had open is closed now, by the kernel. */
static void child_account(struct supervisor *s, unsigned index)
{
	struct sockeye_counters *c = &s->server->shared->worker[index].c;
	const struct sockeye__site *site = resident_site(s->server);

	c->closed_stop += c->open;
	c->open = 0;
	c->transfers_failed += c->transfers_open;
	c->transfers_open = 0;
	if (is_resident(s, index) && site->service->resident->died != NULL)
		site->service->resident->died(site->config, index);
	if (s->server->shared->sources != NULL)
		sockeye__sources_forget(s->server->shared->sources, index);
}

static void warn(struct supervisor *s, const char *text, int err)
{
	sockeye__event(
	    s->server->opts,
	    &(struct sockeye_event){.kind = SOCKEYE_EVENT_WARNING, .text = text, .err = err});
}

/* Nobody will accept from the sockets that were this worker's alone: clients
 * must not wait for it. */
static void listeners_refuse(const struct supervisor *s, unsigned index)
{
	for (size_t i = 0; i < s->server->site_count && index < s->server->workers; i++) {
		const struct sockeye__site *site = &s->server->sites[i];

		if (site->stream && site->fd_count > 1)
			shutdown(site->fds[index], SHUT_RD);
	}
}

static void child_died(struct supervisor *s, unsigned index, int status, uint64_t now)
{
	struct child *c = &s->children[index];
	bool steady = now - c->started_ns >= STEADY_NS;

	c->pid = 0;
	s->running--;
	child_account(s, index);
	if (s->stopping) {
		listeners_refuse(s, index);
		return;
	}
	s->server->shared->worker[index].c.workers_died++;
	c->backoff_ns = steady ? 0 : c->backoff_ns == 0 ? RESPAWN_MIN_NS : c->backoff_ns * 2;
	if (c->backoff_ns > RESPAWN_MAX_NS)
		c->backoff_ns = RESPAWN_MAX_NS;
	c->respawn_ns = now + c->backoff_ns;
	warn(s,
	     WIFSIGNALED(status) ? "a worker was killed by a signal and is being replaced"
				 : "a worker ended and is being replaced",
	     0);
}

static void children_reap(struct supervisor *s, uint64_t now)
{
	int status;

	for (unsigned i = 0; i < children_count(s); i++)
		if (s->children[i].pid > 0 &&
		    waitpid(s->children[i].pid, &status, WNOHANG) == s->children[i].pid)
			child_died(s, i, status, now);
}

static void children_respawn(struct supervisor *s, uint64_t now)
{
	for (unsigned i = 0; i < children_count(s); i++) {
		struct child *c = &s->children[i];
		int err;

		if (c->pid != 0 || now < c->respawn_ns)
			continue;
		err = child_start(s, i, now);
		if (err < 0) {
			warn(s, "a worker could not be started; trying again", err);
			c->respawn_ns = now + SOCKEYE_NS_PER_S;
		}
	}
}

static void children_kill(struct supervisor *s)
{
	for (unsigned i = 0; i < children_count(s); i++)
		if (s->children[i].pid > 0)
			kill(s->children[i].pid, SIGKILL);
}

/* Datagrams that the kernel dropped because a queue was full. */
static uint64_t queue_drops(const struct sockeye__server *server)
{
	uint64_t drops = 0;

	for (size_t i = 0; i < server->all_count; i++)
		for (unsigned k = 0; k < server->sites[i].fd_count; k++) {
			uint32_t mem[SK_MEMINFO_VARS] = {0};
			socklen_t len = sizeof mem;

			if (server->sites[i].stream)
				continue;
			if (getsockopt(server->sites[i].fds[k], SOL_SOCKET, SO_MEMINFO, mem,
				       &len) == 0)
				drops += mem[SK_MEMINFO_DROPS];
		}
	return drops;
}

static void counters_report(struct supervisor *s)
{
	struct sockeye_counters sum = {0};

	for (unsigned i = 0; i < children_count(s); i++) {
		const struct sockeye_counters *c = &s->server->shared->worker[i].c;
#define SOCKEYE_COUNTER_ADD(name, text) sum.name += __atomic_load_n(&c->name, __ATOMIC_RELAXED);
		SOCKEYE_COUNTERS(SOCKEYE_COUNTER_ADD)
#undef SOCKEYE_COUNTER_ADD
	}
	sum.dropped_queue += queue_drops(s->server);
	sockeye__event(s->server->opts,
		       &(struct sockeye_event){.kind = SOCKEYE_EVENT_COUNTERS, .counters = &sum});
}

static void stop(struct supervisor *s, uint64_t now)
{
	uint64_t grace = s->server->opts->grace_ms;

	if (s->stopping) { /* asked again: at once */
		children_kill(s);
		return;
	}
	s->stopping = true;
	s->kill_ns = now + (grace != 0 ? grace : SOCKEYE__GRACE_MS) * SOCKEYE_NS_PER_MS;
	close(s->server->stop_wr);
	s->server->stop_wr = -1;
	for (unsigned i = 0; i < children_count(s); i++)
		if (s->children[i].pid == 0)
			listeners_refuse(s, i);
}

static void residents_reload(const struct supervisor *s)
{
	const struct sockeye__site *site = resident_site(s->server);

	if (s->server->residents > 0 && site->service->resident->reload != NULL)
		site->service->resident->reload(site->config);
	for (unsigned i = sockeye__resident_first(s->server); i < children_count(s); i++)
		if (s->children[i].pid > 0)
			kill(s->children[i].pid, SIGHUP);
}

static void signals_take(struct supervisor *s, uint64_t now)
{
	struct signalfd_siginfo si;

	while (read(s->signal_fd, &si, sizeof si) == (ssize_t)sizeof si) {
		if (si.ssi_signo == SIGUSR1)
			counters_report(s);
		else if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			stop(s, now);
		else if (si.ssi_signo == SIGHUP)
			residents_reload(s);
	}
}

/* The next instant at which something must be done without being told. */
static uint64_t next_deadline(const struct supervisor *s)
{
	uint64_t next = s->stopping ? s->kill_ns : 0;

	for (unsigned i = 0; i < children_count(s) && !s->stopping; i++)
		if (s->children[i].pid == 0 && (next == 0 || s->children[i].respawn_ns < next))
			next = s->children[i].respawn_ns;
	return next;
}

static int watch(struct supervisor *s)
{
	bool watch_stop_fd = s->server->opts->stop_fd > 0 && !s->stopping;
	struct pollfd p[2] = {
	    {.fd = s->signal_fd, .events = POLLIN},
	    {.fd = watch_stop_fd ? s->server->opts->stop_fd : -1, .events = POLLIN}};
	uint64_t now = sockeye_now().mono_ns;

	if (poll(p, 2, sockeye__poll_ms(next_deadline(s), now)) < 0 && errno != EINTR)
		return -errno;
	now = sockeye_now().mono_ns;
	signals_take(s, now);
	if (p[1].revents != 0)
		stop(s, now);
	children_reap(s, now);
	if (!s->stopping)
		children_respawn(s, now);
	else if (now >= s->kill_ns)
		children_kill(s);
	return 0;
}

/* As a shell without job control has it for what runs in the background; a
 * blocked signal would come nevertheless. */
static bool is_ignored(int sig)
{
	struct sigaction action;

	return sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int signals_block(struct supervisor *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (!s->server->opts->no_signals) {
		sigaddset(&set, SIGTERM);
		if (!is_ignored(SIGINT))
			sigaddset(&set, SIGINT);
		sigaddset(&set, SIGUSR1);
	}
	if (s->server->residents > 0)
		sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, &s->old_mask) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno : 0;
}

static int ready_tell(struct supervisor *s)
{
	const struct sockeye__server *server = s->server;
	struct sockeye_ready_site sites[SOCKEYE__SITES_MAX];
	struct sockeye_ready ready = {
	    .model = server->model->name,
	    .pid = (int)getpid(),
	    .sites = sites,
	};
	size_t given = 0;

	if (server->opts->on_ready == NULL)
		return 0;
	for (; ready.count < server->all_count; given++)
		for (size_t i = 0; i < server->all_count; i++)
			if (server->sites[i].given == given)
				sites[ready.count++] = (struct sockeye_ready_site){
				    .service = server->sites[i].service->name,
				    .scheme = server->sites[i].scheme,
				    .name = server->sites[i].listener.name,
				};
	int err = server->opts->on_ready(server->opts->arg, &ready);

	return err < 0 ? err : 0;
}

int sockeye__supervise(struct sockeye__server *server, struct sockeye_fail *fail)
{
	struct supervisor s = {.server = server, .pid = getpid(), .signal_fd = -1};
	const char *step = "report ready";
	int err;

	s.children = calloc(children_count(&s), sizeof *s.children);
	if (s.children == NULL)
		return sockeye__fail_set(fail, "serve", "", -ENOMEM);
	err = signals_block(&s);
	/* Clients can connect already. Before there are workers, or they would
	 * keep open what on_ready closes, and its reader would wait for the end. */
	if (err == 0)
		err = ready_tell(&s);
	if (err == 0) {
		step = "serve";
		children_respawn(&s, sockeye_now().mono_ns);
	}
	while (err == 0 && !(s.stopping && s.running == 0))
		err = watch(&s);
	if (err < 0) {
		sockeye__fail_set(fail, step, "", err);
		children_kill(&s);
		for (unsigned i = 0; i < children_count(&s); i++)
			if (s.children[i].pid > 0)
				waitpid(s.children[i].pid, NULL, 0);
	} else if (server->opts->verbose) {
		counters_report(&s);
	}
	if (s.signal_fd >= 0) {
		close(s.signal_fd);
		sigprocmask(SIG_SETMASK, &s.old_mask, NULL);
	}
	free(s.children);
	return err < 0 ? err : 0;
}
