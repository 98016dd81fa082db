/* test_faults.c: faults of packets, without a socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sockeye/time.h>

#include "proto/faults.h"

#include "../rows.h"

#define ONE  (SOCKEYE__CHANCE_ALWAYS / 100) /* 1 % */
#define MANY 100000
#define MS   SOCKEYE_NS_PER_MS

static struct sockeye__fault_stream stream_of(uint64_t seed, uint64_t flow,
					      enum sockeye__fault_direction direction)
{
	struct sockeye__fault_stream s;

	sockeye__fault_stream_init(&s, seed, flow, direction, NULL);
	return s;
}

static struct sockeye__fault_verdict judge(const struct sockeye__fault_rules *rules,
					   struct sockeye__fault_stream *s, const char *data,
					   size_t len)
{
	struct sockeye__fault_verdict v;

	memset(&v, 0xa5, sizeof v);
	sockeye__fault_judge(rules, s, (const uint8_t *)data, len, &v);
	return v;
}

/* --- chances and lists as text --- */

static void chances(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint32_t chance;
	} rows[] = {
	    {"0", 0, 0},
	    {"0%", 0, 0},
	    {"1", 0, SOCKEYE__CHANCE_ALWAYS},
	    {"100%", 0, SOCKEYE__CHANCE_ALWAYS},
	    {"1.0", 0, SOCKEYE__CHANCE_ALWAYS},
	    {"1%", 0, ONE},
	    {"0.01", 0, ONE},
	    {"0.5%", 0, ONE / 2},
	    {"33.3333333%", 0, 333333333},
	    {"0.000000001", 0, 1},
	    {"0.0000001%", 0, 1},
	    {"0.0000000001", -EINVAL, 0},
	    {"1.000000001", -ERANGE, 0},
	    {"100.0000001%", -ERANGE, 0},
	    {"2", -ERANGE, 0},
	    {"18446744073709551617", -ERANGE, 0},
	    {"", -EINVAL, 0},
	    {"%", -EINVAL, 0},
	    {"-1%", -EINVAL, 0},
	    {"1 %", -EINVAL, 0},
	    {"1%%", -EINVAL, 0},
	    {"1e-2", -EINVAL, 0},
	    {".5", -EINVAL, 0},
	    {"1s", -EINVAL, 0},
	    {"nan", -EINVAL, 0},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		uint32_t chance = 77;

		assert_int_equal(sockeye__chance_parse(rows[i].text, &chance), rows[i].err);
		assert_int_equal(chance, rows[i].err < 0 ? 77 : rows[i].chance);
	}
}

static void lists(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *members; /* of 0 to 9 */
	} rows[] = {
	    {"3", 0, "3"},          {"3,7-9", 0, "3789"},
	    {"1-1", 0, "1"},        {"9,1,5-6", 0, "1569"},
	    {"2-4,3-5", 0, "2345"}, {"", -EINVAL, ""},
	    {",", -EINVAL, ""},     {"3,", -EINVAL, ""},
	    {",3", -EINVAL, ""},    {"3-", -EINVAL, ""},
	    {"-3", -EINVAL, ""},    {"5-3", -EINVAL, ""},
	    {"1-2-3", -EINVAL, ""}, {"3 ", -EINVAL, ""},
	    {" 3", -EINVAL, ""},    {"3;4", -EINVAL, ""},
	    {"x", -EINVAL, ""},     {"0", -ERANGE, ""},
	    {"1000", -ERANGE, ""},  {"5-1000", -ERANGE, ""},
	    {"3,0", -ERANGE, ""},   {"18446744073709551617", -ERANGE, ""},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		struct sockeye__fault_ranges ranges = {0};

		assert_int_equal(sockeye__fault_ranges_add(rows[i].text, 1, 999, &ranges),
				 rows[i].err);
		for (unsigned n = 0; n < 10; n++)
			if (sockeye__fault_ranges_have(&ranges, n) !=
			    (strchr(rows[i].members, (int)('0' + n)) != NULL))
				fail_msg("\"%s\" and %u", rows[i].text, n);
	}
}

