/* test_chargen.c: the pattern of RFC 864, in output pieces of any size. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../rows.h"
#include "session.h"

#define PERIOD (95 * 74)

/* The byte at `pos`, computed without the service's table. */
static uint8_t pattern(size_t pos)
{
	size_t line = pos / 74, column = pos % 74;

	if (column >= 72)
		return column == 72 ? '\r' : '\n';
	return (uint8_t)(' ' + (line + column) % 95);
}

static void test_first_lines(void **state)
{
	static const char want[] =
	    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n"
	    "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n";
	struct session s = {.service = sockeye_builtin_find("chargen"), .out_min = sizeof want};
	struct session_out out = session_run(&s, "", 0);

	(void)state;
	assert_null(out.broken);
	assert_true(out.len >= sizeof want - 1);
	assert_memory_equal(out.ptr, want, sizeof want - 1);
	free(out.ptr);
}

static void test_stream(void **state)
{
	static const uint8_t typed[3000];

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct session s = {.service = sockeye_builtin_find("chargen"),
				    .out_min = 3 * PERIOD,
				    .room_max = 2000,
				    .dice = {.seed = seed}};
		struct session_out out = session_run(&s, typed, sizeof typed);

		assert_null(out.broken);
		assert_true(out.len >= 3 * PERIOD);
		for (size_t i = 0; i < out.len; i++)
			assert_int_equal(out.ptr[i], pattern(i));
		free(out.ptr);
	}
}

static void test_closes_at_the_end(void **state)
{
	struct sockeye_turn t = {.in_end = true};
	uint64_t session = 0;

	(void)state;
	sockeye_builtin_find("chargen")->turn(&session, NULL, &t);
	assert_true(t.close);
	assert_int_equal(t.out_len, 0);
}

static size_t datagram(uint16_t datagram_len, int64_t real_ns)
{
	static uint8_t room[65507];
	const struct sockeye_builtin_config config = {.datagram_len = datagram_len};
	struct sockeye_answer a = {.room = room, .room_len = sizeof room, .now.real_ns = real_ns};

	sockeye_builtin_find("chargen")->datagram(&config, &a);
	assert_true(a.send);
	for (size_t i = 0; i < a.out_len; i++)
		assert_int_equal(a.out[i], pattern(i));
	return a.out_len;
}

static void test_datagram_len(void **state)
{
	static const struct {
		uint16_t requested;
		size_t want;
	} rows[] = {{1, 1}, {74, 74}, {100, 100}, {512, 512}, {513, 512}, {65535, 512}};

	(void)state;
	FOR_ROWS(i, rows, "%u", rows[i].requested) {
		assert_int_equal(datagram(rows[i].requested, 1), rows[i].want);
	}
}

/* Every length from 0 to 512 occurs, whatever the resolution of the clock. */
static void test_datagram_by_clock(void **state)
{
	static const int64_t resolutions_ns[] = {1, 1000, 1000000};

	(void)state;
	FOR_ROWS(r, resolutions_ns, "%" PRId64 " ns", resolutions_ns[r]) {
		unsigned seen[513] = {0};

		for (int64_t i = 0; i < 20000; i++) {
			size_t len =
			    datagram(0, INT64_C(1795233558123456789) + i * resolutions_ns[r]);

			assert_true(len <= 512);
			seen[len]++;
		}
		for (size_t len = 0; len <= 512; len++)
			assert_true(seen[len] > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_first_lines),       cmocka_unit_test(test_stream),
	    cmocka_unit_test(test_closes_at_the_end), cmocka_unit_test(test_datagram_len),
	    cmocka_unit_test(test_datagram_by_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
