/* process.c: child processes (process.h). */
#include "serve/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

/* Returns 0 with *out_fd, or -errno after killing and reaping the child. No handler of the
 * caller can have reaped the child before, because all signals are blocked. */
static int child_open(pid_t pid, int *out_fd)
{
	int fd = pidfd_open(pid, 0), err = -errno;

	if (fd < 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return err;
	}
	*out_fd = fd;
	return 0;
}

int sockeye__process_fork(int *out_fd)
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
	err = pid < 0 ? -errno : child_open(pid, out_fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}

/* Waits like waitid(2). Returns false if the process is still running. */
static bool ended(int fd, int flags, siginfo_t *out)
{
	int done;

	*out = (siginfo_t){0};
	do
		done = waitid(P_PIDFD, (id_t)fd, out, WEXITED | flags);
	while (done < 0 && errno == EINTR);
	/* ECHILD: the caller's handler for SIGCHLD has reaped the process */
	return done < 0 || out->si_pid != 0;
}

bool sockeye__process_ended(int fd, bool *out_killed)
{
	siginfo_t info;

	if (!ended(fd, WNOHANG, &info))
		return false;
	*out_killed = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
	return true;
}

void sockeye__process_signal(int fd, int sig)
{
	(void)pidfd_send_signal(fd, sig, NULL, 0);
}

void sockeye__process_kill(int fd)
{
	siginfo_t info;

	sockeye__process_signal(fd, SIGKILL);
	(void)ended(fd, 0, &info);
	close(fd);
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
	int fd = -1, err;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD); /* the caller's handler must not reap the child */
	sigprocmask(SIG_BLOCK, &child, &before);
	err = sockeye__process_fork(&fd);
	if (err == 1)
		_exit(-call(arg));
	if (err == 0) {
		(void)ended(fd, 0, &info);
		close(fd);
		err = info.si_code == CLD_EXITED ? -info.si_status : -EIO;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err;
}
