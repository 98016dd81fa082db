/*
 * errqueue.c: ICMP errors about datagrams, read from the error queue of a socket
 * (IP_RECVERR in ip(7)).
 */
#include <errno.h>
#include <string.h>
#include <time.h> /* linux/errqueue.h needs struct timespec */

#include <linux/errqueue.h>

#include "net/net.h"

int sockeye_dgram_want_errors(int fd)
{
	int domain, err = sockeye__option_get(fd, SOL_SOCKET, SO_DOMAIN, &domain);

	if (err < 0)
		return err;
	if (domain != AF_INET && domain != AF_INET6)
		return -EOPNOTSUPP;
	/* Set on IPv6 sockets too, because they may send IPv4. */
	err = sockeye__option_set(fd, IPPROTO_IP, IP_RECVERR, 1);
	if (err == 0 && domain == AF_INET6)
		err = sockeye__option_set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	return err;
}

/* Returns the address at `data`; AF_UNSPEC gives a zeroed one. */
static struct sockeye_sockaddr address_read(const unsigned char *data)
{
	struct sockeye_sockaddr name = {0};

	memcpy(&name.u.sa.sa_family, data, sizeof name.u.sa.sa_family);
	if (name.u.sa.sa_family == AF_INET)
		name.len = sizeof name.u.in;
	else if (name.u.sa.sa_family == AF_INET6)
		name.len = sizeof name.u.in6;
	memcpy(&name.u, data, name.len);
	return name;
}

/* Reads the extended error of a message. Returns false if it has none. */
static bool error_read(struct msghdr *msg, struct sockeye_dgram_error *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		struct sock_extended_err e;

		if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof e);
		out->err = -(int)e.ee_errno;
		out->from_icmp =
		    e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6;
		out->icmp_type = out->from_icmp ? e.ee_type : 0;
		out->icmp_code = out->from_icmp ? e.ee_code : 0;
		out->offender = address_read(CMSG_DATA(c) + sizeof e); /* SO_EE_OFFENDER */
		return e.ee_errno != 0;
	}
	return false;
}

int sockeye_dgram_error_recv(int fd, struct sockeye_dgram_error *out)
{
	union {
		struct cmsghdr align;
		char bytes[512]; /* for the error, its sender, packet information and a timestamp */
	} control;
	struct sockeye_dgram_error e = {0};

	for (;;) {
		struct msghdr msg = {
		    .msg_name = &e.peer.u,
		    .msg_namelen = sizeof e.peer.u,
		    .msg_control = &control,
		    .msg_controllen = sizeof control,
		};

		if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
			if (errno != EINTR)
				return -errno;
		} else if (error_read(&msg, &e)) { /* false for timestamps, which share the queue */
			e.peer.len = msg.msg_namelen;
			*out = e;
			return 0;
		}
	}
}
