/*
 * process.h: child processes, identified by a file descriptor (pidfd_open(2)) instead of a
 * process ID. The caller's handler for SIGCHLD may reap a worker, and the kernel may then
 * give its process ID to another process.
 */
#ifndef SOCKEYE_SERVE_PROCESS_H
#define SOCKEYE_SERVE_PROCESS_H

#include <stdbool.h>

/* Forks. Returns 1 in the child, 0 with *out_fd in the parent, or -errno. The child begins
 * with the default action of every signal and with none blocked, except SIGPIPE and
 * SIGXFSZ, which it ignores, and SIGHUP, SIGINT, SIGTERM, SIGUSR1 and SIGCHLD, which are
 * blocked, because only its parent stops it. Handlers for crashes (SIGSEGV …) stay. */
int sockeye__process_fork(int *out_fd);

/* Returns whether the process has ended. If so, reaps it and sets *out_killed if a signal
 * killed it. The file descriptor stays open. */
bool sockeye__process_ended(int fd, bool *out_killed);

void sockeye__process_signal(int fd, int sig);

/* Kills the process, reaps it and closes the file descriptor. */
void sockeye__process_kill(int fd);

/* Whether this process has a controlling terminal. */
bool sockeye__has_terminal(void);

/* Calls a function in a child process and returns its result: 0 or -errno. */
int sockeye__process_call(int (*call)(const void *arg), const void *arg);

#endif
