/*
 * unix_pair.c: a client and a server for a UNIX-domain stream socket. The server
 * replies to each message with its length.
 *
 *     unix_pair server unix:/tmp/pair.sock
 *     unix_pair client unix:/tmp/pair.sock 'hello server'
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sockeye.h>

#define PATIENCE_MS 5000

static int complain(const struct sockeye_fail *why)
{
	char text[1024];

	sockeye_fail_text(why, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	return sockeye_error_exit(why->err);
}

/* Reads until end of file, then replies. */
static void serve(int fd)
{
	uint64_t deadline_ns = sockeye_deadline_ms(PATIENCE_MS);
	char buf[4096];
	size_t total = 0, done;
	ssize_t n;

	while ((n = sockeye_read_some(fd, buf, sizeof(buf), deadline_ns)) > 0)
		total += (size_t)n;
	n = snprintf(buf, sizeof(buf), "Server got %zu bytes", total);
	sockeye_writen(fd, buf, (size_t)n, deadline_ns, &done);
	close(fd);
}

static int server(const struct sockeye_addr *addr)
{
	char text[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_listener listener;
	struct sockeye_fail why;
	int fd;

	if (sockeye_listen(addr, NULL, &listener, 1, &why) < 0)
		return complain(&why);
	sockeye_addr_print(addr, text, sizeof(text));
	puts(text);
	fflush(stdout);
	while ((fd = sockeye_accept(listener.fd, false, 0, NULL)) >= 0)
		serve(fd);
	sockeye_listener_close(&listener); /* also removes the socket file */
	fprintf(stderr, "accept: %s\n", sockeye_error_text(fd));
	return sockeye_error_exit(fd);
}

static int client(const struct sockeye_addr *addr, const char *message)
{
	uint64_t deadline_ns = sockeye_deadline_ms(PATIENCE_MS);
	char buf[4096];
	struct sockeye_fail why;
	size_t done = 0;
	int fd = sockeye_connect(addr, NULL, &why);

	if (fd < 0)
		return complain(&why);
	int err = sockeye_writen(fd, message, strlen(message), deadline_ns, &done);
	if (err == 0)
		err = sockeye_half_close(fd);
	if (err == 0)
		err = sockeye_readn(fd, buf, sizeof(buf), deadline_ns, &done);
	close(fd);
	if (err < 0 && err != SOCKEYE_E_EOF) { /* the end of the stream is expected */
		fprintf(stderr, "%s\n", sockeye_error_text(err));
		return sockeye_error_exit(err);
	}
	printf("%.*s\n", (int)done, buf);
	return SOCKEYE_EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct sockeye_addr addr;
	struct sockeye_fail why;

	if (argc < 3) {
		fprintf(stderr, "usage: unix_pair server ADDRESS | client ADDRESS TEXT\n");
		return SOCKEYE_EXIT_USAGE;
	}
	if (sockeye_addr_parse(argv[2], &addr, &why) < 0)
		return complain(&why);
	return argc == 4 ? client(&addr, argv[3]) : server(&addr);
}