static void lists_add_up_and_are_bounded(void **state)
{
	struct sockeye__fault_ranges ranges = {0};

	(void)state;
	for (int i = 0; i < SOCKEYE__FAULT_RANGES_MAX - 1; i++)
		assert_int_equal(sockeye__fault_ranges_add("5", 1, UINT64_MAX, &ranges), 0);
	assert_int_equal(sockeye__fault_ranges_add("6,7", 1, UINT64_MAX, &ranges), -E2BIG);
	assert_false(sockeye__fault_ranges_have(&ranges, 6)); /* none of them */
	assert_int_equal(sockeye__fault_ranges_add("18446744073709551615", 1, UINT64_MAX, &ranges),
			 0);
	assert_true(sockeye__fault_ranges_have(&ranges, UINT64_MAX));
	assert_int_equal(sockeye__fault_ranges_add("6", 1, UINT64_MAX, &ranges), -E2BIG);
}

/* --- chance --- */

static void nothing_happens_without_rules(void **state)
{
	static const struct sockeye__fault_rules none;
	struct sockeye__fault_stream s = stream_of(1, 1, SOCKEYE__FAULT_UP);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct sockeye__fault_verdict v = judge(&none, &s, "\0\3\0\1", 4);

		assert_int_equal(v.fate, SOCKEYE__FAULT_PASSED);
		assert_false(v.duplicate);
		assert_int_equal(v.hold, 0);
		assert_int_equal(v.corrupt_mask, 0);
		assert_int_equal(v.jitter_ns, 0);
	}
	assert_int_equal(s.count, 1000);
	assert_false(sockeye__fault_delays(&none));
}

static void always_is_always(void **state)
{
	const struct sockeye__fault_rules drop = {.drop = SOCKEYE__CHANCE_ALWAYS};
	const struct sockeye__fault_rules rest = {.duplicate = SOCKEYE__CHANCE_ALWAYS,
						  .reorder = SOCKEYE__CHANCE_ALWAYS,
						  .corrupt = SOCKEYE__CHANCE_ALWAYS};
	struct sockeye__fault_stream s = stream_of(1, 1, SOCKEYE__FAULT_UP);
	unsigned holds[SOCKEYE__FAULT_HOLD_MAX + 1] = {0}, bits[8 * 3] = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(judge(&drop, &s, "abc", 3).fate, SOCKEYE__FAULT_DROPPED);
	for (int i = 0; i < 10000; i++) {
		struct sockeye__fault_verdict v = judge(&rest, &s, "abc", 3);

		assert_true(v.duplicate);
		assert_in_range(v.hold, 1, SOCKEYE__FAULT_HOLD_MAX);
		assert_in_range(v.corrupt_byte, 0, 2);
		assert_int_equal(__builtin_popcount(v.corrupt_mask), 1);
		holds[v.hold]++;
		bits[v.corrupt_byte * 8 + (unsigned)__builtin_ctz(v.corrupt_mask)]++;
	}
	for (unsigned i = 1; i <= SOCKEYE__FAULT_HOLD_MAX; i++)
		assert_in_range(holds[i], 2000, 3000);
	for (unsigned i = 0; i < COUNT(bits); i++)
		assert_in_range(bits[i], 250, 600);
	assert_int_equal(judge(&rest, &s, "", 0).corrupt_mask, 0);
}

static unsigned dropped(const struct sockeye__fault_rules *rules, uint64_t seed)
{
	struct sockeye__fault_stream s = stream_of(seed, 1, SOCKEYE__FAULT_DOWN);
	unsigned n = 0;

	for (int i = 0; i < MANY; i++)
		n += judge(rules, &s, "x", 1).fate != SOCKEYE__FAULT_PASSED;
	return n;
}

static void one_percent_is_about_that(void **state)
{
	const struct sockeye__fault_rules one = {.drop = ONE}, half = {.drop = 50 * ONE};

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) { /* 5 standard deviations */
		assert_in_range(dropped(&one, seed), 1000 - 160, 1000 + 160);
		assert_in_range(dropped(&half, seed), 50000 - 800, 50000 + 800);
	}
}

