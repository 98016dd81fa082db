/* test_filters.c: filters give the same output however their input is split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../rows.h"
#include "console/filters.h"

#define BYTES(text) text, sizeof(text) - 1

struct row {
	const char *in;
	size_t len;
	const char *out;
};

static const struct row safe_rows[] = {
    {BYTES(""), ""},
    {BYTES("plain\ttext\\\n"), "plain\ttext\\\n"},
    {BYTES("a\r\nb\rc\r\r\n\r"), "a\r\nb\\rc\\r\r\n\\r"},
    {BYTES("\x1b]0;t\a\0\x7f"), "\\e]0;t\\x07\\0\\x7f"},
    {BYTES("\xc2\x9b\x9b"), "\\xc2\\x9b\\x9b"},
    {BYTES("\xc4\x8d \xe2\x82\xac \xf0\x9f\x90\x9f"), "\xc4\x8d \xe2\x82\xac \xf0\x9f\x90\x9f"},
    {BYTES("\xe2\x82"), "\\xe2\\x82"},
    {BYTES("\xe2\x82x\xf0\x9f\xc4\x8d"), "\\xe2\\x82x\\xf0\\x9f\xc4\x8d"},
    {BYTES("\xe2\r\n\xf4\x90\x80\x80"), "\\xe2\r\n\\xf4\\x90\\x80\\x80"},
};

/* Filters the row in pieces: one of `first` bytes, then pieces of `step` bytes. */
static void check_safe(const struct row *row, size_t first, size_t step)
{
	struct sockeye__filter_safe safe = {0};
	uint8_t room[256];
	size_t n = 0, done = 0;

	while (done < row->len) {
		size_t piece = done == 0 ? first : step;

		if (piece > row->len - done)
			piece = row->len - done;
		n += sockeye__filter_safe_encode(&safe, (const uint8_t *)row->in + done, piece,
						 room + n);
		done += piece;
	}
	n += sockeye__filter_safe_end(&safe, room + n);
	assert_int_equal(n, strlen(row->out));
	assert_memory_equal(room, row->out, n);
	assert_int_equal(sockeye__filter_safe_end(&safe, room), 0);
}

static void test_safe(void **state)
{
	(void)state;
	FOR_ROWS(i, safe_rows, "%s", safe_rows[i].out) {
		check_safe(&safe_rows[i], 1, 1);
		for (size_t cut = 1; cut <= safe_rows[i].len; cut++)
			check_safe(&safe_rows[i], cut, safe_rows[i].len);
	}
}

static void test_safe_holds_incomplete_characters_only(void **state)
{
	struct sockeye__filter_safe safe = {0};
	uint8_t room[16];

	(void)state;
	assert_int_equal(sockeye__filter_safe_encode(&safe, (const uint8_t *)"ab\xe2\x82", 4, room),
			 2);
	assert_int_equal(sockeye__filter_safe_encode(&safe, (const uint8_t *)"\xac", 1, room), 3);
	assert_int_equal(sockeye__filter_safe_encode(&safe, (const uint8_t *)"x\r", 2, room), 1);
	assert_int_equal(sockeye__filter_safe_encode(&safe, (const uint8_t *)"y", 1, room), 3);
	assert_memory_equal(room, "\\ry", 3);
}

static const struct row crlf_rows[] = {
    {BYTES(""), ""},
    {BYTES("a\nb"), "a\r\nb"},
    {BYTES("\n\n"), "\r\n\r\n"},
    {BYTES("a\r\nb"), "a\r\nb"},
    {BYTES("\r\r\n\n"), "\r\r\n\r\n"},
};

static void test_crlf(void **state)
{
	(void)state;
	FOR_ROWS(i, crlf_rows, "%s", crlf_rows[i].in) {
		for (size_t cut = 0; cut <= crlf_rows[i].len; cut++) {
			const uint8_t *in = (const uint8_t *)crlf_rows[i].in;
			struct sockeye__filter_crlf crlf = {0};
			uint8_t room[32];
			size_t n = sockeye__filter_crlf_encode(&crlf, in, cut, room);

			n += sockeye__filter_crlf_encode(&crlf, in + cut, crlf_rows[i].len - cut,
							 room + n);
			assert_int_equal(n, strlen(crlf_rows[i].out));
			assert_memory_equal(room, crlf_rows[i].out, n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_safe),
	    cmocka_unit_test(test_safe_holds_incomplete_characters_only),
	    cmocka_unit_test(test_crlf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
