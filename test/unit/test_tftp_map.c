/*
 * Rules for names: each flag and escape, and bounds on the time a request takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../rows.h"
#include "tftp/server/map.h"

static struct sockeye_sockaddr client_of(const char *text)
{
	struct sockeye_sockaddr client = {.len = sizeof client.u.in};

	if (inet_pton(AF_INET, text, &client.u.in.sin_addr) == 1) {
		client.u.in.sin_family = AF_INET;
		return client;
	}
	client.len = sizeof client.u.in6;
	client.u.in6.sin6_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &client.u.in6.sin6_addr), 1);
	return client;
}

static struct sockeye__tftp_map *map_of(const char *text)
{
	struct sockeye__rules_error error = {0};
	struct sockeye__tftp_map *map = NULL;

	if (sockeye__tftp_map_parse(text, strlen(text), &map, &error) < 0)
		fail_msg("line %u: %s", error.line, error.text);
	return map;
}

/* Applies rules to a name. Returns the new name, "DENIED text" or "ERROR text", and
 * the line of the last rule that applied. */
static const char *mapped(const char *rules, const char *from, bool upload, const char *name)
{
	static char text[800];
	struct sockeye_sockaddr client = client_of(from);
	struct sockeye__tftp_map *map = map_of(rules);
	struct sockeye__tftp_mapped out;

	if (sockeye__tftp_map_apply(map, &client, upload, name, &out) < 0)
		snprintf(text, sizeof text, "ERROR %s %u", out.text, out.rule);
	else if (out.denied)
		snprintf(text, sizeof text, "DENIED %s %u", out.text, out.rule);
	else
		snprintf(text, sizeof text, "%s %u", out.name, out.rule);
	sockeye__tftp_map_free(map);
	return text;
}

static const struct {
	const char *rules, *name, *mapped;
} cases[] = {
    {"", "a", "a 0"},
    {"# nothing\n\n   \n", "a", "a 0"},
    {"r x y", "a", "a 0"},

    {"r ^ pub/", "a", "pub/a 1"},
    {"\n# first\nr a b # and so on", "a", "b 3"},
    {"r a b\r\nr b c\r\n", "a", "c 2"},
    {"r a b", "banana", "bbnana 1"},
    {"r an", "banana", "bana 1"}, /* removed */
    {"r an \"\"", "banana", "bana 1"},
    {"rg a b", "banana", "bbnbnb 1"},
    {"rg a aa", "banana", "baanaanaa 1"}, /* the replacement is not matched again */
    {"rg \\\\ /", "Boot\\x64\\BCD", "Boot/x64/BCD 1"},
    {"rg x* -", "abc", "-a-b-c- 1"}, /* like Perl */
    {"rg a* -", "baac", "-b--c- 1"},
    {"rg ^ -", "aaa", "-aaa 1"},
    {"rg $ -", "aaa", "aaa- 1"},
    {"rg \\b |", "ab cd", "|ab| |cd| 1"},
    {"rg (?<=a)b x", "ababb", "axaxb 1"},
    {"rgi a x", "AbA", "xbx 1"},
    {"r a x", "A", "A 0"},
    {"ri a x", "A", "x 1"},
    {"ri \xe4 x", "\xc4", "\xc4 0"}, /* bytes have no case */

    {"r a b\nr b c", "a", "c 2"},
    {"re a b\nr b c", "a", "b 1"},
    {"e ^a\nr a b", "a", "a 1"},
    {"e ^x\nr a b", "a", "b 2"},
    {"rs ^// /\nr ^/ root/", "////a", "root/a 2"},
    {"e ^b\nrs a b\nr b c", "a", "b 1"},
    {"r a b\nls B\nr b c", "aB", "cb 3"},

    {"a ^secret", "secret/x", "DENIED  1"},
    {"a ^secret \"not for you\"\nr . x", "secret/x", "DENIED not for you 1"},
    {"a ^(.)(.*) \"no \\2, \\U\\1\\E \\i\"", "secret", "DENIED no ecret, S 192.0.2.91 1"},
    {"a ^secret", "public/x", "public/x 0"},
    {"ai ^secret no", "SECRET", "DENIED no 1"},

    {"a~ ^pub/ no", "pub/a", "pub/a 0"},
    {"a~ ^pub/ no", "a", "DENIED no 1"},
    {"r~ ^pub/ pub/\\0", "a/b", "pub/a/b 1"},
    {"r~ ^pub/ pub/\\0", "pub/b", "pub/b 0"},
    {"r~e ^pub/ \\U\\0-\\x\nr . x", "a", "A-C000025B 1"},
    {"r~s ^x \\0\\0\nr ^x y", "a", "ERROR name too long 1"},
    {"r~s ^x x\\0\nr ^x y", "a", "ya 2"},

    {"l .", "Boot/BCD", "boot/bcd 1"},
    {"l [A-Z]", "boot", "boot 0"},
    {"rl B(.) \\1X", "aBOOTB", "aoxotb 1"},
    {"le X\nr a b", "aX", "ax 1"},

    {"r (.)(.)(.)(.)(.)(.)(.)(.)(.)(.) \\9\\8\\7\\6\\5\\4\\3\\2\\1[\\0]", "0123456789x",
     "876543210[0123456789]x 1"},
    {"r (a)|(b) [\\1|\\2]", "b", "[|b] 1"}, /* an unset group */
    {"r (a)(x)? [\\2\\1]", "a", "[a] 1"},
    {"r (?<n>a) \\1\\1", "a", "aa 1"},
    {"r ^ \\i/", "a", "192.0.2.91/a 1"},
    {"r ^ \\x/", "a", "C000025B/a 1"},
    {"r ^ \\L\\x\\E/", "A", "c000025b/A 1"},
    {"r (.+) \\U\\1x\\Ex\\L\\1X\\EX", "aB", "ABXxabxX 1"},
    {"rg (a)(.) \\U\\1\\2", "abxaby", "ABxABy 1"}, /* the replacement only */
    {"r (.+) \\L\\1", "A\xc4", "a\xc4 1"},
    {"r a \\\\\\.\\ \\#\\\"&$1", "a", "\\. #\"&$1 1"},
    {"r \"a b\" \"c d\"", "xa by", "xc dy 1"},
    {"r a\\ b c\\ d", "a b", "c d 1"},
    {"r \"a\\\"b\" \"c\\\"d\"", "a\"b", "c\"d 1"},
    {"r a\"b c\"d", "a\"b", "c\"d 1"}, /* a quote inside a word is literal */
    {"r \\#a b#c", "#a", "b#c 1"},
    {"\t r \t a \t b \t ", "a", "b 1"},
    {"\"r\" \"\" \"x\"", "a", "xa 1"},

    {"r a.b x", "a\nb", "x 1"},          /* a dot matches any byte */
    {"a~ ^a$ no", "a\n", "DENIED no 1"}, /* $ is the end only */
    {"r ^.$ x", "\xc3\xa4", "\xc3\xa4 0"},
    {"r a\\Kb x", "ab", "ax 1"},
    {"r (?=b)a?b+ x", "cxab", "cxax 1"}, /* missed by PCRE2's first byte */
};

