/*
 * tcp_echo_server.c: a TCP echo server with an accept loop, for one client at a
 * time. Prints its address.
 *
 *     tcp_echo_server tcp://127.0.0.1:0
 */
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

/* Sends all input back until end of file or until the connection fails. */
static void echo(int fd)
{
	char buf[4096];
	size_t done;
	ssize_t n;

	while ((n = sockeye_read_some(fd, buf, sizeof(buf), 0)) > 0)
		if (sockeye_writen(fd, buf, (size_t)n, 0, &done) < 0)
			break;
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockeye_listener listener;
	struct sockeye_addr addr;
	struct sockeye_fail why;

	if (argc != 2) {
		fprintf(stderr, "usage: tcp_echo_server ADDRESS\n");
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
		echo(fd);
	}
}
