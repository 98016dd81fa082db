/*
 * udp_unconnected.c: a UDP client without a connected socket. It sends one
 * datagram, accepts a reply from any address, and prints that address.
 *
 *     udp_unconnected udp://127.0.0.1:7007 'hello server'
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sockeye.h>

#define PATIENCE_MS 2000

static int complain(const struct sockeye_fail *why)
{
	char text[1024];

	sockeye_fail_text(why, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	return sockeye_error_exit(why->err);
}

static int ask(int fd, const struct sockeye_sockaddr *server, const char *text)
{
	char buf[SOCKEYE_UDP_PAYLOAD_MAX], from[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_dgram question = {.peer = *server}, answer;
	int err = sockeye_dgram_send(fd, text, strlen(text), &question);

	if (err == 0)
		err = sockeye_dgram_recv(fd, buf, sizeof(buf), sockeye_deadline_ms(PATIENCE_MS),
					 &answer);
	if (err < 0)
		return err;
	sockeye_sockaddr_print(&answer.peer, from, sizeof(from));
	printf("%s: %.*s\n", from, (int)answer.len, buf);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockeye_sockaddr server;
	struct sockeye_addr addr;
	struct sockeye_fail why;

	if (argc != 3) {
		fprintf(stderr, "usage: udp_unconnected ADDRESS TEXT\n");
		return SOCKEYE_EXIT_USAGE;
	}
	if (sockeye_addr_parse(argv[1], &addr, &why) < 0 ||
	    sockeye_resolve(&addr, false, &server, 1, &why) < 0)
		return complain(&why);
	int fd = socket(server.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		perror("socket");
		return SOCKEYE_EXIT_LOCAL;
	}
	int err = ask(fd, &server, argv[2]);

	if (err < 0)
		fprintf(stderr, "%s: %s\n", argv[1], sockeye_error_text(err));
	close(fd);
	return sockeye_error_exit(err);
}
