/*
 * timers.h: deadlines in a binary heap. A timer lives in what it is for; the
 * heap holds a pointer to it, and only while it is set.
 */
#ifndef SOCKEYE_SERVE_TIMERS_H
#define SOCKEYE_SERVE_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct sockeye__timer {
	uint64_t at_ns;
	uint32_t place; /* in the heap, from 1; 0: not set */
};

struct sockeye__timers {
	struct sockeye__timer **heap; /* heap[1] is the earliest */
	uint32_t count, cap;
};

/* Sets or moves a timer. 0 or -ENOMEM. */
int sockeye__timers_set(struct sockeye__timers *ts, struct sockeye__timer *t, uint64_t at_ns);
/* Takes it out; nothing happens when it is not set. */
void sockeye__timers_clear(struct sockeye__timers *ts, struct sockeye__timer *t);
/* The earliest timer, NULL when there is none. */
struct sockeye__timer *sockeye__timers_first(const struct sockeye__timers *ts);
void sockeye__timers_fini(struct sockeye__timers *ts);

#endif
