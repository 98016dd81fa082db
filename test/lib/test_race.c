/* test_race.c: connects to the first of several addresses that answers. */
#include "help.h"

#include <signal.h>
#include <sys/wait.h>

#include "net/net.h"

static int race(const struct sockeye_sockaddr *names, size_t count, uint32_t delay_ms,
		uint64_t deadline_ms, struct attempts *a, struct sockeye_fail *why)
{
	const struct sockeye_addr tcp = {.scheme = SOCKEYE_TCP};
	const struct sockeye_connect_opts opts = {.attempt_delay_ms = delay_ms,
						  .deadline_ns = MS(deadline_ms),
						  .on_attempt = note,
						  .arg = a};

	*a = (struct attempts){0};
	return sockeye__connect_list(&tcp, names, count, NULL, 0, &opts, why);
}

/* RFC 8305, section 5: after the delay the next address is tried while the first attempt
 * continues. */
static void test_black_hole_first(void **state)
{
	struct black_hole hole = black_hole_open();
	struct sockeye_listener l = listener_on("tcp://[::1]:0");
	const struct sockeye_sockaddr names[] = {hole.name, l.name};
	size_t fds = fds_open();
	uint64_t began = now_ms();
	struct attempts a;
	int fd = race(names, 2, 40, LONG_MS, &a, NULL);

	(void)state;
	assert_true(fd > 2);
	assert_in_range(now_ms() - began, 39, LONG_MS);
	assert_int_equal(a.count, 2);
	assert_int_equal(ended(&a, &l.name), 0);
	assert_int_equal(ended(&a, &hole.name), -ECANCELED);
	close(fd);
	assert_int_equal(fds_open(), fds); /* the other attempt is closed */

	/* the default delay is 250 ms */
	began = now_ms();
	fd = race(names, 2, 0, LONG_MS, &a, NULL);
	assert_true(fd > 2);
	assert_in_range(now_ms() - began, 249, LONG_MS);
	close(fd);
	sockeye_listener_close(&l);
	black_hole_close(&hole);
}

/* After a refusal the next address is tried at once. */
static void test_refused_first(void **state)
{
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	const struct sockeye_sockaddr names[] = {dead_name("::1"), dead_name("127.0.0.1"), l.name};
	struct attempts a;
	int fd = race(names, 3, 60000, 10000, &a, NULL);

	(void)state;
	assert_true(fd > 2);
	assert_int_equal(a.count, 3);
	assert_int_equal(ended(&a, &names[0]), -ECONNREFUSED);
	assert_int_equal(ended(&a, &names[1]), -ECONNREFUSED);
	assert_int_equal(ended(&a, &l.name), 0);
	close(fd);
	sockeye_listener_close(&l);
}

/* Also while another attempt is in progress: one delay, not two. */
static void test_refused_second(void **state)
{
	struct black_hole hole = black_hole_open();
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	const struct sockeye_sockaddr names[] = {hole.name, dead_name("::1"), l.name};
	uint64_t began = now_ms();
	struct attempts a;
	int fd = race(names, 3, 600, LONG_MS, &a, NULL);

	(void)state;
	assert_true(fd > 2);
	assert_in_range(now_ms() - began, 599, 1199);
	assert_int_equal(a.count, 3);
	close(fd);
	sockeye_listener_close(&l);
	black_hole_close(&hole);
}

/* A slow address wins if the others fail, because its attempt continues. The black hole
 * answers after a child has emptied its queue. */
