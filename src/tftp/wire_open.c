/* wire_open.c: open and prepare the socket of a transfer (wire.h). */
#include "tftp/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/number.h"
#include "net/net.h"

#define PORT_TRIES     64  /* random ports tried before all ports of the range in order */
#define BLOCK_OVERHEAD 832 /* bytes that the kernel adds to a datagram's payload */
#define IPV4_OVERHEAD  (20 + 8 + SOCKEYE__TFTP_HEADER) /* RFC 791, RFC 768 */
#define IPV6_OVERHEAD  (40 + 8 + SOCKEYE__TFTP_HEADER) /* RFC 8200 */

/* --- opening --- */

int sockeye__port_range_parse(const char *text, struct sockeye__port_range *out)
{
	struct sockeye__slice first = {text, strcspn(text, "-")}, last = {text + first.len, 0};
	uint64_t from = 0, to = 0;
	int err;

	if (*last.at == '-')
		last.len = strlen(++last.at);
	err = sockeye__number_parse(first, 10, UINT16_MAX, &from);
	if (err == 0)
		err = sockeye__number_parse(last, 10, UINT16_MAX, &to);
	if (err < 0)
		return err;
	if (from == 0 || from > to)
		return -EINVAL;
	*out = (struct sockeye__port_range){(uint16_t)from, (uint16_t)to};
	return 0;
}

static int port_bind(int fd, const struct sockeye_sockaddr *local, unsigned port)
{
	struct sockeye_sockaddr name = *local;

	if (name.u.sa.sa_family == AF_INET6)
		name.u.in6.sin6_port = htons((uint16_t)port);
	else
		name.u.in.sin_port = htons((uint16_t)port);
	return bind(fd, &name.u.sa, name.len) < 0 ? -errno : 0;
}

/* Binds to a port that other hosts cannot guess: a random port of the range or, without
 * a range, a port that the kernel chooses. */
static int range_bind(int fd, const struct sockeye_sockaddr *local,
		      const struct sockeye__port_range *range)
{
	unsigned count = (unsigned)range->last - range->first + 1, tries = 0;
	uint32_t at = 0;
	int err;

	if (range->first == 0)
		return port_bind(fd, local, 0);
	do {
		if (tries >= PORT_TRIES)
			at++;
		else if (getrandom(&at, sizeof at, 0) != (ssize_t)sizeof at)
			return -errno;
		err = port_bind(fd, local, range->first + at % count);
	} while (err == -EADDRINUSE && ++tries < PORT_TRIES + count);
	return err;
}

int sockeye__tftp_wire_open(const struct sockeye_sockaddr *local,
			    const struct sockeye__port_range *range)
{
	struct sockeye__kind kind = {local->u.sa.sa_family, SOCK_DGRAM, IPPROTO_UDP};
	int fd = sockeye__socket_open(&kind, SOCK_NONBLOCK), err;

	if (fd < 0)
		return fd;
	err = range_bind(fd, local, range);
	if (err < 0) {
		close(fd);
		return err;
	}
	return fd;
}

void sockeye__tftp_wire_allow_fragments(int fd, const struct sockeye_sockaddr *peer)
{
	bool v6 = peer->u.sa.sa_family == AF_INET6;

	(void)sockeye_dgram_want_errors(fd);
	(void)sockeye__option_set(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
				  v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

/* Opens a second socket on the port of the first. Shares the port only during
 * bind(2): while it is shared, another process could bind to it. */
static int twin_open(int fd)
{
	struct sockeye_sockaddr name;
	struct sockeye__kind kind = {0, SOCK_DGRAM, IPPROTO_UDP};
	int twin, err = sockeye_local_name(fd, &name);

	if (err < 0)
		return err;
	kind.domain = name.u.sa.sa_family;
	twin = sockeye__socket_open(&kind, SOCK_NONBLOCK);
	if (twin < 0)
		return twin;
	(void)sockeye__option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	(void)sockeye__option_set(twin, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(twin, &name.u.sa, name.len) < 0)
		err = -errno;
	(void)sockeye__option_set(fd, SOL_SOCKET, SO_REUSEADDR, 0);
	(void)sockeye__option_set(twin, SOL_SOCKET, SO_REUSEADDR, 0);
	if (err < 0) {
		close(twin);
		return err;
	}
	return twin;
}

int sockeye__tftp_wire_connect(struct sockeye__tftp_wire *w)
{
	if (connect(w->fd, &w->to.peer.u.sa, w->to.peer.len) < 0)
		return -errno;
	w->connected = true;
	return twin_open(w->fd);
}

/* Enlarges a buffer to `want` bytes, with CAP_NET_ADMIN even beyond the system's limit,
 * and returns its size. The kernel doubles the value that is set (socket(7)). */
static uint32_t buffer_grow(int fd, int option, int force, uint64_t want)
{
	int now = 0;

	(void)sockeye__option_get(fd, SOL_SOCKET, option, &now);
	if ((uint64_t)now < want && want < INT32_MAX) {
		if (sockeye__option_set(fd, SOL_SOCKET, force, (int)(want / 2)) < 0)
			(void)sockeye__option_set(fd, SOL_SOCKET, option, (int)(want / 2));
		(void)sockeye__option_get(fd, SOL_SOCKET, option, &now);
	}
	return now > 0 ? (uint32_t)now : 0;
}

uint32_t sockeye__tftp_wire_cost(uint16_t blksize)
{
	/* The kernel keeps a datagram larger than a page in whole pages. */
	return BLOCK_OVERHEAD + blksize + (blksize > 2048 ? 4096U : blksize / 2U);
}

uint32_t sockeye__tftp_wire_room(int fd, uint16_t blksize, uint16_t window)
{
	uint32_t block = sockeye__tftp_wire_cost(blksize);
	uint64_t want = (uint64_t)block * (window + 1u);
	uint32_t room = buffer_grow(fd, SO_RCVBUF, SO_RCVBUFFORCE, want);

	(void)buffer_grow(fd, SO_SNDBUF, SO_SNDBUFFORCE, want);
	return room / block;
}

/* --- the path --- */

uint16_t sockeye__tftp_wire_blksize(const struct sockeye_sockaddr *peer)
{
	struct sockeye_sockaddr to = sockeye__sockaddr_unmapped(peer);
	bool v6 = to.u.sa.sa_family == AF_INET6;
	struct sockeye__kind kind = {to.u.sa.sa_family, SOCK_DGRAM, IPPROTO_UDP};
	int fd = sockeye__socket_open(&kind, SOCK_NONBLOCK), mtu = 0;
	int overhead = v6 ? IPV6_OVERHEAD : IPV4_OVERHEAD;

	if (fd < 0)
		return 0;
	if (connect(fd, &to.u.sa, to.len) < 0 ||
	    sockeye__option_get(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU : IP_MTU, &mtu) <
		0)
		mtu = 0;
	close(fd);
	mtu -= overhead;
	if (mtu < SOCKEYE__TFTP_BLKSIZE_MIN)
		return 0;
	return (uint16_t)(mtu < SOCKEYE__TFTP_BLKSIZE_MAX ? mtu : SOCKEYE__TFTP_BLKSIZE_MAX);
}
