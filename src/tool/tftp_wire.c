/* tftp_wire.c: one end of a transfer on a UDP socket (tftp_wire.h). */
#include "tool/tftp_wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "net/net.h"
#include "proto/addr_parts.h"

#define PORT_TRIES     64  /* of a range before all of it is tried in order */
#define BLOCK_OVERHEAD 832 /* octets the kernel counts for a datagram beside its payload */
#define SEND_TRIES     8   /* a send may first report earlier errors of the socket */
#define IPV4_OVERHEAD  (20 + 8 + SOCKEYE__TFTP_HEADER) /* RFC 791, 768 */
#define IPV6_OVERHEAD  (40 + 8 + SOCKEYE__TFTP_HEADER) /* RFC 8200 */
#define SEGMENTS_BYTES 65507                           /* of one UDP_SEGMENT call */

union control {
	struct cmsghdr align;
	char octets[SOCKEYE__CONTROL_MAX + CMSG_SPACE(sizeof(int))];
};

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

/* A transfer's port must not be guessed: the kernel's choice is random, and so
 * is where in the range we begin. */
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

void sockeye__tftp_wire_tune(int fd, const struct sockeye_sockaddr *peer)
{
	bool v6 = peer->u.sa.sa_family == AF_INET6;

	(void)sockeye_dgram_want_errors(fd);
	(void)sockeye__option_set(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
				  v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
}

/* A second socket on the port of the first. Others could take the port over as
 * long as it may be shared, so it may no longer than need be. */
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

/* Sets a buffer to `want` octets, beyond the system's limit where we may, and
 * returns what it is. The kernel doubles what it is told (socket(7)). */
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
	/* A datagram of more than a page is kept in whole pages. */
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

/* --- receiving --- */

ssize_t sockeye__tftp_wire_recv(int fd, uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES],
				struct sockeye_dgram *out, size_t *out_segment)
{
	union control control;
	struct iovec iov = {buf, SOCKEYE__TFTP_WIRE_BYTES};
	struct sockeye_dgram d = {0};
	struct msghdr msg = {
	    .msg_name = &d.peer.u,
	    .msg_namelen = sizeof d.peer.u,
	    .msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = &control,
	    .msg_controllen = sizeof control,
	};
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	d.peer.len = sockeye__name_len(msg.msg_namelen);
	sockeye__dgram_local(&msg, &d);
	*out_segment = sockeye__dgram_segment(&msg, (size_t)n);
	*out = d;
	return n;
}

int sockeye__tftp_wire_recv_many(int fd, struct sockeye__tftp_inbox *out)
{
	union control controls[SOCKEYE__TFTP_INBOX];
	struct iovec iov[SOCKEYE__TFTP_INBOX];
	struct mmsghdr m[SOCKEYE__TFTP_INBOX];
	int n;

	for (int i = 0; i < SOCKEYE__TFTP_INBOX; i++) {
		iov[i] = (struct iovec){out->octets[i], SOCKEYE__TFTP_WIRE_BYTES};
		m[i].msg_hdr = (struct msghdr){
		    .msg_name = &out->from[i].peer.u,
		    .msg_namelen = sizeof out->from[i].peer.u,
		    .msg_iov = &iov[i],
		    .msg_iovlen = 1,
		    .msg_control = &controls[i],
		    .msg_controllen = sizeof controls[i],
		};
	}
	n = recvmmsg(fd, m, SOCKEYE__TFTP_INBOX, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	for (int i = 0; i < n; i++) {
		out->from[i].peer.len = sockeye__name_len(m[i].msg_hdr.msg_namelen);
		sockeye__dgram_local(&m[i].msg_hdr, &out->from[i]);
		out->len[i] = m[i].msg_len;
	}
	return n;
}

void sockeye__tftp_wire_join(struct sockeye__tftp_wire *w)
{
	sockeye__dgram_join(w->fd);
	w->joined = true;
}

ssize_t sockeye__tftp_wire_recv_own(const struct sockeye__tftp_wire *w,
				    uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES],
				    struct sockeye_sockaddr *out_peer, size_t *out_segment)
{
	struct sockeye_sockaddr from = w->to.peer;
	socklen_t len = sizeof from.u;
	ssize_t n;

