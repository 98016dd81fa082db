/*
 * dgram.h: datagrams with their sender, their destination address, their true length
 * and the ICMP errors about them.
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
	struct sockeye_sockaddr peer;  /* the sender, or the destination to send to */
	struct sockeye_sockaddr local; /* the local address that the datagram was sent to, with
					* port 0; zeroed if unknown (sockeye_dgram_want_local)
					* or if `group` is set */
	bool group;                    /* sent to a broadcast or multicast address */
	int ifindex;                   /* the interface that received the datagram; 0: unknown */
	size_t len;                    /* bytes of the datagram in the caller's buffer */
	size_t true_len;               /* bytes of the whole datagram */
	bool truncated;                /* true_len > len */
};

/* Makes the kernel report the destination address of each datagram (IP_PKTINFO,
 * IPV6_RECVPKTINFO), so that a reply can have it as its source. Does nothing for UNIX
 * sockets. Returns 0 or -errno. Thread-safe. */
SOCKEYE_API int sockeye_dgram_want_local(int fd);

/* Receives one datagram into buf and fills in *out. An empty datagram has len 0; it is
 * not an end of file. Returns 0, -EAGAIN if a non-blocking socket has no datagram,
 * -ETIMEDOUT after deadline_ns (0: none), or -errno. A connected socket also returns
 * ICMP errors, such as -ECONNREFUSED. If deadline_ns is not 0, -EAGAIN means that no
 * datagram has arrived but the error queue has an entry: call sockeye_dgram_error_recv().
 * Thread-safe. */
SOCKEYE_API int sockeye_dgram_recv(int fd, void *buf, size_t cap, uint64_t deadline_ns,
				   struct sockeye_dgram *out);

/* Sends one datagram to dgram->peer, from the source address dgram->local. On a connected
 * socket dgram may be NULL or have no peer. If dgram->local is empty, the kernel
 * chooses the source. Returns 0, -EMSGSIZE if the datagram is too long, or -errno.
 * Thread-safe. */
SOCKEYE_API int sockeye_dgram_send(int fd, const void *buf, size_t len,
				   const struct sockeye_dgram *dgram);

/* Connects a datagram socket to another peer. NULL disconnects it (AF_UNSPEC). If the
 * new peer cannot be reached from the local address that the first connect(2) chose,
 * the socket is disconnected first. Disconnecting may change a port that Linux chose:
 * bind the socket to a port number if the port must not change. Returns 0 or -errno.
 * Thread-safe. */
SOCKEYE_API int sockeye_dgram_reconnect(int fd, const struct sockeye_sockaddr *peer);

/* One entry of the error queue. */
struct sockeye_dgram_error {
	int err;                      /* -ECONNREFUSED, -EHOSTUNREACH, -EMSGSIZE ... */
	uint8_t icmp_type, icmp_code; /* RFC 792, RFC 4443; 0 for a local error */
	bool from_icmp;
	struct sockeye_sockaddr peer;     /* the destination of the datagram */
	struct sockeye_sockaddr offender; /* the sender of the ICMP message; zeroed if unknown */
};

/* Enables the error queue (IP_RECVERR, IPV6_RECVERR). Returns 0, -EOPNOTSUPP for a UNIX
 * socket, or -errno. Thread-safe. */
SOCKEYE_API int sockeye_dgram_want_errors(int fd);

/* Removes one entry from the error queue and writes it to *out. Does not block. Returns
 * 0, -EAGAIN if the queue is empty, or -errno. Thread-safe. */
SOCKEYE_API int sockeye_dgram_error_recv(int fd, struct sockeye_dgram_error *out);

SOCKEYE_END

#endif
