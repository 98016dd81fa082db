/*
 * histogram.c: a log-linear histogram (histogram.h). Each value below 2^BITS has its
 * own cell. For larger values, the BITS bits after the leading 1 select the cell within
 * a power of two.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"

#define BITS     SOCKEYE__HIST_BITS
#define SUBCELLS (UINT64_C(1) << BITS)

static size_t cell_of(uint64_t value)
{
	unsigned shift;

	if (value < SUBCELLS)
		return (size_t)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - BITS;
	return (size_t)((shift + 1) << BITS | (value >> shift & (SUBCELLS - 1)));
}

/* Returns the largest value of a cell, so that percentiles are never too low. */
static uint64_t cell_top(size_t cell)
{
	size_t shift;

	if (cell < SUBCELLS)
		return cell;
	shift = (cell >> BITS) - 1;
	return ((SUBCELLS | (cell & (SUBCELLS - 1))) << shift) | ((UINT64_C(1) << shift) - 1);
}

void sockeye__hist_record(struct sockeye__hist *h, uint64_t value)
{
	if (h->count == 0 || value < h->min)
		h->min = value;
	if (h->count == 0 || value > h->max)
		h->max = value;
	h->count++;
	h->sum += (double)value;
	h->cells[cell_of(value)]++;
}

void sockeye__hist_merge(struct sockeye__hist *to, const struct sockeye__hist *from)
{
	if (from->count == 0)
		return;
	if (to->count == 0 || from->min < to->min)
		to->min = from->min;
	if (to->count == 0 || from->max > to->max)
		to->max = from->max;
	to->count += from->count;
	to->sum += from->sum;
	for (size_t i = 0; i < SOCKEYE__HIST_CELLS; i++)
		to->cells[i] += from->cells[i];
}

/* Returns `percent` percent of `count`, rounded up, and at least 1. */
static uint64_t rank_of(uint64_t count, double percent)
{
	double exact = percent * (double)count / 100;
	uint64_t rank = (uint64_t)exact;

	if ((double)rank < exact || rank == 0)
		rank++;
	return rank < count ? rank : count;
}

uint64_t sockeye__hist_percentile(const struct sockeye__hist *h, double percent)
{
	uint64_t rank = rank_of(h->count, percent), seen = 0;

	for (size_t i = 0; i < SOCKEYE__HIST_CELLS; i++) {
		seen += h->cells[i];
		if (seen >= rank && seen > 0)
			return cell_top(i) < h->max ? cell_top(i) : h->max;
	}
	return 0;
}

double sockeye__hist_mean(const struct sockeye__hist *h)
{
	return h->count > 0 ? h->sum / (double)h->count : 0;
}
