/*
 * epoll_echo.c: the plainest epoll echo server. It is level-triggered, has one
 * shared receive buffer, writes each reply immediately, and calls epoll_ctl only if
 * the socket's send buffer is full. It makes three system calls per message with
 * one connection, and two with many.
 */
#include <limits.h>
#include <sys/epoll.h>

#include "limit.h"

#define ROOM   (256 * 1024) /* bytes of the receive buffer */
#define EVENTS 1024

/* Unsent bytes for a slow peer. Idle connections have none. */
struct rest {
	size_t start, end;
	char data[];
};

static struct rest *rests[1 << 20]; /* by descriptor */
static char room[ROOM];

static void watch(int epoll, int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (epoll_ctl(epoll, op, fd, &ev) < 0)
		err(1, "epoll_ctl");
}

static void drop(int fd)
{
	free(rests[fd]);
	rests[fd] = NULL;
	close(fd);
}

/* Stores the unsent bytes, and stops reading until they are sent. */
static void keep(int epoll, int fd, const char *data, size_t len)
{
	struct rest *rest = malloc(sizeof(*rest) + len);

	if (rest == NULL)
		err(1, "malloc");
	rest->start = 0;
	rest->end = len;
	memcpy(rest->data, data, len);
	rests[fd] = rest;
	watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void flush(int epoll, int fd)
{
	struct rest *rest = rests[fd];
	ssize_t n = send(fd, rest->data + rest->start, rest->end - rest->start, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN) {
		drop(fd);
		return;
	}
	rest->start += n > 0 ? (size_t)n : 0;
	if (rest->start < rest->end)
		return;
	free(rest);
	rests[fd] = NULL;
	watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

/* Returns 1 if it received a message, and 0 otherwise. */
static int echo(int epoll, int fd)
{
	ssize_t n = recv(fd, room, sizeof(room), 0);
	ssize_t sent;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0) {
		drop(fd);
		return 0;
	}
	sent = send(fd, room, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		drop(fd);
	else if (sent < n)
		keep(epoll, fd, room + (sent > 0 ? sent : 0), (size_t)(n - (sent > 0 ? sent : 0)));
	return 1;
}

int main(int argc, char **argv)
{
	static struct epoll_event events[EVENTS];
	int listener = limit_listen(argc, argv), epoll = epoll_create1(EPOLL_CLOEXEC), n;
	uint64_t left = limit_messages(argc, argv);

	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
	while (left > 0) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n && left > 0; i++) {
			int fd = events[i].data.fd;

			if (fd == listener) {
				fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (fd >= 0)
					watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
			} else if (rests[fd] != NULL) {
				flush(epoll, fd);
			} else {
				left -= (uint64_t)echo(epoll, fd);
			}
		}
	}
	return 0;
}
