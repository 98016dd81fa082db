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

void sockeye__standard_io_open(struct sockeye__standard_io *local, int given, bool for_write)
{
	struct stat st;

	*local = (struct sockeye__standard_io){.fd = -1, .given = given, .for_write = for_write};
	if (given < 0)
		return;
	local->fd = given;
	local->kind = SOCKEYE__STANDARD_IO_PLAIN;
	local->tty = isatty(given);
	if (fstat(given, &st) < 0)
		return; /* reading or writing will say why */
	if (S_ISSOCK(st.st_mode)) {
		local->kind = SOCKEYE__STANDARD_IO_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || local->tty) {
		int fd = open_again(given, for_write);

		if (fd >= 0)
			local->fd = fd;
		else if (!(fcntl(given, F_GETFL) & O_NONBLOCK))
			local->kind = SOCKEYE__STANDARD_IO_SHARED;
	}
}

static bool ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) > 0;
}

ssize_t sockeye__standard_io_read(struct sockeye__standard_io *local, void *buf, size_t len)
{
	ssize_t n;

	do {
		if (local->kind == SOCKEYE__STANDARD_IO_SOCKET)
			n = recv(local->fd, buf, len, MSG_DONTWAIT);
		else if (local->kind == SOCKEYE__STANDARD_IO_SHARED && !ready(local->fd, POLLIN))
			return -EAGAIN;
		else
			n = read(local->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t sockeye__standard_io_write(struct sockeye__standard_io *local, const void *buf, size_t len)
{
	ssize_t n;

	/* A pipe that polls writable has a free page: PIPE_BUF bytes do not block. */
	if (local->kind == SOCKEYE__STANDARD_IO_SHARED && len > PIPE_BUF)
		len = PIPE_BUF;
	do {
		if (local->kind == SOCKEYE__STANDARD_IO_SOCKET)
			n = send(local->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (local->kind == SOCKEYE__STANDARD_IO_SHARED && !ready(local->fd, POLLOUT))
			return -EAGAIN;
		else
			n = write(local->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		local->in_line = ((const char *)buf)[n - 1] != '\n';
	return n < 0 ? -errno : n;
}

void sockeye__standard_io_end_line(struct sockeye__standard_io *local, const void *data, size_t len)
{
	const char *at = data, *lf = len > 0 ? memchr(data, '\n', len) : NULL;

	if (local->kind == SOCKEYE__STANDARD_IO_NONE || !local->in_line || !lf)
		return;
	while (at <= lf) {
		ssize_t n = sockeye__standard_io_write(local, at, (size_t)(lf - at) + 1);

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

void sockeye__standard_io_close(struct sockeye__standard_io *local, bool for_good)
{
	if (local->kind == SOCKEYE__STANDARD_IO_NONE)
		return;
	if (local->fd != local->given)
		close(local->fd);
	if (for_good) {
		/* Closing ends a connection only when nobody shares it, and
		 * standard input is often the same socket. */
		if (local->kind == SOCKEYE__STANDARD_IO_SOCKET && local->for_write)
			shutdown(local->given, SHUT_WR);
		close_for_good(local->given);
	}
	local->kind = SOCKEYE__STANDARD_IO_NONE;
	local->fd = -1;
}
