/*
 * options.c: the kind of socket that a scheme needs, and the socket options of an
 * address.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "net/net.h"

#define SCTP_NODELAY 3 /* from linux/sctp.h, which not every system has */

int sockeye__kind_of(enum sockeye_scheme scheme, const struct sockeye_sockaddr *name,
		     struct sockeye__kind *out_kind)
{
	static const struct sockeye__kind kinds[] = {
	    [SOCKEYE_TCP] = {AF_INET, SOCK_STREAM, IPPROTO_TCP},
	    [SOCKEYE_UDP] = {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
	    [SOCKEYE_UNIX] = {AF_UNIX, SOCK_STREAM, 0},
	    [SOCKEYE_UNIX_DGRAM] = {AF_UNIX, SOCK_DGRAM, 0},
	    [SOCKEYE_UNIX_SEQPACKET] = {AF_UNIX, SOCK_SEQPACKET, 0},
	    [SOCKEYE_SCTP] = {AF_INET, SOCK_STREAM, IPPROTO_SCTP},
	    [SOCKEYE_MPTCP] = {AF_INET, SOCK_STREAM, IPPROTO_MPTCP},
	};
	struct sockeye__kind kind;

	if (scheme >= sizeof kinds / sizeof kinds[0])
		return SOCKEYE_E_SCHEME_UNSUPPORTED;
	kind = kinds[scheme];
	if (name != NULL && kind.domain == AF_INET)
		kind.domain = name->u.sa.sa_family;
	*out_kind = kind;
	return 0;
}

int sockeye__fd_above_stdio(int fd)
{
	int higher;

	if (fd < 0)
		return -errno;
	if (fd > STDERR_FILENO)
		return fd;
	higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (higher < 0)
		higher = -errno;
	close(fd);
	return higher;
}

int sockeye__socket_open(const struct sockeye__kind *kind, int flags)
{
	return sockeye__fd_above_stdio(
	    socket(kind->domain, kind->type | SOCK_CLOEXEC | flags, kind->protocol));
}

int sockeye__option_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

int sockeye__option_get(int fd, int level, int option, int *out_value)
{
	int value = 0;
	socklen_t len = sizeof value;

	if (getsockopt(fd, level, option, &value, &len) < 0)
		return -errno;
	*out_value = value;
	return 0;
}

int sockeye__nonblocking_set(int fd, bool nonblocking)
{
	int flags = fcntl(fd, F_GETFL);
	int wanted = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

	if (flags < 0 || (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0))
		return -errno;
	return 0;
}

static int ipv6_apply(int fd, const struct sockeye_addr *addr, const struct sockeye_sockaddr *name)
{
	const struct sockeye_addr_opts *o = &addr->opts;
	int err = 0;

	/* Always set, because net.ipv6.bindv6only changes the default. tcp6 and udp6
	 * exclude IPv4-mapped peers, unless the address itself is mapped. */
	if (!IN6_IS_ADDR_V4MAPPED(&name->u.in6.sin6_addr))
		err = sockeye__option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY,
					  o->v6only || addr->family == 6);
	if (err == 0 && o->ttl)
		err = sockeye__option_set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, o->ttl);
	return err;
}

int sockeye__options_apply(int fd, const struct sockeye_addr *addr,
			   const struct sockeye_sockaddr *name)
{
	const struct sockeye_addr_opts *o = &addr->opts;
	const bool inet = name->u.sa.sa_family != AF_UNIX;
	const bool v6 = name->u.sa.sa_family == AF_INET6;
	const bool sctp = addr->scheme == SOCKEYE_SCTP;
	const struct {
		bool wanted;
		int level, option, value;
	} rows[] = {
	    {o->nodelay, sctp ? IPPROTO_SCTP : IPPROTO_TCP, sctp ? SCTP_NODELAY : TCP_NODELAY, 1},
	    {o->keepalive, SOL_SOCKET, SO_KEEPALIVE, 1},
	    {o->broadcast, SOL_SOCKET, SO_BROADCAST, 1},
	    {o->dontroute, SOL_SOCKET, SO_DONTROUTE, 1},
	    {o->freebind && inet, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND,
	     1},
	    {o->rcvbuf > 0, SOL_SOCKET, SO_RCVBUF, (int)o->rcvbuf},
	    {o->sndbuf > 0, SOL_SOCKET, SO_SNDBUF, (int)o->sndbuf},
	    /* IPv6 sockets too, because they may send IPv4 */
	    {o->ttl > 0 && inet, IPPROTO_IP, IP_TTL, o->ttl},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int err = 0;

		if (rows[i].wanted)
			err = sockeye__option_set(fd, rows[i].level, rows[i].option, rows[i].value);
		if (err < 0)
			return err;
	}
	if (sockeye__sockaddr_is_multicast(name)) {
		int err = sockeye__multicast_send(fd, addr, name);

		if (err < 0)
			return err;
	}
	return v6 ? ipv6_apply(fd, addr, name) : 0;
}
