/* test_bench_pattern.c: the bytes of the load generator's messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/internal.h"

#include "../rows.h"

#define SIZE 100

static struct sockeye__bench_run make(enum sockeye__bench_expect expect)
{
	struct sockeye__bench_run run = {
	    .opts = {.size = SIZE, .reply_len = SIZE, .expect = expect}};

	run.sent = malloc(SIZE + SOCKEYE__BENCH_VARIETY);
	run.expected = malloc(SIZE + SOCKEYE__BENCH_VARIETY);
	assert_true(run.sent != NULL && run.expected != NULL);
	sockeye__bench_pattern(&run);
	return run;
}

static void discard(struct sockeye__bench_run *run)
{
	free(run->sent);
	free(run->expected);
}

static const uint8_t *message(const struct sockeye__bench_run *run, uint32_t conn, uint64_t number)
{
	return run->sent + sockeye__bench_offset(run, conn, number);
}

static void messages_differ(void **state)
{
	struct sockeye__bench_run run = make(SOCKEYE__BENCH_ECHO);

	(void)state;
	for (uint32_t conn = 0; conn < 50; conn++)
		for (uint64_t number = 0; number < 50; number++) {
			const uint8_t *here = message(&run, conn, number);

			assert_memory_not_equal(here, message(&run, conn, number + 1), SIZE);
			assert_memory_not_equal(here, message(&run, conn + 1, number), SIZE);
			assert_memory_not_equal(
			    here, message(&run, number == conn ? 99 : (uint32_t)number, conn + 50),
			    SIZE);
			assert_true(here + SIZE <= run.sent + SIZE + SOCKEYE__BENCH_VARIETY);
		}
	assert_memory_equal(run.sent, run.expected, SIZE + SOCKEYE__BENCH_VARIETY);
	discard(&run);
}

static void upper_expects_capitals(void **state)
{
	struct sockeye__bench_run run = make(SOCKEYE__BENCH_UPPER);
	unsigned changed = 0;

	(void)state;
	for (size_t i = 0; i < SIZE + SOCKEYE__BENCH_VARIETY; i++) {
		bool lower = run.sent[i] >= 'a' && run.sent[i] <= 'z';

		assert_int_equal(run.expected[i], lower ? run.sent[i] - 32 : run.sent[i]);
		changed += lower;
	}
	assert_true(changed > SOCKEYE__BENCH_VARIETY / 20);
	discard(&run);
}

static void any_sends_lines(void **state)
{
	struct sockeye__bench_run run = make(SOCKEYE__BENCH_LINE);

	(void)state;
	for (uint64_t number = 0; number < 10; number++) {
		const uint8_t *line = message(&run, 3, number);

		assert_ptr_equal(memchr(line, '\n', SIZE), line + SIZE - 1);
	}
	discard(&run);
}

static void first_difference(void **state)
{
	uint8_t a[300], b[300];

	(void)state;
	memset(a, 7, sizeof a);
	memcpy(b, a, sizeof b);
	assert_int_equal(sockeye__bench_differs(a, b, sizeof a), sizeof a);
	assert_int_equal(sockeye__bench_differs(a, b, 0), 0);
	for (size_t i = sizeof a; i-- > 0;) {
		b[i] = 8;
		assert_int_equal(sockeye__bench_differs(a, b, sizeof a), i);
		assert_int_equal(sockeye__bench_differs(a, b, i), i);
	}
}

static void numbers_survive_upper(void **state)
{
	const uint64_t numbers[] = {
	    0, 1, 127, 128, 0x61, 0x61616161616161, 123456789, (UINT64_C(1) << 56) - 1};
	uint8_t bytes[SOCKEYE__BENCH_NUMBER_BYTES];

	(void)state;
	FOR_ROWS(i, numbers, "%llu", (unsigned long long)numbers[i]) {
		sockeye__bench_number_put(bytes, numbers[i]);
		for (int j = 0; j < SOCKEYE__BENCH_NUMBER_BYTES; j++)
			assert_true(bytes[j] >= 0x80);
		assert_true(sockeye__bench_number_get(bytes) == numbers[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages_differ),       cmocka_unit_test(upper_expects_capitals),
	    cmocka_unit_test(any_sends_lines),       cmocka_unit_test(first_difference),
	    cmocka_unit_test(numbers_survive_upper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
