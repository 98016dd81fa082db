/* test_resolve.c: resolves names and numbers. If namespaces are allowed, names are those
 * of a hosts file of the test. */
#include "help.h"

static const char hosts[] = "::1 both\n"
			    "127.0.0.1 both\n"
			    "127.0.0.1 both twice\n"
			    "127.0.0.1 twice\n"
			    "127.0.0.1 four\n"
			    "2001:db8::6 six\n"
			    "127.0.0.1 localhost\n";

static bool own_hosts;

static int network_open(void **state)
{
	(void)state;
	own_hosts = own_network(hosts);
	return 0;
}

#define BIND true

static const struct row {
	enum sockeye_scheme scheme;
	int family;
	const char *host, *zone;
	int port; /* -1 none */
	const char *service;
	bool for_bind;
	int want; /* count or code */
	const char *first, *second;
} rows[] =
    {
	{SOCKEYE_TCP, 0, "127.0.0.1", "", 7, "", 0, 1, "127.0.0.1:7", NULL},
	{SOCKEYE_TCP, 4, "127.0.0.1", "", 65535, "", 0, 1, "127.0.0.1:65535", NULL},
	{SOCKEYE_UDP, 6, "::1", "", 7, "", 0, 1, "[::1]:7", NULL},
	{SOCKEYE_UDP, 0, "::1", "lo", 7, "", 0, 1, "[::1%lo]:7", NULL}, /* getaddrinfo fails */
	{SOCKEYE_UDP, 0, "fe80::1", "lo", 7, "", 0, 1, "[fe80::1%lo]:7", NULL},
	{SOCKEYE_UDP, 0, "fe80::1", "1", 7, "", 0, 1, "[fe80::1%lo]:7", NULL},
	{SOCKEYE_UDP, 0, "fe80::1", "4242", 7, "", 0, 1, "[fe80::1%4242]:7", NULL},
	{SOCKEYE_TCP, 0, "::ffff:127.0.0.1", "", 7, "", 0, 1, "127.0.0.1:7", NULL},
	{SOCKEYE_ICMP, 0, "127.0.0.1", "", -1, "", 0, 1, "127.0.0.1:0", NULL},
	{SOCKEYE_TFTP, 0, "127.0.0.1", "", -1, "", 0, 1, "127.0.0.1:69", NULL},
	/* services */
	{SOCKEYE_TCP, 0, "127.0.0.1", "", -1, "echo", 0, 1, "127.0.0.1:7", NULL},
	{SOCKEYE_TCP, 0, "127.0.0.1", "", -1, "www", 0, 1, "127.0.0.1:80", NULL}, /* an alias */
	{SOCKEYE_UDP, 0, "127.0.0.1", "", -1, "tftp", 0, 1, "127.0.0.1:69", NULL},
	{SOCKEYE_MPTCP, 0, "127.0.0.1", "", -1, "http", 0, 1, "127.0.0.1:80", NULL},
	{SOCKEYE_SCTP, 0, "127.0.0.1", "", -1, "http", 0, 1, "127.0.0.1:80", NULL},
	{SOCKEYE_UDP, 0, "127.0.0.1", "", -1, "http", 0, SOCKEYE_E_SERVICE, NULL, NULL},
	{SOCKEYE_TCP, 0, "127.0.0.1", "", -1, "no-such-service", 0, SOCKEYE_E_SERVICE, NULL, NULL},
	/* any address */
	{SOCKEYE_TCP, 0, "", "", 7, "", 0, 2, "[::1]:7", "127.0.0.1:7"},
	{SOCKEYE_TCP, 4, "*", "", 7, "", 0, 1, "127.0.0.1:7", NULL},
	{SOCKEYE_TCP, 6, "*", "", 7, "", 0, 1, "[::1]:7", NULL},
	{SOCKEYE_TCP, 0, "*", "", 7, "", BIND, 2, "[::]:7", "0.0.0.0:7"},
	{SOCKEYE_TCP, 4, "", "", 0, "", BIND, 1, "0.0.0.0:0", NULL},
	/* ports */
	{SOCKEYE_TCP, 0, "127.0.0.1", "", 0, "", 0, SOCKEYE_E_PORT, NULL, NULL},
	{SOCKEYE_TCP, 0, "127.0.0.1", "", -1, "", 0, SOCKEYE_E_PORT, NULL, NULL},
	{SOCKEYE_TCP, 0, "127.0.0.1", "", 0, "", BIND, 1, "127.0.0.1:0", NULL},
	{SOCKEYE_TCP, 0, "127.0.0.1", "", -1, "", BIND, 1, "127.0.0.1:0", NULL},
	/* numbers that glibc accepts as addresses */
	{SOCKEYE_TCP, 0, "1.2.3", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "127.1", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "0x7f000001", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "2130706433", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "010.0.0.1", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "127.0.0.0x1", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "127.0.0.1.", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "256.1.1.1", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "1.2.3.4.5", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "host.123", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	/* zones and families */
	{SOCKEYE_TCP, 0, "fe80::1", "nope", 7, "", 0, SOCKEYE_E_NONAME, NULL, NULL},
	{SOCKEYE_UDP, 0, "fe80::abc", "", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "fe80::1", "0", 7, "", 0, SOCKEYE_E_NONAME, NULL, NULL},
	{SOCKEYE_TCP, 0, "fe80::1", "4294967296", 7, "", 0, SOCKEYE_E_NONAME, NULL, NULL},
	{SOCKEYE_TCP, 0, "127.0.0.1", "lo", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 0, "both", "lo", 7, "", 0, SOCKEYE_E_HOST, NULL, NULL},
	{SOCKEYE_TCP, 4, "::1", "", 7, "", 0, SOCKEYE_E_NAME_FAMILY, NULL, NULL},
	{SOCKEYE_TCP, 6, "127.0.0.1", "", 7, "", 0, SOCKEYE_E_NAME_FAMILY, NULL, NULL},
	{SOCKEYE_FD, 0, "", "", -1, "", 0, SOCKEYE_E_SCHEME_UNSUPPORTED, NULL, NULL},
},
  names[] = {
      {SOCKEYE_TCP, 0, "both", "", 7, "", 0, 2, "[::1]:7", "127.0.0.1:7"},
      {SOCKEYE_TCP, 4, "both", "", 7, "", 0, 1, "127.0.0.1:7", NULL}, /* not ADDRCONFIG */
      {SOCKEYE_TCP, 6, "both", "", 7, "", 0, 1, "[::1]:7", NULL},
      {SOCKEYE_UDP, 0, "both", "", -1, "echo", 0, 2, "[::1]:7", "127.0.0.1:7"},
      {SOCKEYE_TCP, 0, "twice", "", 7, "", 0, 1, "127.0.0.1:7", NULL},
      {SOCKEYE_TCP, 0, "four", "", 7, "", 0, 1, "127.0.0.1:7", NULL},
      {SOCKEYE_TCP, 0, "six", "", 7, "", 0, 1, "[2001:db8::6]:7", NULL},
      {SOCKEYE_TCP, 0, "localhost", "", 7, "", BIND, 1, "127.0.0.1:7", NULL},
      {SOCKEYE_TCP, 4, "six", "", 7, "", 0, SOCKEYE_E_NAME_FAMILY, NULL, NULL},
      {SOCKEYE_TCP, 6, "four", "", 7, "", 0, SOCKEYE_E_NAME_FAMILY, NULL, NULL},
      {SOCKEYE_TCP, 0, "nobody", "", 7, "", 0, SOCKEYE_E_NONAME, NULL, NULL},
      {SOCKEYE_TCP, 6, "nobody", "", 7, "", 0, SOCKEYE_E_NONAME, NULL, NULL},
};

static struct sockeye_addr addr_from(const struct row *row)
{
	struct sockeye_addr addr = {
	    .scheme = row->scheme,
	    .family = row->family,
	    .has_port = row->port >= 0,
	    .port = (uint16_t)(row->port > 0 ? row->port : 0),
	};

	strcpy(addr.host, row->host);
	strcpy(addr.zone, row->zone);
	strcpy(addr.service, row->service);
	return addr;
}

static void check(const struct row *row)
{
	struct sockeye_addr addr = addr_from(row);
	struct sockeye_sockaddr found[4] = {{.len = 77}};
	struct sockeye_fail why = {0};
	int got = sockeye_resolve(&addr, row->for_bind, found, COUNT(found), &why);

	if (got != row->want)
		fail_msg("%s: %d, not %d", row->host, got, row->want);
	if (got < 0) {
		assert_string_equal(why.op, "resolve");
		assert_int_equal(why.err, got);
		assert_int_equal(found[0].len, 77);
		assert_int_equal(sockeye_resolve(&addr, row->for_bind, found, 4, NULL), got);
		return;
	}
	assert_null(why.op);
	assert_string_equal(text_of(&found[0]), row->first);
	if (row->second != NULL)
		assert_string_equal(text_of(&found[1]), row->second);
	/* limited by max */
	assert_int_equal(sockeye_resolve(&addr, row->for_bind, found, 1, NULL), 1);
	assert_string_equal(text_of(&found[0]), row->first);
}

static void test_rows(void **state)
{
	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].host)
		check(&rows[i]);
}

