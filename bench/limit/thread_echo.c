/*
 * thread_echo.c: the plainest blocking echo server, with one thread per
 * connection. It makes two system calls per message, recv and send, and no
 * readiness call; with one connection only io_uring makes fewer. With MESSAGES
 * the program exits when one connection has received that number of replies.
 */
#include <pthread.h>

#include "limit.h"

#define ROOM  (256 * 1024) /* on each thread's stack; the kernel allocates pages on first use */
#define STACK (ROOM + 64 * 1024)

static uint64_t messages;

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint64_t left = messages;
	char room[ROOM];
	ssize_t n;

	while (left > 0 && (n = recv(fd, room, sizeof(room), 0)) > 0) {
		/* A blocking send is short only if the connection has failed. */
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
