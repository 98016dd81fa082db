/*
 * rtt.h: how long to wait for an answer (RFC 6298), for whoever repeats what
 * was not answered.
 *
 * Karn's rule is the caller's: an answer to something that was sent twice is
 * no sample. What backing off has doubled stays so until the next sample.
 */
#ifndef SOCKEYE_PROTO_RTT_H
#define SOCKEYE_PROTO_RTT_H

#include <stdint.h>

struct sockeye__rtt {
	uint64_t smoothed_ns; /* 0: nothing measured yet */
	uint64_t variance_ns;
	uint64_t rto_ns; /* before backing off, floor_ns <= rto_ns <= ceiling_ns */
	uint64_t floor_ns, ceiling_ns;
	unsigned backoff; /* times the time-out was doubled */
};

/* initial_ns: the time-out while nothing is measured, at most ceiling_ns. */
void sockeye__rtt_init(struct sockeye__rtt *r, uint64_t initial_ns, uint64_t floor_ns,
		       uint64_t ceiling_ns);

/* A round trip took so long. */
void sockeye__rtt_sample(struct sockeye__rtt *r, uint64_t ns);

/* There was no answer. */
void sockeye__rtt_back_off(struct sockeye__rtt *r);

/* The time to wait now: never above the ceiling, and exact as long as there was
 * an answer; repeated time-outs are up to an eighth shorter, by `random`, so
 * that peers that failed together do not come back together. */
uint64_t sockeye__rtt_timeout(const struct sockeye__rtt *r, uint64_t random);

/* What is younger than this cannot have been answered: a round trip, less
 * its usual deviation or a quarter. */
uint64_t sockeye__rtt_patience(const struct sockeye__rtt *r);

#endif
