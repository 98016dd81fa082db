/* test_error.c: names, texts and exit codes of errors, and the line a user reads. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <sockeye/error.h>

#include "../rows.h"

static const struct {
	int err;
	int exit;
	const char *name;
	const char *text;
} rows[] = {
    {0, 0, "OK", "Success"},
    {5, 0, "OK", "Success"},
    {-ECONNREFUSED, 4, "ECONNREFUSED", "Connection refused"},
    {-ETIMEDOUT, 5, "ETIMEDOUT", "Connection timed out"},
    {-EHOSTUNREACH, 6, "EHOSTUNREACH", "No route to host"},
    {-ENETUNREACH, 6, "ENETUNREACH", "Network is unreachable"},
    {-EADDRNOTAVAIL, 6, "EADDRNOTAVAIL", "Cannot assign requested address"},
    {-ECONNRESET, 7, "ECONNRESET", "Connection reset by peer"},
    {-EPIPE, 7, "EPIPE", "Broken pipe"},
    {-ECONNABORTED, 7, "ECONNABORTED", "Software caused connection abort"},
    {-EPROTO, 8, "EPROTO", "Protocol error"},
    {-EADDRINUSE, 9, "EADDRINUSE", "Address already in use"},
    {-EACCES, 9, "EACCES", "Permission denied"},
    {-EPERM, 9, "EPERM", "Operation not permitted"},
    {-ENOENT, 9, "ENOENT", "No such file or directory"},
    {-EMFILE, 9, "EMFILE", "Too many open files"},
    {-ENOMEM, 9, "ENOMEM", "Cannot allocate memory"},
    {-EPROTONOSUPPORT, 10, "EPROTONOSUPPORT", "Protocol not supported"},
    {-ESOCKTNOSUPPORT, 10, "ESOCKTNOSUPPORT", "Socket type not supported"},
    {-EAFNOSUPPORT, 10, "EAFNOSUPPORT", "Address family not supported by protocol"},
    {-ENOSYS, 10, "ENOSYS", "Function not implemented"},
    {-EINTR, 130, "EINTR", "Interrupted system call"},
    {-ECANCELED, 130, "ECANCELED", "Operation canceled"},
    {-EINVAL, 1, "EINVAL", "Invalid argument"},
    {-EPROTOTYPE, 1, "EPROTOTYPE", "Protocol wrong type for socket"},
    {SOCKEYE_E_NONAME, 3, "NONAME", "name not found"},
    {SOCKEYE_E_SCHEME, 2, "SCHEME", "unknown scheme"},
    {SOCKEYE_E_EOF, 7, "EOF", "closed by the peer before the end"},
    {SOCKEYE_E_MISMATCH, 8, "MISMATCH", "the reply differs from what was sent"},
    {SOCKEYE_E_PEER, 8, "PEER", "the peer replied with an error"},
    {SOCKEYE_E_SCHEME_UNSUPPORTED, 10, "SCHEME_UNSUPPORTED", "the scheme is not supported here"},
    {SOCKEYE_E_RULES, 9, "RULES", "invalid rules"},
    {-4000, 1, "UNKNOWN", "Unknown error"},
    {-4999, 1, "UNKNOWN", "Unknown error"},
    {INT_MIN, 1, "UNKNOWN", "Unknown error"},
};

static void test_rows(void **state)
{
	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].name) {
		assert_string_equal(sockeye_error_name(rows[i].err), rows[i].name);
		assert_string_equal(sockeye_error_text(rows[i].err), rows[i].text);
		assert_int_equal(sockeye_error_exit(rows[i].err), rows[i].exit);
	}
}

/* Our own codes are below the kernel's, and all are different. */
static void test_own_codes(void **state)
{
	static const struct {
		int err;
		const char *name;
	} own[] = {
#define ROW(name, code, exit, text) {SOCKEYE_E_##name, #name},
	    SOCKEYE_ERRORS(ROW)
#undef ROW
	};

	(void)state;
	FOR_ROWS(i, own, "%s", own[i].name) {
		assert_true(own[i].err < -4095);
		assert_string_equal(sockeye_error_name(own[i].err), own[i].name);
		assert_true(sockeye_error_exit(own[i].err) > 1);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(own[i].err, own[j].err);
	}
}