/* Which of 64 packets are lost. */
static uint64_t pattern(const struct sockeye__fault_rules *rules, uint64_t seed, uint64_t flow,
			enum sockeye__fault_direction direction)
{
	struct sockeye__fault_stream s = stream_of(seed, flow, direction);
	uint64_t lost = 0;

	for (int i = 0; i < 64; i++)
		lost |= (uint64_t)(judge(rules, &s, "x", 1).fate != SOCKEYE__FAULT_PASSED) << i;
	return lost;
}

static void seeds_decide(void **state)
{
	const struct sockeye__fault_rules rules = {.drop = 50 * ONE};
	const struct sockeye__fault_rules more = {
	    .drop = 50 * ONE, .duplicate = ONE, .reorder = ONE, .corrupt = ONE, .jitter_ns = MS};
	uint64_t lost = pattern(&rules, 7, 1, SOCKEYE__FAULT_UP);

	(void)state;
	assert_true(lost == pattern(&rules, 7, 1, SOCKEYE__FAULT_UP));
	assert_true(lost == pattern(&more, 7, 1, SOCKEYE__FAULT_UP));
	for (uint64_t i = 0; i < 64; i++) {
		assert_true(i == 7 || lost != pattern(&rules, i, 1, SOCKEYE__FAULT_UP));
		assert_true(i == 1 || lost != pattern(&rules, 7, i, SOCKEYE__FAULT_UP));
		assert_true(lost != pattern(&rules, 7, i, SOCKEYE__FAULT_DOWN));
	}
	/* A smaller chance drops a subset of these packets. */
	assert_true(
	    (pattern(&(struct sockeye__fault_rules){.drop = 25 * ONE}, 7, 1, SOCKEYE__FAULT_UP) &
	     ~lost) == 0);
}

/* --- lists --- */

static void nth(void **state)
{
	struct sockeye__fault_rules rules = {0};
	struct sockeye__fault_stream s = stream_of(1, 1, SOCKEYE__FAULT_UP);

	(void)state;
	assert_int_equal(sockeye__fault_ranges_add("1,4-5", 1, UINT64_MAX, &rules.drop_nth), 0);
	for (unsigned n = 1; n < 10; n++)
		assert_int_equal(judge(&rules, &s, "x", 1).fate, n == 1 || n == 4 || n == 5
								     ? SOCKEYE__FAULT_DROPPED_NTH
								     : SOCKEYE__FAULT_PASSED);
}

