/*
 * ports.c: the sockets of transfers, each on a separate random port.
 *
 * A packet to the port of a transfer shows that its sender has received a reply (RFC 1350,
 * section 4), so another host must not be able to predict the port.
 */
#include "tftp/server/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

int sockeye__tftp_port_open(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *local,
			    struct sockeye__tftp_port **out)
{
	struct sockeye__tftp_port *p = malloc(sizeof *p);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};
	int err;

	if (p == NULL)
		return -ENOMEM;
	*p = (struct sockeye__tftp_port){.watch = SOCKEYE__WATCH_PORT,
					 .watch_strangers = SOCKEYE__WATCH_STRANGERS,
					 .strangers = -1};
	p->fd = err = sockeye__tftp_wire_open(local, &w->server->config.ports);
	if (err >= 0 && epoll_ctl(w->epoll, EPOLL_CTL_ADD, p->fd, &ev) < 0) {
		err = -errno;
		close(p->fd);
	}
	if (err < 0) {
		free(p);
		return err;
	}
	*out = p;
	return 0;
}

void sockeye__tftp_port_close(struct sockeye__tftp_worker *w, struct sockeye__tftp_port *p)
{
	p->user = NULL;
	close(p->fd);
	if (p->strangers >= 0)
		close(p->strangers);
	p->fd = p->strangers = -1;
	p->next = w->closed;
	w->closed = p;
}

void sockeye__tftp_port_strangers(struct sockeye__tftp_worker *w,
				  const struct sockeye__tftp_port *p)
{
	int fd = p->strangers >= 0 ? p->strangers : p->fd;
	struct sockeye_dgram from;
	size_t segment;
	ssize_t n = sockeye__tftp_wire_recv(fd, w->in, &from, &segment);

	if (n > 0)
		sockeye__tftp_wire_reject(fd, &from.peer, w->in, (size_t)n);
}

void sockeye__tftp_ports_free(struct sockeye__tftp_worker *w)
{
	while (w->closed != NULL) {
		struct sockeye__tftp_port *p = w->closed;

		w->closed = p->next;
		free(p);
	}
}

void sockeye__tftp_ports_check(const struct sockeye__tftp_worker *w)
{
	for (const struct sockeye__tftp_port *p = w->closed; p != NULL; p = p->next)
		assert(p->fd == -1 && p->strangers == -1 && p->user == NULL);
}
