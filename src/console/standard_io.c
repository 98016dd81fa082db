/* standard_io.c: standard input and output that never block (standard_io.h). */
#include "console/standard_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"

/* A pipe or terminal opened again is an open file description of its own, and
 * only that one becomes non-blocking. Fails for other users' pipes (after su),
 * and without /proc. */
static int open_again(int fd, bool for_write)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, (for_write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void sockeye__local_open(struct sockeye__local *local, int given, bool for_write)
{
	struct stat st;

	*local = (struct sockeye__local){.fd = -1, .given = given, .for_write = for_write};
	if (given < 0)
		return;
	local->fd = given;
	local->kind = SOCKEYE__LOCAL_PLAIN;
	local->tty = isatty(given);
	if (fstat(given, &st) < 0)
		return; /* reading or writing will say why */
	if (S_ISSOCK(st.st_mode)) {
		local->kind = SOCKEYE__LOCAL_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || local->tty) {
		int fd = open_again(given, for_write);

		if (fd >= 0)
			local->fd = fd;
		else if (!(fcntl(given, F_GETFL) & O_NONBLOCK))
			local->kind = SOCKEYE__LOCAL_SHARED;
	}
}

static bool ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) > 0;
}

ssize_t sockeye__local_read(struct sockeye__local *local, void *buf, size_t len)
{
	ssize_t n;

	do {
		if (local->kind == SOCKEYE__LOCAL_SOCKET)
			n = recv(local->fd, buf, len, MSG_DONTWAIT);
		else if (local->kind == SOCKEYE__LOCAL_SHARED && !ready(local->fd, POLLIN))
			return -EAGAIN;
		else
			n = read(local->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t sockeye__local_write(struct sockeye__local *local, const void *buf, size_t len)
{
	ssize_t n;

	/* A pipe that polls writable has a free page: PIPE_BUF bytes do not block. */
	if (local->kind == SOCKEYE__LOCAL_SHARED && len > PIPE_BUF)
		len = PIPE_BUF;
	do {
		if (local->kind == SOCKEYE__LOCAL_SOCKET)
			n = send(local->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (local->kind == SOCKEYE__LOCAL_SHARED && !ready(local->fd, POLLOUT))
			return -EAGAIN;
		else
			n = write(local->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		local->in_line = ((const char *)buf)[n - 1] != '\n';
	return n < 0 ? -errno : n;
}

void sockeye__local_end_line(struct sockeye__local *local, const void *data, size_t len)
{
	const char *at = data, *lf = len > 0 ? memchr(data, '\n', len) : NULL;

	if (local->kind == SOCKEYE__LOCAL_NONE || !local->in_line || !lf)
		return;
	while (at <= lf) {
		ssize_t n = sockeye__local_write(local, at, (size_t)(lf - at) + 1);

		if (n == -EAGAIN)
			sockeye__wait(local->fd, POLLOUT, 0);
		else if (n < 0)
			return;
		else
			at += n;
	}
}

static void close_for_good(int fd)
{
	int null = fd <= STDERR_FILENO ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

	if (null >= 0) {
		dup2(null, fd);
		close(null);
	} else {
		close(fd);
	}
}

void sockeye__local_close(struct sockeye__local *local, bool for_good)
{
	if (local->kind == SOCKEYE__LOCAL_NONE)
		return;
	if (local->fd != local->given)
		close(local->fd);
	if (for_good) {
		/* Closing ends a connection only when nobody shares it, and
		 * standard input is often the same socket. */
		if (local->kind == SOCKEYE__LOCAL_SOCKET && local->for_write)
			shutdown(local->given, SHUT_WR);
		close_for_good(local->given);
	}
	local->kind = SOCKEYE__LOCAL_NONE;
	local->fd = -1;
}
