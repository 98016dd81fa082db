/*
 * tcp_echo_client.c: sends a text to a server and prints the reply.
 *
 *     tcp_echo_client tcp://127.0.0.1:7007 'hello server'
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

/* Sends the text, half-closes the connection, and prints the reply until end of file.
 * Returns 0 or a negative code. */
static int converse(int fd, const char *text, uint64_t deadline_ns)
{
	char buf[4096];
	size_t done;
	ssize_t n = sockeye_writen(fd, text, strlen(text), deadline_ns, &done);

	if (n == 0)
		n = sockeye_half_close(fd);
	if (n < 0)
		return (int)n;
	while ((n = sockeye_read_some(fd, buf, sizeof(buf), deadline_ns)) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	putchar('\n');
	return (int)n;
}

int main(int argc, char **argv)
{
	struct sockeye_connect_opts opts = {.deadline_ns = sockeye_deadline_ms(PATIENCE_MS)};
	struct sockeye_addr addr;
	struct sockeye_fail why;

	if (argc != 3) {
		fprintf(stderr, "usage: tcp_echo_client ADDRESS TEXT\n");
		return SOCKEYE_EXIT_USAGE;
	}
	if (sockeye_addr_parse(argv[1], &addr, &why) < 0)
		return complain(&why);
	int fd = sockeye_connect(&addr, &opts, &why);
	if (fd < 0)
		return complain(&why);
	int err = converse(fd, argv[2], opts.deadline_ns);

	close(fd);
	if (err < 0)
		fprintf(stderr, "%s: %s\n", argv[1], sockeye_error_text(err));
	return sockeye_error_exit(err);
}