	if (w->joined) {
		struct sockeye_dgram d;

		n = sockeye__tftp_wire_recv(w->fd, buf, &d, out_segment);
		if (n >= 0)
			*out_peer = d.peer;
		return n;
	}
	n = w->connected ? recv(w->fd, buf, SOCKEYE__TFTP_WIRE_BYTES, MSG_DONTWAIT)
			 : recvfrom(w->fd, buf, SOCKEYE__TFTP_WIRE_BYTES, MSG_DONTWAIT, &from.u.sa,
				    &len);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (!w->connected)
		from.len = sockeye__name_len(len);
	*out_peer = from;
	*out_segment = (size_t)n;
	return n;
}

/* Whether there was anything. */
static bool errors_take(int fd, const struct sockeye_sockaddr *peer, int *out_err)
{
	struct sockeye_dgram_error e;
	bool any = false;

	*out_err = 0;
	for (; sockeye_dgram_error_recv(fd, &e) == 0; any = true)
		if (e.err != -EMSGSIZE && (peer == NULL || sockeye_sockaddr_equal(&e.peer, peer)))
			*out_err = e.err;
	return any;
}

int sockeye__tftp_wire_error(int fd, const struct sockeye_sockaddr *peer)
{
	int err;

	errors_take(fd, peer, &err);
	return err;
}

/* --- sending --- */

/* What a send's failure means: a lost datagram, or the end. */
static int send_verdict(int err)
{
	switch (err) {
	case -EAGAIN:
	case -ENOBUFS:
	case -ENOMEM:
	case -EPERM: /* a packet filter's doing */
		return 0;
	default:
		return err;
	}
}

/* Errors that ICMP brought earlier, be it about another peer, come out of
 * whatever is called next; the queue has them, with their address. These are
 * what icmp(7) and icmpv6 can mean. */
static bool may_be_of_icmp(int err)
{
	switch (err) {
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -EHOSTDOWN:
	case -ENONET:
	case -EACCES:
	case -EPROTO:
	case -ENOPROTOOPT:
	case -EOPNOTSUPP:
	case -EMSGSIZE:
		return true;
	default:
		return false;
	}
}

/* One datagram; without control data the shorter call does. */
static ssize_t datagram_send(int fd, const struct msghdr *m)
{
	if (m->msg_controllen > 0)
		return sendmsg(fd, m, MSG_NOSIGNAL);
	return sendto(fd, m->msg_iov->iov_base, m->msg_iov->iov_len, MSG_NOSIGNAL, m->msg_name,
		      m->msg_namelen);
}

static ssize_t send_once(const struct sockeye__tftp_wire *w, struct mmsghdr *m, unsigned count)
{
	for (int tries = 0;; tries++) {
		int n = count == 1 ? (datagram_send(w->fd, &m->msg_hdr) < 0 ? -1 : 1)
				   : sendmmsg(w->fd, m, count, MSG_NOSIGNAL);
		int err = -errno, about_peer;
		bool queued;

		if (n >= 0)
			return n;
		if (err == -EINTR)
			continue;
		if (!may_be_of_icmp(err) || (w->connected && err == -ECONNREFUSED))
			return err;
		queued = errors_take(w->fd, &w->to.peer, &about_peer);
		if (about_peer < 0)
			return about_peer;
		if (tries >= SEND_TRIES) /* a flood of what is about others ends nothing */
			return queued ? -EAGAIN : err;
	}
}

static void address(struct sockeye__tftp_wire *w, struct msghdr *msg, union control *control)
{
	if (!w->connected) {
		msg->msg_name = &w->to.peer.u;
		msg->msg_namelen = w->to.peer.len;
	}
	sockeye__dgram_source(msg, control, &w->to);
}

int sockeye__tftp_wire_packet(struct sockeye__tftp_wire *w, const void *packet, size_t len)
{
	union control control;
	struct iovec iov = {(void *)(uintptr_t)packet, len};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	ssize_t n;

	address(w, &m.msg_hdr, &control);
	n = send_once(w, &m, 1);
	w->sent++;
	return n < 0 ? send_verdict((int)n) : 0;
}

void sockeye__tftp_wire_reject(int fd, const struct sockeye_sockaddr *stranger,
			       const uint8_t *octets, size_t len)
{
	struct sockeye__tftp_wire wire = {.fd = fd, .to = {.peer = *stranger}};
	uint8_t error[64];

	if (len < 2 || sockeye__tftp_get16(octets) == SOCKEYE__TFTP_ERROR)
		return;
	len = sockeye__tftp_error_encode(error, sizeof error, SOCKEYE__TFTP_UNKNOWN_TID,
					 "unknown transfer ID");
	(void)sockeye__tftp_wire_packet(&wire, error, len);
}

