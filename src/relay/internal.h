/*
 * internal.h: what the files of the relay share; relay.h is for the others.
 */
#ifndef SOCKEYE_RELAY_INTERNAL_H
#define SOCKEYE_RELAY_INTERNAL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <sockeye/dgram.h>

#include "net/net.h"
#include "relay/relay.h"

#define SOCKEYE__RELAY_BATCH       64
#define SOCKEYE__RELAY_SLICES      512   /* of memory, in what leaves in one call */
#define SOCKEYE__RELAY_DOORS_MAX   8     /* of a flow, the listening port among them */
#define SOCKEYE__RELAY_PACKETS_MAX 65536 /* that wait */

enum sockeye__relay_kind {
	SOCKEYE__RELAY_LISTENER,
	SOCKEYE__RELAY_TARGET, /* a flow's, towards the target */
	SOCKEYE__RELAY_DOOR,   /* a flow's, towards the client */
	SOCKEYE__RELAY_STOP,
	SOCKEYE__RELAY_TELL,
};

/* A socket of ours, as epoll knows it. */
struct sockeye__relay_port {
	enum sockeye__relay_kind kind;
	int fd;       /* -1: closed */
	uint16_t own; /* the port it is bound to, when that is counted */
	struct sockeye__relay_flow *flow;
	bool wildcard; /* of a listener: answers need a source address */
};

/* One port of the target, and what stands for it before the client. The first
 * of a flow is the port that is asked, and the listener. */
struct sockeye__relay_door {
	struct sockeye__relay_port port;
	uint16_t target_port; /* 0: unused */
	uint64_t used;        /* when, by the count of packets */
};

/* A packet that waits. */
struct sockeye__relay_packet {
	struct sockeye__relay_packet *next, *prev; /* of those held back */
	struct sockeye__relay_flow *flow;
	uint64_t flow_number; /* lest the flow be another one by now */
	struct sockeye__relay_door *door;
	uint16_t target_port; /* likewise of the door */
	enum sockeye__relay_way way;
	uint64_t due_ns;
	uint64_t order; /* among those that are due at once */
	uint64_t more_ns;
	unsigned overtakers; /* that are still to come */
	bool twice;
	size_t len;
	uint8_t data[];
};

struct sockeye__relay_flow {
	uint64_t number;                           /* from 1; 0: unused */
	struct sockeye__relay_flow *chain;         /* of the same hash; of unused ones */
	struct sockeye__relay_flow *newer, *older; /* by use */
	struct sockeye_dgram client; /* who it is, and which address of ours it asked */
	uint64_t used_ns;
	struct sockeye__relay_port target;
	struct sockeye__relay_door doors[SOCKEYE__RELAY_DOORS_MAX];
	struct sockeye__relay_stream streams[SOCKEYE__RELAY_WAYS];
	struct sockeye__relay_packet *held[SOCKEYE__RELAY_WAYS][SOCKEYE__RELAY_HOLD_MAX];
	unsigned held_count[SOCKEYE__RELAY_WAYS];
	unsigned queued[SOCKEYE__RELAY_WAYS]; /* in the heap: none may overtake them */
	struct sockeye__relay_once *once;
	bool refused; /* which was told */
};

/* Packets of one size to one receiver, which may leave as one message of several
 * segments (UDP_SEGMENT, udp(7)); the last may be shorter, and ends it. */
struct sockeye__relay_parcel {
	struct sockeye__relay_flow *flow;
	const struct sockeye__relay_door *door;
	size_t size, total; /* bytes of a packet, and of all */
	unsigned count;
};

/* What leaves by one socket in one call. */
struct sockeye__relay_outbox {
	int fd;
	enum sockeye__relay_way way;
	bool apart[SOCKEYE__RELAY_WAYS]; /* segments do not work there */
	unsigned count, slice_count;
	struct mmsghdr msgs[SOCKEYE__RELAY_BATCH];
	struct sockeye__relay_parcel parcels[SOCKEYE__RELAY_BATCH];
	struct sockeye_sockaddr names[SOCKEYE__RELAY_BATCH];
	_Alignas(struct cmsghdr) uint8_t control[SOCKEYE__RELAY_BATCH][SOCKEYE__CONTROL_MAX];
	struct iovec slices[SOCKEYE__RELAY_SLICES];
	struct sockeye__relay_packet *sent; /* copies, free to go once this is */
};

