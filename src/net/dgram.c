/*
 * dgram.c: sends and receives datagrams, with their destination address and their
 * true length.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>

#include <sockeye/time.h>

#include "net/net.h"

#ifndef UDP_GRO
#define UDP_GRO 104 /* linux/udp.h conflicts with netinet/udp.h */
#endif

int sockeye_dgram_want_local(int fd)
{
	int domain, err = sockeye__option_get(fd, SOL_SOCKET, SO_DOMAIN, &domain);

	if (err < 0)
		return err;
	if (domain != AF_INET && domain != AF_INET6)
		return 0;
	/* An IPv6 socket reports IPv4 datagrams with IPv4-mapped addresses. Only the
	 * IPv4 message shows whether such an address is a broadcast address. */
	err = sockeye__option_set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	if (err == 0 && domain == AF_INET6)
		err = sockeye__option_set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	return err;
}

static void local_from_ipv4(const struct cmsghdr *c, struct sockeye_dgram *out)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof info);
	out->ifindex = info.ipi_ifindex;
	/* ipi_spec_dst is the source address that the kernel would choose for a
	 * reply. It equals the destination unless the destination is a broadcast or
	 * multicast address. */
	out->group = info.ipi_spec_dst.s_addr != info.ipi_addr.s_addr;
	if (out->group)
		return;
	out->local.len = sizeof out->local.u.in;
	out->local.u.in = (struct sockaddr_in){
	    .sin_family = AF_INET,
	    .sin_addr = info.ipi_addr,
	};
}

static bool is_ipv4_multicast(const struct in6_addr *mapped)
{
	return IN6_IS_ADDR_V4MAPPED(mapped) && (mapped->s6_addr[12] & 0xf0) == 0xe0;
}

static void local_from_ipv6(const struct cmsghdr *c, struct sockeye_dgram *out)
{
	struct in6_pktinfo info;
	const struct in6_addr *to = &info.ipi6_addr;

	memcpy(&info, CMSG_DATA(c), sizeof info);
	out->ifindex = (int)info.ipi6_ifindex;
	out->group = IN6_IS_ADDR_MULTICAST(to) || is_ipv4_multicast(to);
	if (out->group)
		return;
	out->local.len = sizeof out->local.u.in6;
	out->local.u.in6 = (struct sockaddr_in6){
	    .sin6_family = AF_INET6,
	    .sin6_addr = *to,
	    .sin6_scope_id = IN6_IS_ADDR_LINKLOCAL(to) ? info.ipi6_ifindex : 0,
	};
}

void sockeye__dgram_local(struct msghdr *msg, struct sockeye_dgram *out)
{
	struct sockeye_dgram v4, v6; /* only local, ifindex and group are used */

	v4.local.len = v6.local.len = 0;
	v4.ifindex = v6.ifindex = 0;
	v4.group = v6.group = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			local_from_ipv4(c, &v4);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			local_from_ipv6(c, &v6);
	}
	/* If both exist, use the IPv4-mapped address: an IPv6 socket does not accept
	 * the IPv4 address as a source. */
	out->group = v4.group || v6.group;
	out->ifindex = v6.ifindex > 0 ? v6.ifindex : v4.ifindex;
	if (out->group || (v4.local.len == 0 && v6.local.len == 0))
		out->local.len = 0;
	else
		out->local = v6.local.len > 0 ? v6.local : v4.local;
}

