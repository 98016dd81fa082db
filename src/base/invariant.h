/*
 * invariant.h: checks of a whole state machine, made after each of its steps.
 *
 *     static void conn_check(const struct conn *c)
 *     {
 *             assert(c->sent <= c->queued);
 *             ...
 *     }
 *
 *     sockeye__invariant(conn_check(c));
 *
 * The call is made in debug and sanitizer builds and with `-Dinvariants=true`.
 * Every other build compiles it, so that it cannot rot, and drops it: the check
 * may cost as much as it likes.
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
