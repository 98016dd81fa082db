/* standard_io.c: standard input and output that never block (standard_io.h). */
#include "console/standard_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"

/* Opens a pipe or terminal again, which creates a new open file description: only
 * the new one is non-blocking. Returns its descriptor, or -1 if /proc is missing or the
 * pipe belongs to another user (after su). */
static int reopen(int fd, bool for_write)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, (for_write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

void sockeye__standard_io_open(struct sockeye__standard_io *io, int fd, bool for_write)
{
	struct stat st;

	*io = (struct sockeye__standard_io){.fd = fd, .caller_fd = fd, .for_write = for_write};
	if (fd < 0)
		return;
	io->kind = SOCKEYE__STANDARD_IO_PLAIN;
	io->tty = isatty(fd);
	if (fstat(fd, &st) < 0)
		return; /* reading or writing will return the error */
	if (S_ISSOCK(st.st_mode)) {
		io->kind = SOCKEYE__STANDARD_IO_SOCKET;
	} else if (S_ISFIFO(st.st_mode) || io->tty) {
		int reopened = reopen(fd, for_write);

		if (reopened >= 0)
			io->fd = reopened;
		else if (!(fcntl(fd, F_GETFL) & O_NONBLOCK))
			io->kind = SOCKEYE__STANDARD_IO_SHARED;
	}
}

static bool is_ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) > 0;
}

ssize_t sockeye__standard_io_read(struct sockeye__standard_io *io, void *buf, size_t len)
{
	ssize_t n;

	do {
		if (io->kind == SOCKEYE__STANDARD_IO_SOCKET)
			n = recv(io->fd, buf, len, MSG_DONTWAIT);
		else if (io->kind == SOCKEYE__STANDARD_IO_SHARED && !is_ready(io->fd, POLLIN))
			return -EAGAIN;
		else
			n = read(io->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

bool sockeye__standard_io_may_read(const struct sockeye__standard_io *io)
{
	pid_t foreground;

	if (!io->tty)
		return true;
	foreground = tcgetpgrp(io->fd);
	return foreground < 0 || foreground == getpgrp(); /* < 0: not our controlling terminal */
}

/* The job can lose the foreground between the check and the read. The blocked signal
 * then makes the read fail with EIO instead of stopping the process. */
ssize_t sockeye__standard_io_read_job(struct sockeye__standard_io *io, void *buf, size_t len)
{
	sigset_t ttin, before;
	ssize_t n;

	if (!io->tty)
		return sockeye__standard_io_read(io, buf, len);
	if (!sockeye__standard_io_may_read(io))
		return -EAGAIN;
	sigemptyset(&ttin);
	sigaddset(&ttin, SIGTTIN);
	pthread_sigmask(SIG_BLOCK, &ttin, &before);
	n = sockeye__standard_io_read(io, buf, len);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return n == -EIO && !sockeye__standard_io_may_read(io) ? -EAGAIN : n;
}

bool sockeye__standard_io_typed(const struct sockeye__standard_io *io)
{
	struct pollfd p = {.fd = io->fd, .events = POLLIN};

	return io->tty && sockeye__standard_io_may_read(io) && poll(&p, 1, 0) > 0 &&
	       p.revents & POLLIN;
}

ssize_t sockeye__standard_io_write(struct sockeye__standard_io *io, const void *buf, size_t len)
{
	ssize_t n;

	/* A pipe that polls as writable has a free page, so PIPE_BUF bytes do not block. */
	if (io->kind == SOCKEYE__STANDARD_IO_SHARED && len > PIPE_BUF)
		len = PIPE_BUF;
	do {
		if (io->kind == SOCKEYE__STANDARD_IO_SOCKET)
			n = send(io->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (io->kind == SOCKEYE__STANDARD_IO_SHARED && !is_ready(io->fd, POLLOUT))
			return -EAGAIN;
		else
			n = write(io->fd, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		io->line_open = ((const char *)buf)[n - 1] != '\n';
	return n < 0 ? -errno : n;
}

void sockeye__standard_io_end_line(struct sockeye__standard_io *io, const void *data, size_t len)
{
	const char *at = data, *lf = len > 0 ? memchr(data, '\n', len) : NULL;

	if (io->kind == SOCKEYE__STANDARD_IO_NONE || !io->line_open || !lf)
		return;
	while (at <= lf) {
		ssize_t n = sockeye__standard_io_write(io, at, (size_t)(lf - at) + 1);

		if (n == -EAGAIN)
			sockeye__wait(io->fd, POLLOUT, 0);
		else if (n < 0)
			return;
		else
			at += n;
	}
}

static void caller_fd_close(int fd)
{
	int null = fd <= STDERR_FILENO ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;

	if (null >= 0) {
		dup2(null, fd);
		close(null);
	} else {
		close(fd);
	}
}

void sockeye__standard_io_close(struct sockeye__standard_io *io, bool close_caller_fd)
{
	if (io->kind == SOCKEYE__STANDARD_IO_NONE)
		return;
	if (io->fd != io->caller_fd)
		close(io->fd);
	if (close_caller_fd) {
		/* close(2) does not end a connection that another descriptor still
		 * refers to, and standard input is often the same socket. */
		if (io->kind == SOCKEYE__STANDARD_IO_SOCKET && io->for_write)
			shutdown(io->caller_fd, SHUT_WR);
		caller_fd_close(io->caller_fd);
	}
	io->kind = SOCKEYE__STANDARD_IO_NONE;
	io->fd = -1;
}