static void test_names(void **state)
{
	(void)state;
	if (!own_hosts)
		skip();
	FOR_ROWS(i, names, "%s", names[i].host)
		check(&names[i]);
}

static void test_details(void **state)
{
	static const struct {
		struct row row;
		const char *detail;
	} hints[] = {
	    {{SOCKEYE_TCP, 0, "1.2.3", "", 7, "", 0, 0, NULL, NULL},
	     "write 1.2.0.3 if you mean that address"},
	    {{SOCKEYE_TCP, 0, "0x7f000001", "", 7, "", 0, 0, NULL, NULL},
	     "write 127.0.0.1 if you mean that address"},
	    {{SOCKEYE_TCP, 0, "256.1.1.1", "", 7, "", 0, 0, NULL, NULL},
	     "an IPv4 address is four numbers from 0 to 255"},
	    {{SOCKEYE_UDP, 0, "127.0.0.1", "", -1, "http", 0, 0, NULL, NULL},
	     "\"http\" is a service of tcp only, port 80"},
	    {{SOCKEYE_TCP, 0, "fe80::1", "nope", 7, "", 0, 0, NULL, NULL},
	     "there is no interface \"nope\"; the interfaces are "},
	    {{SOCKEYE_UDP, 0, "fe80::abc", "", 7, "", 0, 0, NULL, NULL},
	     "a link-local address needs its interface, as in fe80::abc%"},
	    {{SOCKEYE_TCP, 0, "127.0.0.1", "", 0, "", 0, 0, NULL, NULL},
	     "port 0 is for listening only"},
	};

	(void)state;
	FOR_ROWS(i, hints, "%s", hints[i].row.host) {
		struct sockeye_addr addr = addr_from(&hints[i].row);
		struct sockeye_sockaddr found;
		struct sockeye_fail why;

		assert_true(sockeye_resolve(&addr, false, &found, 1, &why) < 0);
		/* a list of this machine's interfaces may follow */
		assert_memory_equal(why.detail, hints[i].detail, strlen(hints[i].detail));
		assert_true(why.address[0] != '\0');
	}
}