static void blocks_are_lost_once(void **state)
{
	struct sockeye__fault_rules rules = {0};
	struct sockeye__fault_dropped once = {{0}, {0}};
	struct sockeye__fault_stream s;

	(void)state;
	assert_int_equal(sockeye__fault_ranges_add("2,65535", 0, 65535, &rules.drop_data), 0);
	assert_int_equal(sockeye__fault_ranges_add("0,3", 0, 65535, &rules.drop_ack), 0);
	sockeye__fault_stream_init(&s, 1, 1, SOCKEYE__FAULT_UP, &once);
#define FATE(bytes, is) \
	assert_int_equal(judge(&rules, &s, bytes, sizeof bytes - 1).fate, SOCKEYE__FAULT_##is)
	FATE("\0\3\0\1abc", PASSED);
	FATE("\0\3\0\2abc", DROPPED_DATA);
	FATE("\0\3\0\2abc", PASSED);
	FATE("\0\3\0\3abc", PASSED);
	FATE("\0\4\0\2", PASSED);
	FATE("\0\4\0\3", DROPPED_ACK);
	FATE("\0\4\0\3", PASSED);
	FATE("\0\4\0\0", DROPPED_ACK);
	FATE("\0\3\0\0", PASSED);
	FATE("\0\3\377\377", DROPPED_DATA);
	FATE("\0\3\377\377", PASSED);
	FATE("\0\5\0\2", PASSED);
	FATE("\0\4\0", PASSED); /* too short to be one */
	FATE("", PASSED);
#undef FATE
}

/* --- time --- */

static void delay_and_jitter(void **state)
{
	const struct sockeye__fault_rules rules = {.delay_ns = 5 * MS, .jitter_ns = 2 * MS};
	struct sockeye__fault_stream s = stream_of(1, 1, SOCKEYE__FAULT_UP);
	uint64_t link = 0, least = UINT64_MAX, most = 0, before = 0;

	(void)state;
	assert_true(sockeye__fault_delays(&rules));
	for (uint64_t i = 0; i < 10000; i++) {
		uint64_t now = i * 10 * MS; /* so far apart that none waits for another */
		struct sockeye__fault_verdict v = judge(&rules, &s, "x", 1);
		uint64_t due = sockeye__fault_due(&rules, &s, &link, now, v.jitter_ns, 1);

		least = due - now < least ? due - now : least;
		most = due - now > most ? due - now : most;
	}
	assert_in_range(least, 5 * MS, 5 * MS + MS / 100);
	assert_in_range(most, 7 * MS - MS / 100, 7 * MS);
	for (int i = 0; i < 1000; i++) { /* at once: in order */
		struct sockeye__fault_verdict v = judge(&rules, &s, "x", 1);
		uint64_t due = sockeye__fault_due(&rules, &s, &link, 1000000 * MS, v.jitter_ns, 1);

		assert_true(due >= before);
		before = due;
	}
}

static void rate_is_kept(void **state)
{
	const struct sockeye__fault_rules rules = {.rate = 1000000};
	struct sockeye__fault_stream s = stream_of(1, 1, SOCKEYE__FAULT_UP);
	uint64_t link = 0, due = 0, at_once = 0;

	(void)state;
	assert_true(sockeye__fault_delays(&rules));
	for (int i = 0; i < 2000; i++) { /* two seconds' worth */
		due = sockeye__fault_due(&rules, &s, &link, 1000 * MS, 0, 1000);
		at_once += due == 1000 * MS;
	}
	assert_in_range(at_once, 10, 11);
	assert_in_range(due, (1000 + 2000 - 11) * MS, (1000 + 2000) * MS);
	/* The bucket is full again, and not fuller than at first. */
	for (int i = 0; i < 20; i++)
		at_once += sockeye__fault_due(&rules, &s, &link, 10000 * MS, 0, 1000) == 10000 * MS;
	assert_in_range(at_once, 20, 22);
	/* A packet larger than the bucket passes. */
	due = sockeye__fault_due(&rules, &s, &link, 20000 * MS, 0, 60000);
	assert_int_equal(due, 20000 * MS);
	due = sockeye__fault_due(&rules, &s, &link, 20000 * MS, 0, 60000);
	assert_int_equal(due, 20050 * MS);
}

/* --- words --- */

static void texts(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
	} rows[] = {
	    {"\0\1boot/x\0octet", 15, "RRQ boot/x"},
	    {"\0\2a\033[m\0octet", 13, "WRQ a\\e[m"},
	    {"\0\3\1\2data", 8, "DATA 258"},
	    {"\0\4\377\377", 4, "ACK 65535"},
	    {"\0\5\0\1no", 7, "ERROR 1 no"},
	    {"\0\6tsize\0000", 10, "OACK"},
	    {"\0\7ab", 4, ""},
	    {"hello", 5, ""},
	    {"", 0, ""},
	};
	uint8_t request[520] = {0, 1};
	char buf[300];

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		size_t len = sockeye__fault_packet_text((const uint8_t *)rows[i].bytes, rows[i].len,
							buf, sizeof buf);

		assert_string_equal(buf, rows[i].text);
		assert_int_equal(len, strlen(buf));
	}
	memset(request + 2, 1, 500);
	memcpy(request + 503, "octet", 6);
	assert_in_range(sockeye__fault_packet_text(request, 509, buf, sizeof buf), 64, 4 * 64 + 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(chances),
	    cmocka_unit_test(lists),
	    cmocka_unit_test(lists_add_up_and_are_bounded),
	    cmocka_unit_test(nothing_happens_without_rules),
	    cmocka_unit_test(always_is_always),
	    cmocka_unit_test(one_percent_is_about_that),
	    cmocka_unit_test(seeds_decide),
	    cmocka_unit_test(nth),
	    cmocka_unit_test(blocks_are_lost_once),
	    cmocka_unit_test(delay_and_jitter),
	    cmocka_unit_test(rate_is_kept),
	    cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
