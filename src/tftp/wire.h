/*
 * wire.h: one end of a transfer on a UDP socket.
 *
 * At first the socket is not connected: so a stranger's packet comes in, too, and
 * can be told that it is wrong (ERROR 5, RFC 1350 4), and one socket can have many
 * transfers. What ICMP says comes by the error queue.
 */
#ifndef SOCKEYE_TFTP_WIRE_H
#define SOCKEYE_TFTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/dgram.h>

#include "proto/tftp_transfer.h"
#include "tftp/source.h"

#define SOCKEYE__TFTP_BURST_MAX  64 /* datagrams of one UDP_SEGMENT call (udp(7)) */
#define SOCKEYE__TFTP_WIRE_BYTES (64 << 10)
#define SOCKEYE__TFTP_INBOX      16 /* datagrams that one call receives */

/* Local ports to choose from, both included; zeroed: any. */
struct sockeye__port_range {
	uint16_t first, last;
};

/* "50000-50099": 0 or a negative code. */
int sockeye__port_range_parse(const char *text, struct sockeye__port_range *out);

struct sockeye__tftp_wire {
	int fd;
	struct sockeye_dgram to; /* the peer, and the address that packets leave from */
	bool connected;
	bool joined;      /* the kernel may hand over several datagrams at once */
	bool no_segments; /* the kernel would not cut a window into datagrams */
	uint64_t sent;    /* datagrams */
};

/* Opens a socket on `local` (its port does not count), on a port of the range or one that
 * the kernel picks at random (RFC 1350 4). The descriptor, or -errno. */
int sockeye__tftp_wire_open(const struct sockeye_sockaddr *local,
			    const struct sockeye__port_range *range);

/* For a socket that lives longer than a few packets: what ICMP says comes by the
 * error queue, and blocks larger than a link takes go in fragments, as their
 * sender asked. */
void sockeye__tftp_wire_tune(int fd, const struct sockeye_sockaddr *peer);

/* Connects the socket to its peer: each packet is cheaper then. Strangers'
 * packets come to a second socket on the same port, so that they can still be
 * answered: its descriptor, or -errno when there is none. */
int sockeye__tftp_wire_connect(struct sockeye__tftp_wire *w);

/* Makes room in the socket's buffers for a window of blocks, as far as the
 * system allows; returns how many blocks the receive buffer holds then. */
uint32_t sockeye__tftp_wire_room(int fd, uint16_t blksize, uint16_t window);

/* What a block counts in a receive buffer, about. */
uint32_t sockeye__tftp_wire_cost(uint16_t blksize);

/* Receives a datagram, or several of one peer behind each other, each of
 * *out_segment bytes but the last. The bytes, -EAGAIN, or -errno. */
ssize_t sockeye__tftp_wire_recv(int fd, uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES],
				struct sockeye_dgram *out, size_t *out_segment);

/* Datagrams that came to a socket of many peers. What none was received into
 * costs no memory. */
struct sockeye__tftp_inbox {
	struct sockeye_dgram from[SOCKEYE__TFTP_INBOX];
	size_t len[SOCKEYE__TFTP_INBOX];
	uint8_t bytes[SOCKEYE__TFTP_INBOX][SOCKEYE__TFTP_WIRE_BYTES];
};

/* Receives what waits, as far as there is room: how many, -EAGAIN, or -errno. */
int sockeye__tftp_wire_recv_many(int fd, struct sockeye__tftp_inbox *out);

/* What came to a transfer's own socket, of whose control data nothing is wanted:
 * that costs less. *out_peer is who sent it; else as sockeye__tftp_wire_recv(). */
ssize_t sockeye__tftp_wire_recv_own(const struct sockeye__tftp_wire *w,
				    uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES],
				    struct sockeye_sockaddr *out_peer, size_t *out_segment);

/* Asks for several datagrams at once (UDP_GRO), where the kernel can. */
void sockeye__tftp_wire_join(struct sockeye__tftp_wire *w);

/* Sends one packet. What the network or a full queue loses is lost, as UDP
 * has it: 0, or what ends the transfer, such as -ECONNREFUSED. */
int sockeye__tftp_wire_packet(struct sockeye__tftp_wire *w, const void *packet, size_t len);

/* Tells whoever sent this from elsewhere that it is no part of a transfer here
 * (RFC 1350 4). An ERROR is never answered. */
void sockeye__tftp_wire_reject(int fd, const struct sockeye_sockaddr *stranger,
			       const uint8_t *bytes, size_t len);

/* Sends all that the machine wants to say now. `scratch` is shared by all who
 * are not in this call. 0, what ends the transfer, or what the source said
 * (*out_source). */
int sockeye__tftp_wire_flush(struct sockeye__tftp_wire *w, struct sockeye__tftp *x,
			     struct sockeye__tftp_source *source, uint64_t now_ns,
			     uint8_t scratch[SOCKEYE__TFTP_WIRE_BYTES], bool *out_source);

/* Takes what ICMP said off the error queue: -ECONNREFUSED and the like when it
 * was about `peer` (NULL: anybody), 0 otherwise. */
int sockeye__tftp_wire_error(int fd, const struct sockeye_sockaddr *peer);

/* The largest block that needs no fragments on the way to `peer` (RFC 2348 has
 * the arithmetic), or 0 when that is unknown. */
uint16_t sockeye__tftp_wire_blksize(const struct sockeye_sockaddr *peer);

#endif
