/* test_timers.c: the heap of deadlines (src/serve/timers.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/timers.h"

#define TIMERS 300
#define STEPS  20000

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void check_all(const struct sockeye__timers *ts, const struct sockeye__timer *timers,
		      const uint64_t *expected)
{
	uint64_t earliest = UINT64_MAX;
	uint32_t set = 0;

	for (size_t i = 0; i < TIMERS; i++) {
		sockeye__timers_check(ts, &timers[i]);
		if ((timers[i].index != 0) != (expected[i] != 0))
			fail_msg("timer %zu: index %u, deadline %llu", i, timers[i].index,
				 (unsigned long long)expected[i]);
		if (expected[i] == 0)
			continue;
		assert_true(timers[i].at_ns == expected[i]);
		set++;
		if (expected[i] < earliest)
			earliest = expected[i];
	}
	assert_int_equal(ts->count, set);
	if (set == 0)
		assert_null(sockeye__timers_first(ts));
	else
		assert_true(sockeye__timers_first(ts)->at_ns == earliest);
}

static void test_random_steps(void **state)
{
	struct sockeye__timer timers[TIMERS] = {0};
	uint64_t expected[TIMERS] = {0}, seed = 1;
	struct sockeye__timers ts = {0};

	(void)state;
	for (int step = 0; step < STEPS; step++) {
		size_t i = next_random(&seed) % TIMERS;

		if (next_random(&seed) % 3 == 0) {
			sockeye__timers_clear(&ts, &timers[i]);
			expected[i] = 0;
		} else { /* few different deadlines, so that some are equal */
			expected[i] = 1 + next_random(&seed) % 200;
			assert_int_equal(sockeye__timers_set(&ts, &timers[i], expected[i]), 0);
		}
		if (step % 10 == 0)
			check_all(&ts, timers, expected);
	}
	sockeye__timers_fini(&ts);
}

static void test_earliest_first(void **state)
{
	struct sockeye__timer timers[TIMERS] = {0}, *first;
	struct sockeye__timers ts = {0};
	uint64_t seed = 2, last_ns = 0;
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < TIMERS; i++)
		assert_int_equal(sockeye__timers_set(&ts, &timers[i], 1 + next_random(&seed) % 999),
				 0);
	while ((first = sockeye__timers_first(&ts)) != NULL) {
		assert_true(first->at_ns >= last_ns);
		last_ns = first->at_ns;
		sockeye__timers_clear(&ts, first);
		sockeye__timers_clear(&ts, first); /* does nothing when the timer is not set */
		count++;
	}
	assert_int_equal(count, TIMERS);
	sockeye__timers_fini(&ts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random_steps),
	    cmocka_unit_test(test_earliest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
