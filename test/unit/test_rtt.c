/*
 * test_rtt.c: the arithmetic of RFC 6298, and the bounds of timeouts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/rtt.h"

#define MS UINT64_C(1000000)

static void test_first_sample(void **state)
{
	struct sockeye__rtt r;

	(void)state;
	sockeye__rtt_init(&r, 1000 * MS, 4 * MS, 5000 * MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 7), 1000 * MS);
	sockeye__rtt_sample(&r, 100 * MS);
	assert_int_equal(r.smoothed_ns, 100 * MS);
	assert_int_equal(r.variance_ns, 50 * MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 7), 300 * MS);
}

static void test_next_samples(void **state)
{
	struct sockeye__rtt r;

	(void)state;
	sockeye__rtt_init(&r, 1000 * MS, 4 * MS, 5000 * MS);
	sockeye__rtt_sample(&r, 100 * MS);
	sockeye__rtt_sample(&r, 180 * MS);
	assert_int_equal(r.smoothed_ns, 110 * MS);
	assert_int_equal(r.variance_ns, (50 * 3 + 80) * MS / 4);
	for (int i = 0; i < 1000; i++)
		sockeye__rtt_sample(&r, MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 4 * MS); /* the floor */
	for (int i = 0; i < 200; i++)
		sockeye__rtt_sample(&r, UINT64_MAX);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 5000 * MS);
}

static void test_back_off(void **state)
{
	struct sockeye__rtt r;
	uint64_t last = 0;

	(void)state;
	sockeye__rtt_init(&r, 100 * MS, 4 * MS, 1000 * MS);
	for (int i = 0; i < 100; i++) {
		uint64_t most = sockeye__rtt_timeout(&r, 0), least = sockeye__rtt_timeout(&r, 1023);

		assert_true(most >= last && most <= 1000 * MS);
		assert_true(least <= most && least >= most - most / 8);
		assert_true(i == 0 ? least == most : least < most);
		last = most;
		sockeye__rtt_back_off(&r);
	}
	assert_int_equal(last, 1000 * MS);
	sockeye__rtt_sample(&r, 10 * MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 30 * MS);
}

/* tftp-hpa's utimeout may be shorter than our floor. */
static void test_ceiling_below_floor(void **state)
{
	struct sockeye__rtt r;

	(void)state;
	sockeye__rtt_init(&r, 1000 * MS, 20 * MS, 10 * MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 10 * MS);
	sockeye__rtt_sample(&r, 50 * MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 10 * MS);
}

static void test_patience(void **state)
{
	struct sockeye__rtt r;

	(void)state;
	sockeye__rtt_init(&r, 1000 * MS, 4 * MS, 5000 * MS);
	assert_int_equal(sockeye__rtt_patience(&r), 500 * MS);
	sockeye__rtt_sample(&r, 100 * MS);
	assert_int_equal(sockeye__rtt_patience(&r), 75 * MS);
	for (int i = 0; i < 100; i++)
		sockeye__rtt_sample(&r, 100 * MS);
	assert_in_range(sockeye__rtt_patience(&r), 99 * MS, 100 * MS);
}

/* A pause in every hundredth answer is never taken for a loss. When pauses end, the
 * timeout falls again. */
static void test_pauses_are_remembered(void **state)
{
	struct sockeye__rtt r;

	(void)state;
	sockeye__rtt_init(&r, 1000 * MS, 4 * MS, 5000 * MS);
	sockeye__rtt_sample(&r, 100 * MS);
	for (int i = 0; i < 1000; i++) {
		assert_true(sockeye__rtt_timeout(&r, 0) >= 150 * MS);
		sockeye__rtt_sample(&r, i % 100 == 99 ? 100 * MS : MS);
	}
	for (int i = 0; i < 1000; i++)
		sockeye__rtt_sample(&r, MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 4 * MS);
}

/* A pause that the timer has not waited for counts as well. */
static void test_pause(void **state)
{
	struct sockeye__rtt r;

	(void)state;
	sockeye__rtt_init(&r, 1000 * MS, 4 * MS, 5000 * MS);
	sockeye__rtt_sample(&r, MS);
	sockeye__rtt_back_off(&r);
	sockeye__rtt_back_off(&r);
	sockeye__rtt_pause(&r, 80 * MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 120 * MS);
	assert_int_equal(r.smoothed_ns, MS);
	sockeye__rtt_pause(&r, UINT64_MAX);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 5000 * MS);
}

/* An answer that arrives half a round trip after a repeat does not answer it, nor does one
 * that arrives much later than all before. */
static void test_may_answer(void **state)
{
	struct sockeye__rtt r;

	(void)state;
	sockeye__rtt_init(&r, 1000 * MS, 4 * MS, 5000 * MS);
	assert_true(sockeye__rtt_may_answer(&r, 1, 1));
	for (int i = 0; i < 100; i++)
		sockeye__rtt_sample(&r, 10 * MS);
	assert_false(sockeye__rtt_may_answer(&r, 4 * MS, 4 * MS));
	assert_true(sockeye__rtt_may_answer(&r, 9 * MS, 4 * MS));
	assert_true(sockeye__rtt_may_answer(&r, 10 * MS, 10 * MS));
	assert_false(sockeye__rtt_may_answer(&r, 40 * MS, 40 * MS));
}

/* After a loss one doubling remains, and long answers are forgotten. */
static void test_loss(void **state)
{
	struct sockeye__rtt r;

	(void)state;
	sockeye__rtt_init(&r, 100 * MS, 4 * MS, 1000 * MS);
	for (int i = 0; i < 3; i++)
		sockeye__rtt_back_off(&r);
	sockeye__rtt_loss(&r);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 200 * MS);
	sockeye__rtt_sample(&r, 10 * MS);
	sockeye__rtt_loss(&r);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 30 * MS);
	sockeye__rtt_pause(&r, 400 * MS);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 600 * MS);
	sockeye__rtt_loss(&r);
	assert_int_equal(sockeye__rtt_timeout(&r, 0), 300 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_sample), cmocka_unit_test(test_next_samples),
	    cmocka_unit_test(test_back_off),     cmocka_unit_test(test_ceiling_below_floor),
	    cmocka_unit_test(test_patience),     cmocka_unit_test(test_pauses_are_remembered),
	    cmocka_unit_test(test_pause),        cmocka_unit_test(test_may_answer),
	    cmocka_unit_test(test_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
