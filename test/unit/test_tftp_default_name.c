/* The default name of a file at the other end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "../rows.h"
#include "tftp/client/default_name.h"

static void test_local(void **state)
{
	static const struct {
		const char *folder, *file, *name; /* NULL: an error */
	} rows[] = {
	    {"", "pxelinux.0", "pxelinux.0"},
	    {"", "boot/pxelinux.0", "pxelinux.0"},
	    {"", "/srv/x", "x"},
	    {"d/", "boot/a b", "d/a b"},
	    {"/tmp/", "..x", "/tmp/..x"},
	    {"", "Boot\\BCD", "Boot\\BCD"},
	    {"", "", NULL},
	    {"", "boot/", NULL},
	    {"", ".", NULL},
	    {"d/", "a/..", NULL},
	};
	char name[64];

	(void)state;
	FOR_ROWS(i, rows, "%s, %s", rows[i].folder, rows[i].file) {
		int len = sockeye__tftp_default_name_local(rows[i].folder, rows[i].file, name,
							   sizeof name);

		if (!rows[i].name) {
			assert_int_equal(len, -EINVAL);
			continue;
		}
		assert_string_equal(name, rows[i].name);
		assert_int_equal(len, strlen(name));
	}
}

static void test_remote(void **state)
{
	static const struct {
		const char *file;
		bool is_folder;
		const char *path, *name;
	} rows[] = {
	    {"fw.bin", false, "/tmp/firmware.bin", "fw.bin"},
	    {"", false, "/tmp/firmware.bin", "firmware.bin"},
	    {"in/", false, "firmware.bin", "in/firmware.bin"},
	    {"in", true, "a/b", "in/b"},
	    {"", true, "a/b", "b"},
	    {"x", false, "", "x"}, /* standard input */
	    {"", false, "", NULL},
	    {"in/", true, "a/..", NULL},
	};
	char name[64];

	(void)state;
	FOR_ROWS(i, rows, "%s, %s", rows[i].file, rows[i].path) {
		int len = sockeye__tftp_default_name_remote(rows[i].file, rows[i].is_folder,
							    rows[i].path, name, sizeof name);

		if (!rows[i].name) {
			assert_int_equal(len, -EINVAL);
			continue;
		}
		assert_string_equal(name, rows[i].name);
		assert_int_equal(len, strlen(name));
	}
}

static void test_too_long(void **state)
{
	char name[8];

	(void)state;
	assert_int_equal(sockeye__tftp_default_name_local("", "1234567", name, sizeof name), 7);
	assert_int_equal(sockeye__tftp_default_name_local("", "12345678", name, sizeof name),
			 -ENAMETOOLONG);
	assert_int_equal(sockeye__tftp_default_name_remote("123", true, "4567", name, sizeof name),
			 -ENAMETOOLONG);
	assert_int_equal(
	    sockeye__tftp_default_name_remote("12345678", false, "", name, sizeof name),
	    -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_local),
	    cmocka_unit_test(test_remote),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
