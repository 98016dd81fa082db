/*
 * wire.h: one end of a transfer on a UDP socket.
 *
 * The socket is not connected at first. So it also receives packets from other
 * peers, which get ERROR 5 (RFC 1350, section 4), and one socket can serve many transfers.
 * ICMP errors arrive in the socket's error queue.
 */
#ifndef SOCKEYE_TFTP_WIRE_H
#define SOCKEYE_TFTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/dgram.h>

#include "proto/tftp_transfer.h"
#include "tftp/source.h"
#include "tftp/trouble.h"

#define SOCKEYE__TFTP_BURST_MAX  64 /* datagrams of one UDP_SEGMENT call (udp(7)) */
#define SOCKEYE__TFTP_WIRE_BYTES (64 << 10)
#define SOCKEYE__TFTP_INBOX      16 /* datagrams received by one call */

/* Local ports from first to last; zeroed: any port. */
struct sockeye__port_range {
	uint16_t first, last;
};

/* Reads "50000-50099". Returns 0 or a negative code. */
int sockeye__port_range_parse(const char *text, struct sockeye__port_range *out);

struct sockeye__tftp_wire {
	int fd;
	struct sockeye_dgram to; /* the peer, and the local address to send from */
	bool connected;
	bool coalesces;   /* one receive call may return several datagrams */
	bool no_segments; /* the kernel cannot split a window into datagrams */
	uint64_t sent;    /* datagrams */
	/* The last error that did not end the transfer. The driver clears it when the transfer
	 * progresses; sending a packet of the same size clears an error of sending. */
	struct sockeye__tftp_trouble trouble;
};

/* Opens a socket on the address `local`, ignoring its port, and on a port of the
 * range or a random one (RFC 1350, section 4). Returns the descriptor or -errno. */
int sockeye__tftp_wire_open(const struct sockeye_sockaddr *local,
			    const struct sockeye__port_range *range);

/* Makes the kernel add ICMP errors to the socket's error queue, and send packets larger
 * than the path's MTU in fragments. */
void sockeye__tftp_wire_allow_fragments(int fd, const struct sockeye_sockaddr *peer);

/* Connects the socket to its peer, which makes each packet cheaper. Packets from
 * other peers then arrive at a second socket on the same port, so that they can
 * still be rejected. Returns the second socket, or -errno if that cannot be opened. */
int sockeye__tftp_wire_connect(struct sockeye__tftp_wire *w);

/* Enlarges the socket's buffers for a window of blocks, as far as the system
 * allows. Returns how many blocks the receive buffer holds. */
uint32_t sockeye__tftp_wire_room(int fd, uint16_t blksize, uint16_t window);

/* Returns about how many bytes of a receive buffer one block uses. */
uint32_t sockeye__tftp_wire_cost(uint16_t blksize);

/* Receives one datagram, or several of one peer, which follow each other in `buf`; each
 * has *out_segment bytes, the last at most as many. Returns the number of bytes, or
 * -errno: -EAGAIN if there is none. */
ssize_t sockeye__tftp_wire_recv(int fd, uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES],
				struct sockeye_dgram *out, size_t *out_segment);

/* Datagrams of a socket with many peers. Buffers occupy no memory until a datagram is
 * received into them. */
struct sockeye__tftp_inbox {
	struct sockeye_dgram from[SOCKEYE__TFTP_INBOX];
	size_t len[SOCKEYE__TFTP_INBOX];
	uint8_t bytes[SOCKEYE__TFTP_INBOX][SOCKEYE__TFTP_WIRE_BYTES];
};

/* Receives at most SOCKEYE__TFTP_INBOX datagrams. Returns their number, or -errno: -EAGAIN
 * if there is none. */
int sockeye__tftp_wire_recv_many(int fd, struct sockeye__tftp_inbox *out);

/* Like sockeye__tftp_wire_recv(), but for a transfer's own socket, and cheaper: reads
 * control data only if the socket coalesces. *out_peer is the sender. */
ssize_t sockeye__tftp_wire_recv_own(const struct sockeye__tftp_wire *w,
				    uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES],
				    struct sockeye_sockaddr *out_peer, size_t *out_segment);

/* Lets one call receive several datagrams (UDP_GRO), where the kernel supports it. */
void sockeye__tftp_wire_coalesce(struct sockeye__tftp_wire *w);

/* Sends one packet. Returns 0, even if the packet was lost, for example in a full queue,
 * or an error that ends the transfer, such as -ECONNREFUSED. Keeps the error in `trouble`. */
int sockeye__tftp_wire_packet(struct sockeye__tftp_wire *w, const void *packet, size_t len);

/* Answers a packet that belongs to no transfer with ERROR 5 (RFC 1350, section 4). Never
 * answers an ERROR. */
void sockeye__tftp_wire_reject(int fd, const struct sockeye_sockaddr *stranger,
			       const uint8_t *bytes, size_t len);

/* Sends all packets that are due. `scratch` is used only during the call. Returns 0 or an
 * error that ends the transfer; *out_source is true if reading the source failed. */
int sockeye__tftp_wire_flush(struct sockeye__tftp_wire *w, struct sockeye__tftp *machine,
			     struct sockeye__tftp_source *source, uint64_t now_ns,
			     uint8_t scratch[SOCKEYE__TFTP_WIRE_BYTES], bool *out_source);

/* Call it after receiving has failed with the error `received`. Empties the error queue and
 * keeps the last error in `trouble`. Returns the last ICMP error about the peer, such as
 * -ECONNREFUSED, or 0. Ignores packets larger than the path's MTU. */
int sockeye__tftp_wire_error(struct sockeye__tftp_wire *w, int received);

/* Returns the largest block that reaches `peer` without fragments (RFC 2348), or 0
 * if that is unknown. */
uint16_t sockeye__tftp_wire_blksize(const struct sockeye_sockaddr *peer);

#endif
