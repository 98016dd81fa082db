/* test_upper.c: upper changes the 26 lower-case letters of ASCII and no other byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "session.h"

static uint8_t upper_of(uint8_t c)
{
	const char *lower = "abcdefghijklmnopqrstuvwxyz";
	const char *at = c != 0 ? strchr(lower, c) : NULL;

	return at ? (uint8_t) "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[at - lower] : c;
}

/* Every byte at every position, in the vector loop and in the rest after it. */
static void test_every_byte(void **state)
{
	const struct sockeye_service *upper = sockeye_builtin_find("upper");
	uint8_t in[67], want[67];

	(void)state;
	for (size_t len = 0; len <= sizeof in; len++)
		for (unsigned c = 0; c < 256; c++) {
			for (size_t i = 0; i < len; i++) {
				in[i] = (uint8_t)(c + i);
				want[i] = upper_of(in[i]);
			}
			struct sockeye_turn t = {.in = in, .in_len = len};

			upper->turn(NULL, NULL, &t);
			assert_ptr_equal(t.out, in);
			assert_int_equal(t.in_taken, len);
			assert_int_equal(t.out_len, len);
			assert_memory_equal(in, want, len);
		}
}

static void test_utf8_untouched(void **state)
{
	const char in[] = "stra\xc3\x9f"
			  "e \xc3\xa9t\xc3\xa9 \xc4\xb1i";
	const char want[] = "STRA\xc3\x9f"
			    "E \xc3\xa9T\xc3\xa9 \xc4\xb1I";

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct session s = {.service = sockeye_builtin_find("upper"),
				    .dice = {.seed = seed}};
		struct session_out out = session_run(&s, in, sizeof in);

		assert_null(out.broken);
		assert_int_equal(out.len, sizeof want);
		assert_memory_equal(out.ptr, want, sizeof want);
		free(out.ptr);
	}
}

static void test_datagram(void **state)
{
	const struct sockeye_service *upper = sockeye_builtin_find("upper");
	uint8_t in[] = "hello, World";
	struct sockeye_answer a = {.in = in, .in_len = 12};
	struct sockeye_answer empty = {.in = in, .in_len = 0};

	(void)state;
	upper->datagram(NULL, &a);
	assert_true(a.send);
	assert_int_equal(a.out_len, 12);
	assert_memory_equal(a.out, "HELLO, WORLD", 12);
	upper->datagram(NULL, &empty);
	assert_true(empty.send);
	assert_int_equal(empty.out_len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_byte),
	    cmocka_unit_test(test_utf8_untouched),
	    cmocka_unit_test(test_datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
