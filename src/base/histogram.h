/*
 * histogram.h: a log-linear histogram of unsigned values, after HdrHistogram
 * (G. Tene): each power of two is cut into 2^SOCKEYE__HIST_BITS equal cells,
 * so a value read back is at most 1/128 (0.8 %) above the recorded one.
 * Recording is a handful of instructions; there is no allocation.
 */
#ifndef SOCKEYE_BASE_HISTOGRAM_H
#define SOCKEYE_BASE_HISTOGRAM_H

#include <stdint.h>

#define SOCKEYE__HIST_BITS  7
#define SOCKEYE__HIST_CELLS ((64 - SOCKEYE__HIST_BITS + 1) << SOCKEYE__HIST_BITS)

/* About 58 KiB; a zeroed one is empty. */
struct sockeye__hist {
	uint64_t count;
	uint64_t min, max; /* exact; meaningless while count is 0 */
	double sum;
	uint64_t cells[SOCKEYE__HIST_CELLS];
};

void sockeye__hist_record(struct sockeye__hist *h, uint64_t value);

/* Adds the values of `from` to `to`. */
void sockeye__hist_merge(struct sockeye__hist *to, const struct sockeye__hist *from);

/* The smallest value (within the error above, never above max) that is not
 * exceeded by `percent` of the values, 0 < percent <= 100; 0 when empty. */
uint64_t sockeye__hist_percentile(const struct sockeye__hist *h, double percent);

double sockeye__hist_mean(const struct sockeye__hist *h);

#endif