/* Every errno has a name, a text and a documented exit code. */
static void test_every_errno(void **state)
{
	(void)state;
	for (int e = 1; e <= EHWPOISON; e++) {
		int code = sockeye_error_exit(-e);

		if (strerrorname_np(e) == NULL)
			continue;
		assert_string_equal(sockeye_error_name(-e), strerrorname_np(e));
		assert_string_not_equal(sockeye_error_text(-e), "Unknown error");
		assert_true((code >= 1 && code <= 10) || code == 130);
		assert_int_not_equal(code, SOCKEYE_EXIT_USAGE);
	}
}

static const struct {
	struct sockeye_fail fail;
	const char *text;
} lines[] = {
    {{"connect", "tcp://[::1]:7", -ECONNREFUSED, ""},
     "connect tcp://[::1]:7: Connection refused; nothing listens there"},
    {{"connect", "tcp://[::1]:7", -ECONNRESET, ""},
     "connect tcp://[::1]:7: Connection reset by peer"},
    {{"read", "", -EIO, ""}, "read: Input/output error"},
    {{"parse address", "foo://h:1", SOCKEYE_E_SCHEME, "known schemes: tcp"},
     "parse address foo://h:1: unknown scheme (known schemes: tcp)"},
    {{"bind", "unix:/x", -EACCES, ""},
     "bind unix:/x: Permission denied; you need write permission in the directory of the path"},
    {{"bind", "tcp://*:7", -EACCES, "a detail"}, "bind tcp://*:7: Permission denied (a detail)"},
    {{"bind", "tcp://*:7", -EADDRINUSE, ""},
     "bind tcp://*:7: Address already in use; ss -ltnp shows which process listens there"},
    {{"bind", "udp://*:7", -EADDRINUSE, ""},
     "bind udp://*:7: Address already in use; ss -ulnp shows which process uses that port"},
    {{"accept", "tcp://*:7", -EMFILE, ""},
     "accept tcp://*:7: Too many open files; raise the limit of open files: ulimit -n"},
    {{"parse address", "unix:aa", SOCKEYE_E_PATH_TOO_LONG,
      "the path has 108 bytes; the limit is 107"},
     "parse address unix:aa: socket path too long (the path has 108 bytes; the limit is 107); "
     "use a shorter path, or an abstract name: unix:@NAME"},
    {{"bind", "tcp://*:7", -EADDRINUSE, "the cause", true},
     "bind tcp://*:7: Address already in use (the cause)"},
    /* escapes stay as they are, control characters are escaped */
    {{"read", "a\\n\x1b[1m", -EIO, "\a\xc3\xbc"},
     "read a\\n\\e[1m: Input/output error (\\x07\xc3\xbc)"},
};

static void test_fail_text(void **state)
{
	char buf[512];

	(void)state;
	FOR_ROWS(i, lines, "%s", lines[i].text) {
		assert_int_equal(sockeye_fail_text(&lines[i].fail, buf, sizeof buf),
				 strlen(lines[i].text));
		assert_string_equal(buf, lines[i].text);
	}
}

static void test_fail_text_cut(void **state)
{
	char buf[128];
	size_t whole = strlen(lines[0].text);

	(void)state;
	for (size_t cap = 1; cap < sizeof buf; cap++) {
		memset(buf, '#', sizeof buf);
		assert_int_equal(sockeye_fail_text(&lines[0].fail, buf, cap), whole);
		assert_int_equal(strlen(buf), cap <= whole ? cap - 1 : whole);
		assert_memory_equal(buf, lines[0].text, strlen(buf));
	}
	assert_int_equal(sockeye_fail_text(&lines[0].fail, NULL, 0), whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),          cmocka_unit_test(test_own_codes),
	    cmocka_unit_test(test_every_errno),   cmocka_unit_test(test_fail_text),
	    cmocka_unit_test(test_fail_text_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
