/* test_number.c: accepts digits only, unlike strtoull(). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../rows.h"
#include "base/number.h"

#define UNTOUCHED UINT64_C(0xfeedfacefeedface)

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		unsigned base;
		uint64_t max;
		int err;
		uint64_t value;
	} rows[] = {
	    {"0", 10, 0, 0, 0},
	    {"1", 10, 0, -ERANGE, 0},
	    {"65535", 10, 65535, 0, 65535},
	    {"65536", 10, 65535, -ERANGE, 0},
	    {"007", 10, 7, 0, 7},
	    {"18446744073709551615", 10, UINT64_MAX, 0, UINT64_MAX},
	    {"18446744073709551616", 10, UINT64_MAX, -ERANGE, 0}, /* 0 in 64 bits */
	    {"99999999999999999999", 10, UINT64_MAX, -ERANGE, 0},
	    {"99999999999999999999999999999x", 10, UINT64_MAX, -EINVAL, 0},
	    {"0777", 8, 0777, 0, 0777},
	    {"1000", 8, 0777, -ERANGE, 0},
	    {"8", 8, 0777, -EINVAL, 0},
	    {"", 10, 9, -EINVAL, 0},
	    {" 1", 10, 9, -EINVAL, 0},
	    {"1 ", 10, 9, -EINVAL, 0},
	    {"+1", 10, 9, -EINVAL, 0},
	    {"-1", 10, 9, -EINVAL, 0},
	    {"0x1", 10, 9, -EINVAL, 0},
	    {"/", 10, 9, -EINVAL, 0}, /* the characters next to the digits */
	    {":", 10, 9, -EINVAL, 0},
	    {"\xb1", 10, 9, -EINVAL, 0},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		struct sockeye__slice text = {rows[i].text, strlen(rows[i].text)};
		uint64_t value = UNTOUCHED;

		assert_int_equal(sockeye__number_parse(text, rows[i].base, rows[i].max, &value),
				 rows[i].err);
		assert_true(value == (rows[i].err < 0 ? UNTOUCHED : rows[i].value));
	}
}

/* A slice is not terminated. */
static void test_part_of_a_text(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(sockeye__number_parse((struct sockeye__slice){"1234", 2}, 10, 99, &value),
			 0);
	assert_int_equal(value, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_part_of_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
