/*
 * timers.h: a binary heap of timers. A timer is a member of the object that has the
 * deadline; the heap points to the timer while it is set.
 */
#ifndef SOCKEYE_SERVE_TIMERS_H
#define SOCKEYE_SERVE_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct sockeye__timer {
	uint64_t at_ns;
	uint32_t index; /* in the heap, from 1; 0: not set */
};

struct sockeye__timers {
	struct sockeye__timer **heap; /* heap[1] is the earliest */
	uint32_t count, cap;
};

/* Sets a timer, or moves it if it is set. Returns 0 or -ENOMEM. */
int sockeye__timers_set(struct sockeye__timers *ts, struct sockeye__timer *t, uint64_t at_ns);
/* Clears a timer; does nothing if it is not set. */
void sockeye__timers_clear(struct sockeye__timers *ts, struct sockeye__timer *t);
/* Returns the earliest timer, or NULL if none is set. */
struct sockeye__timer *sockeye__timers_first(const struct sockeye__timers *ts);
void sockeye__timers_fini(struct sockeye__timers *ts);

/* Asserts that the timer, if it is set, is in the heap and in order with the
 * timers next to it. */
void sockeye__timers_check(const struct sockeye__timers *ts, const struct sockeye__timer *t);

#endif
