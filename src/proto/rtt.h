/*
 * rtt.h: how long to wait for a reply before retransmitting (RFC 6298).
 *
 * The caller follows Karn's rule: the reply to a packet that was sent twice is not
 * a sample. A doubled timeout stays doubled until the next sample.
 */
#ifndef SOCKEYE_PROTO_RTT_H
#define SOCKEYE_PROTO_RTT_H

#include <stdint.h>

struct sockeye__rtt {
	uint64_t smoothed_ns; /* 0: no sample yet */
	uint64_t variance_ns;
	uint64_t rto_ns; /* before backing off, floor_ns <= rto_ns <= ceiling_ns */
	uint64_t floor_ns, ceiling_ns;
	unsigned backoff; /* times the timeout was doubled */
};

/* initial_ns is the timeout until the first sample, limited to floor and ceiling. */
void sockeye__rtt_init(struct sockeye__rtt *r, uint64_t initial_ns, uint64_t floor_ns,
		       uint64_t ceiling_ns);

/* Adds the duration of a round trip. */
void sockeye__rtt_sample(struct sockeye__rtt *r, uint64_t ns);

/* Doubles the timeout because there was no reply. */
void sockeye__rtt_back_off(struct sockeye__rtt *r);

/* Returns how long to wait now, at most the ceiling. A doubled timeout is up to an
 * eighth shorter, depending on `random`, so that peers that failed together do not
 * all retransmit at the same time. */
uint64_t sockeye__rtt_timeout(const struct sockeye__rtt *r, uint64_t random);

/* Returns the shortest time in which a reply can be expected: the smoothed round-trip
 * time minus its deviation or a quarter of it, whichever is less. Without a sample,
 * returns half of the timeout. */
uint64_t sockeye__rtt_patience(const struct sockeye__rtt *r);

#endif
