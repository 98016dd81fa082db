/*
 * supervise.c: the supervisor. It starts the workers, replaces workers that die (children.c),
 * adds up their counters and stops them. It does not handle client data.
 *
 * Workers see the stop as end of file on a pipe, so that no signal handler runs in them
 * and no signal is lost.
 */
#include "base/deadline.h"
#include "base/invariant.h"
#include "net/net.h"
#include "serve/children.h"
#include "serve/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A signal that arrives sooner after the stop does not count as a second one. Several
 * processes may send a signal for one stop: the terminal to the process group and then a
 * service manager, or timeout(1), which signals its child and its group. */
#define STOP_AGAIN_NS (500 * SOCKEYE_NS_PER_MS)

/* What the supervisor polls, after its children. */
enum {
	POLLED_SIGNAL,
	POLLED_STOP,
	POLLED_DENIED,
	POLLED_OWN, /* their number */
};

struct supervisor {
	struct sockeye__server *server;
	struct sockeye__children children;
	struct pollfd *polled; /* the children's, then those of POLLED_SIGNAL and so on */
	bool hung_up;          /* SIGHUP has arrived, and sockeye__renewal_run() is due */
	int signal_fd;
	bool on_terminal;    /* stop at SIGHUP once the controlling terminal is gone */
	uint64_t stopped_ns; /* the time of the stop */
	uint64_t kill_ns;    /* the end of the grace period; 0: not stopping */
	struct sockeye__totals totals;
};

/* --- signals --- */

static bool serves(const struct supervisor *s)
{
	return s->children.phase == SOCKEYE__PHASE_SERVES;
}

static void stop(struct supervisor *s, uint64_t now)
{
	if (!serves(s)) { /* a second stop, or another signal for the first */
		if (now - s->stopped_ns >= STOP_AGAIN_NS)
			sockeye__children_kill(&s->children);
		return;
	}
	s->stopped_ns = now;
	s->kill_ns = now + sockeye__grace_ns(s->server);
	sockeye__children_drain(&s->children);
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

		if (reloads(crew) && crew->spec->reload(crew->spec->context, server->opts))
			sockeye__children_signal(&s->children, crew, SIGHUP);
	}
}

/* Stops the server if its controlling terminal is gone: the kernel, and perhaps the shell,
 * sends SIGHUP when a terminal hangs up. Otherwise the operator has sent SIGHUP to request
 * a reload. */
static void hangup(struct supervisor *s, uint64_t now)
{
	if (!s->on_terminal || sockeye__has_terminal()) {
		crews_reload(s);
		s->hung_up = true;
	} else if (serves(s)) {
		stop(s, now);
	}
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
		hangs_up |=
		    reloads(&s->server->crews[i]) || sockeye__renewal_applies(&s->server->crews[i]);
	if (hangs_up)
		sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->children.signal_fd = s->signal_fd;
	return s->signal_fd < 0 ? -errno : 0;
}

/* --- the loop --- */

/* Waits until a worker ends, a signal arrives, stop_fd becomes readable or the supervisor
 * must act without a signal. Returns the events of stop_fd, or -errno. */
static int wait_events(struct supervisor *s)
{
	unsigned children;
	const bool watch_stop_fd = s->server->opts->stop_fd > 0 && serves(s);
	const uint64_t now = sockeye_now().mono_ns;
	uint64_t due = sockeye__earlier(s->kill_ns, sockeye__children_due_ns(&s->children, now));
	struct pollfd *own;

	due = sockeye__earlier(due, sockeye__watchdog_due_ns(&s->children));
	children = sockeye__children_poll(&s->children, s->polled);
	own = s->polled + children;
	own[POLLED_SIGNAL] = (struct pollfd){.fd = s->signal_fd, .events = POLLIN};
	own[POLLED_STOP] =
	    (struct pollfd){.fd = watch_stop_fd ? s->server->opts->stop_fd : -1, .events = POLLIN};
	own[POLLED_DENIED] = (struct pollfd){.fd = s->server->denied_rd, .events = POLLIN};
	if (poll(s->polled, children + POLLED_OWN, sockeye__poll_ms(due, now)) < 0) {
		if (errno != EINTR)
			return -errno;
		for (unsigned i = 0; i < children + POLLED_OWN; i++)
			s->polled[i].revents = 0;
	}
	if (own[POLLED_DENIED].revents != 0)
		sockeye__sandbox_report(s->server);
	return own[POLLED_STOP].revents;
}

static int watch(struct supervisor *s)
{
	int stop_events = wait_events(s);
	uint64_t now = sockeye_now().mono_ns;

	if (stop_events < 0)
		return stop_events;
	signals_take(s, now);
	if (stop_events != 0 && serves(s)) /* unless a signal has stopped it already */
		stop(s, now);
	sockeye__children_reap(&s->children, s->polled, now);
	sockeye__watchdog_look(&s->children, now);
	if (serves(s)) {
		sockeye__renewal_run(&s->children, s->polled, s->hung_up, now);
		s->hung_up = false;
		sockeye__children_start(&s->children, now);
	} else if (now >= s->kill_ns) {
		sockeye__children_kill(&s->children);
		/* A worker in an uninterruptible call may outlive the signal. Signal it again
		 * in one second instead of spinning. */
		s->kill_ns = now + SOCKEYE_NS_PER_S;
	}
	sockeye__invariant(sockeye__children_check(&s->children));
	return 0;
}

static int supervisor_init(struct supervisor *s)
{
	int err = sockeye__totals_init(&s->totals, s->server);
	int children_err = sockeye__children_init(&s->children, s->server);

	s->polled = calloc(SOCKEYE__CHILD_FDS * s->server->seats + POLLED_OWN, sizeof *s->polled);
	return err < 0 || children_err < 0 || s->polled == NULL ? -ENOMEM : 0;
}

static void supervisor_fini(struct supervisor *s)
{
	sockeye__children_fini(&s->children);
	free(s->polled);
	sockeye__totals_fini(&s->totals);
}

int sockeye__supervise(struct sockeye__server *server, struct sockeye_fail *fail)
{
	struct supervisor s = {.server = server, .signal_fd = -1};
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
		sockeye__children_start(&s.children, sockeye_now().mono_ns);
	}
	while (err == 0 && (serves(&s) || s.children.running > 0))
		err = watch(&s);
	if (err < 0) {
		sockeye__fail_set(fail, step, "", err);
		sockeye__children_end(&s.children);
	} else if (server->opts->verbose) {
		sockeye__totals_report(&s.totals, server);
	}
	if (s.signal_fd >= 0)
		close(s.signal_fd);
	supervisor_fini(&s);
	return err;
}