static void test_rules(void **state)
{
	(void)state;
	FOR_ROWS(i, cases, "%s: %s", cases[i].rules, cases[i].name)
		assert_string_equal(mapped(cases[i].rules, "192.0.2.91", false, cases[i].name),
				    cases[i].mapped);
}

static void test_clients_and_directions(void **state)
{
	static const char rules[] = "rG ^ get-\nrP ^ put-\nr4 ^ four-\nr6 ^ six-\nr ^ \\i-\\x-\n";
	static const struct {
		const char *client;
		bool upload;
		const char *mapped;
	} rows[] = {
	    {"192.0.2.1", false, "192.0.2.1-C0000201-four-get-a 5"},
	    {"192.0.2.1", true, "192.0.2.1-C0000201-four-put-a 5"},
	    {"::ffff:192.0.2.1", false, "192.0.2.1-C0000201-four-get-a 5"},
	    {"2001:db8::1", false, "2001:db8::1-20010DB8000000000000000000000001-six-get-a 5"},
	    {"fe80::1", true, "fe80::1-FE800000000000000000000000000001-six-put-a 5"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, %s", rows[i].client, rows[i].upload ? "put" : "get")
		assert_string_equal(mapped(rules, rows[i].client, rows[i].upload, "a"),
				    rows[i].mapped);
	assert_string_equal(mapped("aG . no", "::1", true, "a"), "a 0");
	assert_string_equal(mapped("aP . no", "::1", true, "a"), "DENIED no 1");
	assert_string_equal(mapped("a4 . no", "::1", true, "a"), "a 0");
	assert_string_equal(mapped("a6 . no", "::1", true, "a"), "DENIED no 1");
	assert_string_equal(mapped("a~G6 b no", "::1", false, "a"), "DENIED no 1");
	assert_string_equal(mapped("a~P b no", "::1", false, "a"), "a 0");
}

/* A client without an Internet address has no text for \i and \x. */
static void test_no_address(void **state)
{
	struct sockeye_sockaddr none = {0};
	struct sockeye__tftp_map *map = map_of("r4 ^ four\nr6 ^ six\nr ^ <\\i\\x>");
	struct sockeye__tftp_mapped out;

	(void)state;
	assert_int_equal(sockeye__tftp_map_apply(map, &none, false, "a", &out), 0);
	assert_string_equal(out.name, "<>a");
	sockeye__tftp_map_free(map);
}

/* CPU time of this process: other processes cannot make the test fail. */
static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void test_bounds(void **state)
{
	char long_name[513], aaa[401], repeated[4000] = "", *at = repeated;
	double start = cpu_ms();

	(void)state;
	memset(long_name, 'a', 512);
	long_name[512] = '\0';
	assert_string_equal(mapped("r x y", "::1", false, long_name), "ERROR name too long 0");
	long_name[511] = '\0';
	assert_string_equal(mapped("r ^ b", "::1", false, long_name), "ERROR name too long 1");
	assert_string_equal(mapped("e x\nrg a aa", "::1", false, long_name),
			    "ERROR name too long 2");
	assert_string_equal(mapped("r a+ b", "::1", false, long_name), "b 1");

	/* endless rules */
	assert_string_equal(mapped("rs a b\nrs b a", "::1", false, "a"),
			    "ERROR the rules never end for this name 1");
	assert_string_equal(mapped("rs a a", "::1", false, "a"),
			    "ERROR the rules never end for this name 1");
	assert_string_equal(mapped("rs $ aa", "::1", false, "a"), "ERROR name too long 1");
	assert_string_equal(mapped("a b*c\nrs ^ b", "::1", false, "a"),
			    "ERROR the rules never end for this name 2");
	memset(aaa, 'a', 257);
	aaa[256] = '\0';
	assert_string_equal(mapped("rs a b", "::1", false, aaa) + 255, "b 1");
	aaa[256] = 'a';
	aaa[257] = '\0';
	assert_string_equal(mapped("rs a b", "::1", false, aaa),
			    "ERROR the rules never end for this name 1");

	/* catastrophic */
	memset(aaa, 'a', 400);
	aaa[399] = '!';
	aaa[400] = '\0';
	assert_string_equal(mapped("e x\na (a+)+$", "::1", false, aaa),
			    "ERROR a pattern takes too long for this name 2");
	assert_string_equal(mapped("rg (a|aa)+$ x", "::1", false, aaa),
			    "ERROR a pattern takes too long for this name 1");
	assert_string_equal(mapped("a (?:a?){20}a{20}b|!", "::1", false, aaa),
			    "ERROR a pattern takes too long for this name 1");
	assert_string_equal(mapped("a ^(a|(?R)b)+$", "::1", false, aaa),
			    "ERROR a pattern takes too long for this name 1");
	/* many costly matches: each byte starts one */
	for (int i = 0; i < 40; i++)
		at += sprintf(at, "a .{0,9}.{0,9}.{0,9}%cx!\n", "ab"[i % 2]);
	assert_true(strncmp(mapped(repeated, "::1", false, aaa), "ERROR a pattern takes too long",
			    30) == 0);
	assert_true(cpu_ms() - start < 1500);
}

/* A long reason is truncated and terminated. */
static void test_long_text(void **state)
{
	struct sockeye_sockaddr client = client_of("::1");
	struct sockeye__tftp_map *map = map_of("a .* \\0\\0\\0");
	struct sockeye__tftp_mapped out;
	char name[101];

	(void)state;
	memset(name, 'a', 100);
	name[100] = '\0';
	assert_int_equal(sockeye__tftp_map_apply(map, &client, false, name, &out), 0);
	assert_true(out.denied);
	assert_int_equal(strlen(out.text), sizeof out.text - 1);
	sockeye__tftp_map_free(map);
}

/* A file system with the names that `arg` lists, each with a space before and after. */
static bool listed(void *arg, const char *name)
{
	char word[SOCKEYE__TFTP_NAME_MAX + 2];

	snprintf(word, sizeof word, " %s ", name);
	return strstr(arg, word) != NULL;
}

/* Flag m: the rule applies only if no file has the name. */
static void test_missing(void **state)
{
	static const struct {
		const char *rules, *files, *name;
		int err;
		const char *mapped;
	} rows[] = {
	    {"rm ^ old/", " a ", "a", 0, "a"},
	    {"rm ^ old/", " old/a ", "a", 0, "old/a"},
	    {"rm ^ old/", " a ", "/a", 0, "a"}, /* files are looked for without the slash */
	    {"rm ^ old/", " ", "a", 0, "old/a"},
	    {"rm ^/? x/\nrm ^x/ y/", " y/a ", "a", 0, "y/a"},
	    {"rm ^/? x/\nrm ^x/ y/", " x/a y/a ", "a", 0, "x/a"},
	    {"rmi a b", " b ", "A", 0, "b"},
	    {"am . none", " b ", "a", 0, "none"},
	    {"am . none", " a ", "a", 0, "a"},
	    {"rm~ ^/?pub/ pub/\\0", " a ", "a", 0, "a"},
	    {"rm~ ^/?pub/ pub/\\0", " pub/b ", "b", 0, "pub/b"},
	    {"rms ^ x/", " x/x/x/a ", "a", 0, "x/x/x/a"},
	    {"rms ^ x/", " ", "a", -ELOOP, "the rules never end for this name"},
	    {"em ^b\nr ^ x/", " ", "b", 0, "b"},
	    {"em ^b\nr ^ x/", " b ", "b", 0, "x/b"},
	};
	struct sockeye_sockaddr client = client_of("::1");

	(void)state;
	FOR_ROWS(i, rows, "%s: %s of%s", rows[i].rules, rows[i].name, rows[i].files) {
		static const struct sockeye__tftp_name_rules names;
		const struct sockeye__tftp_map_files files = {listed, (void *)rows[i].files};
		struct sockeye__tftp_map *map = map_of(rows[i].rules);
		struct sockeye__tftp_mapped out;
		struct sockeye__span name = {(const uint8_t *)rows[i].name, strlen(rows[i].name)};

		assert_int_equal(sockeye__tftp_map_request(map, &names, &client, false, name,
							   &files, NULL, &out),
				 rows[i].err);
		assert_string_equal(rows[i].err || out.denied ? out.text : out.name,
				    rows[i].mapped);
		sockeye__tftp_map_free(map);
	}
}

static const char *const effects[] = {"others", "no", "on", "stop", "restart", "deny"};

static void note(void *arg, const struct sockeye__tftp_map_step *step)
{
	char *text = arg;

	sprintf(text + strlen(text), "%u [%.*s] %s %s;", step->line, (int)step->rule_len,
		step->rule, effects[step->effect], step->name);
}

/* A whole request, with the callback for each rule. */
static void test_request(void **state)
{
	static const struct {
		const char *rules, *name; /* rules may be NULL */
		struct sockeye__tftp_name_rules names;
		int err;
		const char *mapped, *steps;
	} rows[] = {
	    {NULL, "/a//b", {0}, 0, "a/b", ""},
	    {NULL, "/", {0}, -EINVAL, "empty name", ""},
	    {NULL, "A\\B\xff", {true, true}, 0, "A/B", ""},
	    {"r ^ /x//", "//a", {0}, 0, "x/a", "1 [r ^ /x//] on /x///a;"},
	    /* the rules see the slash that the client sent, as in tftp-hpa */
	    {"r ^/ srv/", "/a", {0}, 0, "srv/a", "1 [r ^/ srv/] on srv/a;"},
	    {"r ^/ srv/", "a", {0}, 0, "a", "1 [r ^/ srv/] no a;"},
	    {"r ^[^/] /srv/\\0", "/a", {0}, 0, "a", "1 [r ^[^/] /srv/\\0] no /a;"},
	    {"r ^[^/] /srv/\\0", "a", {0}, 0, "srv/a", "1 [r ^[^/] /srv/\\0] on /srv/a;"},
	    {"r ^/ srv/", "\\a", {.backslash = true}, 0, "srv/a", "1 [r ^/ srv/] on srv/a;"},
	    {"r ^/ srv/", ".//.//a", {0}, 0, "a", "1 [r ^/ srv/] no a;"},
	    {"r ^/ srv/", "//./b/../a", {0}, 0, "srv/a", "1 [r ^/ srv/] on srv/a;"},
	    {"r ^ \\i/", "/../b", {0}, -EACCES, "name leads outside its directory", ""},
	    {"r a", "/a", {0}, -EINVAL, "empty name", "1 [r a] on /;"},
	    {"r a .", "/a", {0}, -EINVAL, "empty name", "1 [r a .] on /.;"},
	    {"rP . x\n\nr b c\n r \"a\"  \"b\" #\nrs b c\ne c\nr c d",
	     "a",
	     {0},
	     0,
	     "c",
	     "1 [rP . x] others a;3 [r b c] no a;4 [r \"a\"  \"b\"] on b;5 [rs b c] restart c;"
	     "1 [rP . x] others c;3 [r b c] no c;4 [r \"a\"  \"b\"] no c;5 [rs b c] no c;"
	     "6 [e c] stop c;"},
	    {"a a no", "a", {0}, 0, "no", "1 [a a no] deny a;"},
	    {"a~ ^a no", "a", {0}, 0, "a", "1 [a~ ^a no] no a;"},
	    /* a name cannot avoid a rule, nor leave the client's folder */
	    {"a ^secret no", "pub/../secret", {0}, 0, "no", "1 [a ^secret no] deny secret;"},
	    {"r ^ \\i/", "../b", {0}, -EACCES, "name leads outside its directory", ""},
	    {"rg \\\\ /\nr ^ \\i/",
	     "..\\b",
	     {0},
	     -EACCES,
	     "name leads outside its directory",
	     NULL},
	    {"r b ..", "a/b", {0}, -EACCES, "name leads outside its directory", NULL},
	    {"r b ..", "a/bc/bd", {0}, 0, "a/..c/bd", NULL},
	    {"rg b ..", "bc/b/cb", {0}, -EACCES, "name leads outside its directory", NULL},
	    {"rs a a", "a", {0}, -ELOOP, "the rules never end for this name", NULL},
	};
	struct sockeye_sockaddr client = client_of("::1");
	static char steps[1000000];
	const struct sockeye__tftp_map_watch watch = {note, steps};

	(void)state;
	FOR_ROWS(i, rows, "%s: %s", rows[i].rules ? rows[i].rules : "no rules", rows[i].name) {
		struct sockeye__tftp_map *map = rows[i].rules ? map_of(rows[i].rules) : NULL;
		struct sockeye__tftp_mapped out;
		struct sockeye__span name = {(const uint8_t *)rows[i].name, strlen(rows[i].name)};

		*steps = '\0';
		assert_int_equal(sockeye__tftp_map_request(map, &rows[i].names, &client, false,
							   name, NULL,
							   rows[i].steps ? &watch : NULL, &out),
				 rows[i].err);
		assert_string_equal(rows[i].err || out.denied ? out.text : out.name,
				    rows[i].mapped);
		if (rows[i].steps)
			assert_string_equal(steps, rows[i].steps);
		sockeye__tftp_map_free(map);
	}
	sockeye__tftp_map_free(NULL);
}

struct budget {
	unsigned asked, most;
};

static bool is_spent(void *arg)
{
	struct budget *b = arg;

	return b->asked++ == b->most;
}

/* The caller's budget ends a request between two matches, and costly expressions fail if
 * it wants to be frugal. */
static void test_budget(void **state)
{
	static const struct sockeye__tftp_name_rules names;
	struct sockeye__tftp_map *map = map_of("r a b\nrg b c\na ^[a-z]*[a-z]*[0-9]$ no");
	struct sockeye_sockaddr client = client_of("::1");
	struct sockeye__tftp_mapped out;
	struct budget budget = {.most = 3};
	struct sockeye__tftp_map_watch watch = {.arg = &budget, .is_spent = is_spent};
	char name[101];
	struct sockeye__span span = {(const uint8_t *)name, 100};

	(void)state;
	memset(name, 'a', sizeof name);
	assert_int_equal(
	    sockeye__tftp_map_request(map, &names, &client, false, span, NULL, &watch, &out),
	    -EBUSY);
	assert_string_equal(out.text, "the rules take too long for this name");
	assert_int_equal(budget.asked, 4);
	budget = (struct budget){.most = 100};
	assert_int_equal(
	    sockeye__tftp_map_request(map, &names, &client, false, span, NULL, &watch, &out), 0);
	watch.frugal = true;
	budget = (struct budget){.most = 100};
	assert_int_equal(
	    sockeye__tftp_map_request(map, &names, &client, false, span, NULL, &watch, &out),
	    -ETIME);
	assert_int_equal(out.rule, 3);
	span.len = 10;
	assert_int_equal(
	    sockeye__tftp_map_request(map, &names, &client, false, span, NULL, &watch, &out), 0);
	sockeye__tftp_map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),      cmocka_unit_test(test_clients_and_directions),
	    cmocka_unit_test(test_no_address), cmocka_unit_test(test_bounds),
	    cmocka_unit_test(test_long_text),  cmocka_unit_test(test_request),
	    cmocka_unit_test(test_missing),    cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
