/*
 * test_sources.c: limits per source: what a source is, and that thousands of
 * neighbours neither fill the tables nor share each other's limits.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sockeye/time.h>

#include "../rows.h"
#include "serve/rates.h"
#include "serve/sources.h"

#define NEIGHBOURS 10000
#define FLOODED    65536 /* the addresses of an IPv4 /16 */
#define PER_S      20
#define BURST      (2 * PER_S)

static const struct sockeye__prefixes defaults;

static struct sockaddr_in6 address(const char *text, uint32_t link)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = link};
	struct sockaddr_in *in = (struct sockaddr_in *)&in6;

	if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
		return in6;
	in6 = (struct sockaddr_in6){0};
	in->sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, text, &in->sin_addr), 1);
	return in6;
}

static struct sockeye__source source(const struct sockeye__prefixes *prefixes, const char *text,
				     uint32_t link)
{
	struct sockaddr_in6 peer = address(text, link);
	struct sockeye__source s;

	assert_true(sockeye__source_of(prefixes, (const struct sockaddr *)&peer, &s));
	return s;
}

/* Neighbour n: an address of the IPv4 network 10.1.0.0/16, or a network of
 * 2001:db8:1::/48. */
static struct sockeye__source neighbour(bool ipv6, unsigned n)
{
	struct sockaddr_in6 peer = address(ipv6 ? "2001:db8:1::1" : "10.1.0.0", 0);
	struct sockaddr_in *in = (struct sockaddr_in *)&peer;
	struct sockeye__source s;

	if (ipv6) {
		peer.sin6_addr.s6_addr[6] = (uint8_t)(n >> 8);
		peer.sin6_addr.s6_addr[7] = (uint8_t)n;
	} else {
		in->sin_addr.s_addr |= htonl(n);
	}
	assert_true(sockeye__source_of(&defaults, (const struct sockaddr *)&peer, &s));
	return s;
}

static void test_what_a_source_is(void **state)
{
	static const struct {
		const char *a, *b;
		uint32_t link_a, link_b;
		struct sockeye__prefixes prefixes;
		bool same;
	} rows[] = {
	    {"192.0.2.1", "192.0.2.1", .same = true},
	    {"192.0.2.1", "192.0.2.2", .same = false},
	    {"192.0.2.1", "::ffff:192.0.2.1", .same = true},
	    {"192.0.2.1", "192.0.2.254", .prefixes = {.ipv4 = 24}, .same = true},
	    {"192.0.2.1", "::ffff:192.0.2.254", .prefixes = {.ipv4 = 24}, .same = true},
	    {"192.0.2.1", "192.0.3.1", .prefixes = {.ipv4 = 24}, .same = false},
	    {"192.0.2.1", "192.0.3.1", .prefixes = {.ipv4 = 23}, .same = true},
	    {"128.0.0.1", "255.1.2.3", .prefixes = {.ipv4 = 1}, .same = true},
	    {"127.0.0.1", "128.0.0.1", .prefixes = {.ipv4 = 1}, .same = false},
	    {"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", .same = true},
	    {"2001:db8:0:1::1", "2001:db8:0:2::1", .same = false},
	    {"2001:db8:0:1::1", "2001:db8:0:1::2", .prefixes = {.ipv6 = 128}, .same = false},
	    {"2001:db8:0:100::1", "2001:db8:0:1ff::2", .prefixes = {.ipv6 = 56}, .same = true},
	    {"2001:db8:0:100::1", "2001:db8:0:200::1", .prefixes = {.ipv6 = 56}, .same = false},
	    {"fe80::1", "fe80::2", .link_a = 2, .link_b = 2, .same = false},
	    {"fe80::1", "fe80::1", .link_a = 2, .link_b = 3, .same = false},
	    {"fe80::1", "fe80::1", .link_a = 2, .link_b = 2, .same = true},
	    {"::1", "::2", .same = false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s %s", rows[i].a, rows[i].b) {
		struct sockeye__source a = source(&rows[i].prefixes, rows[i].a, rows[i].link_a);
		struct sockeye__source b = source(&rows[i].prefixes, rows[i].b, rows[i].link_b);

		assert_int_equal(sockeye__source_equal(&a, &b), rows[i].same);
	}
}

static void test_unix_has_no_source(void **state)
{
	const struct sockaddr unix_peer = {.sa_family = AF_UNIX};
	struct sockeye__source s;

	(void)state;
	assert_false(sockeye__source_of(&defaults, &unix_peer, &s));
}

static void test_prefixes_have_bounds(void **state)
{
	(void)state;
	assert_int_equal(sockeye__prefixes_check(&(struct sockeye__prefixes){32, 128}), 0);
	assert_int_equal(sockeye__prefixes_check(&(struct sockeye__prefixes){33, 0}), -EINVAL);
	assert_int_equal(sockeye__prefixes_check(&(struct sockeye__prefixes){0, 129}), -EINVAL);
}

/* The 65th client of an IPv4 /16 was refused once: its first two bytes decided
 * where it was looked for. */
static void test_neighbours_do_not_fill_the_slots(void **state)
{
	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct sockeye__sources *s = sockeye__sources_new(2);

		assert_non_null(s);
		for (unsigned n = 0; n < FLOODED; n++) {
			struct sockeye__source source = neighbour(ipv6, n);

			assert_int_equal(sockeye__sources_take(s, &source, n % 3), 0);
		}
		for (unsigned n = 0; n < NEIGHBOURS; n++) {
			struct sockeye__source source = neighbour(ipv6, n);

			assert_int_equal(sockeye__sources_take(s, &source, 7), 0);
			assert_int_equal(sockeye__sources_take(s, &source, 8), -EDQUOT);
			sockeye__sources_give(s, &source, n % 3);
			assert_int_equal(sockeye__sources_take(s, &source, 8), 0);
			assert_int_equal(sockeye__sources_take(s, &source, 8), -EDQUOT);
		}
		sockeye__sources_free(s);
	}
}

