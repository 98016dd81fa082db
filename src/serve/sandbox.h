/*
 * sandbox.h: what a worker may still do once it serves clients.
 *
 * Landlock (landlock(7)) limits the files that a worker can open; a filter of system calls
 * (seccomp(2)) limits the calls that it can make. A peer that takes over a worker has no
 * other rights.
 */
#ifndef SOCKEYE_SERVE_SANDBOX_H
#define SOCKEYE_SERVE_SANDBOX_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include <sockeye/error.h>

struct sockeye__server;
struct sockeye__worker;

/* The groups of system calls in the table of sandbox_calls.c. */
enum {
	SOCKEYE__CALLS_SERVE = 1 << 0, /* every worker may make these */
	SOCKEYE__CALLS_THREADS = 1 << 1,
	SOCKEYE__CALLS_PROCESSES = 1 << 2,
	SOCKEYE__CALLS_RING = 1 << 3,      /* io_uring, on a ring that is open already */
	SOCKEYE__CALLS_DATAGRAM = 1 << 4,  /* new UDP sockets */
	SOCKEYE__CALLS_READ = 1 << 5,      /* files, for reading */
	SOCKEYE__CALLS_WRITE = 1 << 6,     /* files, for writing */
	SOCKEYE__CALLS_SANITIZER = 1 << 7, /* the run-time library of a sanitizer */
};

/* Parts of the sandbox. */
enum {
	SOCKEYE__SANDBOX_FILES = 1 << 0, /* Landlock */
	SOCKEYE__SANDBOX_CALLS = 1 << 1, /* the filter of system calls */
};

/* What a worker needs. */
struct sockeye__sandbox {
	unsigned calls; /* the groups that it needs in addition to SOCKEYE__CALLS_SERVE */
	int root;       /* with CALLS_READ: the directory below which it can open files; otherwise
			 * it can open none */
	bool reads_all; /* it can also read all other files */
};

/* Restricts this process and its future children permanently, with the parts of
 * server->sandbox_parts. `root` is the directory below which it can open files, -1: it can
 * open none. On failure, reports that the worker cannot start and returns -errno. */
int sockeye__sandbox_enter(const struct sockeye__worker *w, int root, bool reads_all);

/* In the supervisor, before the first worker: finds out which parts this system lacks and
 * reports them. Returns 0, or a negative code with *fail if opts.sandbox requires all. */
int sockeye__sandbox_open(struct sockeye__server *server, struct sockeye_fail *fail);
void sockeye__sandbox_close(struct sockeye__server *server);

/* In the supervisor, when server->denied_rd is readable: reports calls that the sandbox
 * denied, at most once per second. */
void sockeye__sandbox_report(struct sockeye__server *server);

/* sandbox_files.c: applies Landlock to this process. Returns 0, or -EOPNOTSUPP if this system has
 * no Landlock, or -errno. `abstract`: it may send datagrams to abstract UNIX sockets. */
int sockeye__sandbox_files(const struct sockeye__sandbox *needs, bool abstract);

/* sandbox_files.c: returns 0, or -errno if this system has no Landlock. */
int sockeye__sandbox_files_try(void);

/* A call that the filter denied, as written to a pipe by the handler of SIGSYS. */
struct sockeye__denied {
	int32_t pid, call;
};

/* A filter of system calls, as a program for the kernel. */
struct sockeye__filter {
	unsigned groups; /* the calls that it allows in addition to SOCKEYE__CALLS_SERVE */
	struct sock_filter *code;
	unsigned short count;
};

/* sandbox_calls.c: writes a filter to a file. Call it in a process that only does this:
 * libseccomp may crash if memory is short. Returns 0 or -errno. */
int sockeye__filter_make(unsigned groups, int fd);

/* sandbox_calls.c: returns 0, or -errno if this system cannot filter system calls. */
int sockeye__filter_try(void);

/* sandbox_calls.c: applies a filter to this process. Each denied call fails with EPERM and is
 * written to `denied_fd` unless that is full. Returns 0 or -errno. */
int sockeye__filter_apply(const struct sockeye__filter *filter, int denied_fd);

#endif
