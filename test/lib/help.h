/*
 * help.h: helpers of the tests of the library's calls: sockets, servers that do not
 * answer, frequent signals, and network namespaces.
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
#define LONG_MS 20000 /* a deadline that only a hanging call reaches */

/* Parses an address after replacing '#' by the process ID, so that abstract names are
 * unique. An invalid address fails the test. */
struct sockeye_addr addr_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Opens the only listener of an address; connects to it; accepts from it. */
struct sockeye_listener listener_on(const char *address);
int connected_to(const struct sockeye_listener *listener);
int accepted_from(const struct sockeye_listener *listener);

/* Returns the text of a socket address. The next call overwrites it. */
const char *text_of(const struct sockeye_sockaddr *name);

/* Returns the socket address of a host and port. */
struct sockeye_sockaddr name_of(const char *host, uint16_t port);

/* A TCP server on 127.0.0.1 whose queue is full, so that it answers no SYN. fds[0] is the
 * listener; the others keep the queue full. */
struct black_hole {
	struct sockeye_sockaddr name;
	int fds[16];
	size_t count;
};
struct black_hole black_hole_open(void);
void black_hole_close(struct black_hole *hole);

/* Records the calls of on_attempt of sockeye_connect(): note() adds one. */
struct attempts {
	size_t count;
	struct {
		struct sockeye_sockaddr name;
		int err;
	} list[16];
};
void note(void *attempts, const struct sockeye_sockaddr *name, int err);

/* Returns the result of the attempt at `name`, or 1 if there was none. */
int ended(const struct attempts *a, const struct sockeye_sockaddr *name);

/* Returns an address of this machine on which no socket listens. */
struct sockeye_sockaddr dead_name(const char *host);

void pair_open(int type, int fds[static 2]); /* socketpair */
uint64_t now_ms(void);
size_t fds_open(void); /* the number of open descriptors */
bool is_nonblocking(int fd);
bool is_cloexec(int fd);

/* Writes to fd until it would block. Returns the number of bytes. */
size_t stuff(int fd);

/* Sends SIGALRM every half millisecond, without SA_RESTART, until calm(), which returns
 * the number of signals. */
void storm(void);
unsigned calm(void);

/* Occupies all descriptors below `lowest` until low_fds_release(). */
void low_fds_occupy(int lowest);
void low_fds_release(void);

/* Runs `body` in a child process. A failed assertion, a signal or an exit code fails the
 * test; the exit code CHILD_SKIPS skips it. */
#define CHILD_SKIPS 77
void in_child(void (*body)(void));

/* Moves the process to a network namespace that has only lo, and replaces /etc/hosts.
 * Returns false if that is not allowed. */
bool own_network(const char *hosts);

/* Creates a directory; the second function removes it with its files. */
const char *dir_make(void);
void dir_remove(void);

#endif
