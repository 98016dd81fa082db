/* test_discard.c: discard takes all input and sends nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "session.h"

static void test_stream(void **state)
{
	static const uint8_t bytes[50000];

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct session s = {.service = sockeye_builtin_find("discard"),
				    .dice = {.seed = seed}};
		struct session_out out = session_run(&s, bytes, seed == 0 ? 0 : sizeof bytes);

		assert_null(out.broken);
		assert_int_equal(out.len, 0);
		free(out.ptr);
	}
}

static void test_takes_all_at_once(void **state)
{
	uint8_t in[100];
	struct sockeye_turn t = {.in = in, .in_len = sizeof in};

	(void)state;
	sockeye_builtin_find("discard")->turn(NULL, NULL, &t);
	assert_int_equal(t.in_taken, sizeof in);
	assert_false(t.close);
}

static void test_datagram(void **state)
{
	uint8_t in[] = "hello";
	struct sockeye_answer a = {.in = in, .in_len = sizeof in};

	(void)state;
	sockeye_builtin_find("discard")->datagram(NULL, &a);
	assert_false(a.send);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_stream),
	    cmocka_unit_test(test_takes_all_at_once),
	    cmocka_unit_test(test_datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
