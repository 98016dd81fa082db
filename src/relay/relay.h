/*
 * relay.h: relays UDP packets between clients and one target, and drops, duplicates,
 * reorders, delays and corrupts them by rules (faults.h).
 *
 * Each client address is a flow with its own socket towards the target. The client
 * receives replies from the address to which it sent. A server may reply from a port
 * other than the one that received the request, as TFTP servers do (RFC 1350,
 * section 4). The client then sees another port of the relay too: the flow opens a new
 * socket for that port of the target.
 */
#ifndef SOCKEYE_RELAY_RELAY_H
#define SOCKEYE_RELAY_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/error.h>
#include <sockeye/sockaddr.h>
#include <sockeye/stream.h>

#include "proto/faults.h"

#define SOCKEYE__RELAY_LISTENERS_MAX 8

/* X(name): the counters of each direction. */
#define SOCKEYE__RELAY_COUNTERS(X) \
	X(in) \
	X(in_bytes) \
	X(out) /* including duplicates */ \
	X(out_bytes) \
	X(dropped) /* by a rule */ \
	X(duplicated) \
	X(reordered) \
	X(corrupted) \
	X(lost) /* the queue was full, sending failed, or the relay ended */

struct sockeye__relay_counts {
#define SOCKEYE__RELAY_COUNTER(name) uint64_t name;
	struct {
		SOCKEYE__RELAY_COUNTERS(SOCKEYE__RELAY_COUNTER)
	} direction[SOCKEYE__FAULT_DIRECTIONS];
#undef SOCKEYE__RELAY_COUNTER
	uint64_t flows;     /* opened so far */
	uint64_t reused;    /* flows closed to make room for a new one before they were idle */
	uint64_t strangers; /* packets that are not from the target */
	uint64_t refused;   /* packets that did not reach the target, according to ICMP */
	uint32_t flows_now;
	uint32_t queued_now; /* packets waiting in the relay */
};

/* An event of a flow, or the verdict on a packet. */
struct sockeye__relay_event {
	enum {
		SOCKEYE__RELAY_FLOW_OPENED,
		SOCKEYE__RELAY_FLOW_CLOSED,
		SOCKEYE__RELAY_MAPPING_OPENED, /* the target replied from another port */
		SOCKEYE__RELAY_JUDGED,
	} kind;
	uint64_t flow;                         /* number, from 1 */
	const struct sockeye_sockaddr *client; /* FLOW_OPENED */
	uint16_t target_port, relay_port;      /* MAPPING_OPENED */
	/* JUDGED: a packet and its verdict */
	enum sockeye__fault_direction direction;
	uint64_t number; /* in its flow and direction, from 1 */
	const struct sockeye__fault_verdict *verdict;
	const uint8_t *data;
	size_t len;
};

struct sockeye__relay_opts {
	struct sockeye__fault_rules rules[SOCKEYE__FAULT_DIRECTIONS];
	uint64_t seed;
	uint32_t flows_max; /* 0: 1024 */
	uint64_t idle_ns;   /* close flows that had no packets for this time; 0: 60 s */
	uint64_t queue_max; /* bytes of waiting packets; 0: 64 MiB */
	uint64_t time_ns;   /* end after this time; 0: never */
	bool no_follow;     /* treat other ports of the target as strangers */
	int stop_fd;        /* > 0: the relay ends when it becomes readable */
	int report_fd;      /* > 0: an eventfd; on_counts is called each time it is written */
	/* Called when the relay is ready for packets. The relay ends if the function does
	 * not return 0. May be NULL. */
	int (*on_ready)(void *arg);
	void (*on_counts)(void *arg, const struct sockeye__relay_counts *counts);
	void (*on_event)(void *arg, const struct sockeye__relay_event *event); /* may be NULL */
	/* Called for the first packet of a flow that the target's host refuses, with the
	 * target's port and a negative errno. May be NULL. */
	void (*on_refused)(void *arg, uint64_t flow, uint16_t target_port, int err);
	/* Called for the first packet of a flow and direction that this machine cannot send,
	 * with a negative errno. May be NULL. */
	void (*on_lost)(void *arg, uint64_t flow, enum sockeye__fault_direction direction, int err);
	void *arg;
};

/* Whether packets sent to the target would arrive at the listener. */
bool sockeye__relay_is_own(const struct sockeye_listener *listener,
			   const struct sockeye_sockaddr *target_name);

/* Relays between the listeners and the target's resolved address until stop_fd or
 * time_ns ends it. The listeners are non-blocking UDP sockets made by
 * sockeye_listen(); the caller closes them. *out_counts is always filled in.
 * Returns 0, or a negative code with *fail filled in. */
int sockeye__relay(const struct sockeye_listener *listeners, size_t count,
		   const struct sockeye_addr *target, const struct sockeye_sockaddr *target_name,
		   const struct sockeye__relay_opts *opts, struct sockeye__relay_counts *out_counts,
		   struct sockeye_fail *fail);

#endif
