/* wire.c: one end of a transfer on a UDP socket (wire.h). */
#include "tftp/wire.h"

#include <errno.h>

#include "net/net.h"

#define SEND_TRIES     8     /* a send may report earlier errors of the socket first */
#define SEGMENTS_BYTES 65507 /* largest UDP_SEGMENT call */

union control {
	struct cmsghdr align;
	char bytes[SOCKEYE__CONTROL_MAX + CMSG_SPACE(sizeof(int))];
};

/* --- receiving --- */

/* Returns a msghdr to receive one datagram, its sender and its control data. */
static struct msghdr room_for(struct sockeye_dgram *d, struct iovec *iov, union control *control)
{
	return (struct msghdr){
	    .msg_name = &d->peer.u,
	    .msg_namelen = sizeof d->peer.u,
	    .msg_iov = iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof *control,
	};
}

ssize_t sockeye__tftp_wire_recv(int fd, uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES],
				struct sockeye_dgram *out, size_t *out_segment)
{
	union control control;
	struct iovec iov = {buf, SOCKEYE__TFTP_WIRE_BYTES};
	struct sockeye_dgram d = {0};
	struct msghdr msg = room_for(&d, &iov, &control);
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
		iov[i] = (struct iovec){out->bytes[i], SOCKEYE__TFTP_WIRE_BYTES};
		m[i].msg_hdr = room_for(&out->from[i], &iov[i], &controls[i]);
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

void sockeye__tftp_wire_coalesce(struct sockeye__tftp_wire *w)
{
	sockeye__dgram_join(w->fd);
	w->coalesces = true;
}

ssize_t sockeye__tftp_wire_recv_own(const struct sockeye__tftp_wire *w,
				    uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES],
				    struct sockeye_sockaddr *out_peer, size_t *out_segment)
{
	struct sockeye_sockaddr from;
	socklen_t len = sizeof from.u;
	ssize_t n;

	if (w->coalesces) {
		struct sockeye_dgram d;

		n = sockeye__tftp_wire_recv(w->fd, buf, &d, out_segment);
		if (n >= 0)
			*out_peer = d.peer;
		return n;
	}
	/* Even a connected socket may have packets of other peers that arrived before
	 * connect(2). */
	n = recvfrom(w->fd, buf, SOCKEYE__TFTP_WIRE_BYTES, MSG_DONTWAIT, &from.u.sa, &len);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	from.len = sockeye__name_len(len);
	*out_peer = from;
	*out_segment = (size_t)n;
	return n;
}

/* Empties the error queue, and keeps the last error about the peer. Returns false if the
 * queue was already empty. */
static bool errors_take(struct sockeye__tftp_wire *w, int *out_err)
{
	struct sockeye_dgram_error e;
	bool any = false;

	*out_err = 0;
	for (; sockeye_dgram_error_recv(w->fd, &e) == 0; any = true) {
		if (!sockeye_sockaddr_equal(&e.peer, &w->to.peer))
			continue;
		w->trouble = sockeye__tftp_trouble_of_icmp(&e);
		if (e.err != -EMSGSIZE)
			*out_err = e.err;
	}
	return any;
}

int sockeye__tftp_wire_error(struct sockeye__tftp_wire *w, int received)
{
	int err;

	if (!errors_take(w, &err) && received < 0 && received != -EAGAIN)
		w->trouble = (struct sockeye__tftp_trouble){
		    .step = SOCKEYE__TFTP_STEP_RECEIVE,
		    .err = received,
		};
	return err;
}

/* --- sending --- */

/* Keeps the result of sending packets of `len` bytes. Returns 0 for an error that means only
 * that the packets were lost, otherwise the error. */
static int send_verdict(struct sockeye__tftp_wire *w, int err, size_t len)
{
	struct sockeye__tftp_trouble *t = &w->trouble;

	if (err < 0 && !(t->step == SOCKEYE__TFTP_STEP_ICMP && t->err == err))
		*t = (struct sockeye__tftp_trouble){.err = err, .len = len};
	else if (err == 0 && t->step == SOCKEYE__TFTP_STEP_SEND && len >= t->len)
		t->err = 0;
	switch (err) {
	case -EAGAIN:
	case -ENOBUFS:
	case -ENOMEM:
	case -EPERM: /* dropped by a packet filter */
		return 0;
	default:
		return err;
	}
}

/* Whether an earlier ICMP message may have caused the error (icmp(7), ICMPv6). The next
 * call on the socket returns such an error even if it concerns another peer; the error
 * queue has the address of the peer. */
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

/* Sends one datagram, with the cheaper call if it has no control data. */
static ssize_t datagram_send(int fd, const struct msghdr *m)
{
	if (m->msg_controllen > 0)
		return sendmsg(fd, m, MSG_NOSIGNAL);
	return sendto(fd, m->msg_iov->iov_base, m->msg_iov->iov_len, MSG_NOSIGNAL, m->msg_name,
		      m->msg_namelen);
}

