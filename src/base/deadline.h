/*
 * deadline.h: points in time at which something is due, in nanoseconds of the
 * monotonic clock; 0 means never.
 */
#ifndef SOCKEYE_BASE_DEADLINE_H
#define SOCKEYE_BASE_DEADLINE_H

#include <stdint.h>

/* Returns the earlier of two deadlines, 0 if both are 0. */
static inline uint64_t sockeye__earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns == 0 || (b_ns != 0 && b_ns < a_ns) ? b_ns : a_ns;
}

#endif
