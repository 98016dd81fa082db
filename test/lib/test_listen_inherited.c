/* test_listen_inherited.c: listeners on descriptors that the process inherited. */
#include "help.h"

#include "net/net.h"

/* An inherited descriptor gives a listener with the scheme of its socket, whose mode changes
 * only until the listener is closed. */
static void test_inherited(void **state)
{
	static const char *const addresses[] = {
	    "tcp://127.0.0.1:0",
	    "udp://[::1]:0",
	    "unix:@sockeye-test-#",
	    "unix-dgram:@sockeye-test-#",
	    "unix-seqpacket:@sockeye-test-#",
	};

	(void)state;
	FOR_ROWS(i, addresses, "%s", addresses[i]) {
		struct sockeye_listener given = listener_on(addresses[i]), l;
		struct sockeye_addr addr = {.scheme = SOCKEYE_FD, .fd = given.fd};
		const struct sockeye_listen_opts opts = {.nonblocking = true};
		int client;

		for (int mode = 0; mode < 4; mode++) {
			const struct sockeye_listen_opts how = {.nonblocking = mode / 2};

			assert_int_equal(sockeye__nonblocking_set(given.fd, mode % 2), 0);
			assert_int_equal(sockeye_listen(&addr, &how, &l, 1, NULL), 1);
			assert_int_equal(is_nonblocking(l.fd), mode / 2);
			sockeye_listener_close(&l);
			assert_int_equal(is_nonblocking(given.fd), mode % 2);
		}
		assert_int_equal(sockeye__nonblocking_set(given.fd, false), 0);
		assert_int_equal(sockeye_listen(&addr, &opts, &l, 1, NULL), 1);
		assert_int_equal(l.scheme, given.scheme);
		assert_true(l.fd != given.fd && is_cloexec(l.fd) && is_nonblocking(l.fd));
		assert_true(sockeye_sockaddr_equal(&l.name, &given.name));
		client = connected_to(&l);
		assert_return_code(write(client, "x", 1), errno);
		close(client);
		sockeye_listener_close(&l);
		assert_return_code(fcntl(given.fd, F_GETFD),
				   errno); /* still open: the caller owns it */
		sockeye_listener_close(&given);
	}
}

static void test_inherited_not(void **state)
{
	struct sockeye_addr addr = {.scheme = SOCKEYE_FD};
	struct sockeye_listener l;
	struct sockeye_fail why;
	int fds[2];

	(void)state;
	pair_open(SOCK_STREAM, fds);
	addr.fd = fds[0];
	assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, &why), -EINVAL);
	assert_string_equal(why.detail, "the socket is not listening");
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, NULL), -EBADF);
	addr.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, &why), -EINVAL);
	assert_string_equal(why.detail, "the socket is not bound");
	close(addr.fd);
	addr.fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, NULL), -EAFNOSUPPORT);
	close(addr.fd);
	addr.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, NULL), -ENOTSOCK);
	close(addr.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_inherited),
	    cmocka_unit_test(test_inherited_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
