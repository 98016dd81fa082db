/*
 * relay.h: a relay of UDP packets between clients and one target that loses,
 * doubles, holds back, delays and damages them by rule (faults.h).
 *
 * Each client address is a flow with a socket of its own towards the target,
 * and gets its answers from the address it sent to. A server that answers from
 * another port than was asked, as TFTP's do (RFC 1350, 4), is another port of
 * the relay's for the client as well: a door, which belongs to that client and
 * that port of the server alone.
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

/* X(name): counters of one direction. */
#define SOCKEYE__RELAY_COUNTERS(X) \
	X(in) \
	X(in_bytes) \
	X(out) /* duplicates among them */ \
	X(out_bytes) \
	X(dropped) /* by rule */ \
	X(duplicated) \
	X(reordered) /* held back */ \
	X(corrupted) \
	X(lost) /* no room for them, they could not be sent, or it ended before */

struct sockeye__relay_counts {
#define SOCKEYE__RELAY_COUNTER(name) uint64_t name;
	struct {
		SOCKEYE__RELAY_COUNTERS(SOCKEYE__RELAY_COUNTER)
	} way[SOCKEYE__RELAY_WAYS];
#undef SOCKEYE__RELAY_COUNTER
	uint64_t flows;     /* so far */
	uint64_t reused;    /* flows closed for a new one, without having been idle */
	uint64_t strangers; /* packets of somebody else than the target */
	uint64_t refused;   /* packets of which ICMP says that the target did not get them */
	uint32_t flows_now;
	uint32_t queued_now; /* packets that wait */
};

/* Something that happened, for those who want to read along. */
struct sockeye__relay_event {
	enum {
		SOCKEYE__RELAY_FLOW_OPENED,
		SOCKEYE__RELAY_FLOW_CLOSED,
		SOCKEYE__RELAY_DOOR_OPENED, /* the target answered from another port */
		SOCKEYE__RELAY_JUDGED,
	} kind;
	uint64_t flow;                         /* its number, from 1 */
	const struct sockeye_sockaddr *client; /* of a flow opened */
	uint16_t target_port, door_port;       /* of a door opened */
	/* of a packet judged: */
	enum sockeye__relay_way way;
	uint64_t number; /* in its flow and direction, from 1 */
	const struct sockeye__relay_verdict *verdict;
	const uint8_t *data;
	size_t len;
};

struct sockeye__relay_opts {
	struct sockeye__relay_rules rules[SOCKEYE__RELAY_WAYS];
	uint64_t seed;
	uint32_t flows_max; /* 0: 1024 */
	uint64_t idle_ns;   /* a flow without packets for so long ends; 0: 60 s */
	uint64_t queue_max; /* bytes of packets that wait; 0: 64 MiB */
	uint64_t time_ns;   /* ends after so long; 0: never */
	bool no_follow;     /* answers from another port are a stranger's */
	int stop_fd;        /* > 0: becoming readable ends it */
	int tell_fd;        /* > 0: an eventfd; on_counts is called whenever it is written */
	/* Called once packets are received; what is not 0 ends it. May be NULL. */
	int (*on_ready)(void *arg);
	void (*on_counts)(void *arg, const struct sockeye__relay_counts *counts);
	void (*on_event)(void *arg, const struct sockeye__relay_event *event); /* may be NULL */
	/* The first packet of a flow that is refused, by which port of the target
	 * and how (a negative errno). May be NULL. */
	void (*on_refused)(void *arg, uint64_t flow, uint16_t target_port, int err);
	void *arg;
};

/* Whether what is sent to the target would come to the listener. */
bool sockeye__relay_is_own(const struct sockeye_listener *listener,
			   const struct sockeye_sockaddr *target_name);

/* Relays between the listeners, which are non-blocking UDP sockets of
 * sockeye_listen and stay the caller's, and the first of the target's resolved
 * addresses, until told to stop. *out_counts is filled in however it ended.
 * Returns 0, or a negative code with *fail filled in. */
int sockeye__relay(const struct sockeye_listener *listeners, size_t count,
		   const struct sockeye_addr *target, const struct sockeye_sockaddr *target_name,
		   const struct sockeye__relay_opts *opts, struct sockeye__relay_counts *out_counts,
		   struct sockeye_fail *fail);

#endif
