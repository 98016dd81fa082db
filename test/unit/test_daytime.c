/* test_daytime.c: both formats, at dates where calendar code tends to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "../rows.h"
#include "session.h"

static const struct {
	int64_t s;
	const char *smtp, *ctime;
} dates[] = {
    {0, "Thu, 01 Jan 1970 00:00:00 +0000\r\n", "Thu Jan  1 00:00:00 1970\r\n"},
    {-1, "Wed, 31 Dec 1969 23:59:59 +0000\r\n", "Wed Dec 31 23:59:59 1969\r\n"},
    {951782400, "Tue, 29 Feb 2000 00:00:00 +0000\r\n", "Tue Feb 29 00:00:00 2000\r\n"},
    {1709251199, "Thu, 29 Feb 2024 23:59:59 +0000\r\n", "Thu Feb 29 23:59:59 2024\r\n"},
    {1795232959, "Sat, 21 Nov 2026 03:49:19 +0000\r\n", "Sat Nov 21 03:49:19 2026\r\n"},
    {2085978496, "Thu, 07 Feb 2036 06:28:16 +0000\r\n", "Thu Feb  7 06:28:16 2036\r\n"},
    {2147483648, "Tue, 19 Jan 2038 03:14:08 +0000\r\n", "Tue Jan 19 03:14:08 2038\r\n"},
    {4107542399, "Sun, 28 Feb 2100 23:59:59 +0000\r\n", "Sun Feb 28 23:59:59 2100\r\n"},
    {4107542400, "Mon, 01 Mar 2100 00:00:00 +0000\r\n", "Mon Mar  1 00:00:00 2100\r\n"},
    {-2203891201, "Wed, 28 Feb 1900 23:59:59 +0000\r\n", "Wed Feb 28 23:59:59 1900\r\n"},
};

static void check(int64_t real_ns, enum sockeye_daytime_format format, const char *want)
{
	const struct sockeye_service *daytime = sockeye_builtin_find("daytime");
	const struct sockeye_builtin_config config = {.daytime = format};
	struct session s = {
	    .service = daytime, .config = &config, .now.real_ns = real_ns, .dice = {.seed = 867}};
	struct session_out out = session_run(&s, "typed ahead", 11);
	uint8_t room[1024];
	struct sockeye_answer a = {.room = room, .room_len = sizeof room, .now.real_ns = real_ns};

	assert_null(out.broken);
	assert_int_equal(out.turns, 1); /* sends and closes without waiting for input */
	assert_int_equal(out.len, strlen(want));
	assert_memory_equal(out.ptr, want, out.len);
	free(out.ptr);
	daytime->datagram(&config, &a);
	assert_true(a.send);
	assert_int_equal(a.out_len, strlen(want));
	assert_memory_equal(a.out, want, a.out_len);
}

static void test_dates(void **state)
{
	(void)state;
	FOR_ROWS(i, dates, "%s", dates[i].smtp) {
		int64_t ns = dates[i].s * (int64_t)SOCKEYE_NS_PER_S;

		check(ns, SOCKEYE_DAYTIME_SMTP, dates[i].smtp);
		check(ns, SOCKEYE_DAYTIME_CTIME, dates[i].ctime);
		check(ns + 999999999, SOCKEYE_DAYTIME_SMTP, dates[i].smtp);
	}
}

/* Compares with the C library, in steps of a week and some hours over the whole range. */
static void test_against_libc(void **state)
{
	const int64_t last = INT64_MAX / (int64_t)SOCKEYE_NS_PER_S;

	(void)state;
	for (int64_t s = -last; s < last - 90061; s += 90061 * 7) {
		time_t t = (time_t)s;
		struct tm tm;
		char want[64];

		assert_non_null(gmtime_r(&t, &tm));
		assert_true(strftime(want, sizeof want, "%a, %d %b %Y %T +0000\r\n", &tm) > 0);
		check(s * (int64_t)SOCKEYE_NS_PER_S, SOCKEYE_DAYTIME_SMTP, want);
		assert_true(strftime(want, sizeof want, "%a %b %e %T %Y\r\n", &tm) > 0);
		check(s * (int64_t)SOCKEYE_NS_PER_S, SOCKEYE_DAYTIME_CTIME, want);
	}
}

static void test_no_config(void **state)
{
	struct session s = {.service = sockeye_builtin_find("daytime")};
	struct session_out out = session_run(&s, "", 0);

	(void)state;
	assert_memory_equal(out.ptr, dates[0].smtp, strlen(dates[0].smtp));
	free(out.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_against_libc),
	    cmocka_unit_test(test_no_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
