/*
 * rtt.h: how long to wait for a reply before retransmitting (RFC 6298).
 *
 * The caller follows Karn's rule: the reply to a packet that was sent twice is not
 * a sample. A doubled timeout stays doubled until the next sample.
 *
 * This estimator differs from RFC 6298 in two ways:
 *
 * - The timeout is also longer than the longest recent round trip. TFTP peers pause:
 *   they write flash memory, or the reader of their output is slow. A pause in one
 *   window of eight hardly changes the average, so each pause would count as a loss.
 * - After progress only one doubling remains, not all of them (RFC 6298, section 5.7).
 *   A peer that loses the end of every window never gives a sample, so the doublings
 *   of all windows would add up. One doubling suffices to measure a round trip that
 *   has become longer.
 */
#ifndef SOCKEYE_PROTO_RTT_H
#define SOCKEYE_PROTO_RTT_H

#include <stdbool.h>
#include <stdint.h>

struct sockeye__rtt {
	uint64_t smoothed_ns; /* 0: no sample yet */
	uint64_t variance_ns;
	uint64_t rto_ns; /* before backing off, floor_ns <= rto_ns <= ceiling_ns */
	uint64_t floor_ns, ceiling_ns;
	uint64_t least_ns;     /* the shortest sample */
	uint64_t longest_ns;   /* the longest recent round trip, with pauses; halved when old */
	uint64_t least_rto_ns; /* 1.5 * longest_ns, at least floor_ns */
	unsigned longest_age;  /* samples since the last one of at least half of longest_ns */
	unsigned backoff;      /* times the timeout was doubled */
};

/* initial_ns is the timeout until the first sample, limited to floor and ceiling. */
void sockeye__rtt_init(struct sockeye__rtt *r, uint64_t initial_ns, uint64_t floor_ns,
		       uint64_t ceiling_ns);

/* Adds the duration of a round trip. */
void sockeye__rtt_sample(struct sockeye__rtt *r, uint64_t ns);

/* Doubles the timeout because there was no reply. */
void sockeye__rtt_back_off(struct sockeye__rtt *r);

/* Whether a reply may belong to packets that the timer sent again between first_ns and
 * last_ns ago. False if it arrives too soon, so that it belongs to the packet sent before
 * (the Eifel algorithm, RFC 3522), or so late that the peer must have paused. */
bool sockeye__rtt_may_answer(const struct sockeye__rtt *r, uint64_t first_ns, uint64_t last_ns);

/* Records that the peer paused and replied ns after the packet was first sent. */
void sockeye__rtt_pause(struct sockeye__rtt *r, uint64_t ns);

/* Records that a packet was lost: the peer replied after the timer had sent it again. Also
 * halves the longest round trip, so that later losses do not each cost a long timeout. */
void sockeye__rtt_loss(struct sockeye__rtt *r);

/* Returns how long to wait now, at most the ceiling. A doubled timeout is up to an
 * eighth shorter, depending on `random`, so that peers that failed together do not
 * all retransmit at the same time. */
uint64_t sockeye__rtt_timeout(const struct sockeye__rtt *r, uint64_t random);

/* Returns the shortest time in which a reply can be expected: the smoothed round-trip
 * time minus its deviation or a quarter of it, whichever is less. Without a sample,
 * returns half of the timeout. */
uint64_t sockeye__rtt_patience(const struct sockeye__rtt *r);

#endif
