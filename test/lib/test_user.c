/* test_user.c: looks up users whose entries are long. */
#include <errno.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sockeye/error.h>

#include "../rows.h"
#include "serve/user.h"

static size_t entry_bytes;
static int entry_err;

/* Replaces the function of the GNU library: the only user is "long". */
int getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t cap, struct passwd **out)
{
	*out = NULL;
	if (entry_err != 0)
		return entry_err;
	if (strcmp(name, "long") != 0)
		return 0;
	if (cap < entry_bytes)
		return ERANGE;
	memset(buf, 'x', entry_bytes);
	*pw = (struct passwd){.pw_uid = 1234, .pw_gid = 5678};
	*out = pw;
	return 0;
}

static void long_entries_are_found(void **state)
{
	static const struct {
		const char *name;
		size_t bytes;
		int failure, err;
		uid_t uid;
	} rows[] = {
	    {"long", 100, 0, 0, 1234},           {"long", 4097, 0, 0, 1234},
	    {"long", 1000000, 0, 0, 1234},       {"long", 1 << 20, 0, 0, 1234},
	    {"long", 2 << 20, 0, -ERANGE, 0},    {"long", 9, EIO, -EIO, 0},
	    {"none", 9, 0, SOCKEYE_E_NONAME, 0}, {"nobody", 9, 0, 0, 65534},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, %zu bytes", rows[i].name, rows[i].bytes) {
		struct sockeye__user user = {0};

		entry_bytes = rows[i].bytes;
		entry_err = rows[i].failure;
		assert_int_equal(sockeye__user_find(rows[i].name, &user), rows[i].err);
		assert_int_equal(user.uid, rows[i].uid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(long_entries_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
