/* test_hex_line.c: full, short and empty lines of a hex dump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../rows.h"
#include "console/hex_line.h"

#define BYTES(text) text, sizeof(text) - 1

static void test_hex_line(void **state)
{
	static const struct {
		uint64_t offset;
		const char *data;
		size_t len;
		const char *line;
	} rows[] = {
	    {0, BYTES("hi\n"),
	     "0000000000  68 69 0a                                          |hi.|\n"},
	    {0x123456789a, BYTES("0123456789abcdef"),
	     "123456789a  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  "
	     "|0123456789abcdef|\n"},
	    {16, BYTES("\0\x7f\xff 1234567"),
	     "0000000010  00 7f ff 20 31 32 33 34  35 36 37                 |... 1234567|\n"},
	    {0, BYTES(""), "0000000000                                                    ||\n"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].line) {
		char room[SOCKEYE__HEX_LINE_MAX + 1];
		size_t n = sockeye__hex_line_print(room, rows[i].offset,
						   (const uint8_t *)rows[i].data, rows[i].len);

		assert_in_range(n, 1, SOCKEYE__HEX_LINE_MAX);
		room[n] = '\0';
		assert_string_equal(room, rows[i].line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_hex_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