/* Appends a control message. */
static void control_put(struct msghdr *msg, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c =
	    (struct cmsghdr *)(void *)((char *)msg->msg_control + msg->msg_controllen);

	memset(c, 0, CMSG_SPACE(len)); /* including the padding */
	*c = (struct cmsghdr){
	    .cmsg_level = level,
	    .cmsg_type = type,
	    .cmsg_len = CMSG_LEN(len),
	};
	memcpy(CMSG_DATA(c), data, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

void sockeye__dgram_source(struct msghdr *msg, void *control, const struct sockeye_dgram *dgram)
{
	const struct sockeye_sockaddr *local = &dgram->local;

	msg->msg_control = control;
	msg->msg_controllen = 0;
	if (local->len == 0)
		return;
	if (local->u.sa.sa_family == AF_INET) {
		struct in_pktinfo info = {.ipi_spec_dst = local->u.in.sin_addr};

		control_put(msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	} else if (local->u.sa.sa_family == AF_INET6) {
		struct in6_pktinfo info = {
		    .ipi6_addr = local->u.in6.sin6_addr,
		    .ipi6_ifindex = local->u.in6.sin6_scope_id, /* 0 unless link-local */
		};

		control_put(msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
	}
}

void sockeye__dgram_join(int fd)
{
	(void)sockeye__option_set(fd, IPPROTO_UDP, UDP_GRO, 1);
}

size_t sockeye__dgram_segment(struct msghdr *msg, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		int segment = 0;

		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof segment);
		if (segment > 0)
			return (size_t)segment;
	}
	return len;
}

void sockeye__dgram_cut(struct msghdr *msg, void *control, uint16_t size)
{
	msg->msg_control = control;
	control_put(msg, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
}

bool sockeye__dgram_cut_refused(int err)
{
	return err == -EINVAL || err == -EMSGSIZE || err == -EIO || err == -EOPNOTSUPP ||
	       err == -ENOPROTOOPT;
}

/* Whether poll(2) would return immediately although there is nothing to receive: it
 * reports POLLERR as long as the error queue has an entry. */
static bool only_error(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLIN | POLLERR)) == POLLERR;
}

/* Calls recvmsg(2) until a datagram arrives or the deadline passes. Retries after
 * EINTR. */
static ssize_t message_recv(int fd, struct msghdr *msg, int flags, uint64_t deadline_ns)
{
	const struct msghdr fresh = *msg; /* the kernel writes lengths into *msg */
	bool woken = false;

	for (;;) {
		ssize_t n;
		int err;

		*msg = fresh;
		n = recvmsg(fd, msg, flags | (deadline_ns ? MSG_DONTWAIT : 0));
		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || deadline_ns == 0)
			return -errno;
		if (sockeye_now().mono_ns >= deadline_ns)
			return -ETIMEDOUT;
		if (woken && only_error(fd))
			return -EAGAIN;
		err = sockeye__wait(fd, POLLIN, deadline_ns);
		if (err < 0)
			return err;
		woken = true;
	}
}

int sockeye__records_stamp(int fd)
{
	return sockeye__option_set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
}

/* Sets *out_bare if the message had neither data nor control messages. */
static int dgram_recv(int fd, void *buf, size_t cap, uint64_t deadline_ns,
		      struct sockeye_dgram *out, bool *out_bare)
{
	union {
		struct cmsghdr align;
		char bytes[SOCKEYE__CONTROL_MAX];
	} control;
	struct sockeye_dgram d = {0};
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	struct msghdr msg = {
	    .msg_name = &d.peer.u,
	    .msg_namelen = sizeof d.peer.u,
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof control,
	};
	ssize_t n = message_recv(fd, &msg, MSG_TRUNC, deadline_ns);

	if (n < 0)
		return (int)n;
	d.peer.len = sockeye__name_len(msg.msg_namelen);
	sockeye__dgram_local(&msg, &d);
	d.true_len = (size_t)n;
	d.truncated = d.true_len > cap;
	d.len = d.truncated ? cap : d.true_len;
	*out = d;
	*out_bare = n == 0 && msg.msg_controllen == 0;
	return 0;
}

int sockeye_dgram_recv(int fd, void *buf, size_t cap, uint64_t deadline_ns,
		       struct sockeye_dgram *out)
{
	bool bare;

	return dgram_recv(fd, buf, cap, deadline_ns, out, &bare);
}

int sockeye__record_recv(int fd, void *buf, size_t cap, uint64_t deadline_ns,
			 struct sockeye_dgram *out)
{
	struct sockeye_dgram d;
	bool end;
	int err = dgram_recv(fd, buf, cap, deadline_ns, &d, &end);

	if (err == 0 && end)
		return SOCKEYE_E_EOF;
	if (err == 0)
		*out = d;
	return err;
}

int sockeye_dgram_send(int fd, const void *buf, size_t len, const struct sockeye_dgram *dgram)
{
	union {
		struct cmsghdr align;
		char bytes[SOCKEYE__CONTROL_MAX];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (dgram != NULL && dgram->peer.len > 0) {
		msg.msg_name = (void *)(uintptr_t)&dgram->peer.u;
		msg.msg_namelen = dgram->peer.len;
	}
	if (dgram != NULL)
		sockeye__dgram_source(&msg, &control, dgram);
	while (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int reconnect(int fd, const struct sockaddr *sa, socklen_t len)
{
	while (connect(fd, sa, len) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int sockeye_dgram_reconnect(int fd, const struct sockeye_sockaddr *peer)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	int err;

	if (peer == NULL)
		return reconnect(fd, &none, sizeof none);
	err = reconnect(fd, &peer->u.sa, peer->len);
	/* The first connect(2) may have chosen 127.0.0.1 as the local address, from which
	 * this peer cannot be reached. Disconnecting undoes that choice. */
	if (err == -EINVAL && reconnect(fd, &none, sizeof none) == 0)
		err = reconnect(fd, &peer->u.sa, peer->len);
	return err;
}
