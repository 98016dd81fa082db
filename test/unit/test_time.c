/* test_time.c: the examples of RFC 868, and the wrap of the seconds in 2036. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../rows.h"
#include "session.h"

static const struct {
	int64_t s; /* since 1970 */
	uint32_t want;
} rows[] = {
    {-2208988800, 0},                                                  /* 1 Jan 1900 00:00:00 GMT */
    {-2208988799, 1},         {-1, 2208988799},       {0, 2208988800}, /* RFC 868: 1 Jan 1970 */
    {189302400, 2398291200},                                           /* RFC 868: 1 Jan 1976 */
    {315532800, 2524521600},                                           /* RFC 868: 1 Jan 1980 */
    {420595200, 2629584000},                                           /* RFC 868: 1 May 1983 */
    {2085978495, 4294967295},                         /* 2036-02-07 06:28:15, the last */
    {2085978496, 0},          {2147483648, 61505152}, /* 2038: more than 31 bits since 1970 */
    {4102444800, 2016466304},                         /* 2100-01-01 */
};

static void check(int64_t real_ns, uint32_t want)
{
	const struct sockeye_service *service = sockeye_builtin_find("time");
	const uint8_t bytes[] = {(uint8_t)(want >> 24), (uint8_t)(want >> 16), (uint8_t)(want >> 8),
				 (uint8_t)want};
	struct session s = {.service = service, .now.real_ns = real_ns, .dice = {.seed = 868}};
	struct session_out out = session_run(&s, "typed ahead", 11);
	uint8_t room[1024];
	struct sockeye_answer a = {.room = room, .room_len = sizeof room, .now.real_ns = real_ns};

	assert_null(out.broken);
	assert_int_equal(out.turns, 1);
	assert_int_equal(out.len, 4);
	assert_memory_equal(out.ptr, bytes, 4);
	free(out.ptr);
	service->datagram(NULL, &a);
	assert_true(a.send);
	assert_int_equal(a.out_len, 4);
	assert_memory_equal(a.out, bytes, 4);
}

static void test_seconds(void **state)
{
	(void)state;
	FOR_ROWS(i, rows, "%" PRId64 " s", rows[i].s) {
		int64_t ns = rows[i].s * (int64_t)SOCKEYE_NS_PER_S;

		check(ns, rows[i].want);
		check(ns + 999999999, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
