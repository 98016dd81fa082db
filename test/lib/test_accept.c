/* test_accept.c: accepts clients. */
#include "help.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

static void test_descriptor_and_peer(void **state)
{
	static const char *const addresses[] = {"tcp://127.0.0.1:0", "tcp://[::1]:0",
						"unix:@sockeye-test-#",
						"unix-seqpacket:@sockeye-test-#"};

	(void)state;
	FOR_ROWS(i, addresses, "%s", addresses[i])
		for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
			struct sockeye_listener l = listener_on(addresses[i]);
			int client = connected_to(&l);
			struct sockeye_sockaddr peer, local;
			int fd = sockeye_accept(l.fd, nonblocking, 0, &peer);

			assert_true(fd > 2);
			assert_true(is_cloexec(fd));
			assert_int_equal(is_nonblocking(fd), nonblocking);
			assert_int_equal(sockeye_local_name(client, &local), 0);
			assert_true(sockeye_sockaddr_equal(&peer, &local));
			close(fd);
			close(client);
			sockeye_listener_close(&l);
		}
}

static void test_no_client(void **state)
{
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	uint64_t began = now_ms();
	struct sockeye_sockaddr peer = {.len = 77};

	(void)state;
	assert_int_equal(sockeye_accept(l.fd, false, MS(30), &peer), -ETIMEDOUT);
	assert_in_range(now_ms() - began, 30, LONG_MS);
	assert_int_equal(sockeye_accept(l.fd, false, 1, &peer), -ETIMEDOUT);
	fcntl(l.fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(sockeye_accept(l.fd, false, 0, &peer), -EAGAIN);
	assert_int_equal(sockeye_accept(l.fd, false, MS(10), &peer), -ETIMEDOUT);
	assert_int_equal(peer.len, 77); /* written only on success */
	sockeye_listener_close(&l);
}

static void test_not_a_listener(void **state)
{
	int fds[2];

	(void)state;
	pair_open(SOCK_STREAM, fds);
	assert_int_equal(sockeye_accept(fds[0], false, 0, NULL), -EINVAL);
	close(fds[0]);
	close(fds[1]);
	pair_open(SOCK_DGRAM, fds);
	assert_int_equal(sockeye_accept(fds[0], false, 0, NULL), -EOPNOTSUPP);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(sockeye_accept(fds[0], false, 0, NULL), -EBADF);
	assert_int_equal(sockeye_accept(fds[0], false, MS(10), NULL), -EBADF);
}

static void *late_client(void *listener)
{
	poll(NULL, 0, 20);
	close(connected_to(listener));
	return NULL;
}

/* Signals neither postpone a deadline nor end a call without one. */
static void test_storm(void **state)
{
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	uint64_t began = now_ms();
	sigset_t all, before;
	pthread_t thread;
	int fd;

	(void)state;
	storm();
	assert_int_equal(sockeye_accept(l.fd, false, MS(40), NULL), -ETIMEDOUT);
	assert_in_range(now_ms() - began, 40, LONG_MS);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	assert_int_equal(pthread_create(&thread, NULL, late_client, &l), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	fd = sockeye_accept(l.fd, false, 0, NULL);
	assert_true(calm() > 0);
	assert_true(fd > 2);
	pthread_join(thread, NULL);
	close(fd);
	sockeye_listener_close(&l);
}

/* Linux accepts a client that has reset its connection. The next call reads the reset,
 * and the next client is accepted. */
static void test_client_reset(void **state)
{
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	int fd;
	char c;

	(void)state;
	sockeye_reset(connected_to(&l));
	fd = accepted_from(&l);
	assert_int_equal(sockeye_read_some(fd, &c, 1, MS(LONG_MS)), -ECONNRESET);
	close(fd);
	fd = connected_to(&l);
	close(accepted_from(&l));
	close(fd);
	sockeye_listener_close(&l);
}

/* In a process started with 0, 1 and 2 closed, no socket gets one of these. */
static void without_stdio(void)
{
	struct sockeye_listener l;
	int client, server;

	close(0);
	close(1);
	close(2);
	l = listener_on("tcp://127.0.0.1:0");
	client = connected_to(&l);
	server = sockeye_accept(l.fd, false, MS(LONG_MS), NULL);
	if (l.fd <= 2 || client <= 2 || server <= 2 || !is_cloexec(server) || !is_cloexec(l.fd) ||
	    !is_cloexec(client))
		_exit(1);
	if (fcntl(0, F_GETFD) >= 0 || fcntl(1, F_GETFD) >= 0 || fcntl(2, F_GETFD) >= 0)
		_exit(2);
}

static void test_without_stdio(void **state)
{
	(void)state;
	in_child(without_stdio);
}

static void test_high_descriptors(void **state)
{
	struct sockeye_listener l;
	int client, server;

	(void)state;
	low_fds_occupy(1100);
	l = listener_on("tcp://127.0.0.1:0");
	client = connected_to(&l);
	server = accepted_from(&l);
	assert_true(l.fd >= 1100 && client >= 1100 && server >= 1100);
	close(client);
	close(server);
	sockeye_listener_close(&l);
	low_fds_release();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_descriptor_and_peer), cmocka_unit_test(test_no_client),
	    cmocka_unit_test(test_not_a_listener),      cmocka_unit_test(test_storm),
	    cmocka_unit_test(test_client_reset),        cmocka_unit_test(test_without_stdio),
	    cmocka_unit_test(test_high_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
