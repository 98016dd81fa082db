/*
 * time.h: clocks and deadlines.
 *
 * Every time-out in the library is a deadline: an absolute instant of
 * CLOCK_MONOTONIC in nanoseconds. A deadline survives retries and partial
 * progress, which a duration does not. 0 means "no deadline".
 */
#ifndef SOCKEYE_TIME_H
#define SOCKEYE_TIME_H

#include <stdint.h>

#include <sockeye/visibility.h>

SOCKEYE_BEGIN

#define SOCKEYE_NS_PER_S  UINT64_C(1000000000)
#define SOCKEYE_NS_PER_MS UINT64_C(1000000)

/* The time as a driver took it once for a turn: services never ask a clock. */
struct sockeye_now {
	uint64_t mono_ns; /* CLOCK_MONOTONIC */
	int64_t real_ns;  /* CLOCK_REALTIME, since 1970-01-01 00:00 UTC */
};

/* Both clocks, now. Thread-safe; does not fail. */
SOCKEYE_API struct sockeye_now sockeye_now(void);

/* The deadline `ms` milliseconds from now; 0 (none) when ms is 0.
 * Thread-safe. */
SOCKEYE_API uint64_t sockeye_deadline_ms(uint64_t ms);

SOCKEYE_END

#endif
