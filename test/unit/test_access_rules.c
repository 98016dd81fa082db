/*
 * The address lists of xinetd's language: every form of an address, what the strict reader
 * rejects, which clients a list matches, and times of the day.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../rows.h"
#include "superserver/access_rules.h"

static struct sockeye__rules_client client_of(const char *text)
{
	struct sockeye_sockaddr name = {.len = sizeof name.u.in};

	if (inet_pton(AF_INET, text, &name.u.in.sin_addr) == 1) {
		name.u.in.sin_family = AF_INET;
	} else if (inet_pton(AF_INET6, text, &name.u.in6.sin6_addr) == 1) {
		name.len = sizeof name.u.in6;
		name.u.in6.sin6_family = AF_INET6;
	} else {
		name.len = 0;
	}
	return sockeye__rules_client_of(&name);
}

static int parse(const char *text, bool compat, struct sockeye__access_rule *out, char *why)
{
	return sockeye__access_parse((struct sockeye__slice){text, strlen(text)}, compat, out, why);
}

/* Correct words, and a client that each matches and one that it does not. */
static void test_forms(void **state)
{
	static const struct {
		const char *word, *in, *out;
		int count;
	} rows[] = {
	    {"192.0.2.7", "192.0.2.7", "192.0.2.8", 1},
	    {"192.0.2.7", "::ffff:192.0.2.7", "::192.0.2.7", 1},
	    {"192.0.2.0", "192.0.2.255", "192.0.3.0", 1},
	    {"10.1.0.0", "10.1.200.3", "10.2.0.0", 1},
	    {"10.0.0.0", "10.255.0.1", "11.0.0.0", 1},
	    {"10.0.3.0", "10.0.3.9", "10.0.2.9", 1},
	    {"0.0.0.0", "203.0.113.1", "2001:db8::1", 1},
	    {"192.0.2.64/26", "192.0.2.127", "192.0.2.128", 1},
	    {"0.0.0.0/0", "1.2.3.4", "::1", 1},
	    {"10.1.0.0/24", "10.1.0.9", "10.1.1.9", 1},
	    {"192.0.2.0/32", "192.0.2.0", "192.0.2.1", 1},
	    {"2001:db8::7", "2001:db8::7", "2001:db8::8", 1},
	    {"2001:DB8::/33", "2001:db8:7fff::1", "2001:db8:8000::1", 1},
	    {"::1/128", "::1", "::2", 1},
	    {"::/0", "2001:db8::1", "192.0.2.1", 1},
	    {"::ffff:192.0.2.0/120", "192.0.2.9", "192.0.3.9", 1},
	    {"192.0.2.{7,9}", "192.0.2.9", "192.0.2.8", 2},
	    {"10.1.{2,3}", "10.1.3.77", "10.1.4.77", 2},
	    {"10.{1,20,255}", "10.255.1.1", "10.2.1.1", 3},
	    {"{10,172}", "172.9.9.9", "171.1.1.1", 2},
	    {"10.1.2.{0}", "10.1.2.0", "10.1.2.1", 1},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].word) {
		for (int compat = 0; compat < 2; compat++) {
			struct sockeye__access_rule rules[SOCKEYE__ACCESS_WORD_MAX];
			struct sockeye__access_list list = {rules, 0, true},
						    none = {NULL, 0, false};
			struct sockeye__rules_client in = client_of(rows[i].in);
			struct sockeye__rules_client out = client_of(rows[i].out);
			char why[SOCKEYE__ACCESS_WHY_MAX];
			int n = parse(rows[i].word, compat != 0, rules, why);

			assert_string_equal(why, "");
			assert_int_equal(n, rows[i].count);
			list.count = (size_t)n;
			assert_int_equal(sockeye__access_check(&list, &none, &in, NULL),
					 SOCKEYE__ACCESS_ALLOWED);
			assert_int_equal(sockeye__access_check(&list, &none, &out, NULL),
					 SOCKEYE__ACCESS_NOT_LISTED);
			assert_int_equal(sockeye__access_check(&none, &list, &in, NULL),
					 SOCKEYE__ACCESS_LISTED);
			assert_int_equal(sockeye__access_check(&none, &list, &out, NULL),
					 SOCKEYE__ACCESS_ALLOWED);
		}
	}
}

