/*
 * process.h: child processes, identified by a file descriptor (pidfd_open(2)) instead of a
 * process ID. The caller's handler for SIGCHLD may reap a worker, and the kernel may then
 * give its process ID to another process.
 */
#ifndef SOCKEYE_SERVE_PROCESS_H
#define SOCKEYE_SERVE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct sockeye__process {
	pid_t pid; /* 0: none */
	int fd;    /* readable when the process has ended; -1 if this system has no pidfds
		    * (valgrind, some containers): then it is known by pid alone */
};

#define SOCKEYE__PROCESS_NONE ((struct sockeye__process){.fd = -1})

/* Forks. Returns 1 in the child, 0 with *out in the parent, or -errno. The child begins
 * with the default action of every signal and with none blocked, except SIGPIPE and
 * SIGXFSZ, which it ignores, and SIGHUP, SIGINT, SIGTERM, SIGUSR1 and SIGCHLD, which are
 * blocked, because only its parent stops it. Handlers for crashes (SIGSEGV …) stay. */
int sockeye__process_fork(struct sockeye__process *out);

/* How a process ended. */
enum sockeye__process_end {
	SOCKEYE__PROCESS_DONE,   /* with exit code 0, or another process reaped it */
	SOCKEYE__PROCESS_FAILED, /* with another exit code */
	SOCKEYE__PROCESS_KILLED, /* by a signal */
};

/* Returns whether the process has ended. If so, reaps it, sets *out_end, and clears *p. */
bool sockeye__process_ended(struct sockeye__process *p, enum sockeye__process_end *out_end);

enum sockeye__process_change {
	SOCKEYE__PROCESS_SAME,
	SOCKEYE__PROCESS_STOPPED,
	SOCKEYE__PROCESS_CONTINUED,
};

/* Returns how the process has changed since the last call. If it was stopped by a signal and
 * is still stopped, sets *out_signal. The stops of a debugger do not count. */
enum sockeye__process_change sockeye__process_change(const struct sockeye__process *p,
						     int *out_signal);

/* Whether a debugger traces the process. */
bool sockeye__process_is_traced(const struct sockeye__process *p);

void sockeye__process_signal(const struct sockeye__process *p, int sig);

/* Kills the process, reaps it and clears *p. */
void sockeye__process_kill(struct sockeye__process *p);

/* Whether this process has a controlling terminal. */
bool sockeye__has_terminal(void);

/* Calls a function in a child process and returns its result: 0 or -errno. */
int sockeye__process_call(int (*call)(const void *arg), const void *arg);

#endif
