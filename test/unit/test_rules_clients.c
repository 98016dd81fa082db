/* The clients that a rule is for: reading and matching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "../rows.h"
#include "rules/clients.h"

static struct sockeye_sockaddr sockaddr_of(const char *text)
{
	struct sockeye_sockaddr name = {.len = sizeof name.u.in};

	if (inet_pton(AF_INET, text, &name.u.in.sin_addr) == 1) {
		name.u.in.sin_family = AF_INET;
		return name;
	}
	name.len = sizeof name.u.in6;
	name.u.in6.sin6_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &name.u.in6.sin6_addr), 1);
	return name;
}

static struct sockeye__rules_clients clients_of(const char *text)
{
	struct sockeye__rules_clients clients;
	char why[SOCKEYE__RULES_WHY_MAX];

	if (sockeye__rules_clients_parse((struct sockeye__slice){text, strlen(text)}, &clients,
					 why) < 0)
		fail_msg("%s", why);
	return clients;
}

static void test_match(void **state)
{
	static const struct {
		const char *clients, *client;
		bool match;
	} rows[] = {
	    {"*", "192.0.2.1", true},
	    {"*", "::1", true},
	    {"192.0.2.1", "192.0.2.1", true},
	    {"192.0.2.1", "192.0.2.2", false},
	    {"192.0.2.1", "::ffff:192.0.2.1", true},
	    {"192.0.2.1", "::192.0.2.1", false},
	    {"192.0.2.1/32", "192.0.2.1", true},
	    {"192.0.2.0/24", "192.0.2.255", true},
	    {"192.0.2.0/24", "192.0.3.0", false},
	    {"192.0.2.128/25", "192.0.2.127", false},
	    {"192.0.2.128/25", "192.0.2.128", true},
	    {"192.0.2.252/30", "192.0.2.251", false},
	    {"192.0.2.252/30", "192.0.2.255", true},
	    {"10.0.0.0/8", "10.255.255.255", true},
	    {"128.0.0.0/1", "127.255.255.255", false},
	    {"128.0.0.0/1", "255.0.0.0", true},
	    {"0.0.0.0/0", "192.0.2.1", true},
	    {"0.0.0.0/0", "::1", false}, /* all of IPv4 only */
	    {"::/0", "192.0.2.1", false},
	    {"::/0", "2001:db8::1", true},
	    {"2001:db8::/32", "2001:db8:ffff::1", true},
	    {"2001:db8::/32", "2001:db9::1", false},
	    {"2001:db8::/33", "2001:db8:8000::1", false},
	    {"2001:db8::1", "2001:db8::1", true},
	    {"2001:db8::1", "2001:db8::2", false},
	    {"2001:DB8:0::1/128", "2001:db8::1", true},
	    {"::ffff:192.0.2.0/120", "192.0.2.9", true},
	    {"::ffff:192.0.2.0/120", "192.0.3.9", false},
	    {"::ffff:0:0/96", "10.0.0.1", true},
	    {"::/64", "10.0.0.1", false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s in %s", rows[i].client, rows[i].clients) {
		struct sockeye_sockaddr name = sockaddr_of(rows[i].client);
		struct sockeye__rules_client client = sockeye__rules_client_of(&name);
		struct sockeye__rules_clients clients = clients_of(rows[i].clients);

		assert_int_equal(sockeye__rules_clients_match(&clients, 1, &client), rows[i].match);
	}
}

static void test_match_a_list(void **state)
{
	struct sockeye__rules_clients list[] = {clients_of("10.0.0.0/8"), clients_of("::1")};
	struct sockeye_sockaddr first = sockaddr_of("10.1.2.3"), last = sockaddr_of("::1");
	struct sockeye__rules_client client = sockeye__rules_client_of(&first);

	(void)state;
	assert_true(sockeye__rules_clients_match(list, 2, &client));
	assert_true(sockeye__rules_clients_match(list, 1, &client));
	assert_false(sockeye__rules_clients_match(list, 0, &client));
	client = sockeye__rules_client_of(&last);
	assert_true(sockeye__rules_clients_match(list, 2, &client));
	assert_false(sockeye__rules_clients_match(list, 1, &client));
}

static void test_without_an_address(void **state)
{
	struct sockeye__rules_clients all = clients_of("*"), v4 = clients_of("0.0.0.0/0"),
				      v6 = clients_of("::/0");
	struct sockeye_sockaddr unnamed = {0};
	struct sockeye__rules_client client = sockeye__rules_client_of(&unnamed);

	(void)state;
	assert_int_equal(client.len, 0);
	assert_true(sockeye__rules_clients_match(&all, 1, &client));
	assert_false(sockeye__rules_clients_match(&v4, 1, &client));
	assert_false(sockeye__rules_clients_match(&v6, 1, &client));
}

#define LONG "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"

static void test_errors(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
	    {"", "'' is not an address, a prefix or *"},
	    {"example.com", "'example.com' is not an address, a prefix or *"},
	    {"1.2.3", "'1.2.3' is not an address, a prefix or *"},
	    {"192.0.2.256", "'192.0.2.256' is not an address, a prefix or *"},
	    {"fe80::1%lo", "'fe80::1%lo' is not an address, a prefix or *"},
	    {"\x1b[2J", "'\\e[2J' is not an address, a prefix or *"},
	    {"/24", "'/24' is not an address, a prefix or *"},
	    {"*/0", "'*/0' is not an address, a prefix or *"},
	    {LONG, "'" LONG "' is not an address, a prefix or *"},
	    {"192.0.2.0/33", "'192.0.2.0/33': a prefix has 0 to 32 bits"},
	    {"192.0.2.0/", "'192.0.2.0/': a prefix has 0 to 32 bits"},
	    {"192.0.2.0/-1", "'192.0.2.0/-1': a prefix has 0 to 32 bits"},
	    {"192.0.2.0/99999999999", "'192.0.2.0/99999999999': a prefix has 0 to 32 bits"},
	    {"::/129", "'::/129': a prefix has 0 to 128 bits"},
	    {"192.0.2.1/24", "'192.0.2.1/24' has bits set after its prefix: write 192.0.2.0/24"},
	    {"2001:db8::1/32",
	     "'2001:db8::1/32' has bits set after its prefix: write 2001:db8::/32"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].text) {
		struct sockeye__slice text = {rows[i].text, strlen(rows[i].text)};
		struct sockeye__rules_clients clients = {.bits = 77};
		char why[SOCKEYE__RULES_WHY_MAX];

		assert_int_equal(sockeye__rules_clients_parse(text, &clients, why), -EINVAL);
		assert_string_equal(why, rows[i].why);
		assert_int_equal(clients.bits, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_match),
	    cmocka_unit_test(test_match_a_list),
	    cmocka_unit_test(test_without_an_address),
	    cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
