/* test_progress_line.c: rates, quantities and the line at every width. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <sockeye/time.h>

#include "../rows.h"
#include "console/progress_line.h"

#define MiB (UINT64_C(1) << 20)

static void test_quantities(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text, *rate;
	} rows[] = {
	    {0, "0 B", "0 B/s"},
	    {1, "1 B", "1 B/s"},
	    {999, "999 B", "999 B/s"},
	    {1000, "1000 B", "1000 B/s"},
	    {1023, "1023 B", "1023 B/s"},
	    {1024, "1.0 KiB", "1.0 KiB/s"},
	    {9999, "9.8 KiB", "9.8 KiB/s"},
	    {1048575, "1.0 MiB", "1.0 MiB/s"},
	    {999999, "977 KiB", "977 KiB/s"},
	    {33554432, "32.0 MiB", "32.0 MiB/s"},
	    {UINT64_C(5) << 30, "5.0 GiB", "5.0 GiB/s"},
	    {UINT64_MAX, "16384 PiB", "16777216 TiB/s"},
	};
	char text[SOCKEYE__QUANTITY_MAX];

	(void)state;
	FOR_ROWS(i, rows, "%" PRIu64 " bytes", rows[i].bytes) {
		assert_string_equal(sockeye__bytes_print(rows[i].bytes, text), rows[i].text);
		assert_string_equal(sockeye__rate_print((double)rows[i].bytes, text), rows[i].rate);
	}
}

static void test_rate(void **state)
{
	struct sockeye__progress_rate m = {0};

	(void)state;
	assert_true(sockeye__progress_rate_per_s(&m) == 0);
	sockeye__progress_rate_add(&m, 5, 100);
	assert_true(sockeye__progress_rate_per_s(&m) == 0);
	sockeye__progress_rate_add(&m, 5, 200); /* at the same time */
	assert_true(sockeye__progress_rate_per_s(&m) == 0);
	sockeye__progress_rate_add(&m, 5 + SOCKEYE_NS_PER_S, 1100);
	assert_true(sockeye__progress_rate_per_s(&m) == 1000);
	sockeye__progress_rate_add(&m, 5 + 2 * SOCKEYE_NS_PER_S, 50); /* started over */
	assert_true(sockeye__progress_rate_per_s(&m) == 0);
}

/* The rate covers the last seconds only, for any number of samples. */
static void test_rate_expires(void **state)
{
	struct sockeye__progress_rate m = {0};
	uint64_t bytes = 0, now = 1;

	(void)state;
	for (int i = 0; i < 100; i++, now += 100 * SOCKEYE_NS_PER_MS)
		sockeye__progress_rate_add(&m, now, bytes += 1000);
	assert_true(sockeye__progress_rate_per_s(&m) == 10000);
	for (int i = 0; i < 50; i++, now += 100 * SOCKEYE_NS_PER_MS)
		sockeye__progress_rate_add(&m, now, bytes);
	assert_true(sockeye__progress_rate_per_s(&m) == 0);
	assert_true(m.count <= SOCKEYE__PROGRESS_RATE_SAMPLES);
}

static const char *line(const char *name, uint64_t bytes, uint64_t size, double rate,
			unsigned width)
{
	static char buf[512];
	struct sockeye__progress_line v = {
	    .name = name, .bytes = bytes, .size = size, .rate = rate, .width = width};
	size_t len = sockeye__progress_line_print(&v, buf, sizeof buf);

	assert_int_equal(len, strlen(buf));
	return buf;
}

static void test_lines(void **state)
{
	(void)state;
	assert_string_equal(line("f", 5 * MiB, 10 * MiB, MiB, 60),
			    "f  50% [==========>         ] 5.0 MiB, 1.0 MiB/s, 0:05 left");
	assert_string_equal(line("f", 0, 10 * MiB, 0, 50),
			    "f   0% [>                            ] 0 B, 0 B/s");
	assert_string_equal(line("f", 10 * MiB, 10 * MiB, MiB, 60),
			    "f 100% [===================] 10.0 MiB, 1.0 MiB/s, 0:00 left");
	assert_string_equal(line("f", 3 * MiB, 0, MiB, 60), "f 3.0 MiB, 1.0 MiB/s");
	assert_string_equal(line("f", MiB, 8000 * MiB, MiB, 40),
			    "f   0% 1.0 MiB, 1.0 MiB/s, 2:13:19 left");
	/* The server announced a size that is too small. */
	assert_string_equal(line("f", 3 * MiB, MiB, MiB, 40),
			    "f 100% 3.0 MiB, 1.0 MiB/s, 0:00 left");
}

static void test_narrow(void **state)
{
	(void)state;
	assert_string_equal(line("a-long-name-of-a-file", 5 * MiB, 10 * MiB, MiB, 50),
			    "a-long-name...  50% 5.0 MiB, 1.0 MiB/s, 0:05 left");
	assert_string_equal(line("a-long-name-of-a-file", 5 * MiB, 10 * MiB, MiB, 40),
			    "  50% 5.0 MiB, 1.0 MiB/s, 0:05 left");
	assert_string_equal(line("f", 5 * MiB, 10 * MiB, MiB, 8), "f  50%");
	assert_string_equal(line("f", 5 * MiB, 10 * MiB, MiB, 0), "");
}

/* The line leaves the last column free at every width. */
static void test_every_width(void **state)
{
	(void)state;
	for (unsigned width = 10; width < 200; width++) {
		for (size_t name = 0; name < 40; name++) {
			char text[41] = "";

			memset(text, 'n', name);
			assert_true(strlen(line(text, 5 * MiB, 10 * MiB, MiB, width)) < width);
			assert_true(strlen(line(text, 5 * MiB, 0, MiB, width)) < width);
		}
	}
}

/* Multi-byte characters count as one column and are not split. */
static void test_characters(void **state)
{
	(void)state;
	assert_string_equal(
	    line("\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4\u00e4", MiB, 0, MiB, 28),
	    "\u00e4\u00e4\u00e4\u00e4\u00e4... 1.0 MiB, 1.0 MiB/s");
}

static void test_color(void **state)
{
	struct sockeye__progress_line v = {.name = "f", .bytes = 1, .size = 2, .width = 60};
	char plain[512], colored[512];

	(void)state;
	sockeye__progress_line_print(&v, plain, sizeof plain);
	v.color = true;
	sockeye__progress_line_print(&v, colored, sizeof colored);
	assert_null(strchr(plain, '\033'));
	assert_non_null(strchr(colored, '\033'));
	assert_int_equal(strlen(colored), strlen(plain) + strlen("\033[32m\033[0m"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_quantities),   cmocka_unit_test(test_rate),
	    cmocka_unit_test(test_rate_expires), cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_narrow),       cmocka_unit_test(test_every_width),
	    cmocka_unit_test(test_characters),   cmocka_unit_test(test_color),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