static void test_slow_wins(void **state)
{
	struct black_hole hole = black_hole_open();
	const struct sockeye_sockaddr names[] = {hole.name, dead_name("127.0.0.1")};
	struct attempts a;
	pid_t pid = fork();
	int fd;

	(void)state;
	if (pid == 0) {
		/* Accepts the queued clients and, after a retransmission, the test. */
		while (sockeye_accept(hole.fds[0], false, MS(LONG_MS), NULL) >= 0)
			;
		_exit(1);
	}
	fd = race(names, 2, 1, LONG_MS, &a, NULL);
	assert_true(fd > 2);
	assert_int_equal(ended(&a, &hole.name), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(fd);
	black_hole_close(&hole);
}

/* The error that concerns a server is reported, with the number of attempts. */
static void test_all_fail(void **state)
{
	struct black_hole hole = black_hole_open();
	const struct sockeye_sockaddr names[] = {hole.name, dead_name("127.0.0.1"),
						 dead_name("::1")};
	size_t fds = fds_open();
	struct sockeye_fail why = {0};
	struct attempts a;

	(void)state;
	assert_int_equal(race(names, 3, 10, 100, &a, &why), -ECONNREFUSED);
	assert_string_equal(why.address, "tcp://*");
	assert_string_equal(why.detail, "127.0.0.1; tried 3 addresses");
	assert_int_equal(a.count, 3);
	assert_int_equal(ended(&a, &hole.name), -ETIMEDOUT);
	assert_int_equal(fds_open(), fds);
	black_hole_close(&hole);
}

/* Each family in turn refuses or answers. ::1 is the first (RFC 6724). */
static void both_families(const struct sockeye_connect_opts *opts, struct attempts *a)
{
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	struct sockeye_addr addr = addr_of("tcp://both:%d", sockeye_sockaddr_port(&l.name));
	int fd = sockeye_connect(&addr, opts, NULL);

	if (fd < 0 || a->count != 2 || a->list[0].err != -ECONNREFUSED || a->list[1].err != 0 ||
	    a->list[0].name.u.sa.sa_family != AF_INET6)
		_exit(1);
	close(fd);
	sockeye_listener_close(&l);
	a->count = 0;
	if (sockeye_connect(&addr, opts, NULL) != -ECONNREFUSED || a->count != 2)
		_exit(2);
}

/* Without routes every address is tried immediately, with alternating families (RFC 8305, section
 * 4). The error of an address that can be reached is reported. */
static void no_route(const struct sockeye_connect_opts *opts, struct attempts *a)
{
	struct sockeye_addr addr = addr_of("tcp://far:9");
	struct sockeye_sockaddr names[] = {name_of("2001:db8::1", 9), dead_name("127.0.0.1")};
	struct sockeye_fail why;

	a->count = 0;
	if (sockeye_connect(&addr, opts, &why) != -ENETUNREACH || a->count != 4)
		_exit(3);
	for (size_t i = 1; i < a->count; i++)
		if (a->list[i].name.u.sa.sa_family == a->list[i - 1].name.u.sa.sa_family)
			_exit(4);
	if (race(names, 2, 0, LONG_MS, a, &why) != -ECONNREFUSED || a->count != 2 ||
	    strcmp(why.detail, "127.0.0.1; tried 2 addresses") != 0)
		_exit(5);
	addr = addr_of("tcp://far:9?bind=127.0.0.1"); /* only one family is left */
	a->count = 0;
	if (sockeye_connect(&addr, opts, NULL) >= 0 || a->count != 2)
		_exit(6);
}

static void names_in_own_network(void)
{
	struct attempts a = {0};
	const struct sockeye_connect_opts opts = {
	    .on_attempt = note, .arg = &a, .deadline_ns = MS(LONG_MS)};

	if (!own_network("::1 both\n127.0.0.1 both\n"
			 "2001:db8::1 far\n2001:db8::2 far\n192.0.2.1 far\n192.0.2.2 far\n"))
		_exit(CHILD_SKIPS);
	both_families(&opts, &a);
	no_route(&opts, &a);
}

static void test_names(void **state)
{
	(void)state;
	in_child(names_in_own_network);
}

static void test_high_descriptors(void **state)
{
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	struct black_hole hole = black_hole_open();
	const struct sockeye_sockaddr names[] = {hole.name, l.name};
	struct attempts a;
	int fd;

	(void)state;
	low_fds_occupy(1100);
	fd = race(names, 2, 5, LONG_MS, &a, NULL);
	assert_true(fd >= 1100);
	close(fd);
	low_fds_release();
	black_hole_close(&hole);
	sockeye_listener_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_black_hole_first), cmocka_unit_test(test_refused_first),
	    cmocka_unit_test(test_refused_second),   cmocka_unit_test(test_slow_wins),
	    cmocka_unit_test(test_all_fail),         cmocka_unit_test(test_names),
	    cmocka_unit_test(test_high_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
