/*
 * histogram.h: a log-linear histogram of unsigned values, like HdrHistogram
 * (G. Tene). Each power of two has 2^SOCKEYE__HIST_BITS equal cells, so a percentile
 * is at most 1/128 (0.8%) above the recorded value. Recording takes a few
 * instructions and allocates no memory.
 */
#ifndef SOCKEYE_BASE_HISTOGRAM_H
#define SOCKEYE_BASE_HISTOGRAM_H

#include <stdint.h>

#define SOCKEYE__HIST_BITS  7
#define SOCKEYE__HIST_CELLS ((64 - SOCKEYE__HIST_BITS + 1) << SOCKEYE__HIST_BITS)

/* About 58 KiB. A zeroed histogram is empty. */
struct sockeye__hist {
	uint64_t count;
	uint64_t min, max; /* exact; undefined while count is 0 */
	double sum;
	uint64_t cells[SOCKEYE__HIST_CELLS];
};

void sockeye__hist_record(struct sockeye__hist *h, uint64_t value);

/* Adds the values of `from` to `to`. */
void sockeye__hist_merge(struct sockeye__hist *to, const struct sockeye__hist *from);

/* Returns the smallest value that `percent` percent of the recorded values do not exceed.
 * The result is at most 1/128 too high, and never above max. 0 < percent <= 100. Returns 0
 * if the histogram is empty. */
uint64_t sockeye__hist_percentile(const struct sockeye__hist *h, double percent);

/* Returns the mean, or 0 if the histogram is empty. */
double sockeye__hist_mean(const struct sockeye__hist *h);

#endif
