/*
 * internal.h: shared by the files of the relay. relay.c is the loop, clients.c keeps
 * the flows, sockets.c opens their sockets, send.c decides when a packet is sent, and outbox.c
 * sends it.
 */
#ifndef SOCKEYE_RELAY_INTERNAL_H
#define SOCKEYE_RELAY_INTERNAL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <sockeye/dgram.h>

#include "net/net.h"
#include "relay/relay.h"

#define SOCKEYE__RELAY_BATCH        64
#define SOCKEYE__RELAY_SLICES       512   /* pieces of memory sent in one call */
#define SOCKEYE__RELAY_MAPPINGS_MAX 8     /* per flow */
#define SOCKEYE__RELAY_PACKETS_MAX  65536 /* waiting in the relay */

enum sockeye__relay_kind {
	SOCKEYE__RELAY_LISTENER,
	SOCKEYE__RELAY_TARGET, /* a flow's socket towards the target */
	SOCKEYE__RELAY_MAPPED, /* a flow's socket towards the client */
	SOCKEYE__RELAY_STOP,
	SOCKEYE__RELAY_REPORT,
};

/* A file descriptor that epoll watches. */
struct sockeye__relay_port {
	enum sockeye__relay_kind kind;
	int fd;           /* -1: closed */
	uint16_t claimed; /* the port number that is counted in run->claims; 0: none */
	struct sockeye__relay_flow *flow;
	bool wildcard; /* a listener on all addresses: replies need a source address */
};

/* Maps a port of the target to the port of the relay that the client sees instead.
 * The first mapping of a flow maps the port of TARGET to the listener. */
struct sockeye__relay_mapping {
	struct sockeye__relay_port port;
	uint16_t target_port; /* 0: unused */
	uint64_t last_use;    /* the value of run->use_count when it was last used */
};

/* A copy of a waiting packet. */
struct sockeye__relay_packet {
	struct sockeye__relay_packet *next, *prev; /* in the list of held packets */
	struct sockeye__relay_flow *flow;
	uint64_t flow_number; /* differs from flow->number if the struct was reused meanwhile */
	struct sockeye__relay_mapping *mapping;
	uint16_t target_port; /* differs from mapping->target_port if that was reused */
	enum sockeye__fault_direction direction;
	uint64_t due_ns;
	uint64_t order; /* among packets that are due at the same time */
	uint64_t jitter_ns;
	unsigned overtakers; /* packets that must still be sent before this one */
	bool duplicate;
	size_t len;
	uint8_t data[];
};

struct sockeye__relay_flow {
	uint64_t number;                           /* from 1; 0: unused */
	struct sockeye__relay_flow *chain;         /* the next one in its hash chain or `unused` */
	struct sockeye__relay_flow *newer, *older; /* by last use */
	struct sockeye_dgram client; /* the client, and the relay's address that it sends to */
	uint64_t used_ns;
	struct sockeye__relay_port target;
	struct sockeye__relay_mapping mappings[SOCKEYE__RELAY_MAPPINGS_MAX];
	struct sockeye__fault_stream streams[SOCKEYE__FAULT_DIRECTIONS];
	struct sockeye__relay_packet *held[SOCKEYE__FAULT_DIRECTIONS][SOCKEYE__FAULT_HOLD_MAX];
	unsigned held_count[SOCKEYE__FAULT_DIRECTIONS];
	unsigned queued[SOCKEYE__FAULT_DIRECTIONS]; /* packets in the heap, not to be overtaken */
	struct sockeye__fault_dropped *dropped;
	bool refusal_reported;
	bool loss_reported[SOCKEYE__FAULT_DIRECTIONS];
};

/* Packets of one size to one receiver, sent as one message of several segments
 * (UDP_SEGMENT, udp(7)). Only the last packet may be shorter. */
struct sockeye__relay_group {
	struct sockeye__relay_flow *flow;
	const struct sockeye__relay_mapping *mapping;
	size_t size, total; /* bytes of a packet, and of all */
	unsigned count;
};

/* Packets that one socket sends in one call: a group per message. */
struct sockeye__relay_outbox {
	int fd;
	enum sockeye__fault_direction direction;
	bool no_segments[SOCKEYE__FAULT_DIRECTIONS]; /* UDP_SEGMENT fails in this direction */
	unsigned count, slice_count;
	struct mmsghdr msgs[SOCKEYE__RELAY_BATCH];
	struct sockeye__relay_group groups[SOCKEYE__RELAY_BATCH];
	struct sockeye_sockaddr names[SOCKEYE__RELAY_BATCH];
	_Alignas(struct cmsghdr) uint8_t control[SOCKEYE__RELAY_BATCH][SOCKEYE__CONTROL_MAX];
	struct iovec slices[SOCKEYE__RELAY_SLICES];
	struct sockeye__relay_packet *copies; /* to be freed after the call */
};

struct sockeye__relay_inbox {
	unsigned used; /* slots filled by the last call, which have to be reset */
	struct mmsghdr msgs[SOCKEYE__RELAY_BATCH];
	struct iovec iovs[SOCKEYE__RELAY_BATCH];
	struct sockeye_sockaddr names[SOCKEYE__RELAY_BATCH];
	_Alignas(struct cmsghdr) uint8_t control[SOCKEYE__RELAY_BATCH][SOCKEYE__CONTROL_MAX];
	/* Not a power of two: otherwise all small packets would share a few cache sets. */
	uint8_t data[SOCKEYE__RELAY_BATCH][65536 + 4160];
};

