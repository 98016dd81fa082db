/*
 * udp_connected.c: a UDP client with a connected socket. It sends one datagram
 * and prints the reply, or fails as soon as the server's host reports a closed port.
 *
 *     udp_connected udp://127.0.0.1:7007 'hello server'
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

int main(int argc, char **argv)
{
	char buf[SOCKEYE_UDP_PAYLOAD_MAX];
	struct sockeye_dgram answer;
	struct sockeye_addr addr;
	struct sockeye_fail why;

	if (argc != 3) {
		fprintf(stderr, "usage: udp_connected ADDRESS TEXT\n");
		return SOCKEYE_EXIT_USAGE;
	}
	if (sockeye_addr_parse(argv[1], &addr, &why) < 0)
		return complain(&why);
	int fd = sockeye_connect(&addr, NULL, &why);
	if (fd < 0)
		return complain(&why);
	int err = sockeye_dgram_send(fd, argv[2], strlen(argv[2]), NULL);

	if (err == 0)
		err = sockeye_dgram_recv(fd, buf, sizeof(buf), sockeye_deadline_ms(PATIENCE_MS),
					 &answer);
	if (err == 0)
		printf("%.*s\n", (int)answer.len, buf);
	else
		fprintf(stderr, "%s: %s\n", argv[1], sockeye_error_text(err));
	close(fd);
	return sockeye_error_exit(err);
}
