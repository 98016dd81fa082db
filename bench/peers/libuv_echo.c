/*
 * libuv_echo.c: two echo servers with libuv. `libuv_echo try PORT` replies with
 * uv_try_write from one shared buffer, which is the faster way. `libuv_echo
 * guide PORT` is the tcp-echo-server of libuv's guide, which allocates a buffer
 * for each read and calls uv_write for each reply.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct answer {
	uv_write_t req;
	uv_buf_t buf;
};

static char shared[64 * 1024];

static void on_close(uv_handle_t *handle)
{
	free(handle);
}

static void on_write(uv_write_t *req, int status)
{
	struct answer *answer = (struct answer *)req;

	(void)status;
	free(answer->buf.base);
	free(answer);
}

/* Sends len bytes, and frees base once they are sent. */
static void answer_write(uv_stream_t *client, char *base, size_t len)
{
	struct answer *answer = malloc(sizeof(*answer));

	if (answer == NULL || base == NULL)
		errx(1, "malloc");
	answer->buf = uv_buf_init(base, (unsigned)len);
	uv_write(&answer->req, client, &answer->buf, 1, on_write);
}

static void alloc_shared(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(shared, sizeof(shared));
}

static void alloc_own(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	*buf = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void read_try(uv_stream_t *client, ssize_t n, const uv_buf_t *buf)
{
	uv_buf_t whole = uv_buf_init(buf->base, n > 0 ? (unsigned)n : 0);
	ssize_t sent;

	if (n < 0)
		uv_close((uv_handle_t *)client, on_close);
	if (n <= 0)
		return;
	sent = client->write_queue_size == 0 ? uv_try_write(client, &whole, 1) : 0;
	if (sent < 0)
		sent = 0;
	if (sent < n) {
		char *rest = malloc((size_t)(n - sent));

		if (rest != NULL)
			memcpy(rest, buf->base + sent, (size_t)(n - sent));
		answer_write(client, rest, (size_t)(n - sent));
	}
}

static void read_guide(uv_stream_t *client, ssize_t n, const uv_buf_t *buf)
{
	if (n > 0) {
		answer_write(client, buf->base, (size_t)n);
		return;
	}
	if (n < 0)
		uv_close((uv_handle_t *)client, on_close);
	free(buf->base);
}

static void on_connection(uv_stream_t *server, int status)
{
	uv_tcp_t *client = malloc(sizeof(*client));

	if (status < 0 || client == NULL)
		errx(1, "connection");
	uv_tcp_init(server->loop, client);
	if (uv_accept(server, (uv_stream_t *)client) != 0) {
		uv_close((uv_handle_t *)client, on_close);
		return;
	}
	uv_tcp_nodelay(client, 1);
	if (server->data == NULL)
		uv_read_start((uv_stream_t *)client, alloc_shared, read_try);
	else
		uv_read_start((uv_stream_t *)client, alloc_own, read_guide);
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	struct sockaddr_in name;
	uv_tcp_t server;

	if (argc != 3)
		errx(2, "usage: %s try|guide PORT", argv[0]);
	uv_ip4_addr("127.0.0.1", atoi(argv[2]), &name);
	uv_tcp_init(loop, &server);
	server.data = strcmp(argv[1], "guide") == 0 ? &server : NULL;
	if (uv_tcp_bind(&server, (const struct sockaddr *)&name, 0) != 0 ||
	    uv_listen((uv_stream_t *)&server, 4096, on_connection) != 0)
		errx(1, "listen on port %s", argv[2]);
	return uv_run(loop, UV_RUN_DEFAULT);
}
