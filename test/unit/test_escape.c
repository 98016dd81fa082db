/* test_escape.c: every byte that a terminal interprets is escaped, and no escape or
 * character is cut in half. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <sockeye/text.h>

#include "../rows.h"
#include "base/out.h"

#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *in;
	size_t len;
	const char *out;
} rows[] = {
    {BYTES(""), ""},
    {BYTES("plain text ~"), "plain text ~"},
    {BYTES("\n\r\t\x1b\0\\"), "\\n\\r\\t\\e\\0\\\\"},
    {BYTES("\a\b\v\f\x7f\x01"), "\\x07\\x08\\x0b\\x0c\\x7f\\x01"},
    {BYTES("\x1b[31mred"), "\\e[31mred"},
    {BYTES("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9f"),
     "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x9f"},
    {BYTES("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf"}, /* U+10FFFF */
    {BYTES("\xc2\x9b"), "\\xc2\\x9b"},               /* U+009B: CSI of 8-bit terminals */
    {BYTES("\xc2\xa0"), "\xc2\xa0"},                 /* U+00A0, the first after C1 */
    {BYTES("\x9b\x80\xff"), "\\x9b\\x80\\xff"},
    {BYTES("\xc3"), "\\xc3"}, /* ends too early */
    {BYTES("\xe2\x82"), "\\xe2\\x82"},
    {BYTES("\xf0\x9f\x90"), "\\xf0\\x9f\\x90"},
    {BYTES("\xe2\x82x"), "\\xe2\\x82x"},
    {BYTES("\xc0\x80"), "\\xc0\\x80"}, /* overlong */
    {BYTES("\xc1\xbf"), "\\xc1\\xbf"},
    {BYTES("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf"},
    {BYTES("\xf0\x8f\xbf\xbf"), "\\xf0\\x8f\\xbf\\xbf"},
    {BYTES("\xed\xa0\x80"), "\\xed\\xa0\\x80"},                   /* a surrogate */
    {BYTES("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"},          /* over U+10FFFF */
    {BYTES("\xf8\x88\x80\x80\x80"), "\\xf8\\x88\\x80\\x80\\x80"}, /* five bytes */
    {BYTES("\xe2\x80\xae"), "\\xe2\\x80\\xae"},                   /* U+202E, right to left */
    {BYTES("\xe2\x80\xa8"), "\\xe2\\x80\\xa8"},                   /* U+2028, a new line */
    {BYTES("\xe2\x81\xa6"), "\\xe2\\x81\\xa6"},                   /* U+2066, isolate */
    {BYTES("\xd8\x9c"), "\\xd8\\x9c"},                            /* U+061C */
};

static void test_rows(void **state)
{
	char buf[64];

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].out) {
		assert_int_equal(sockeye_escape(rows[i].in, rows[i].len, buf, sizeof buf),
				 strlen(rows[i].out));
		assert_string_equal(buf, rows[i].out);
	}
}

static void test_every_byte_is_safe_alone(void **state)
{
	char buf[8];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		uint8_t byte = (uint8_t)c;
		size_t len = sockeye_escape(&byte, 1, buf, sizeof buf);

		assert_in_range(len, 1, 4);
		for (size_t i = 0; i < len; i++)
			assert_in_range((uint8_t)buf[i], 0x20, 0x7e);
		assert_int_equal(len == 1, c >= 0x20 && c < 0x7f && c != '\\');
	}
}

/* For every buffer size the output is a prefix of the whole text that ends between two
 * pieces. */
static void test_cut(void **state)
{
	static const char in[] = "a\n\x01\xe2\x82\xac\xff!";
	static const char whole[] = "a\\n\\x01\xe2\x82\xac\\xff!";
	static const size_t ends[] = {0, 1, 3, 7, 10, 14, 15};
	char buf[32];

	(void)state;
	for (size_t cap = 1; cap <= sizeof whole; cap++) {
		size_t want = 0;

		for (size_t i = 0; i < COUNT(ends); i++)
			if (ends[i] < cap)
				want = ends[i];
		memset(buf, '#', sizeof buf);
		assert_int_equal(sockeye_escape(BYTES(in), buf, cap), sizeof whole - 1);
		assert_int_equal(strlen(buf), want);
		assert_memory_equal(buf, whole, want);
		assert_int_equal(buf[cap], '#');
	}
	buf[0] = '#';
	assert_int_equal(sockeye_escape(BYTES(in), buf, 0), sizeof whole - 1);
	assert_int_equal(buf[0], '#');
	assert_int_equal(sockeye_escape(BYTES(in), NULL, 0), sizeof whole - 1);
}

/* Escaping an escaped text changes nothing. */
static void test_again(void **state)
{
	char once[64], twice[64];

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].out) {
		struct sockeye__out out = sockeye__out_to(twice, sizeof twice);
		size_t len = sockeye_escape(rows[i].in, rows[i].len, once, sizeof once);

		sockeye__out_escaped(&out, once, len, true);
		assert_string_equal(twice, once);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_every_byte_is_safe_alone),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