static ssize_t send_once(struct sockeye__tftp_wire *w, struct mmsghdr *m, unsigned count)
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
		queued = errors_take(w, &about_peer);
		if (about_peer < 0)
			return about_peer;
		if (tries >= SEND_TRIES) /* not a failure: a flood of errors about other peers */
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
	return send_verdict(w, n < 0 ? (int)n : 0, len);
}

void sockeye__tftp_wire_reject(int fd, const struct sockeye_sockaddr *stranger,
			       const uint8_t *bytes, size_t len)
{
	struct sockeye__tftp_wire wire = {.fd = fd, .to = {.peer = *stranger}};
	uint8_t error[64];

	if (len < 2 || sockeye__tftp_get16(bytes) == SOCKEYE__TFTP_ERROR)
		return;
	len = sockeye__tftp_error_encode(error, sizeof error, SOCKEYE__TFTP_UNKNOWN_TID,
					 "unknown transfer ID");
	(void)sockeye__tftp_wire_packet(&wire, error, len);
}

/* Datagrams of one size; the last may be shorter. */
struct train {
	uint8_t *bytes;
	size_t len, segment;
	unsigned count;
};

/* Returns the bytes of the largest datagram. */
static size_t train_largest(const struct train *t)
{
	return t->len < t->segment ? t->len : t->segment;
}

/* Sends all datagrams in one call; the kernel splits the bytes into datagrams. */
static int train_send_whole(struct sockeye__tftp_wire *w, const struct train *t)
{
	union control control;
	struct iovec iov = {t->bytes, t->len};
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

		iov[i] = (struct iovec){t->bytes + at, len < t->segment ? len : t->segment};
		m[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
		address(w, &m[i].msg_hdr, &control); /* the same control data for all */
	}
	while (sent < t->count) {
		ssize_t n = send_once(w, m + sent, t->count - sent);

		if (n < 0)
			return send_verdict(w, (int)n, train_largest(t));
		sent += (unsigned)n;
	}
	return send_verdict(w, 0, train_largest(t));
}

static int train_send(struct sockeye__tftp_wire *w, const struct train *t)
{
	w->sent += t->count;
	if (t->count > 1 && !w->no_segments) {
		int err = train_send_whole(w, t);

		if (!sockeye__dgram_cut_refused(err))
			return send_verdict(w, err, train_largest(t));
		w->no_segments = true;
	}
	return train_send_each(w, t);
}

/* Writes the blocks, each with its header, into scratch one after the other. */
static int train_build(const struct sockeye__tftp *machine, const struct sockeye__tftp_send *send,
		       struct sockeye__tftp_source *source, uint8_t *scratch, struct train *out)
{
	struct iovec payload[SOCKEYE__TFTP_BURST_MAX];
	uint64_t left = send->bytes;
	uint8_t *at = scratch;

	for (uint32_t i = 0; i < send->count; i++) {
		size_t len = left < machine->blksize ? (size_t)left : machine->blksize;

		sockeye__tftp_data_encode(at, sockeye__tftp_number(machine, send->block + i));
		payload[i] = (struct iovec){at + SOCKEYE__TFTP_HEADER, len};
		at += SOCKEYE__TFTP_HEADER + len;
		left -= len;
	}
	*out = (struct train){
	    .bytes = scratch,
	    .len = (size_t)(at - scratch),
	    .segment = (size_t)SOCKEYE__TFTP_HEADER + machine->blksize,
	    .count = send->count,
	};
	return sockeye__tftp_source_copy(source, send->offset, payload, (int)send->count);
}

/* Returns how many blocks of the transfer one call can send. */
static uint32_t train_max(const struct sockeye__tftp *machine)
{
	uint32_t fit = SEGMENTS_BYTES / (SOCKEYE__TFTP_HEADER + (uint32_t)machine->blksize);

	return fit < 1 ? 1 : fit < SOCKEYE__TFTP_BURST_MAX ? fit : SOCKEYE__TFTP_BURST_MAX;
}

int sockeye__tftp_wire_flush(struct sockeye__tftp_wire *w, struct sockeye__tftp *machine,
			     struct sockeye__tftp_source *source, uint64_t now_ns,
			     uint8_t scratch[SOCKEYE__TFTP_WIRE_BYTES], bool *out_source)
{
	struct sockeye__tftp_send send;
	struct train train;
	int err;

	*out_source = false;
	while (sockeye__tftp_next(machine, now_ns, train_max(machine), &send)) {
		if (send.packet.len > 0) {
			err = sockeye__tftp_wire_packet(w, send.packet.at, send.packet.len);
		} else {
			err = train_build(machine, &send, source, scratch, &train);
			*out_source = err < 0;
			if (err == 0)
				err = train_send(w, &train);
		}
		if (err < 0)
			return err;
	}
	return 0;
}