/* Datagrams of one size, of which the last may be shorter. */
struct train {
	uint8_t *octets;
	size_t len, segment;
	unsigned count;
};

/* One call for all: the kernel cuts them. */
static int train_send_whole(struct sockeye__tftp_wire *w, const struct train *t)
{
	union control control;
	struct iovec iov = {t->octets, t->len};
	struct mmsghdr m = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	ssize_t n;

	address(w, &m.msg_hdr, &control);
	sockeye__dgram_cut(&m.msg_hdr, &control, (uint16_t)t->segment);
	n = send_once(w, &m, 1);
	return n < 0 ? (int)n : 0;
}

static int train_send_each(struct sockeye__tftp_wire *w, const struct train *t)
{
	struct mmsghdr m[SOCKEYE__TFTP_BURST_MAX];
	struct iovec iov[SOCKEYE__TFTP_BURST_MAX];
	union control control;
	unsigned sent = 0;

	for (unsigned i = 0; i < t->count; i++) {
		size_t at = i * t->segment, len = t->len - at;

		iov[i] = (struct iovec){t->octets + at, len < t->segment ? len : t->segment};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
		address(w, &m[i].msg_hdr, &control); /* the same each time */
	}
	while (sent < t->count) {
		ssize_t n = send_once(w, m + sent, t->count - sent);

		if (n < 0)
			return send_verdict((int)n);
		sent += (unsigned)n;
	}
	return 0;
}

/* The kernel refuses to cut where a segment does not fit the link, where the
 * route or its device cannot (IPsec, checksums), or where it is too old. */
static bool refuses_segments(int err)
{
	return err == -EINVAL || err == -EMSGSIZE || err == -EIO || err == -EOPNOTSUPP ||
	       err == -ENOPROTOOPT;
}

static int train_send(struct sockeye__tftp_wire *w, const struct train *t)
{
	w->sent += t->count;
	if (t->count > 1 && !w->no_segments) {
		int err = train_send_whole(w, t);

		if (!refuses_segments(err))
			return send_verdict(err);
		w->no_segments = true;
	}
	return train_send_each(w, t);
}

/* Puts headers and payloads of the blocks behind each other into scratch. */
static int train_build(const struct sockeye__tftp *x, const struct sockeye__tftp_send *send,
		       struct sockeye__tftp_source *source, uint8_t *scratch, struct train *out)
{
	struct iovec payload[SOCKEYE__TFTP_BURST_MAX];
	uint64_t left = send->octets;
	uint8_t *at = scratch;

	for (uint32_t i = 0; i < send->count; i++) {
		size_t len = left < x->blksize ? (size_t)left : x->blksize;

		sockeye__tftp_data_encode(at, sockeye__tftp_number(x, send->block + i));
		payload[i] = (struct iovec){at + SOCKEYE__TFTP_HEADER, len};
		at += SOCKEYE__TFTP_HEADER + len;
		left -= len;
	}
	*out = (struct train){
	    .octets = scratch,
	    .len = (size_t)(at - scratch),
	    .segment = (size_t)SOCKEYE__TFTP_HEADER + x->blksize,
	    .count = send->count,
	};
	return sockeye__tftp_source_copy(source, send->offset, payload, (int)send->count);
}

/* Blocks of this size that one call takes. */
static uint32_t train_max(const struct sockeye__tftp *x)
{
	uint32_t fit = SEGMENTS_BYTES / (SOCKEYE__TFTP_HEADER + (uint32_t)x->blksize);

	return fit < 1 ? 1 : fit < SOCKEYE__TFTP_BURST_MAX ? fit : SOCKEYE__TFTP_BURST_MAX;
}

int sockeye__tftp_wire_flush(struct sockeye__tftp_wire *w, struct sockeye__tftp *x,
			     struct sockeye__tftp_source *source, uint64_t now_ns,
			     uint8_t scratch[SOCKEYE__TFTP_WIRE_BYTES], bool *out_source)
{
	struct sockeye__tftp_send send;
	struct train train;
	int err;

	*out_source = false;
	while (sockeye__tftp_next(x, now_ns, train_max(x), &send)) {
		if (send.packet.len > 0) {
			err = sockeye__tftp_wire_packet(w, send.packet.at, send.packet.len);
		} else {
			err = train_build(x, &send, source, scratch, &train);
			*out_source = err < 0;
			if (err == 0)
				err = train_send(w, &train);
		}
		if (err < 0)
			return err;
	}
	return 0;
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
