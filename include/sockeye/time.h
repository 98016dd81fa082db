/*
 * time.h: clocks and deadlines.
 *
 * Every timeout in the library is a deadline: a time of CLOCK_MONOTONIC in
 * nanoseconds. Unlike a duration, it stays valid after a retry or partial progress.
 * 0 means that there is no deadline.
 */
#ifndef SOCKEYE_TIME_H
#define SOCKEYE_TIME_H

#include <stdint.h>

#include <sockeye/visibility.h>

SOCKEYE_BEGIN

#define SOCKEYE_NS_PER_S  UINT64_C(1000000000)
#define SOCKEYE_NS_PER_MS UINT64_C(1000000)

/* The time at which a driver began a turn. Services read no clock themselves. */
struct sockeye_now {
	uint64_t mono_ns; /* CLOCK_MONOTONIC */
	int64_t real_ns;  /* CLOCK_REALTIME, since 1970-01-01 00:00 UTC */
};

/* Reads both clocks. Does not fail. Thread-safe. */
SOCKEYE_API struct sockeye_now sockeye_now(void);

/* Returns the deadline in `ms` milliseconds. Returns 0, no deadline, if ms is 0.
 * Thread-safe. */
SOCKEYE_API uint64_t sockeye_deadline_ms(uint64_t ms);

SOCKEYE_END

#endif
