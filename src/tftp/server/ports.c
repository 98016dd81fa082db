/*
 * ports.c: the sockets of transfers, each on a separate port.
 *
 * A machine that boots requests a dozen files in a row. The socket of the first
 * transfer is kept for a moment and used for the next ones, because opening, binding
 * and closing a socket costs as much as sending a small file. It is kept only for the
 * same client, so that no client can learn the ports of others.
 */
#include "tftp/server/internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/net.h"

#define IDLE_MAX 64
#define IDLE_NS  SOCKEYE_NS_PER_S

static struct sockeye__peer name_of(const struct sockeye_sockaddr *name)
{
	struct sockeye_sockaddr plain = sockeye__sockaddr_unmapped(name);
	struct sockeye__peer out = {0};

	memcpy(&out.u, &plain.u, plain.len < sizeof out.u ? plain.len : sizeof out.u);
	return out;
}

static bool same_host(const struct sockeye__peer *a, const struct sockeye__peer *b)
{
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;
	if (a->u.sa.sa_family == AF_INET)
		return a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr) &&
	       a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id;
}

static in_port_t port_of(const struct sockeye__peer *name)
{
	return name->u.sa.sa_family == AF_INET ? name->u.in.sin_port : name->u.in6.sin6_port;
}

/* Returns the port's bit in a set of ports. A thousand ports share each bit. */
static uint64_t port_bit(const struct sockeye__peer *name)
{
	return UINT64_C(1) << ntohs(port_of(name)) % 64;
}

/* --- idle ports, the oldest first --- */

static void idle_leave(struct sockeye__tftp_worker *w, struct sockeye__tftp_port *p)
{
	*(p->prev != NULL ? &p->prev->next : &w->idle.first) = p->next;
	*(p->next != NULL ? &p->next->prev : &w->idle.last) = p->prev;
	w->idle.count--;
}

static void idle_join(struct sockeye__tftp_worker *w, struct sockeye__tftp_port *p)
{
	p->next = NULL;
	p->prev = w->idle.last;
	*(w->idle.last != NULL ? &w->idle.last->next : &w->idle.first) = p;
	w->idle.last = p;
	w->idle.count++;
}

/* Closes the sockets. The memory is freed after the batch of events, which may still
 * refer to it. */
static void port_close(struct sockeye__tftp_worker *w, struct sockeye__tftp_port *p)
{
	close(p->fd);
	if (p->strangers >= 0)
		close(p->strangers);
	p->fd = p->strangers = -1;
	p->next = w->closed;
	w->closed = p;
}

static bool oldest_close(struct sockeye__tftp_worker *w)
{
	struct sockeye__tftp_port *p = w->idle.first;

	if (p == NULL)
		return false;
	idle_leave(w, p);
	port_close(w, p);
	return true;
}

/* Finds an idle port that has served this host at this local address, but not this
 * port of the host: a late packet of that transfer must not be taken for one of the
 * new transfer (RFC 1350, section 4). */
static struct sockeye__tftp_port *idle_find(const struct sockeye__tftp_worker *w,
					    const struct sockeye__peer *local,
					    const struct sockeye__peer *peer)
{
	struct sockeye__tftp_port *p = w->idle.first;

	while (p != NULL && !(same_host(&p->peer, peer) && same_host(&p->local, local) &&
			      (p->served & port_bit(peer)) == 0))
		p = p->next;
	return p;
}

/* --- taking and leaving --- */

static int port_open(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *local,
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
	do
		p->fd = sockeye__tftp_wire_open(local, &w->server->config.ports);
	while (p->fd == -EMFILE && oldest_close(w));
	err = p->fd;
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

int sockeye__tftp_port_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *local,
			    const struct sockeye_sockaddr *peer, struct sockeye__tftp_port **out)
{
	struct sockeye__peer from = name_of(local), to = name_of(peer);
	struct sockeye__tftp_port *p = idle_find(w, &from, &to);

	if (p != NULL) {
		idle_leave(w, p);
	} else {
		int err = port_open(w, local, &p);

		if (err < 0)
			return err;
		p->local = from;
	}
	p->peer = to;
	p->served |= port_bit(&to);
	*out = p;
	return 0;
}

void sockeye__tftp_port_leave(struct sockeye__tftp_worker *w, struct sockeye__tftp_port *p,
			      bool unchanged)
{
	p->user = NULL;
	/* With a range, another client may need the port. */
	if (!unchanged || w->stopping || w->server->config.ports.first != 0) {
		port_close(w, p);
		return;
	}
	if (w->idle.count == IDLE_MAX)
		oldest_close(w);
	p->idle_ns = w->now_ns;
	idle_join(w, p);
}

static bool of_last_peer(const struct sockeye__tftp_port *p, const struct sockeye_sockaddr *from)
{
	struct sockeye__peer name = name_of(from);

	return same_host(&p->peer, &name) && port_of(&p->peer) == port_of(&name);
}

/* Rejects a packet from an unknown peer, but not from the port's last peer, which would
 * take the ERROR for the reply to its next request. */
void sockeye__tftp_port_strangers(struct sockeye__tftp_worker *w,
				  const struct sockeye__tftp_port *p)
{
	int fd = p->strangers >= 0 ? p->strangers : p->fd;
	struct sockeye_dgram from;
	size_t segment;
	ssize_t n = sockeye__tftp_wire_recv(fd, w->in, &from, &segment);

	if (n > 0 && !(p->user == NULL && of_last_peer(p, &from.peer)))
		sockeye__tftp_wire_reject(fd, &from.peer, w->in, (size_t)n);
}

/* --- all ports --- */

uint64_t sockeye__tftp_ports_due_ns(const struct sockeye__tftp_worker *w)
{
	return w->idle.first != NULL ? w->idle.first->idle_ns + IDLE_NS : 0;
}

void sockeye__tftp_ports_tidy(struct sockeye__tftp_worker *w)
{
	while (w->idle.first != NULL && (w->stopping || sockeye__tftp_ports_due_ns(w) <= w->now_ns))
		oldest_close(w);
	while (w->closed != NULL) {
		struct sockeye__tftp_port *p = w->closed;

		w->closed = p->next;
		free(p);
	}
}

void sockeye__tftp_ports_check(const struct sockeye__tftp_worker *w)
{
	const struct sockeye__tftp_port *before = NULL;
	unsigned count = 0;

	for (const struct sockeye__tftp_port *p = w->idle.first; p != NULL; p = p->next) {
		assert(p->prev == before && p->user == NULL && p->fd >= 0);
		assert(before == NULL || before->idle_ns <= p->idle_ns);
		before = p;
		count++;
	}
	assert(w->idle.last == before && w->idle.count == count && count <= IDLE_MAX);
	for (const struct sockeye__tftp_port *p = w->closed; p != NULL; p = p->next)
		assert(p->fd == -1 && p->strangers == -1 && p->user == NULL);
}
