/*
 * dgram.h: datagrams with all that belongs to them: who sent it, to which of
 * our addresses, how long it really was, and what ICMP said.
 */
#ifndef SOCKEYE_DGRAM_H
#define SOCKEYE_DGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sockeye/sockaddr.h>
#include <sockeye/visibility.h>

SOCKEYE_BEGIN

#define SOCKEYE_UDP_PAYLOAD_MAX 65507 /* 65535 - 20 - 8, RFC 768 over RFC 791 */

struct sockeye_dgram {
	struct sockeye_sockaddr peer;  /* who sent it, or whom to send it to */
	struct sockeye_sockaddr local; /* the address of ours that was asked, with port 0; zeroed
					* when the kernel did not say (sockeye_dgram_want_local)
					* or when it was not to one of ours alone (group) */
	bool group;                    /* it was sent to a broadcast or multicast address */
	int ifindex;                   /* the interface it came in by, 0 unknown */
	size_t len;                    /* bytes in the caller's buffer */
	size_t true_len;               /* bytes that were sent: more than len when truncated */
	bool truncated;
};

/* Asks the kernel to say with each datagram which address it was sent to
 * (IP_PKTINFO, IPV6_RECVPKTINFO), so that the answer can leave from there; on
 * other sockets than UDP's there is nothing to ask. 0 or -errno. Thread-safe. */
SOCKEYE_API int sockeye_dgram_want_local(int fd);

/* Receives one datagram into buf. Returns 0 and fills *out (an empty datagram
 * has len 0 and is not the end of anything), -EAGAIN, -ETIMEDOUT past
 * deadline_ns (0: none; then a blocking socket waits), or -errno, among it what
 * ICMP reported on a connected socket (-ECONNREFUSED). With a deadline -EAGAIN
 * means that there is nothing to receive but something in the error queue,
 * which sockeye_dgram_error_recv takes. Thread-safe. */
SOCKEYE_API int sockeye_dgram_recv(int fd, void *buf, size_t cap, uint64_t deadline_ns,
				   struct sockeye_dgram *out);

/* Sends one datagram. dgram may be NULL on a connected socket; its peer is the
 * destination when it has one, its local the source address when it has one.
 * 0 or -errno; -EMSGSIZE when it cannot be that long. Thread-safe. */
SOCKEYE_API int sockeye_dgram_send(int fd, const void *buf, size_t len,
				   const struct sockeye_dgram *dgram);

/* Changes whom a datagram socket is connected to by a second connect(2); a
 * NULL peer dissolves the association (AF_UNSPEC). Where the new peer cannot be
 * reached from the local address that the first connect chose, the association
 * is dissolved on the way. Linux gives a port back that it chose itself when an
 * association is dissolved: a socket that must keep it is bound to it by
 * number. 0 or -errno. */
SOCKEYE_API int sockeye_dgram_reconnect(int fd, const struct sockeye_sockaddr *peer);

/* One entry of the error queue of a socket that asked for it. */
struct sockeye_dgram_error {
	int err;                      /* -ECONNREFUSED, -EHOSTUNREACH, -EMSGSIZE ... */
	uint8_t icmp_type, icmp_code; /* 0, 0 when the error is local */
	bool from_icmp;
	struct sockeye_sockaddr peer;     /* whom the datagram was for */
	struct sockeye_sockaddr offender; /* who sent the ICMP message; zeroed when unknown */
};

/* Turns the error queue on (IP_RECVERR, IPV6_RECVERR): 0 or -errno. */
SOCKEYE_API int sockeye_dgram_want_errors(int fd);

/* Takes one entry off the error queue: 0, or -EAGAIN when there is none. */
SOCKEYE_API int sockeye_dgram_error_recv(int fd, struct sockeye_dgram_error *out);

SOCKEYE_END

#endif
