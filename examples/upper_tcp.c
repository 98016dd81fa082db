/*
 * upper_tcp.c: a TCP server that sends its input back in upper case, with a
 * thread for each client. Prints its address.
 *
 *     upper_tcp tcp://127.0.0.1:0
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <sockeye.h>

static int complain(const struct sockeye_fail *why)
{
	char text[1024];

	sockeye_fail_text(why, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	return sockeye_error_exit(why->err);
}

static void print_address(const struct sockeye_listener *listener)
{
	char text[SOCKEYE_ADDR_TEXT_MAX];

	sockeye_sockaddr_print_url(&listener->name, listener->scheme, text, sizeof(text));
	puts(text);
	fflush(stdout);
}

static void upper(char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] >= 'a' && p[i] <= 'z')
			p[i] = (char)(p[i] - 'a' + 'A');
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	size_t done;
	ssize_t n;

	while ((n = sockeye_read_some(fd, buf, sizeof(buf), 0)) > 0) {
		upper(buf, (size_t)n);
		if (sockeye_writen(fd, buf, (size_t)n, 0, &done) < 0)
			break;
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockeye_listener listener;
	struct sockeye_addr addr;
	struct sockeye_fail why;
	pthread_t thread;

	if (argc != 2) {
		fprintf(stderr, "usage: upper_tcp ADDRESS\n");
		return SOCKEYE_EXIT_USAGE;
	}
	if (sockeye_addr_parse(argv[1], &addr, &why) < 0 ||
	    sockeye_listen(&addr, NULL, &listener, 1, &why) < 0)
		return complain(&why);
	print_address(&listener);
	for (;;) {
		int fd = sockeye_accept(listener.fd, false, 0, NULL);

		if (fd < 0) {
			fprintf(stderr, "accept: %s\n", sockeye_error_text(fd));
			return sockeye_error_exit(fd);
		}
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
		else
			close(fd); /* no thread: reject this client */
	}
}
