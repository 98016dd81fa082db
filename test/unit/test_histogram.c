/* test_histogram.c: compares percentiles with a sorted list of the same values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../rows.h"
#include "base/histogram.h"

#define SAMPLES 1000000

static struct sockeye__hist hist, other;

static uint64_t random_next(uint64_t *seed)
{
	/* xorshift64* (Vigna 2016) */
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * UINT64_C(2685821657736338717);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Returns the value that `percent` of the sorted values do not exceed. */
static uint64_t exact(const uint64_t *sorted, size_t count, double percent)
{
	size_t rank = (size_t)(percent * (double)count / 100);

	if ((double)rank < percent * (double)count / 100)
		rank++;
	return sorted[rank > 0 ? rank - 1 : 0];
}

static void assert_close(uint64_t got, uint64_t want)
{
	if (got < want || got - want > want / 128)
		fail_msg("%ju for %ju", (uintmax_t)got, (uintmax_t)want);
}

static void setup(void)
{
	memset(&hist, 0, sizeof hist);
	memset(&other, 0, sizeof other);
}

static void test_empty(void **state)
{
	(void)state;
	setup();
	assert_int_equal(sockeye__hist_percentile(&hist, 50), 0);
	assert_int_equal(sockeye__hist_percentile(&hist, 100), 0);
	assert_true(sockeye__hist_mean(&hist) == 0);
	sockeye__hist_merge(&hist, &other);
	assert_int_equal(hist.count, 0);
}

/* Every percentile of a single value is that value, because max limits it. */
static void test_one_value(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++)
		for (int d = -1; d <= 1; d++) {
			uint64_t value = (UINT64_C(1) << bit) + (uint64_t)d;

			setup();
			sockeye__hist_record(&hist, value);
			assert_true(sockeye__hist_percentile(&hist, 0.001) == value);
			assert_true(sockeye__hist_percentile(&hist, 100) == value);
			assert_true(hist.min == value && hist.max == value);
		}
}

/* Small values have a cell each. */
static void test_small_values_are_exact(void **state)
{
	(void)state;
	setup();
	for (uint64_t v = 1; v <= 200; v++)
		sockeye__hist_record(&hist, v);
	for (unsigned p = 1; p <= 100; p++)
		assert_int_equal(sockeye__hist_percentile(&hist, p), 2 * p);
	assert_true(sockeye__hist_mean(&hist) == 100.5);
}

/* The 99.9th percentile of 1000 values is the 999th. Rounding the product must not make
 * it the 1000th. */
static void test_rank(void **state)
{
	(void)state;
	setup();
	for (int i = 0; i < 999; i++)
		sockeye__hist_record(&hist, 1);
	sockeye__hist_record(&hist, 100);
	assert_int_equal(sockeye__hist_percentile(&hist, 99.9), 1);
	assert_int_equal(sockeye__hist_percentile(&hist, 99.91), 100);
	assert_int_equal(sockeye__hist_percentile(&hist, 100), 100);
}

static void test_random(void **state)
{
	static const double percents[] = {0.01, 1,  10,   25,    50,     75,
					  90,   99, 99.9, 99.99, 99.999, 100};
	uint64_t *values = malloc(SAMPLES * sizeof *values), seed = 88172645463325252u;
	double sum = 0;

	(void)state;
	assert_non_null(values);
	setup();
	for (size_t i = 0; i < SAMPLES; i++) {
		/* All magnitudes are equally likely, like the tail of latencies. */
		values[i] = random_next(&seed) >> (random_next(&seed) % 64);
		sum += (double)values[i];
		sockeye__hist_record(i % 3 ? &hist : &other, values[i]);
	}
	sockeye__hist_merge(&hist, &other);
	qsort(values, SAMPLES, sizeof *values, by_value);
	assert_int_equal(hist.count, SAMPLES);
	assert_true(hist.min == values[0] && hist.max == values[SAMPLES - 1]);
	FOR_ROWS(i, percents, "%g %%", percents[i])
		assert_close(sockeye__hist_percentile(&hist, percents[i]),
			     exact(values, SAMPLES, percents[i]));
	assert_true(sockeye__hist_mean(&hist) > sum / SAMPLES * 0.999999);
	assert_true(sockeye__hist_mean(&hist) < sum / SAMPLES * 1.000001);
	free(values);
}

static void test_merge_into_empty(void **state)
{
	(void)state;
	setup();
	sockeye__hist_record(&other, 7);
	sockeye__hist_record(&other, 9);
	sockeye__hist_merge(&hist, &other);
	assert_int_equal(hist.min, 7);
	assert_int_equal(hist.max, 9);
	assert_int_equal(sockeye__hist_percentile(&hist, 50), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_one_value),
	    cmocka_unit_test(test_small_values_are_exact),
	    cmocka_unit_test(test_rank),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_merge_into_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