struct sockeye__relay_inbox {
	unsigned used; /* slots of the last batch, which must be set up again */
	struct mmsghdr msgs[SOCKEYE__RELAY_BATCH];
	struct iovec iovs[SOCKEYE__RELAY_BATCH];
	struct sockeye_sockaddr names[SOCKEYE__RELAY_BATCH];
	_Alignas(struct cmsghdr) uint8_t control[SOCKEYE__RELAY_BATCH][SOCKEYE__CONTROL_MAX];
	/* A little more apart than a power of two: small packets would share few
	 * cache sets. */
	uint8_t data[SOCKEYE__RELAY_BATCH][65536 + 4160];
};

/* Packets by when they are due. */
struct sockeye__relay_heap {
	struct sockeye__relay_packet *v[SOCKEYE__RELAY_PACKETS_MAX];
	size_t count;
};

struct sockeye__relay_run {
	struct sockeye__relay_opts opts;
	const struct sockeye_addr *target;
	struct sockeye_sockaddr target_name;
	uint16_t asked_port; /* of the target */
	int epoll;
	bool target_here;    /* it is an address of this machine, */
	uint16_t own[65536]; /* so these ports, which are ours, are not the target's */
	uint64_t now_ns, end_ns;
	struct sockeye__relay_counts *counts;
	struct sockeye__relay_port listeners[SOCKEYE__RELAY_LISTENERS_MAX], stop, tell;

	struct sockeye__relay_flow *flows, *unused;
	struct sockeye__relay_flow *newest, *oldest;
	struct sockeye__relay_flow **chains;
	size_t chain_count; /* a power of two */
	uint64_t used;      /* counts packets, for the doors */

	struct sockeye__relay_packet *held_first, *held_last; /* by when they must go */
	uint64_t order, queued_bytes;
	uint64_t link_ns[SOCKEYE__RELAY_WAYS];
	struct sockeye__relay_heap heap;
	struct sockeye__relay_outbox outbox;
	struct sockeye__relay_inbox inbox;
};

/* --- sockets.c --- */

/* Has epoll watch the port: 0 or -errno. */
int sockeye__relay_watch(struct sockeye__relay_run *run, struct sockeye__relay_port *port);

/* Counts the port as one of the relay's. Where relay and target share an address,
 * a port that was a client's may become the relay's later; its packets would then
 * circulate for ever. */
void sockeye__relay_own(struct sockeye__relay_run *run, struct sockeye__relay_port *port);
void sockeye__relay_port_close(struct sockeye__relay_run *run, struct sockeye__relay_port *port);

/* Makes the buffers of a socket as large as is allowed, and has the kernel deliver
 * several packets of one sender at once where it can. */
void sockeye__relay_prepare(int fd);

/* Open the socket towards the target, and one that stands for a port of the
 * target before the client: 0 or -errno. */
int sockeye__relay_target_open(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);
int sockeye__relay_door_open(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
			     struct sockeye__relay_door *door);

/* Whether the addresses are equal but for the port. */
bool sockeye__relay_same_host(const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b);

/* Takes the ICMP errors of packets sent to the target, which would otherwise fail
 * the next sends and receives (ip(7), IP_RECVERR). Returns whether there were
 * any. */
bool sockeye__relay_errors_take(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);

/* --- clients.c --- */

int sockeye__relay_flows_init(struct sockeye__relay_run *run);
void sockeye__relay_flows_fini(struct sockeye__relay_run *run);

/* The flow of a client, a new one if need be; NULL when none can be opened. */
struct sockeye__relay_flow *sockeye__relay_flow_of(struct sockeye__relay_run *run,
						   struct sockeye__relay_port *listener,
						   const struct sockeye_dgram *client);
void sockeye__relay_flow_close(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);

/* The flow has been used now. */
void sockeye__relay_flow_touch(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);

/* The door of the target's port, a new one if need be; NULL when none can be
 * opened. */
struct sockeye__relay_door *sockeye__relay_door_of(struct sockeye__relay_run *run,
						   struct sockeye__relay_flow *flow, uint16_t port);

/* --- send.c --- */

/* A packet that was judged to pass; data is the inbox's. */
void sockeye__relay_pass(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
			 struct sockeye__relay_door *door, enum sockeye__relay_way way,
			 const struct sockeye__relay_verdict *verdict, const uint8_t *data,
			 size_t len);

/* Sends what is due. */
void sockeye__relay_release(struct sockeye__relay_run *run);

/* When the next packet is due; UINT64_MAX: none waits. */
uint64_t sockeye__relay_next_ns(const struct sockeye__relay_run *run);

/* Sends what is in the outbox, which may refer to the inbox. */
void sockeye__relay_flush(struct sockeye__relay_run *run);

/* Forgets the packets of a flow that are held back, or all packets. */
void sockeye__relay_unhold(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow);
void sockeye__relay_queue_fini(struct sockeye__relay_run *run);

#endif
