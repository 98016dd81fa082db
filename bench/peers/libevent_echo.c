/*
 * libevent_echo.c: `libevent_echo PORT`, an echo server with libevent's
 * bufferevents, as in its manual: it moves the input buffer to the output buffer.
 */
#include <err.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)arg;
	evbuffer_add_buffer(bufferevent_get_output(bev), bufferevent_get_input(bev));
}

static void on_event(struct bufferevent *bev, short events, void *arg)
{
	(void)arg;
	if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(bev);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *name,
		      int len, void *arg)
{
	struct bufferevent *bev =
	    bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
	int on = 1;

	(void)name;
	(void)len;
	(void)arg;
	if (bev == NULL)
		errx(1, "bufferevent");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	struct event_base *base = event_base_new();

	if (argc != 2)
		errx(2, "usage: %s PORT", argv[0]);
	name.sin_port = htons((uint16_t)atoi(argv[1]));
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (evconnlistener_new_bind(base, on_accept, NULL,
				    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 4096,
				    (struct sockaddr *)&name, sizeof(name)) == NULL)
		errx(1, "listen on port %s", argv[1]);
	return event_base_dispatch(base);
}
