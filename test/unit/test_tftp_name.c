/*
 * test_tftp_name.c: normalizes the file names that clients send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../rows.h"
#include "proto/tftp_name.h"

/* Copies the input to memory of its exact size, so that ASan detects a read after it. */
static ssize_t clean(const char *name, size_t len, struct sockeye__tftp_name_rules rules, char *out,
		     size_t cap)
{
	uint8_t *copy = malloc(len ? len : 1);
	ssize_t n;

	assert_non_null(copy);
	memcpy(copy, name, len);
	n = sockeye__tftp_name_clean((struct sockeye__span){copy, len}, &rules, out, cap);
	free(copy);
	return n;
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *cleaned; /* NULL: -EINVAL */
		struct sockeye__tftp_name_rules rules;
	} rows[] = {
	    {"pxelinux.0", "pxelinux.0", {0}},
	    {"a", "a", {0}},
	    {"boot/x64/wdsnbp.com", "boot/x64/wdsnbp.com", {0}},
	    {"/grub/grub.cfg", "grub/grub.cfg", {0}},
	    {"//grubx64.efi", "grubx64.efi", {0}},
	    {"a//b", "a/b", {0}},
	    {"a///b////c", "a/b/c", {0}},
	    {"./a", "a", {0}},
	    {"././a", "a", {0}},
	    {"/./a/./b/.", "a/b", {0}},
	    {"a/", "a", {0}},
	    {"a/.", "a", {0}},
	    {"a//", "a", {0}},
	    {".a", ".a", {0}},
	    {"a.", "a.", {0}},
	    {"a./b", "a./b", {0}},
	    {"a/.b", "a/.b", {0}},
	    {"...", "...", {0}},
	    {"..a/b..", "..a/b..", {0}},
	    {"a/..", NULL, {0}},
	    {"a/../b", "b", {0}},
	    {"a/../b/../c", "c", {0}},
	    {"a/b/../c", "a/c", {0}},
	    {"a/b/..", "a", {0}},
	    {"a/b/../", "a", {0}},
	    {"a/./..//b", "b", {0}},
	    {"//aa/bb/cc/../../dd", "aa/dd", {0}},
	    {"", NULL, {0}},
	    {"/", NULL, {0}},
	    {"///", NULL, {0}},
	    {".", NULL, {0}},
	    {"./", NULL, {0}},
	    {"/././/.", NULL, {0}},
	    {"%2e%2e/x", "%2e%2e/x", {0}}, /* not a URL: no percent-decoding */
	    {"a b\n\x1b", "a b\n\x1b", {0}},

	    {"Boot\\x64\\wdsnbp.com", "Boot\\x64\\wdsnbp.com", {0}},
	    {"Boot\\x64\\wdsnbp.com", "Boot/x64/wdsnbp.com", {.backslash = true}},
	    {"\\Boot\\BCD", "Boot/BCD", {.backslash = true}},
	    {"\\\\a\\.\\b\\", "a/b", {.backslash = true}},
	    {"a\\..\\x", "x", {.backslash = true}},
	    {"..\\x", "..\\x", {0}},
	    {"\\", NULL, {.backslash = true}},
	    {"\\", "\\", {0}},

	    {"\\Boot\\BCD", "Boot/BCD", {.backslash = true}},

	    {"pxelinux.0\xff", "pxelinux.0\xff", {0}},
	    {"pxelinux.0\xff", "pxelinux.0", {.strip_high = true}},
	    {"pxelinux.0\x80\xfe\xff", "pxelinux.0", {.strip_high = true}},
	    {"\xff"
	     "a\xff",
	     "\xff"
	     "a",
	     {.strip_high = true}},
	    {"pxelinux.0\x7f", "pxelinux.0\x7f", {.strip_high = true}},
	    {"a/\xff", "a", {.strip_high = true}},
	    {"\xff\xff", NULL, {.strip_high = true}},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].name) {
		char out[64];
		ssize_t len = clean(rows[i].name, strlen(rows[i].name), rows[i].rules, out, 64);

		if (rows[i].cleaned == NULL) {
			assert_int_equal(len, -EINVAL);
			continue;
		}
		assert_int_equal(len, strlen(rows[i].cleaned));
		assert_string_equal(out, rows[i].cleaned);
	}
}

/* A name above the root is rejected, whether or not the file exists. */
static void test_above(void **state)
{
	static const char *const names[] = {
	    "..",        "../a",         "/..",   "/../a",       "./../a", "a/../..",
	    "a/../../b", "a/b/../../..", "..\\a", "a\\..\\../b", "..\xff", "../../../etc/passwd",
	};
	struct sockeye__tftp_name_rules rules = {true, true};
	char out[64];

	(void)state;
	FOR_ROWS(i, names, "%s", names[i])
		assert_int_equal(clean(names[i], strlen(names[i]), rules, out, sizeof out),
				 -EACCES);
}

static void test_nul(void **state)
{
	struct sockeye__tftp_name_rules none = {0}, strip = {.strip_high = true};
	char out[64];

	(void)state;
	assert_int_equal(clean("a\0b", 3, none, out, sizeof out), -EINVAL);
	assert_int_equal(clean("a\0", 2, none, out, sizeof out), -EINVAL);
	assert_int_equal(clean("\0", 1, none, out, sizeof out), -EINVAL);
	assert_int_equal(clean("a\0\xff", 3, strip, out, sizeof out), -EINVAL);
}

static void test_room(void **state)
{
	struct sockeye__tftp_name_rules none = {0};
	char out[4];

	(void)state;
	assert_int_equal(clean("abc", 3, none, out, 4), 3);
	assert_string_equal(out, "abc");
	assert_int_equal(clean("abcd", 4, none, out, 4), -ENAMETOOLONG);
	assert_int_equal(clean("///abc", 6, none, out, 4), 3);
	assert_int_equal(clean("a", 1, none, out, 1), -ENAMETOOLONG);
	assert_int_equal(clean("a", 1, none, out, 0), -ENAMETOOLONG);
	assert_int_equal(clean("/", 1, none, out, 0), -EINVAL);
}

/* A normalized name stays the same. */
static void test_idempotent(void **state)
{
	static const char letters[] = "/.\\aA\xff";
	struct sockeye__tftp_name_rules rules = {true, true}, none = {0};

	(void)state;
	for (unsigned n = 0; n < 6 * 6 * 6 * 6 * 6 * 6; n++) {
		char name[6], once[16], twice[16];
		ssize_t len;

		for (unsigned i = 0, v = n; i < 6; i++, v /= 6)
			name[i] = letters[v % 6];
		len = clean(name, 6, rules, once, sizeof once);
		if (len == -EINVAL || len == -EACCES)
			continue;
		assert_in_range(len, 1, 6);
		assert_null(strstr(once, "//"));
		assert_null(strstr(once, "/./"));
		assert_null(strstr(once, "/../"));
		assert_true(once[0] != '/' && once[len - 1] != '/');
		assert_int_equal(clean(once, (size_t)len, none, twice, sizeof twice), len);
		assert_string_equal(once, twice);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),      cmocka_unit_test(test_above),
	    cmocka_unit_test(test_nul),        cmocka_unit_test(test_room),
	    cmocka_unit_test(test_idempotent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
