/* test_tftp_map_wrong.c: the messages about wrong rules for names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../rows.h"
#include "tftp/server/map.h"

static const struct {
	const char *rules;
	unsigned line;
	const char *text;
} wrong[] = {
    {"r", 1, "missing pattern"},
    {"\n\nr # a b", 3, "missing pattern"},
    {"r a b c", 1, "more than 3 words (put a word with blanks in quotes)"},
    {"r \"a b", 1, "missing closing quote"},
    {"r \"a\\\" b", 1, "missing closing quote"},
    {"r a b\nr \"a\"b c", 2, "missing blank after a closing quote"},
    {"r\x1b a b", 1, "unknown flag '\\e'; the flags are r g i e s a l ~ G P 4 6 m"},
    {"rq a b", 1, "unknown flag 'q'; the flags are r g i e s a l ~ G P 4 6 m"},
    {"R a b", 1, "unknown flag 'R'; the flags are r g i e s a l ~ G P 4 6 m"},
    {"rgr a b", 1, "flag r twice"},
    {"res a b", 1, "flags e and s exclude each other"},
    {"rGP a b", 1, "flags G and P exclude each other"},
    {"r64 a b", 1, "flags 4 and 6 exclude each other"},
    {"r~g a b", 1, "flags g and ~ exclude each other"},
    {"ra a b", 1, "flags a and r exclude each other"},
    {"la a", 1, "flags a and l exclude each other"},
    {"sa a", 1, "flags a and s exclude each other"},
    {"ea a", 1, "flags a and e exclude each other"},
    {"ge a", 1, "flag g needs r"},
    {"s a", 1, "flag s needs r or l: otherwise the rules never end"},
    {"i a", 1, "no action: add flag r, l, a or e"},
    {"G4~ a", 1, "no action: add flag r, l, a or e"},
    {"\"\" a", 1, "no action: add flag r, l, a or e"},
    {"r a(b x", 1, "pattern: missing closing parenthesis (after 'a(b')"},
    {"r *a x", 1, "pattern: quantifier does not follow a repeatable item"},
    {"r aaaaaaaaaaaaaaaaaaaaaaaaaaaa[b x", 1,
     "pattern: missing terminating ] for character class (after 'aaaaaaaaaaaaaaaaaa[b')"},
    {"r (*UTF)a x", 1, "pattern: using UTF is disabled by the application (after '(*UTF)')"},
    {"r (*UCP)a x", 1, "pattern: using UCP is disabled by the application (after '(*UCP)')"},
    {"e a b", 1, "a replacement needs flag r or a"},
    {"l a b", 1, "a replacement needs flag r or a"},
    {"r a \\1", 1, "\\1: the pattern has 0 groups"},
    {"r (a) \\1\\2", 1, "\\2: the pattern has 1 group"},
    {"a (a)(b) \\3", 1, "\\3: the pattern has 2 groups"},
    {"r~ (a) \\1", 1, "\\1 has no value with flag ~"},
    {"r a \\q", 1, "unknown '\\q' in a replacement; use \\0 to \\9 \\i \\x \\U \\L \\E \\\\"},
    {"r a b\\", 1, "the replacement ends in a single \\"},
};

static void test_wrong_maps(void **state)
{
	(void)state;
	FOR_ROWS(i, wrong, "%s", wrong[i].rules) {
		struct sockeye__tftp_map *map = (struct sockeye__tftp_map *)&wrong;
		struct sockeye__rules_error error = {0};

		assert_int_equal(
		    sockeye__tftp_map_parse(wrong[i].rules, strlen(wrong[i].rules), &map, &error),
		    -EINVAL);
		assert_ptr_equal(map, &wrong); /* written only on success */
		assert_string_equal(error.text, wrong[i].text);
		assert_int_equal(error.line, wrong[i].line);
	}
}

static void test_nul_in_map(void **state)
{
	struct sockeye__rules_error error = {0};
	struct sockeye__tftp_map *map;

	(void)state;
	assert_int_equal(sockeye__tftp_map_parse("# a\nr a\0 b", 10, &map, &error), -EINVAL);
	assert_int_equal(error.line, 2);
	assert_string_equal(error.text, "NUL byte: not a text file");
}

static void test_too_many_rules(void **state)
{
	struct sockeye__rules_error error = {0};
	struct sockeye__tftp_map *map;
	char *text = malloc(4 * (SOCKEYE__RULES_MAX + 1) + 1);

	(void)state;
	assert_non_null(text);
	for (int i = 0; i <= SOCKEYE__RULES_MAX; i++)
		strcpy(text + (size_t)i * 4, "e a\n");
	assert_int_equal(sockeye__tftp_map_parse(text, strlen(text), &map, &error), -EINVAL);
	assert_string_equal(error.text, "more than 4096 rules");
	assert_int_equal(error.line, 4097);
	assert_int_equal(sockeye__tftp_map_parse(text, strlen(text) - 4, &map, &error), 0);
	sockeye__tftp_map_free(map);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_wrong_maps),
	    cmocka_unit_test(test_nul_in_map),
	    cmocka_unit_test(test_too_many_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
