/*
 * thread_echo.c: the plainest blocking echo: a thread a connection, recv and
 * send. Two system calls a message and no readiness call: at one connection
 * nothing but io_uring has fewer. With MESSAGES the first connection that has
 * had that many answers ends the program.
 */
#include <pthread.h>

#include "limit.h"

#define ROOM  (256 * 1024) /* on each thread's stack; a page is real once it is used */
#define STACK (ROOM + 64 * 1024)

static uint64_t messages;

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint64_t left = messages;
	char room[ROOM];
	ssize_t n;

	while (left > 0 && (n = recv(fd, room, sizeof(room), 0)) > 0) {
		/* A blocking send is short only when the peer is gone. */
		if (send(fd, room, (size_t)n, MSG_NOSIGNAL) < n)
			break;
		left--;
	}
	close(fd);
	if (left == 0)
		exit(0);
	return NULL;
}

int main(int argc, char **argv)
{
	int listener = limit_listen(argc, argv), fd;
	pthread_attr_t attr;
	pthread_t thread;

	messages = limit_messages(argc, argv);
	if (pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, STACK) != 0 ||
	    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) != 0)
		errx(1, "pthread_attr");
	for (;;) {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd) != 0)
			close(fd);
	}
}
