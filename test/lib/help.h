/*
 * help.h: what the tests of the library's calls share: sockets to speak with,
 * servers that do not answer, a storm of signals, and a network of one's own.
 */
#ifndef TEST_LIB_HELP_H
#define TEST_LIB_HELP_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <sockeye.h>

#include "../rows.h"

#define MS(n)   (sockeye_deadline_ms(n))
#define LONG_MS 20000 /* a deadline that only a hang reaches */

/* Parses, with the process id for a '#', so that abstract names are this
 * process's own; a bad address is a failure of the test. */
struct sockeye_addr addr_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The one listener of an address; and a connection to it. */
struct sockeye_listener listener_on(const char *address);
int connected_to(const struct sockeye_listener *listener);
int accepted_from(const struct sockeye_listener *listener);

/* Text of a socket address; the string is overwritten by the next call. */
const char *text_of(const struct sockeye_sockaddr *name);

/* An Internet or UNIX address from "host port" parts. */
struct sockeye_sockaddr name_of(const char *host, uint16_t port);

/* A TCP server on 127.0.0.1 whose queue is full: it answers no SYN. fds[0] is
 * the listener, the rest keeps the queue full. */
struct black_hole {
	struct sockeye_sockaddr name;
	int fds[16];
	size_t count;
};
struct black_hole black_hole_open(void);
void black_hole_close(struct black_hole *hole);

/* What on_attempt of sockeye_connect was told: for it, note() and a struct. */
struct attempts {
	size_t count;
	struct {
		struct sockeye_sockaddr name;
		int err;
	} list[16];
};
void note(void *attempts, const struct sockeye_sockaddr *name, int err);

/* How the attempt at `name` ended, 1 when there was none. */
int ended(const struct attempts *a, const struct sockeye_sockaddr *name);

/* An address of this machine where nobody listens. */
struct sockeye_sockaddr dead_name(const char *host);

void pair_open(int type, int fds[static 2]); /* socketpair */
uint64_t now_ms(void);
size_t fds_open(void); /* how many descriptors this process has */
bool is_nonblocking(int fd);
bool is_cloexec(int fd);

/* Fills both directions of nothing: writes to fd until it would block. The
 * bytes that went in. */
size_t stuff(int fd);

/* SIGALRM every half millisecond, without SA_RESTART, until calm(). The count so far. */
void storm(void);
unsigned calm(void);

/* Keeps the numbers below `lowest` in use; low_fds_release() gives them back. */
void low_fds_occupy(int lowest);
void low_fds_release(void);

/* Runs `body` in a child process, whose failed assertion, signal or exit code is
 * a failure here, or with CHILD_SKIPS a skipped test. */
#define CHILD_SKIPS 77
void in_child(void (*body)(void));

/* A network namespace with only lo, and names from this text of /etc/hosts alone,
 * for the rest of the process; false where that is not allowed. */
bool own_network(const char *hosts);

/* A new directory, removed with what is in it by the second call. */
const char *dir_make(void);
void dir_remove(void);

#endif
