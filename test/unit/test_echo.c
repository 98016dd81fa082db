/* test_echo.c: echo returns its input unchanged, from the same memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../rows.h"
#include "session.h"

static uint8_t bytes[200000];

static int fill(void **state)
{
	struct dice dice = {.seed = 862};

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)dice_pick(&dice, 0, 255);
	return 0;
}

static void test_stream(void **state)
{
	static const size_t lens[] = {0, 1, 2, 511, 512, 2560, sizeof bytes};

	(void)state;
	FOR_ROWS(i, lens, "%zu bytes", lens[i]) {
		for (uint64_t seed = 0; seed < 20; seed++) {
			struct session s = {.service = sockeye_builtin_find("echo"),
					    .in_max = seed % 2 ? 4096 : 0,
					    .dice = {.seed = seed}};
			struct session_out out = session_run(&s, bytes, lens[i]);

			assert_null(out.broken);
			assert_int_equal(out.len, lens[i]);
			if (out.len > 0)
				assert_memory_equal(out.ptr, bytes, out.len);
			free(out.ptr);
		}
	}
}

static void test_no_copy(void **state)
{
	const struct sockeye_service *echo = sockeye_builtin_find("echo");
	uint8_t room[SOCKEYE_ROOM_MIN];
	struct sockeye_turn t = {.in = bytes, .in_len = 64, .room = room, .room_len = sizeof room};

	(void)state;
	echo->turn(NULL, NULL, &t);
	assert_ptr_equal(t.out, bytes);
	assert_int_equal(t.out_len, 64);
	assert_int_equal(t.in_taken, 64);
	assert_false(t.close);
	assert_false(t.more);
}

static void test_end_with_last_bytes(void **state)
{
	const struct sockeye_service *echo = sockeye_builtin_find("echo");
	struct sockeye_turn t = {.in = bytes, .in_len = 3, .in_end = true};

	(void)state;
	echo->turn(NULL, NULL, &t);
	assert_int_equal(t.out_len, 3);
	assert_true(t.close);
}

static void test_datagram(void **state)
{
	const struct sockeye_service *echo = sockeye_builtin_find("echo");
	static const size_t lens[] = {0, 1, 512, 65507};

	(void)state;
	FOR_ROWS(i, lens, "%zu bytes", lens[i]) {
		struct sockeye_answer a = {.in = bytes, .in_len = lens[i]};

		echo->datagram(NULL, &a);
		assert_true(a.send);
		assert_ptr_equal(a.out, bytes);
		assert_int_equal(a.out_len, lens[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_stream),
	    cmocka_unit_test(test_no_copy),
	    cmocka_unit_test(test_end_with_last_bytes),
	    cmocka_unit_test(test_datagram),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
