/* Ports and schemes of addresses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sockeye/addr.h>

#include "../rows.h"

static void test_port(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint16_t port;
	} rows[] = {
	    {"0", 0, 0},
	    {"7", 0, 7},
	    {"00080", 0, 80},
	    {"65535", 0, 65535},
	    {"65536", -ERANGE, 0},
	    {"99999", -ERANGE, 0},
	    {"898989", -ERANGE, 0},
	    {"18446744073709551616", -ERANGE, 0},
	    {"99999999999999999999999x", -EINVAL, 0},
	    {"", -EINVAL, 0},
	    {"http", -EINVAL, 0},
	    {"-1", -EINVAL, 0},
	    {"+1", -EINVAL, 0},
	    {" 1", -EINVAL, 0},
	    {"1 ", -EINVAL, 0},
	    {"0x1", -EINVAL, 0},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		uint16_t port = 4711;

		assert_int_equal(sockeye_port_parse(rows[i].text, &port), rows[i].err);
		assert_int_equal(port, rows[i].err < 0 ? 4711 : rows[i].port);
	}
}

static void test_schemes(void **state)
{
	static const struct {
		enum sockeye_scheme scheme;
		const char *name;
		bool stream, is_unix;
	} rows[] = {
	    {SOCKEYE_TCP, "tcp", true, false},
	    {SOCKEYE_UDP, "udp", false, false},
	    {SOCKEYE_UNIX, "unix", true, true},
	    {SOCKEYE_UNIX_DGRAM, "unix-dgram", false, true},
	    {SOCKEYE_UNIX_SEQPACKET, "unix-seqpacket", true, true},
	    {SOCKEYE_SCTP, "sctp", true, false},
	    {SOCKEYE_MPTCP, "mptcp", true, false},
	    {SOCKEYE_TLS, "tls", true, false},
	    {SOCKEYE_TFTP, "tftp", false, false},
	    {SOCKEYE_ICMP, "icmp", false, false},
	    {SOCKEYE_FD, "fd", false, false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].name) {
		assert_string_equal(sockeye_scheme_name(rows[i].scheme), rows[i].name);
		assert_int_equal(sockeye_scheme_is_stream(rows[i].scheme), rows[i].stream);
		assert_int_equal(sockeye_scheme_is_unix(rows[i].scheme), rows[i].is_unix);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_port),
	    cmocka_unit_test(test_schemes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
