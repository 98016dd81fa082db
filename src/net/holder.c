/*
 * holder.c: finds out which sockets have a port, from the kernel's list (sock_diag(7)).
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/net.h"

#define STATE_BOUND     13 /* TCP_BOUND_INACTIVE of linux/net/tcp_states.h */
#define TIMER_TIME_WAIT 3  /* idiag_timer */
#define OWN_FDS         1024

struct search {
	const struct sockeye_sockaddr *name, *peer;
	struct sockeye__holder found;
};

static bool is_overlapping(const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b)
{
	return sockeye__sockaddr_is_any(a) || sockeye__sockaddr_is_any(b) ||
	       sockeye_sockaddr_equal(a, b);
}

static struct sockeye_sockaddr name_read(int family, const void *address, __be16 port)
{
	struct sockeye_sockaddr name = {.len = sizeof name.u.in};

	name.u.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		name.u.in.sin_port = port;
		memcpy(&name.u.in.sin_addr, address, sizeof name.u.in.sin_addr);
		return name;
	}
	name.len = sizeof name.u.in6;
	name.u.in6.sin6_port = port;
	memcpy(&name.u.in6.sin6_addr, address, sizeof name.u.in6.sin6_addr);
	return sockeye__sockaddr_unmapped(&name);
}

static enum sockeye__holder_kind kind_of(const struct inet_diag_msg *m)
{
	switch (m->idiag_state) {
	case TCP_LISTEN:
		return SOCKEYE__HOLDER_LISTENS;
	case TCP_CLOSE:
	case STATE_BOUND:
		return SOCKEYE__HOLDER_BOUND;
	case TCP_TIME_WAIT:
		return SOCKEYE__HOLDER_TIME_WAIT;
	default:
		return SOCKEYE__HOLDER_CONNECTED;
	}
}

static void socket_take(struct search *s, const struct inet_diag_msg *m)
{
	struct sockeye_sockaddr local =
	    name_read(m->idiag_family, m->id.idiag_src, m->id.idiag_sport);
	struct sockeye_sockaddr remote =
	    name_read(m->idiag_family, m->id.idiag_dst, m->id.idiag_dport);
	enum sockeye__holder_kind kind = kind_of(m);
	struct sockeye__holder *found = &s->found;

	if (sockeye_sockaddr_port(&local) != sockeye_sockaddr_port(s->name) ||
	    !is_overlapping(&local, s->name) ||
	    (s->peer != NULL && !sockeye_sockaddr_equal(&remote, s->peer)) || kind < found->kind)
		return;
	if (kind == SOCKEYE__HOLDER_LISTENS)
		*found = (struct sockeye__holder){
		    .kind = kind, .waiting = m->idiag_rqueue, .backlog = m->idiag_wqueue};
	else if (kind != SOCKEYE__HOLDER_TIME_WAIT || kind > found->kind)
		*found = (struct sockeye__holder){.kind = kind};
	/* The port is free when the last of several connections has left TIME_WAIT. */
	if (kind == SOCKEYE__HOLDER_TIME_WAIT && m->idiag_timer == TIMER_TIME_WAIT &&
	    m->idiag_expires > found->free_ms)
		found->free_ms = m->idiag_expires;
}

static int message_take(const struct nlmsghdr *head, void *search)
{
	if (mnl_nlmsg_get_payload_len(head) >= sizeof(struct inet_diag_msg))
		socket_take(search, mnl_nlmsg_get_payload(head));
	return MNL_CB_OK;
}

/* Asks for the TCP sockets of a family that have the port. */
static void family_search(struct search *s, int fd, int family)
{
	union {
		struct nlmsghdr align;
		char bytes[16384];
	} buf; /* the question, then the answers */
	struct nlmsghdr *head = mnl_nlmsg_put_header(buf.bytes);
	struct inet_diag_req_v2 *ask = mnl_nlmsg_put_extra_header(head, sizeof *ask);
	ssize_t n;

	head->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	head->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	ask->sdiag_family = (__u8)family;
	ask->sdiag_protocol = IPPROTO_TCP;
	ask->idiag_states = ~0U;
	ask->id.idiag_sport = htons(sockeye_sockaddr_port(s->name));
	if (send(fd, head, head->nlmsg_len, 0) < 0)
		return;
	do
		n = recv(fd, &buf, sizeof buf, 0);
	while (n > 0 && mnl_cb_run(buf.bytes, (size_t)n, 0, 0, message_take, s) == MNL_CB_OK);
}

struct sockeye__holder sockeye__holder_find(const struct sockeye_sockaddr *name,
					    const struct sockeye_sockaddr *peer)
{
	const struct timeval limit = {.tv_sec = 1};
	struct search s = {.name = name, .peer = peer};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return s.found;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	family_search(&s, fd, AF_INET);
	family_search(&s, fd, AF_INET6);
	close(fd);
	return s.found;
}

/* Whether a socket can be the reason that bind(2) fails: for a stream address, a socket
 * that listens; for a datagram address, any datagram socket. */
static bool is_open(int fd, bool stream)
{
	int type, listens;

	if (sockeye__option_get(fd, SOL_SOCKET, SO_TYPE, &type) < 0)
		return false;
	if (type == SOCK_DGRAM)
		return !stream;
	return stream && sockeye__option_get(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens) == 0 &&
	       listens != 0;
}

bool sockeye__holder_is_self(const struct sockeye_sockaddr *name, bool stream)
{
	bool is_unix = name->u.sa.sa_family == AF_UNIX;
	struct sockeye_sockaddr own;

	if (!is_unix && sockeye_sockaddr_port(name) == 0)
		return false;
	for (int fd = 0; fd < OWN_FDS; fd++) {
		if (!is_open(fd, stream) || sockeye_local_name(fd, &own) < 0 ||
		    (own.u.sa.sa_family == AF_UNIX) != is_unix)
			continue;
		if (is_unix ? sockeye_sockaddr_equal(&own, name)
			    : sockeye_sockaddr_port(&own) == sockeye_sockaddr_port(name) &&
				  is_overlapping(&own, name))
			return true;
	}
	return false;
}

bool sockeye__holder_is_here(const struct sockeye_sockaddr *name)
{
	struct sockeye__kind kind = {name->u.sa.sa_family, SOCK_DGRAM, IPPROTO_UDP};
	int fd = sockeye__socket_open(&kind, 0);
	struct sockeye_sockaddr local = {0}, there = *name;
	bool here;

	if (fd < 0)
		return false;
	/* Only for an address of this machine does the kernel choose the same source address. */
	here = connect(fd, &name->u.sa, name->len) == 0 && sockeye_local_name(fd, &local) == 0 &&
	       local.u.sa.sa_family == there.u.sa.sa_family;
	close(fd);
	if (here && local.u.sa.sa_family == AF_INET6)
		local.u.in6.sin6_port = there.u.in6.sin6_port;
	else if (here)
		local.u.in.sin_port = there.u.in.sin_port;
	return here && sockeye_sockaddr_equal(&local, &there);
}
