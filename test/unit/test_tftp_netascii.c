/*
 * test_tftp_netascii.c: encodes and decodes texts, in pieces of every length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "../rows.h"
#include "proto/tftp_netascii.h"

#define TEXT(s) s, sizeof s - 1

static const struct row {
	const char *file;
	size_t file_len;
	const char *wire;
	size_t wire_len;
} rows[] = {
    {TEXT(""), TEXT("")},
    {TEXT("abc"), TEXT("abc")},
    {TEXT("a\nb"), TEXT("a\r\nb")},
    {TEXT("a\rb"), TEXT("a\r\0b")},
    {TEXT("\r\n"), TEXT("\r\0\r\n")},
    {TEXT("\n\n\n"), TEXT("\r\n\r\n\r\n")},
    {TEXT("\r\r"), TEXT("\r\0\r\0")},
    {TEXT("\0\0\n\0"), TEXT("\0\0\r\n\0")},
    {TEXT("\xff\r"), TEXT("\xff\r\0")},
};

/* Input that our encoder never writes. */
static const struct row lenient[] = {
    {TEXT("\rX"), TEXT("\rX")},   {TEXT("\r\rX"), TEXT("\r\rX")}, {TEXT("\r\n"), TEXT("\r\r\n")},
    {TEXT("\r"), TEXT("\r")},     {TEXT("a\r\r"), TEXT("a\r\r")}, {TEXT("\r\r"), TEXT("\r\r\0")},
    {TEXT("a\nb"), TEXT("a\nb")},
};

/* Encodes with input in pieces of in_step and output in pieces of out_step bytes. */
static size_t encode(const struct row *row, size_t in_step, size_t out_step, uint8_t *wire)
{
	struct sockeye__netascii s = {0};
	size_t from = 0, to = 0;

	for (int i = 0; i < 1000; i++) {
		size_t len = row->file_len - from < in_step ? row->file_len - from : in_step, taken;
		size_t n = sockeye__netascii_encode(&s, (const uint8_t *)row->file + from, len,
						    &taken, wire + to, out_step);

		assert_true(n <= out_step && taken <= len);
		from += taken;
		to += n;
		if (from == row->file_len && n < out_step)
			break;
	}
	return to;
}

static size_t decode(const struct row *row, size_t step, uint8_t *file)
{
	struct sockeye__netascii s = {0};
	size_t to = 0;

	for (size_t from = 0; from < row->wire_len; from += step) {
		size_t left = row->wire_len - from;

		to += sockeye__netascii_decode(&s, (const uint8_t *)row->wire + from,
					       left < step ? left : step, file + to);
	}
	return to + sockeye__netascii_end(&s, file + to);
}

static void test_both_ways(void **state)
{
	uint8_t buf[64];

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].file)
		for (size_t step = 1; step < 9; step++) {
			for (size_t out = 1; out < 9; out++) {
				assert_int_equal(encode(&rows[i], step, out, buf),
						 rows[i].wire_len);
				assert_memory_equal(buf, rows[i].wire, rows[i].wire_len);
			}
			assert_int_equal(decode(&rows[i], step, buf), rows[i].file_len);
			assert_memory_equal(buf, rows[i].file, rows[i].file_len);
		}
}

static void test_lenient(void **state)
{
	uint8_t buf[64];

	(void)state;
	FOR_ROWS(i, lenient, "%s", lenient[i].wire)
		for (size_t step = 1; step < 9; step++) {
			assert_int_equal(decode(&lenient[i], step, buf), lenient[i].file_len);
			assert_memory_equal(buf, lenient[i].file, lenient[i].file_len);
		}
}

/* 512 line feeds need two full blocks and an empty one. */
static void test_lines_fill_blocks(void **state)
{
	struct sockeye__netascii s = {0};
	uint8_t file[512], wire[512];
	size_t from = 0, taken, total = 0;

	(void)state;
	memset(file, '\n', sizeof file);
	for (int i = 0; i < 3; i++) {
		total += sockeye__netascii_encode(&s, file + from, sizeof file - from, &taken, wire,
						  sizeof wire);
		from += taken;
		assert_int_equal(total, i == 0 ? 512 : 1024);
	}
	assert_int_equal(from, sizeof file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_both_ways),
	    cmocka_unit_test(test_lenient),
	    cmocka_unit_test(test_lines_fill_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