static void test_names(void **state)
{
	static const struct {
		const char *word;
		enum sockeye__access_kind kind;
	} rows[] = {
	    {".example.org", SOCKEYE__ACCESS_DOMAIN}, {"host.example.org", SOCKEYE__ACCESS_NAME},
	    {"localhost", SOCKEYE__ACCESS_NAME},      {"my_host-3", SOCKEYE__ACCESS_NAME},
	    {"1a.example", SOCKEYE__ACCESS_NAME},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].word) {
		struct sockeye__access_rule rules[SOCKEYE__ACCESS_WORD_MAX];
		char why[SOCKEYE__ACCESS_WHY_MAX];

		assert_int_equal(parse(rows[i].word, false, rules, why), 1);
		assert_string_equal(why, "");
		assert_int_equal(rules[0].kind, rows[i].kind);
		assert_ptr_equal(rules[0].name, rows[i].word);
	}
}

/* The forms that the strict reader rejects. For the compatible reader: a client that the
 * word matches, "none" if it is unreadable, NULL if it disables the service. */
static void test_rejected(void **state)
{
	static const struct {
		const char *word, *why, *compat;
	} rows[] = {
	    {"192.168",
	     "'192.168' is the address 192.0.0.168, not a prefix: write four decimal "
	     "parts",
	     "192.0.0.168"},
	    {"127", "'127' is the address 0.0.0.127, not a prefix: write four decimal parts",
	     "0.0.0.127"},
	    {"127.1", "'127.1' is the address 127.0.0.1, not a prefix: write four decimal parts",
	     "127.0.0.1"},
	    {"010.0.0.1",
	     "'010.0.0.1' is the address 8.0.0.1, not a prefix: write four decimal "
	     "parts",
	     "8.0.0.1"},
	    {"0x7f.1", "'0x7f.1' is the address 127.0.0.1, not a prefix: write four decimal parts",
	     "127.0.0.1"},
	    {"10/8", "'10/8' is a prefix of 0.0.0.10: write four decimal parts, as in 10.0.0.0/8",
	     "0.7.7.7"},
	    {"192.0.2.9/24", "'192.0.2.9/24' has bits set after its prefix: write 192.0.2.0/24",
	     "192.0.2.77"},
	    {"192.0.2.9/33", "'192.0.2.9/33': a prefix has 0 to 32 bits", "192.0.2.9"},
	    {"2001:db8::1/129", "'2001:db8::1/129': a prefix has 0 to 128 bits", "none"},
	    {"::", "'::' is one address, which no client has: write ::/0 for every IPv6 client",
	     "::"},
	    {"fe80::1%lo", "'fe80::1%lo' is not an address or a prefix", "none"},
	    {"1.2.3.4,5.6.7.8",
	     "'1.2.3.4,5.6.7.8': separate addresses with blanks, not with "
	     "commas",
	     NULL},
	    {"10.1.{2",
	     "'10.1.{2': write numbers with dots before { and numbers in it, without blanks: "
	     "10.1.{2,3}",
	     NULL},
	    {"10.1.{2,}", "'10.1.{2,}': the items in { } are numbers from 0 to 255", NULL},
	    {"10.1.{2,256}", "'10.1.{2,256}': the items in { } are numbers from 0 to 255", NULL},
	    {"10.1{2}",
	     "'10.1{2}': write numbers with dots before { and numbers in it, without blanks: "
	     "10.1.{2,3}",
	     NULL},
	    {"10.1.2.3.{4}",
	     "'10.1.2.3.{4}': write numbers with dots before { and numbers in it, without "
	     "blanks: 10.1.{2,3}",
	     NULL},
	    {"256.1.1.1", "'256.1.1.1' is not an address, prefix, host, domain or network", "none"},
	    {"1.2.3.4.5", "'1.2.3.4.5' is not an address, prefix, host, domain or network", "none"},
	    {"*", "'*' is not an address, prefix, host, domain or network", "none"},
	    {"#",
	     "'#': # begins a comment only at the start of a line: put the comment on its own "
	     "line",
	     "none"},
	    {"a..b", "'a..b' is not an address, prefix, host, domain or network", "none"},
	    {"-", "'-' is not an address, prefix, host, domain or network", "none"},
	    {"\x1b[1m", "'\\e[1m' is not an address, prefix, host, domain or network", "none"},
	    {"bad host/24", "'bad host/24' is not an address or a prefix", "none"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].word) {
		struct sockeye__access_rule rules[SOCKEYE__ACCESS_WORD_MAX];
		struct sockeye__access_list list = {rules, 1, true}, none = {NULL, 0, false};
		struct sockeye__rules_client any = client_of("203.0.113.99"), client;
		char why[SOCKEYE__ACCESS_WHY_MAX];
		int n;

		assert_int_equal(parse(rows[i].word, false, rules, why), -EINVAL);
		assert_string_equal(why, rows[i].why);
		n = parse(rows[i].word, true, rules, why);
		assert_string_not_equal(why, "");
		assert_int_equal(n, rows[i].compat ? 1 : -EINVAL);
		if (n < 0)
			continue;
		assert_int_equal(rules[0].kind == SOCKEYE__ACCESS_UNREADABLE,
				 strcmp(rows[i].compat, "none") == 0);
		client = client_of(rows[i].compat);
		if (rules[0].kind == SOCKEYE__ACCESS_UNREADABLE) {
			/* It fails safe: no_access denies, and only_from does not allow. */
			assert_int_equal(sockeye__access_check(&none, &list, &any, NULL),
					 SOCKEYE__ACCESS_LISTED);
			assert_int_equal(sockeye__access_check(&list, &none, &any, NULL),
					 SOCKEYE__ACCESS_NOT_LISTED);
		} else {
			assert_int_equal(sockeye__access_check(&list, &none, &client, NULL),
					 SOCKEYE__ACCESS_ALLOWED);
			assert_int_equal(sockeye__access_check(&list, &none, &any, NULL),
					 SOCKEYE__ACCESS_NOT_LISTED);
		}
	}
}

