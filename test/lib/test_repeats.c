/*
 * test_repeats.c: peers that may be servers: which they are, how many replies they
 * receive, and that forged peers do not make the table forget one.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <sockeye/time.h>

#include "../rows.h"
#include "serve/repeats.h"

#define PER_S   70
#define FORGED  1000000
#define START   (1000 * SOCKEYE_NS_PER_S)
#define PAUSE   (SOCKEYE__REPEATS_PAUSE_S * SOCKEYE_NS_PER_S)
#define PER_SET 64 /* forged peers between two replies to a loop */

static struct sockeye_sockaddr ipv4(uint32_t address, uint16_t port)
{
	struct sockeye_sockaddr name = {.len = sizeof name.u.in};

	name.u.in.sin_family = AF_INET;
	name.u.in.sin_port = htons(port);
	name.u.in.sin_addr.s_addr = htonl(address);
	return name;
}

static struct sockeye_sockaddr ipv6(const char *address, uint16_t port, uint32_t link)
{
	struct sockeye_sockaddr name = {.len = sizeof name.u.in6};

	name.u.in6.sin6_family = AF_INET6;
	name.u.in6.sin6_port = htons(port);
	name.u.in6.sin6_scope_id = link;
	assert_int_equal(inet_pton(AF_INET6, address, &name.u.in6.sin6_addr), 1);
	return name;
}

/* A UNIX socket with a name of `len` bytes. */
static struct sockeye_sockaddr local(const char *path, size_t len)
{
	struct sockeye_sockaddr name = {
	    .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)};

	name.u.un.sun_family = AF_UNIX;
	memcpy(name.u.un.sun_path, path, len);
	return name;
}

static struct sockeye__repeats *table(void)
{
	struct sockeye__repeats *r = sockeye__repeats_new(PER_S);

	assert_non_null(r);
	return r;
}

/* How many of `times` replies in one moment the peer receives. */
static unsigned taken(struct sockeye__repeats *r, const struct sockeye_sockaddr *peer,
		      unsigned times, uint64_t now_ns)
{
	unsigned count = 0;

	for (unsigned i = 0; i < times; i++)
		count += sockeye__repeats_take(r, peer, now_ns);
	return count;
}

static void test_which_peers_may_be_servers(void **state)
{
	struct {
		struct sockeye_sockaddr peer;
		bool limited;
	} rows[] = {
	    {ipv4(INADDR_LOOPBACK, 1), true},
	    {ipv4(INADDR_LOOPBACK, 65535), true},
	    {ipv6("::1", 1, 0), true},
	    {local("/run/a", 6), true},
	    {local("\0abcdef", 7), true},
	    {local("\0abcdg", 6), true},
	    {local("\0abcd", 5), true},
	    {local("\0abcde", 6), false},
	    {local("\0"
		   "00001",
		   6),
	     false},
	    {{.len = sizeof(sa_family_t)}, false},
	};
	struct sockeye__repeats *r = table();
	struct sockeye_sockaddr client = {.len = sizeof client.u};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	FOR_ROWS(i, rows, "%zu", i) {
		assert_int_equal(sockeye__repeats_concern(r, &rows[i].peer), rows[i].limited);
	}
	/* A port that the kernel picked. */
	client.u.in = (struct sockaddr_in){.sin_family = AF_INET};
	assert_int_equal(bind(fd, &client.u.sa, sizeof client.u.in), 0);
	assert_int_equal(getsockname(fd, &client.u.sa, &client.len), 0);
	assert_false(sockeye__repeats_concern(r, &client));
	client = ipv6("2001:db8::1", ntohs(client.u.in.sin_port), 0);
	assert_false(sockeye__repeats_concern(r, &client));
	close(fd);
	sockeye__repeats_free(r);
}

static void test_a_second_and_a_pause(void **state)
{
	struct sockeye_sockaddr peer = ipv4(0x0a010203, 5000);
	struct sockeye__repeats *r = table();

	(void)state;
	for (uint64_t now = START; now < START + 5 * PAUSE; now += PAUSE + 2 * SOCKEYE_NS_PER_S) {
		assert_int_equal(taken(r, &peer, PER_S, now), PER_S);
		assert_int_equal(taken(r, &peer, 1000, now + 1), 0);
		assert_int_equal(taken(r, &peer, 1000, now + PAUSE), 0);
		assert_int_equal(taken(r, &peer, 1, now + PAUSE + 1), 1);
	}
	sockeye__repeats_free(r);
}

/* A client with a fixed port that stays within the limit never notices it. */
static void test_a_steady_client(void **state)
{
	struct sockeye_sockaddr peer = ipv4(0x0a010203, 5000);
	struct sockeye__repeats *r = table();

	(void)state;
	for (uint64_t i = 0; i < 100 * PER_S; i++)
		assert_true(sockeye__repeats_take(r, &peer, START + i * SOCKEYE_NS_PER_S / PER_S));
	sockeye__repeats_free(r);
}

static void test_peers_are_separate(void **state)
{
	struct sockeye_sockaddr loop = ipv4(0x0a010203, 5000),
				others[] = {
				    ipv4(0x0a010203, 5001),       ipv4(0x0a010204, 5000),
				    ipv6("2001:db8::1", 5000, 0), ipv6("2001:db8::2", 5000, 0),
				    ipv6("fe80::1", 5000, 2),     ipv6("fe80::1", 5000, 3),
				    local("/run/a", 6),           local("/run/b", 6),
				    local("\0run/a", 6),
				};
	struct sockeye_sockaddr mapped = ipv6("::ffff:10.1.2.3", 5000, 0);
	struct sockeye__repeats *r = table();

	(void)state;
	assert_int_equal(taken(r, &loop, 1000, START), PER_S);
	assert_int_equal(taken(r, &mapped, 1000, START), 0);
	FOR_ROWS(i, others, "%zu", i) {
		assert_int_equal(taken(r, &others[i], 1000, START), PER_S);
	}
	sockeye__repeats_free(r);
}

/* A million forged peers, more than the table has cells, make it forget neither a loop
 * that runs nor one that was stopped. */
static void test_forged_peers_do_not_free_a_loop(void **state)
{
	struct sockeye_sockaddr stopped = ipv6("2001:db8::1", 5000, 0);
	struct sockeye_sockaddr running = ipv4(0x0a010203, 5000);
	struct sockeye__repeats *r = table();
	unsigned answered = 0;

	(void)state;
	assert_int_equal(taken(r, &stopped, 1000, START), PER_S);
	answered += taken(r, &running, 2, START);
	for (uint32_t n = 0; n < FORGED; n++) {
		struct sockeye_sockaddr forged = ipv4(0x0b000000 + n / 7, (uint16_t)(1024 + n % 7));

		assert_true(sockeye__repeats_take(r, &forged, START + n));
		if (n % PER_SET == 0)
			answered += sockeye__repeats_take(r, &running, START + n);
	}
	assert_int_equal(answered, PER_S);
	assert_int_equal(taken(r, &stopped, 1000, START + FORGED), 0);
	sockeye__repeats_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_which_peers_may_be_servers),
	    cmocka_unit_test(test_a_second_and_a_pause),
	    cmocka_unit_test(test_a_steady_client),
	    cmocka_unit_test(test_peers_are_separate),
	    cmocka_unit_test(test_forged_peers_do_not_free_a_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
