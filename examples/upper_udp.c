/*
 * upper_udp.c: a UDP server that sends each datagram back in upper case, from
 * the address that received it. Prints its address.
 *
 *     upper_udp udp://127.0.0.1:0
 */
#include <stdio.h>

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

/* Receives one datagram and replies to it. Returns 0 or a negative code. */
static int answer(int fd)
{
	char buf[SOCKEYE_UDP_PAYLOAD_MAX];
	struct sockeye_dgram dgram;
	int err = sockeye_dgram_recv(fd, buf, sizeof(buf), 0, &dgram);

	if (err < 0)
		return err;
	upper(buf, dgram.len);
	/* dgram holds the sender's address and the local one that received the request: the
	 * reply swaps them. A reply that cannot be sent is lost, like any datagram. */
	sockeye_dgram_send(fd, buf, dgram.len, &dgram);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockeye_listener listener;
	struct sockeye_addr addr;
	struct sockeye_fail why;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: upper_udp ADDRESS\n");
		return SOCKEYE_EXIT_USAGE;
	}
	if (sockeye_addr_parse(argv[1], &addr, &why) < 0 ||
	    sockeye_listen(&addr, NULL, &listener, 1, &why) < 0)
		return complain(&why);
	err = sockeye_dgram_want_local(listener.fd);
	print_address(&listener);
	while (err == 0)
		err = answer(listener.fd);
	fprintf(stderr, "receive: %s\n", sockeye_error_text(err));
	return sockeye_error_exit(err);
}