static void test_many_items(void **state)
{
	struct sockeye__access_rule rules[SOCKEYE__ACCESS_WORD_MAX];
	char why[SOCKEYE__ACCESS_WHY_MAX], word[1024] = "10.1.{0";
	size_t len = strlen(word);

	(void)state;
	for (int i = 1; i < SOCKEYE__ACCESS_WORD_MAX; i++)
		len += (size_t)snprintf(word + len, sizeof word - len, ",%d", i);
	strcpy(word + len, "}");
	assert_int_equal(parse(word, false, rules, why), SOCKEYE__ACCESS_WORD_MAX);
	assert_int_equal(rules[63].net.net.bytes[2], 63);
	strcpy(word + len, ",64}");
	assert_int_equal(parse(word, false, rules, why), -EINVAL);
	assert_non_null(strstr(why, "has more than 64 items"));
}

/* A lookup whose answer is the context. */
static int answer(void *context, const struct sockeye__access_rule *rule,
		  const struct sockeye__rules_client *client)
{
	(void)rule;
	(void)client;
	return *(int *)context;
}

/* Both lists, names among them, and the four answers of a lookup. */
static void test_check(void **state)
{
	enum {
		A = SOCKEYE__ACCESS_ALLOWED,
		N = SOCKEYE__ACCESS_NOT_LISTED,
		L = SOCKEYE__ACCESS_LISTED,
		U = SOCKEYE__ACCESS_UNKNOWN
	};
	static const struct {
		const char *only_from, *no_access; /* "-": not given; "": empty */
		int not_looked_up, no, yes, failed;
	} rows[] = {
	    {"-", "-", A, A, A, A},
	    {"", "-", N, N, N, N},
	    {"-", "", A, A, A, A},
	    {"10.0.0.0", "10.1.1.1", L, L, L, L}, /* in both */
	    {"10.1.1.1", "10.0.0.0", L, L, L, L},
	    {"10.1.1.1", "10.2.0.0", A, A, A, A},
	    {"10.2.0.0", "10.3.0.0", N, N, N, N},
	    {"h.example", "-", U, N, A, U},
	    {"-", "h.example", U, A, L, U},
	    {"-", ".example", U, A, L, U},
	    {"h.example", "10.1.1.1", L, L, L, L}, /* no lookup is needed */
	    {"10.2.0.0", "h.example", N, N, L, N},
	    {"10.1.0.0", "h.example", U, A, L, U},
	};

	(void)state;
	FOR_ROWS(i, rows, "only_from %s, no_access %s", rows[i].only_from, rows[i].no_access) {
		struct sockeye__access_rule rules[2][SOCKEYE__ACCESS_WORD_MAX];
		const char *words[2] = {rows[i].only_from, rows[i].no_access};
		struct sockeye__rules_client client = client_of("10.1.1.1");
		struct sockeye__access_list lists[2];
		int expected[3] = {rows[i].failed, rows[i].no, rows[i].yes};
		char why[SOCKEYE__ACCESS_WHY_MAX];

		for (int j = 0; j < 2; j++) {
			bool given = strcmp(words[j], "-") != 0;
			int n = given && *words[j] ? parse(words[j], false, rules[j], why) : 0;

			assert_true(n >= 0);
			lists[j] = (struct sockeye__access_list){rules[j], (size_t)n, given};
		}
		assert_int_equal(sockeye__access_check(&lists[0], &lists[1], &client, NULL),
				 rows[i].not_looked_up);
		for (int is = -1; is <= 1; is++) {
			struct sockeye__access_lookup lookup = {answer, &is};

			assert_int_equal(
			    sockeye__access_check(&lists[0], &lists[1], &client, &lookup),
			    expected[is + 1]);
		}
	}
}

