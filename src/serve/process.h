/*
 * process.h: child processes that are known by a descriptor (pidfd_open(2)) and not by a
 * number. The number of a process that was reaped may belong to another one, and a
 * caller's handler for SIGCHLD may reap ours.
 */
#ifndef SOCKEYE_SERVE_PROCESS_H
#define SOCKEYE_SERVE_PROCESS_H

#include <stdbool.h>

/* Forks. Returns 1 in the child, 0 with *out_fd in the parent, or -errno. The child begins
 * with the default action of every signal and with none blocked, except SIGPIPE and
 * SIGXFSZ, which it ignores, and SIGHUP, SIGINT, SIGTERM, SIGUSR1 and SIGCHLD, which are
 * blocked: its parent stops it. Handlers for crashes (SIGSEGV …) stay. */
int sockeye__process_fork(int *out_fd);

/* Whether the process has ended; it is then reaped, and *out_killed is set if a signal
 * killed it. The descriptor stays open. */
bool sockeye__process_ended(int fd, bool *out_killed);

void sockeye__process_signal(int fd, int sig);

/* Kills the process, reaps it and closes the descriptor. */
void sockeye__process_kill(int fd);

/* Whether this process has a controlling terminal. */
bool sockeye__has_terminal(void);

/* Calls a function in a child process and returns its result: 0 or -errno. */
int sockeye__process_call(int (*call)(const void *arg), const void *arg);

#endif