static void test_a_dead_worker_holds_no_slots(void **state)
{
	struct sockeye__sources *s = sockeye__sources_new(2);

	(void)state;
	for (unsigned n = 0; n < NEIGHBOURS; n++) {
		struct sockeye__source source = neighbour(false, n);

		assert_int_equal(sockeye__sources_take(s, &source, 1), 0);
		assert_int_equal(sockeye__sources_take(s, &source, 2), 0);
	}
	sockeye__sources_forget(s, 1);
	for (unsigned n = 0; n < NEIGHBOURS; n++) {
		struct sockeye__source source = neighbour(false, n);

		assert_int_equal(sockeye__sources_take(s, &source, 3), 0);
		assert_int_equal(sockeye__sources_take(s, &source, 3), -EDQUOT);
	}
	sockeye__sources_free(s);
}

/* How often the source is served when it asks `times` times at once. */
static unsigned served(struct sockeye__rates *r, const struct sockeye__source *source,
		       unsigned times, uint64_t now_ns)
{
	unsigned count = 0;

	for (unsigned i = 0; i < times; i++)
		count += sockeye__rates_take(r, source, PER_S, now_ns);
	return count;
}

static void test_a_flood_does_not_silence_neighbours(void **state)
{
	const uint64_t now_ns = 1000 * SOCKEYE_NS_PER_S;

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct sockeye__rates *r = sockeye__rates_new();
		struct sockeye__source flooding = neighbour(ipv6, NEIGHBOURS);

		assert_non_null(r);
		assert_int_equal(served(r, &flooding, 100000, now_ns), BURST);
		for (unsigned n = 0; n < NEIGHBOURS; n++) {
			struct sockeye__source source = neighbour(ipv6, n);

			assert_int_equal(served(r, &source, 3, now_ns), 3);
			assert_int_equal(served(r, &flooding, 1, now_ns), 0);
		}
		sockeye__rates_free(r);
	}
}

/* 65,536 forged sources in one moment: the one that floods is not forgotten. */
static void test_forged_sources_do_not_free_a_flood(void **state)
{
	const uint64_t now_ns = 1000 * SOCKEYE_NS_PER_S;
	struct sockeye__rates *r = sockeye__rates_new();
	struct sockeye__source flooding = neighbour(true, 1);

	(void)state;
	assert_int_equal(served(r, &flooding, 1000, now_ns), BURST);
	for (unsigned n = 0; n < FLOODED; n++) {
		struct sockeye__source forged = neighbour(false, n);

		assert_int_equal(served(r, &forged, 1, now_ns), 1);
	}
	assert_int_equal(served(r, &flooding, 1000, now_ns), 0);
	sockeye__rates_free(r);
}

static void test_rate(void **state)
{
	uint64_t now_ns = 1000 * SOCKEYE_NS_PER_S;
	struct sockeye__rates *r = sockeye__rates_new();
	struct sockeye__source source = neighbour(false, 1);

	(void)state;
	assert_int_equal(served(r, &source, 1000, now_ns), BURST);
	for (uint64_t s = 1; s < 10; s++)
		assert_int_equal(served(r, &source, 1000, now_ns + s * SOCKEYE_NS_PER_S), PER_S);
	sockeye__rates_give(r, &source, PER_S);
	assert_int_equal(served(r, &source, 1000, now_ns + 9 * SOCKEYE_NS_PER_S), 1);
	assert_int_equal(served(r, &source, 1000, now_ns + 100 * SOCKEYE_NS_PER_S), BURST);
	sockeye__rates_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_a_source_is),
	    cmocka_unit_test(test_unix_has_no_source),
	    cmocka_unit_test(test_prefixes_have_bounds),
	    cmocka_unit_test(test_neighbours_do_not_fill_the_slots),
	    cmocka_unit_test(test_a_dead_worker_holds_no_slots),
	    cmocka_unit_test(test_a_flood_does_not_silence_neighbours),
	    cmocka_unit_test(test_forged_sources_do_not_free_a_flood),
	    cmocka_unit_test(test_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
