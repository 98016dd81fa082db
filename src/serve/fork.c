/*
 * fork.c: a process for each connection, like inetd. The worker accepts connections and
 * its children serve them. A crash ends only one connection.
 */
#include "serve/models.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

struct session_child {
	pid_t pid;
	struct sockeye__peer peer;
};

struct forker {
	struct sockeye__worker *worker;
	pid_t pid;
	struct sockeye__gate gate;
	int child_fd; /* SIGCHLD, as a signalfd */
	struct session_child *children;
	size_t count, cap;
};

static _Noreturn void child_main(struct forker *f, struct sockeye__visit *v)
{
	enum sockeye__end end;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != f->pid)
		_exit(1);
	for (size_t i = 0; i < f->worker->crew->site_count; i++)
		close(sockeye__site_fd(f->worker, i)); /* would keep the port in use */
	close(f->worker->stop_fd);
	close(f->child_fd);
	sockeye__gate_close(&f->gate);
	end = sockeye__session_run(f->worker, v);
	sockeye__visit_close(f->worker, v, end);
	_exit((int)end); /* the worker counts the connection */
}

static void children_reap(struct forker *f)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	/* Blocks until a child has ended. One signal may report several children. */
	(void)!read(f->child_fd, &si, sizeof si);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		size_t i = 0;

		while (i < f->count && f->children[i].pid != pid)
			i++;
		if (i == f->count)
			continue;
		if (WIFSIGNALED(status))
			sockeye__warn_rarely(f->worker, "a session was killed by a signal", 0);
		sockeye__visit_release(f->worker, &f->children[i].peer,
				       WIFSIGNALED(status)
					   ? SOCKEYE__END_STOP
					   : (enum sockeye__end)WEXITSTATUS(status));
		f->children[i] = f->children[--f->count];
	}
}

static bool children_grow(struct forker *f)
{
	size_t cap = f->cap != 0 ? f->cap * 2 : 64;
	struct session_child *grown = reallocarray(f->children, cap, sizeof *grown);

	if (grown == NULL)
		return false;
	f->children = grown;
	f->cap = cap;
	return true;
}

/* Starts a process for a connection. If that fails, closes the connection and accepts
 * no others for a while. */
static void serve_visit(struct forker *f, struct sockeye__visit *v)
{
	pid_t pid = -1;

	if (f->count < f->cap || children_grow(f))
		pid = fork();
	if (pid == 0)
		child_main(f, v);
	if (pid < 0) {
		sockeye__turn_away(f->worker, v,
				   "cannot start a process for a connection; closed it", -errno);
		sockeye__gate_pause(&f->gate);
		return;
	}
	f->children[f->count++] = (struct session_child){.pid = pid, .peer = v->peer};
	close(v->fd);
}

static int children_watch(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD); /* blocked in every worker (process.h) */
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void run(struct sockeye__worker *w)
{
	struct forker f = {.worker = w, .pid = getpid()};
	struct sockeye__visit v;
	enum sockeye__gate_kind kind;
	size_t site;
	int err;

	f.child_fd = children_watch();
	err = f.child_fd < 0 ? -errno : sockeye__gate_open(&f.gate, w, f.child_fd);
	if (err < 0) {
		sockeye__cannot_start(w, err);
		return;
	}
	while ((kind = sockeye__gate_next(&f.gate, &v, &site)) != SOCKEYE__GATE_STOP) {
		if (kind == SOCKEYE__GATE_VISIT)
			serve_visit(&f, &v);
		else
			children_reap(&f);
	}
	while (f.count > 0) /* the supervisor kills this process after the grace period */
		children_reap(&f);
	sockeye__gate_close(&f.gate);
	close(f.child_fd);
	free(f.children);
}

const struct sockeye__model sockeye__model_fork = {
    .facts =
	{
	    .name = "fork",
	    .summary = "a process for each connection",
	    .workers = 1,
	},
    .answerers = true,
    .calls = SOCKEYE__CALLS_PROCESSES,
    .run = run,
};
