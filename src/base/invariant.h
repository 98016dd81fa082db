/*
 * invariant.h: checks a whole state machine after each of its steps.
 *
 *     static void conn_check(const struct conn *c)
 *     {
 *             assert(c->sent <= c->queued);
 *             ...
 *     }
 *
 *     sockeye__invariant(conn_check(c));
 *
 * Debug and sanitizer builds, and builds with `-Dinvariants=true`, make the call. All
 * other builds compile the call and remove it, so that it does not slow them down.
 */
#ifndef SOCKEYE_BASE_INVARIANT_H
#define SOCKEYE_BASE_INVARIANT_H

#include <assert.h>

#ifdef SOCKEYE_INVARIANTS
#define SOCKEYE__INVARIANTS 1
#else
#define SOCKEYE__INVARIANTS 0
#endif

#define sockeye__invariant(call) \
	do { \
		if (SOCKEYE__INVARIANTS) \
			(call); \
	} while (0)

#endif