static void test_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
	    {"10.0.0.0", "10.0.0.0/8", true},         {"10.0.0.0", "10.0.0.0/9", false},
	    {"10.1.{2}", "10.1.2.0", true},           {"::ffff:10.1.2.3", "10.1.2.3", true},
	    {"2001:db8::/32", "2001:db8::/32", true}, {"2001:db8::/32", "2001:db8::/33", false},
	    {"Host.Example", "host.example", true},   {"host.example", "host.example2", false},
	    {"host.example", ".host.example", false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, %s", rows[i].a, rows[i].b) {
		struct sockeye__access_rule a[SOCKEYE__ACCESS_WORD_MAX],
		    b[SOCKEYE__ACCESS_WORD_MAX];
		char why[SOCKEYE__ACCESS_WHY_MAX];

		assert_int_equal(parse(rows[i].a, false, a, why), 1);
		assert_int_equal(parse(rows[i].b, false, b, why), 1);
		assert_int_equal(sockeye__access_same(&a[0], &b[0]), rows[i].same);
	}
}

static void test_spans(void **state)
{
	static const struct {
		const char *word;
		int from, to;
	} rows[] = {
	    {"0:00-23:59", 0, 1439}, {"8:30-17:45", 510, 1065}, {"08:05-8:6", 485, 486},
	    {"12:00-24:00", -1, 0},  {"23:00-1:00", -1, 0},     {"8:00-8:00", -1, 0},
	    {"8-9", -1, 0},          {"8:00", -1, 0},           {"8:60-9:00", -1, 0},
	    {"8:00-", -1, 0},        {"-9:00", -1, 0},          {":-:", -1, 0},
	    {"8:00-9:00,", -1, 0},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].word) {
		struct sockeye__slice word = {rows[i].word, strlen(rows[i].word)};
		struct sockeye__access_span span;
		char why[SOCKEYE__ACCESS_WHY_MAX];

		if (rows[i].from < 0) {
			assert_int_equal(sockeye__access_span_parse(word, &span, why), -EINVAL);
			continue;
		}
		assert_int_equal(sockeye__access_span_parse(word, &span, why), 0);
		assert_int_equal(span.from, rows[i].from);
		assert_int_equal(span.to, rows[i].to);
		/* Both ends are included. */
		assert_true(sockeye__access_spans_match(&span, 1, span.from));
		assert_true(sockeye__access_spans_match(&span, 1, span.to));
		assert_false(sockeye__access_spans_match(&span, 1, span.to + 1u));
		assert_false(sockeye__access_spans_match(&span, 0, span.to));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forms),    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_rejected), cmocka_unit_test(test_many_items),
	    cmocka_unit_test(test_check),    cmocka_unit_test(test_same),
	    cmocka_unit_test(test_spans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