/* Packets ordered by due_ns. */
struct sockeye__relay_heap {
	struct sockeye__relay_packet *packets[SOCKEYE__RELAY_PACKETS_MAX];
	size_t count;
};

struct sockeye__relay_run {
	struct sockeye__relay_opts opts;
	const struct sockeye_addr *target;
	struct sockeye_sockaddr target_name;
	uint16_t asked_port; /* the port of TARGET */
	int epoll;
	bool target_here;       /* the target's address belongs to this machine */
	uint16_t claims[65536]; /* with target_here: how many sockets the relay has on a port */
	uint64_t now_ns, end_ns;
	struct sockeye__relay_counts *counts;
	struct sockeye__relay_port listeners[SOCKEYE__RELAY_LISTENERS_MAX], stop, report;

	struct sockeye__relay_flow *flows, *unused;
	struct sockeye__relay_flow *newest, *oldest;
	struct sockeye__relay_flow **chains;
	size_t chain_count; /* a power of two */
	uint64_t use_count; /* uses of mappings so far */

	struct sockeye__relay_packet *held_first, *held_last; /* by the latest time to send them */
	uint64_t order, queued_bytes;
	uint64_t link_ns[SOCKEYE__FAULT_DIRECTIONS];
	struct sockeye__relay_heap heap;
	struct sockeye__relay_outbox outbox;
	struct sockeye__relay_inbox inbox;
};

/* --- sockets.c --- */

/* Adds the port to the epoll instance. Returns 0 or -errno. */
int sockeye__relay_watch(struct sockeye__relay_run *run, struct sockeye__relay_port *port);

/* Records the port as one of the relay's, so that packets from it do not count as the
 * target's. If relay and target share an address, the kernel may give the relay a port
 * that a client had; packets still sent to that client would otherwise circulate in
 * the relay forever. */
void sockeye__relay_port_claim(struct sockeye__relay_run *run, struct sockeye__relay_port *port);
void sockeye__relay_port_close(struct sockeye__relay_run *run, struct sockeye__relay_port *port);

/* Enlarges the buffers of a socket as far as allowed, and lets one call receive several
 * packets of one sender (UDP_GRO, udp(7)), if the kernel supports it. */
void sockeye__relay_prepare(int fd);

/* The first opens the flow's socket towards the target, the second a mapping's socket
 * towards the client. Both return 0 or -errno. */
int sockeye__relay_target_open(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);
int sockeye__relay_mapping_open(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
				struct sockeye__relay_mapping *mapping);

/* Whether the addresses are equal apart from the port. */
bool sockeye__relay_same_host(const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b);

/* Takes the ICMP errors of packets sent to the target from the error queue. Otherwise
 * each error would make a later send or receive fail (ip(7), IP_RECVERR). Returns
 * whether there were any. */
bool sockeye__relay_errors_take(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);

/* --- clients.c --- */

/* Returns 0 or -ENOMEM. */
int sockeye__relay_flows_init(struct sockeye__relay_run *run);
void sockeye__relay_flows_fini(struct sockeye__relay_run *run);

/* Finds or opens the flow of a client. Returns NULL if the flow cannot be opened. */
struct sockeye__relay_flow *sockeye__relay_flow_of(struct sockeye__relay_run *run,
						   struct sockeye__relay_port *listener,
						   const struct sockeye_dgram *client);
void sockeye__relay_flow_close(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);

/* Marks the flow as the most recently used one. */
void sockeye__relay_flow_touch(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);

/* Finds or opens the mapping of a port of the target. At the limit, replaces the least
 * recently used mapping. Returns NULL if the mapping cannot be opened. */
struct sockeye__relay_mapping *sockeye__relay_mapping_of(struct sockeye__relay_run *run,
							 struct sockeye__relay_flow *flow,
							 uint16_t port);

/* --- outbox.c --- */

/* A packet to be sent, now or later. */
struct sockeye__relay_outgoing {
	struct sockeye__relay_flow *flow;
	struct sockeye__relay_mapping *mapping;
	enum sockeye__fault_direction direction;
	uint64_t jitter_ns;
	bool duplicate;
	const uint8_t *data;
	size_t len;
	struct sockeye__relay_packet *copy; /* the copy that holds `data`; NULL: the inbox */
};

/* Adds a packet, and its duplicate, to the outbox, which takes over the copy. */
void sockeye__relay_send(struct sockeye__relay_run *run, const struct sockeye__relay_outgoing *p);

/* Sends the packets in the outbox. Must be called before the inbox is filled again,
 * because the outbox may point into it. */
void sockeye__relay_flush(struct sockeye__relay_run *run);

/* Returns how many bytes of opts.queue_max the copy of a packet of this length occupies. */
size_t sockeye__relay_copy_bytes(size_t len);
void sockeye__relay_copy_free(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy);

/* --- send.c --- */

/* Sends, delays or holds a packet according to the verdict. `data` is in the inbox. */
void sockeye__relay_pass(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
			 struct sockeye__relay_mapping *mapping,
			 enum sockeye__fault_direction direction,
			 const struct sockeye__fault_verdict *verdict, const uint8_t *data,
			 size_t len);

/* Sends the packets that are due. */
void sockeye__relay_release(struct sockeye__relay_run *run);

/* Returns when the next packet is due, or UINT64_MAX if none waits. */
uint64_t sockeye__relay_next_ns(const struct sockeye__relay_run *run);

/* The first drops the held packets of a flow, the second all packets in the heap. Both
 * count the packets as lost. */
void sockeye__relay_held_drop(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);
void sockeye__relay_queue_fini(struct sockeye__relay_run *run);

#endif
