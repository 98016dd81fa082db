/*
 * five_writes.c: writes 512 bytes five times, then reads with a buffer of 2560
 * bytes, on a stream and on datagrams, and prints how much each read returns.
 *
 *     five_writes
 */
#include <stdio.h>
#include <unistd.h>

#include <sockeye.h>

#define WRITES      5
#define WRITE_LEN   512
#define TOTAL       (WRITES * WRITE_LEN)
#define PATIENCE_MS 2000

/* Opens a socket and connects a second one to it. Returns 0 or a negative code. */
static int pair(const char *where, struct sockeye_listener *out_listener, int *out_client)
{
	char text[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;
	int err = sockeye_addr_parse(where, &addr, NULL);

	if (err < 0)
		return err;
	err = sockeye_listen(&addr, NULL, out_listener, 1, NULL);
	if (err < 0)
		return err;
	sockeye_sockaddr_print_url(&out_listener->name, addr.scheme, text, sizeof(text));
	err = sockeye_addr_parse(text, &addr, NULL);
	if (err == 0)
		err = *out_client = sockeye_connect(&addr, NULL, NULL);
	return err < 0 ? err : 0;
}

/* A stream does not preserve write boundaries: one read returns all bytes. */
static int stream(void)
{
	char buf[TOTAL] = {0};
	uint64_t deadline_ns = sockeye_deadline_ms(PATIENCE_MS);
	struct sockeye_listener listener;
	size_t done = 0;
	int client, err = pair("tcp://127.0.0.1:0", &listener, &client);

	if (err < 0)
		return err;
	for (int i = 0; i < WRITES && err == 0; i++)
		err = sockeye_writen(client, buf, WRITE_LEN, deadline_ns, &done);
	int server = sockeye_accept(listener.fd, false, deadline_ns, NULL);
	if (err == 0 && server >= 0)
		err = sockeye_readn(server, buf, TOTAL, deadline_ns, &done);
	printf("stream: 5 writes of 512, one read of 2560: %zu\n", done);
	close(server);
	close(client);
	sockeye_listener_close(&listener);
	return server < 0 ? server : err;
}

/* Each datagram is a separate message: one read returns one of them. */
static int datagrams(void)
{
	char buf[TOTAL] = {0};
	uint64_t deadline_ns = sockeye_deadline_ms(PATIENCE_MS);
	struct sockeye_listener listener;
	int client, err = pair("udp://127.0.0.1:0", &listener, &client);

	if (err < 0)
		return err;
	for (int i = 0; i < WRITES && err == 0; i++)
		err = sockeye_dgram_send(client, buf, WRITE_LEN, NULL);
	printf("datagram: 5 writes of 512, reads of 2560:");
	for (int i = 0; i < WRITES && err == 0; i++) {
		struct sockeye_dgram dgram;

		err = sockeye_dgram_recv(listener.fd, buf, TOTAL, deadline_ns, &dgram);
		if (err == 0)
			printf(" %zu", dgram.len);
	}
	printf("\n");
	close(client);
	sockeye_listener_close(&listener);
	return err;
}

int main(void)
{
	int err = stream();

	if (err == 0)
		err = datagrams();
	if (err < 0)
		fprintf(stderr, "five_writes: %s\n", sockeye_error_text(err));
	return sockeye_error_exit(err);
}