static void test_unix(void **state)
{
	struct sockeye_addr addr = {.scheme = SOCKEYE_UNIX};
	struct sockeye_sockaddr found;

	(void)state;
	assert_int_equal(sockeye_resolve(&addr, false, &found, 1, NULL), SOCKEYE_E_PATH);
	memset(addr.path, 'x', SOCKEYE_UNIX_PATH_MAX);
	addr.path_len = SOCKEYE_UNIX_PATH_MAX;
	assert_int_equal(sockeye_resolve(&addr, false, &found, 1, NULL), 1);
	assert_int_equal(found.len, sizeof found.u.un); /* with its NUL */
	addr.abstract = true;
	assert_int_equal(sockeye_resolve(&addr, true, &found, 1, NULL), 1);
	assert_int_equal(found.len, sizeof found.u.un);
	assert_int_equal(found.u.un.sun_path[0], '\0');
	assert_int_equal(found.u.un.sun_path[107], 'x');
	addr.path_len = SOCKEYE_UNIX_PATH_MAX + 1;
	assert_int_equal(sockeye_resolve(&addr, false, &found, 1, NULL), SOCKEYE_E_PATH_TOO_LONG);
	assert_int_equal(sockeye_resolve(&addr, false, &found, 0, NULL), -EINVAL);
}

static void test_v6only(void **state)
{
	struct sockeye_addr addr = addr_of("tcp://*:7?v6only");
	struct sockeye_sockaddr found[2];

	(void)state;
	assert_int_equal(sockeye_resolve(&addr, true, found, 2, NULL), 1);
	assert_string_equal(text_of(&found[0]), "[::]:7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_details), cmocka_unit_test(test_unix),
	    cmocka_unit_test(test_v6only),
	};

	return cmocka_run_group_tests(tests, network_open, NULL);
}
