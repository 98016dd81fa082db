/* process.c: child processes (process.h). */
#include "serve/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Signals of a crash: a sanitizer or a crash reporter handles them. */
static bool is_crash(int sig)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

	for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
		if (crashes[i] == sig)
			return true;
	return false;
}

/* fork(2) and exec(2) keep signals ignored or blocked, which a caller does not always
 * intend. */
static void signals_set(void)
{
	static const int blocked[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD};
	struct sigaction action;
	sigset_t mask;

	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sigaction(sig, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
		    (action.sa_handler == SIG_IGN || !is_crash(sig)))
			signal(sig, SIG_DFL);
	signal(SIGPIPE, SIG_IGN); /* writing to a closed pipe fails with EPIPE instead, */
	signal(SIGXFSZ, SIG_IGN); /* and beyond RLIMIT_FSIZE with EFBIG */
	sigemptyset(&mask);
	for (size_t i = 0; i < sizeof blocked / sizeof blocked[0]; i++)
		sigaddset(&mask, blocked[i]);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* Returns 0 with *out, or -errno after reaping the child. No other code can have reaped it
 * before: all signals are blocked. */
static int child_open(pid_t pid, struct sockeye__process *out)
{
	int fd = pidfd_open(pid, 0), err = -errno;

	if (fd < 0 && err != -ENOSYS && err != -EPERM) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return err;
	}
	*out = (struct sockeye__process){.pid = pid, .fd = fd};
	return 0;
}

int sockeye__process_fork(struct sockeye__process *out)
{
	sigset_t all, before;
	pid_t pid;
	int err;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before); /* no handler of the caller runs in the child */
	pid = fork();
	if (pid == 0) {
		signals_set();
		return 1;
	}
	err = pid < 0 ? -errno : child_open(pid, out);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

/* A process as waitid(2) names it. */
struct process_id {
	idtype_t type;
	id_t value;
};

static struct process_id id_of(const struct sockeye__process *p)
{
	return p->fd >= 0 ? (struct process_id){P_PIDFD, (id_t)p->fd}
			  : (struct process_id){P_PID, (id_t)p->pid};
}

/* Waits like waitid(2). Returns false if the process is still running. */
static bool ended(struct sockeye__process *p, int flags, siginfo_t *out)
{
	const struct process_id id = id_of(p);
	int done;

	*out = (siginfo_t){0};
	do
		done = waitid(id.type, id.value, out, WEXITED | flags);
	while (done < 0 && errno == EINTR);
	/* ECHILD: the caller's handler for SIGCHLD has reaped it */
	if (done == 0 && out->si_pid == 0)
		return false;
	if (p->fd >= 0)
		close(p->fd);
	*p = SOCKEYE__PROCESS_NONE;
	return true;
}

bool sockeye__process_ended(struct sockeye__process *p, enum sockeye__process_end *out_end)
{
	siginfo_t info;

	if (!ended(p, WNOHANG, &info))
		return false;
	*out_end = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED
		       ? SOCKEYE__PROCESS_KILLED
		   : info.si_status != 0 ? SOCKEYE__PROCESS_FAILED
					 : SOCKEYE__PROCESS_DONE;
	return true;
}

enum sockeye__process_change sockeye__process_change(const struct sockeye__process *p,
						     int *out_signal)
{
	const struct process_id id = id_of(p);
	siginfo_t info = {0};

	if (waitid(id.type, id.value, &info, WSTOPPED | WCONTINUED | WNOHANG) < 0 ||
	    info.si_pid == 0)
		return SOCKEYE__PROCESS_SAME;
	if (info.si_code == CLD_CONTINUED)
		return SOCKEYE__PROCESS_CONTINUED;
	if (info.si_code != CLD_STOPPED)
		return SOCKEYE__PROCESS_SAME;
	*out_signal = info.si_status;
	return SOCKEYE__PROCESS_STOPPED;
}

bool sockeye__process_is_traced(const struct sockeye__process *p)
{
	static const char key[] = "TracerPid:";
	char path[40], line[256];
	bool traced = false;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", (int)p->pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	while (fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, key, sizeof key - 1) == 0)
			traced = strtol(line + sizeof key - 1, NULL, 10) != 0;
	fclose(f);
	return traced;
}

void sockeye__process_signal(const struct sockeye__process *p, int sig)
{
	if (p->fd >= 0)
		(void)pidfd_send_signal(p->fd, sig, NULL, 0);
	else
		(void)kill(p->pid, sig);
}

void sockeye__process_kill(struct sockeye__process *p)
{
	siginfo_t info;

	sockeye__process_signal(p, SIGKILL);
	(void)ended(p, 0, &info);
}

bool sockeye__has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int sockeye__process_call(int (*call)(const void *arg), const void *arg)
{
	sigset_t child, before;
	siginfo_t info = {0};
	struct sockeye__process p = SOCKEYE__PROCESS_NONE;
	int err;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD); /* the caller's handler must not reap the child */
	sigprocmask(SIG_BLOCK, &child, &before);
	err = sockeye__process_fork(&p);
	if (err == 1)
		_exit(-call(arg));
	if (err == 0) {
		(void)ended(&p, 0, &info);
		err = info.si_code == CLD_EXITED ? -info.si_status : -EIO;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}
