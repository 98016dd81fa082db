/*
 * limit.h: shared code of the yardsticks, which run as `PROGRAM PORT [MESSAGES]`.
 *
 * PORT 0 selects a free port. The program prints its port on one line when it is
 * ready for clients. With MESSAGES it exits after that number of replies, because
 * valgrind does not deliver SIGTERM to a process in io_uring_enter. These are
 * benchmarks, so they exit on any error.
 */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int limit_socket(int type, int argc, char **argv)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	if (argc < 2)
		errx(2, "usage: %s port [messages]", argv[0]);
	name.sin_port = htons((uint16_t)atoi(argv[1]));
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		err(1, "socket");
	if (bind(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		err(1, "bind port %s", argv[1]);
	return fd;
}

static inline void limit_ready(int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		err(1, "getsockname");
	printf("%d\n", ntohs(name.sin_port));
	if (fflush(stdout) != 0)
		err(1, "stdout");
}

static inline uint64_t limit_messages(int argc, char **argv)
{
	return argc > 2 ? strtoull(argv[2], NULL, 10) : UINT64_MAX;
}

/* Returns a listening socket. Accepted sockets inherit its TCP_NODELAY, which
 * saves a system call for each. */
static inline int limit_listen(int argc, char **argv)
{
	struct rlimit files;
	int on = 1, fd = limit_socket(SOCK_STREAM, argc, argv);

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 || listen(fd, 65535) < 0)
		err(1, "listen");
	limit_ready(fd);
	return fd;
}

#endif
