/*
 * io.c: reads and writes until all bytes are transferred, the peer has closed or
 * the deadline has passed. The file descriptor may be blocking or non-blocking, and
 * of any type.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "net/net.h"

/* MSG_DONTWAIT exists only for sockets. With a deadline, any other file descriptor is
 * read after poll(2) reports that it is readable. */
static ssize_t file_read(int fd, void *buf, size_t len, uint64_t deadline_ns)
{
	int err = deadline_ns ? sockeye__wait(fd, POLLIN, deadline_ns) : 0;
	ssize_t n;

	if (err < 0)
		return err;
	n = read(fd, buf, len);
	return n < 0 ? -errno : n;
}

ssize_t sockeye_read_some(int fd, void *buf, size_t len, uint64_t deadline_ns)
{
	for (;;) {
		ssize_t n = recv(fd, buf, len, deadline_ns ? MSG_DONTWAIT : 0);
		int err;

		if (n < 0)
			n = errno == ENOTSOCK ? file_read(fd, buf, len, deadline_ns) : -errno;
		if (n == -EINTR)
			continue;
		if (n != -EAGAIN)
			return n;
		err = sockeye__wait(fd, POLLIN, deadline_ns);
		if (err < 0)
			return err;
	}
}

int sockeye_readn(int fd, void *buf, size_t len, uint64_t deadline_ns, size_t *out_done)
{
	size_t done = 0;
	int err = 0;

	while (done < len && err == 0) {
		ssize_t n = sockeye_read_some(fd, (char *)buf + done, len - done, deadline_ns);

		if (n > 0)
			done += (size_t)n;
		else
			err = n == 0 ? SOCKEYE_E_EOF : (int)n;
	}
	if (out_done != NULL)
		*out_done = done;
	return err;
}

/* Calls write(2) without raising SIGPIPE. The kernel sends the signal to the writing
 * thread, so this function blocks it there and consumes it if it becomes pending. A
 * signal that was pending before the call stays pending. */
static ssize_t write_quietly(int fd, const void *buf, size_t len)
{
	static const struct timespec at_once = {0};
	sigset_t sigpipe, before, pending;
	ssize_t n;

	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
	n = write(fd, buf, len);
	if (n < 0)
		n = -errno;
	if (n == -EPIPE && !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&sigpipe, NULL, &at_once) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return n;
}

static ssize_t file_write(int fd, const void *buf, size_t len, uint64_t deadline_ns)
{
	int err = deadline_ns ? sockeye__wait(fd, POLLOUT, deadline_ns) : 0;

	if (err < 0)
		return err;
	/* A writable pipe is only guaranteed to accept PIPE_BUF bytes (pipe(7)). A longer
	 * blocking write could block beyond the deadline. */
	return write_quietly(fd, buf, deadline_ns && len > PIPE_BUF ? PIPE_BUF : len);
}

static ssize_t write_some(int fd, const void *buf, size_t len, uint64_t deadline_ns)
{
	for (;;) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL | (deadline_ns ? MSG_DONTWAIT : 0));
		int err;

		if (n < 0)
			n = errno == ENOTSOCK ? file_write(fd, buf, len, deadline_ns) : -errno;
		if (n == -EINTR)
			continue;
		if (n != -EAGAIN)
			return n;
		err = sockeye__wait(fd, POLLOUT, deadline_ns);
		if (err < 0)
			return err;
	}
}

int sockeye_writen(int fd, const void *buf, size_t len, uint64_t deadline_ns, size_t *out_done)
{
	size_t done = 0;
	int err = 0;

	while (done < len && err == 0) {
		ssize_t n = write_some(fd, (const char *)buf + done, len - done, deadline_ns);

		if (n >= 0)
			done += (size_t)n;
		else
			err = (int)n;
	}
	if (out_done != NULL)
		*out_done = done;
	return err;
}

int sockeye_half_close(int fd)
{
	return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

void sockeye_reset(int fd)
{
	const struct linger now = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}
