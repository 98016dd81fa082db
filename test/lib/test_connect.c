/* test_connect.c: connects to one address, and fails in every way. */
#include "help.h"

#include <signal.h>
#include <sys/time.h>

#include "net/net.h"

static void test_every_scheme(void **state)
{
	static const char *const addresses[] = {
	    "tcp://127.0.0.1:0",
	    "tcp://[::1]:0",
	    "udp://127.0.0.1:0",
	    "udp://[::1]:0",
	    "unix:@sockeye-test-#",
	    "unix-dgram:@sockeye-test-#",
	    "unix-seqpacket:@sockeye-test-#",
	};

	(void)state;
	FOR_ROWS(i, addresses, "%s", addresses[i])
		for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
			struct sockeye_listener l = listener_on(addresses[i]);
			struct attempts a = {0};
			struct sockeye_connect_opts opts = {.nonblocking = nonblocking,
							    .deadline_ns = MS(LONG_MS),
							    .on_attempt = note,
							    .arg = &a};
			struct sockeye_sockaddr peer;
			struct sockeye_addr addr;
			struct timeval tv;
			socklen_t len = sizeof tv;
			char text[128], c;
			int fd;

			sockeye_sockaddr_print_url(&l.name, l.scheme, text, sizeof text);
			addr = addr_of("%s", text);
			fd = sockeye_connect(&addr, &opts, NULL);
			assert_true(fd > 2);
			assert_true(is_cloexec(fd));
			assert_int_equal(is_nonblocking(fd), nonblocking);
			assert_int_equal(sockeye_peer_name(fd, &peer), 0);
			assert_true(sockeye_sockaddr_equal(&peer, &l.name));
			assert_int_equal(a.count, 1);
			assert_int_equal(ended(&a, &l.name), 0);
			getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len);
			assert_true(tv.tv_sec == 0 && tv.tv_usec == 0);
			assert_return_code(write(fd, "x", 1), errno);
			if (sockeye_scheme_is_stream(l.scheme)) {
				int server = accepted_from(&l);

				assert_int_equal(sockeye_readn(server, &c, 1, 0, NULL), 0);
				close(server);
			}
			close(fd);
			sockeye_listener_close(&l);
		}
}

static void test_failures(void **state)
{
	static const struct {
		const char *address;
		int err;
		const char *op, *shown;
	} rows[] = {
	    {"tls://127.0.0.1:7", SOCKEYE_E_SCHEME_UNSUPPORTED, "connect", NULL},
	    {"tftp://127.0.0.1/file", SOCKEYE_E_SCHEME_UNSUPPORTED, "connect", NULL},
	    {"icmp://127.0.0.1", SOCKEYE_E_SCHEME_UNSUPPORTED, "connect", NULL},
	    {"tcp://127.0.0.1:0", SOCKEYE_E_PORT, "resolve", NULL},
	    {"tcp://127.0.0.1:no-such-service", SOCKEYE_E_SERVICE, "resolve", NULL},
	    {"unix:/no/such/socket", -ENOENT, "connect", NULL},
	    {"unix:@no-such-name", -ECONNREFUSED, "connect", NULL},
	    {"unix-dgram:@no-such-name", -ECONNREFUSED, "connect", NULL},
	    {"udp://127.255.255.255:9", -EACCES, "connect", NULL},
	    {"tcp://127.0.0.1:9?bind=192.0.2.77", -EADDRNOTAVAIL, "bind", "tcp://192.0.2.77"},
	    {"tcp://127.0.0.1:9?bind=[::1]:0", SOCKEYE_E_NAME_FAMILY, "bind", NULL},
	};
	size_t fds = fds_open();

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].address) {
		struct sockeye_addr addr = addr_of("%s", rows[i].address);
		struct sockeye_fail why = {0};
		char text[SOCKEYE_ADDR_TEXT_MAX];

		sockeye_addr_print(&addr, text, sizeof text);
		assert_int_equal(sockeye_connect(&addr, NULL, &why), rows[i].err);
		assert_string_equal(why.op, rows[i].op);
		assert_string_equal(why.address, rows[i].shown ? rows[i].shown : text);
		assert_int_equal(why.err, rows[i].err);
		assert_int_equal(sockeye_connect(&addr, NULL, NULL), rows[i].err);
	}
	assert_int_equal(fds_open(), fds);
}

/* An error with several possible causes has a hint. */
static void test_hints(void **state)
{
	static const struct {
		const char *address, *word;
	} rows[] = {
	    {"udp://127.255.255.255:9", "?broadcast"},
	    {"tcp://127.0.0.1:9?bind=192.0.2.77", "this machine does not have the address"},
	    {"tcp://127.0.0.1:9?bind=[::1]", "different address families"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].address) {
		struct sockeye_addr addr = addr_of("%s", rows[i].address);
		struct sockeye_fail why = {0};

		assert_true(sockeye_connect(&addr, NULL, &why) < 0);
		assert_non_null(strstr(why.detail, rows[i].word));
	}
}

static void test_refused(void **state)
{
	static const char *const hosts[] = {"127.0.0.1", "::1"};

	(void)state;
	FOR_ROWS(i, hosts, "%s", hosts[i]) {
		struct sockeye_sockaddr name = dead_name(hosts[i]);
		struct sockeye_addr addr;
		struct sockeye_fail why = {0};
		char text[128];

		sockeye_sockaddr_print_url(&name, SOCKEYE_TCP, text, sizeof text);
		addr = addr_of("%s", text);
		assert_int_equal(sockeye_connect(&addr, NULL, &why), -ECONNREFUSED);
		assert_string_equal(why.op, "connect");
		assert_string_equal(why.address, text);
		assert_string_equal(why.detail, "");
	}
}

/* With a full accept queue no answer arrives. The deadline ends the call, with and
 * without signals. */
static void test_deadline(void **state)
{
	struct black_hole hole = black_hole_open();
	struct sockeye_addr addr = addr_of("tcp://127.0.0.1:%d", sockeye_sockaddr_port(&hole.name));
	size_t fds = fds_open();

	(void)state;
	for (int ms = 0; ms <= 60; ms += 30) {
		struct attempts a = {0};
		struct sockeye_connect_opts opts = {
		    .deadline_ns = ms ? MS((uint64_t)ms) : 1, .on_attempt = note, .arg = &a};
		uint64_t began = now_ms();

		if (ms == 60)
			storm();
		assert_int_equal(sockeye_connect(&addr, &opts, NULL), -ETIMEDOUT);
		assert_in_range(now_ms() - began, ms - (ms > 0), LONG_MS);
		assert_int_equal(a.count, 1);
		assert_int_equal(ended(&a, &hole.name), -ETIMEDOUT);
	}
	assert_true(calm() > 0);
	assert_int_equal(fds_open(), fds);
	black_hole_close(&hole);
}

/* The same for UNIX sockets, whose connect(2) cannot continue in the background. */
static void test_unix_deadline(void **state)
{
	struct sockeye_addr addr = addr_of("unix:@sockeye-test-#");
	struct sockeye_listen_opts small = {.backlog = 1};
	struct sockeye_listener l;
	int fds[8], err;
	size_t count = 0;

	(void)state;
	assert_int_equal(sockeye_listen(&addr, &small, &l, 1, NULL), 1);
	storm();
	do {
		struct sockeye_connect_opts opts = {.deadline_ns = MS(40)};
		uint64_t began = now_ms();

		assert_true(count < COUNT(fds));
		err = fds[count++] = sockeye_connect(&addr, &opts, NULL);
		if (err < 0)
			assert_in_range(now_ms() - began, 39, LONG_MS);
	} while (err >= 0);
	assert_int_equal(err, -ETIMEDOUT);
	assert_true(calm() > 0);
	while (--count > 0)
		close(fds[count - 1]);
	sockeye_listener_close(&l);
}

static void test_past_deadline(void **state)
{
	struct sockeye_listener l = listener_on("unix:@sockeye-test-#");
	struct sockeye_addr addr = addr_of("unix:@sockeye-test-#");
	struct sockeye_connect_opts opts = {.deadline_ns = 1};
	int fd = sockeye_connect(&addr, &opts, NULL);

	(void)state;
	assert_true(fd > 2); /* a call that does not wait meets any deadline */
	close(fd);
	sockeye_listener_close(&l);
}

static void test_bind(void **state)
{
	static const struct {
		const char *server, *bind, *local;
	} rows[] = {
	    {"tcp://127.0.0.1:0", "127.0.0.2", "127.0.0.2"},
	    {"tcp://127.0.0.1:0", "127.0.0.2:0", "127.0.0.2"},
	    {"udp://127.0.0.1:0", "127.0.0.2", "127.0.0.2"},
	    {"tcp://[::1]:0", "[::1]", "[::1]"},
	    {"tcp://[::1]:0", "[::1%lo]:0", "[::1]"},
	    {"udp://[::1]:0", "::1", "[::1]"},
	    {"tcp://127.0.0.1:0", "*", "127.0.0.1"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s from %s", rows[i].server, rows[i].bind) {
		struct sockeye_listener l = listener_on(rows[i].server);
		struct sockeye_sockaddr local;
		struct sockeye_addr addr;
		char text[128];
		int fd;

		sockeye_sockaddr_print_url(&l.name, l.scheme, text, sizeof text);
		addr = addr_of("%s", text);
		strcpy(addr.opts.bind, rows[i].bind);
		fd = sockeye_connect(&addr, NULL, NULL);
		assert_true(fd > 2);
		assert_int_equal(sockeye_local_name(fd, &local), 0);
		assert_memory_equal(text_of(&local), rows[i].local, strlen(rows[i].local));
		close(fd);
		sockeye_listener_close(&l);
	}
}

/* A client can bind the same port again while the last connection is in TIME-WAIT. A
 * port in use is an error of bind. */
static void test_bind_port(void **state)
{
	struct sockeye_listener l[2] = {listener_on("tcp://127.0.0.1:0"),
					listener_on("tcp://127.0.0.1:0")};
	struct sockeye_sockaddr own = dead_name("127.0.0.1"), local;
	struct sockeye_fail why;
	struct sockeye_addr addr;
	char text[128];

	(void)state;
	for (int i = 0; i < 2; i++) {
		int fd;

		addr = addr_of("tcp://127.0.0.1:%d?bind=127.0.0.1:%d",
			       sockeye_sockaddr_port(&l[i].name), sockeye_sockaddr_port(&own));
		fd = sockeye_connect(&addr, NULL, NULL);
		assert_true(fd > 2);
		assert_int_equal(sockeye_local_name(fd, &local), 0);
		assert_true(sockeye_sockaddr_equal(&local, &own));
		close(fd); /* the first end to close has TIME-WAIT */
		close(accepted_from(&l[i]));
	}
	addr = addr_of("tcp://127.0.0.1:%d?bind=127.0.0.1:%d", sockeye_sockaddr_port(&l[0].name),
		       sockeye_sockaddr_port(&l[1].name));
	assert_int_equal(sockeye_connect(&addr, NULL, &why), -EADDRINUSE);
	assert_string_equal(why.op, "bind");
	sockeye_sockaddr_print_url(&l[1].name, SOCKEYE_TCP, text, sizeof text);
	assert_string_equal(why.address, text);
	sockeye_listener_close(&l[0]);
	sockeye_listener_close(&l[1]);
}

static void test_bad_bind(void **state)
{
	static const struct {
		const char *bind;
		int err;
	} rows[] = {
	    {"[::1", SOCKEYE_E_OPTION_VALUE},
	    {"[::1]x", SOCKEYE_E_OPTION_VALUE},
	    {"127.0.0.1:", SOCKEYE_E_OPTION_VALUE},
	    {"127.0.0.1:99999", SOCKEYE_E_OPTION_VALUE},
	    {"127.0.0.1:1x", SOCKEYE_E_OPTION_VALUE},
	    {"127.0.0.1:no-such", SOCKEYE_E_SERVICE},
	    {"5000", SOCKEYE_E_HOST},
	    {"::1%0123456789abcdef", SOCKEYE_E_OPTION_VALUE},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].bind) {
		struct sockeye_addr addr = addr_of("tcp://127.0.0.1:9");

		strcpy(addr.opts.bind, rows[i].bind);
		assert_int_equal(sockeye_connect(&addr, NULL, NULL), rows[i].err);
	}
}

/* If no server listens, the kernel may choose the server's port for the client, which
 * then connects to itself. */
static void test_not_to_itself(void **state)
{
	struct sockeye_sockaddr own = dead_name("127.0.0.1");
	struct sockeye_addr addr =
	    addr_of("tcp://127.0.0.1:%d?bind=127.0.0.1:%d", sockeye_sockaddr_port(&own),
		    sockeye_sockaddr_port(&own));
	size_t fds = fds_open();

	(void)state;
	assert_int_equal(sockeye_connect(&addr, NULL, NULL), -ECONNREFUSED);
	assert_int_equal(fds_open(), fds);
}

static void test_unix_names(void **state)
{
	struct sockeye_listener l = listener_on("unix-dgram:@sockeye-test-#");
	struct sockeye_addr addr = addr_of("unix-dgram:@sockeye-test-#");
	struct sockeye_sockaddr local;
	struct sockeye_fail why;
	char path[64];
	int fd;

	(void)state;
	fd = sockeye_connect(&addr, NULL, NULL);
	assert_int_equal(sockeye_local_name(fd, &local), 0);
	assert_int_equal(text_of(&local)[0], '@'); /* autobound, so that it can be replied to */
	close(fd);
	snprintf(addr.opts.bind, sizeof addr.opts.bind, "@sockeye-client-%d", (int)getpid());
	fd = sockeye_connect(&addr, NULL, NULL);
	assert_int_equal(sockeye_local_name(fd, &local), 0);
	assert_string_equal(text_of(&local), addr.opts.bind);
	assert_int_equal(sockeye_connect(&addr, NULL, &why), -EADDRINUSE);
	assert_string_equal(why.op, "bind");
	close(fd);
	snprintf(path, sizeof path, "%s/client", dir_make());
	strcpy(addr.opts.bind, path);
	fd = sockeye_connect(&addr, NULL, NULL);
	assert_int_equal(sockeye_local_name(fd, &local), 0);
	assert_string_equal(text_of(&local), path);
	close(fd);
	dir_remove();
	/* the error names another kind of UNIX socket */
	addr = addr_of("unix:@sockeye-test-#");
	assert_true(sockeye_connect(&addr, NULL, &why) < 0);
	sockeye_listener_close(&l);
	snprintf(path, sizeof path, "unix-dgram:%s/s", dir_make());
	l = listener_on(path);
	addr = addr_of("unix:%s", path + strlen("unix-dgram:"));
	assert_int_equal(sockeye_connect(&addr, NULL, &why), -EPROTOTYPE);
	assert_non_null(strstr(why.detail, "unix-dgram"));
	sockeye_listener_close(&l);
	dir_remove();
}

static void test_sctp_and_mptcp(void **state)
{
	static const struct {
		const char *scheme, *word;
	} rows[] = {{"sctp", "SCTP"}, {"mptcp", "MPTCP"}};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].scheme) {
		struct sockeye_addr addr = addr_of("%s://127.0.0.1:0", rows[i].scheme);
		struct sockeye_fail why = {0};
		struct sockeye_listener l;
		int err = sockeye_listen(&addr, NULL, &l, 1, &why);

		if (err == 1) {
			close(connected_to(&l));
			sockeye_listener_close(&l);
			continue;
		}
		assert_string_equal(why.op, "socket");
		assert_non_null(strstr(why.detail, rows[i].word));
	}
}

static void test_inherited(void **state)
{
	struct sockeye_addr addr = {.scheme = SOCKEYE_FD};
	const struct sockeye_connect_opts nonblocking = {.nonblocking = true};
	struct sockeye_fail why;
	int fds[2], fd;
	char c;

	(void)state;
	pair_open(SOCK_STREAM, fds);
	addr.fd = fds[0];
	fd = sockeye_connect(&addr, &nonblocking, NULL);
	assert_true(fd > 2 && fd != fds[0]);
	assert_true(is_cloexec(fd) && is_nonblocking(fd));
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(sockeye_readn(fds[1], &c, 1, MS(LONG_MS), NULL), 0);
	fd = sockeye_connect(&addr, NULL, NULL);
	assert_false(is_nonblocking(fd));
	close(fd);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(sockeye_connect(&addr, NULL, &why), -EBADF);
	addr.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(sockeye_connect(&addr, NULL, &why), -ENOTSOCK);
	assert_string_equal(why.op, "connect");
	close(addr.fd);
}

static void test_options(void **state)
{
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	struct sockeye_addr addr = addr_of("tcp://127.0.0.1:%d?nodelay&keepalive&ttl=9&dontroute",
					   sockeye_sockaddr_port(&l.name));
	int fd = sockeye_connect(&addr, NULL, NULL), value = 0;

	(void)state;
	assert_true(fd > 2);
	assert_int_equal(sockeye__option_get(fd, SOL_SOCKET, SO_KEEPALIVE, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(sockeye__option_get(fd, IPPROTO_IP, IP_TTL, &value), 0);
	assert_int_equal(value, 9);
	close(fd);
	sockeye_listener_close(&l);

	addr = addr_of("udp://127.255.255.255:9?broadcast");
	fd = sockeye_connect(&addr, NULL, NULL);
	assert_true(fd > 2);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_scheme),   cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_hints),          cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_deadline),       cmocka_unit_test(test_unix_deadline),
	    cmocka_unit_test(test_past_deadline),  cmocka_unit_test(test_bind),
	    cmocka_unit_test(test_bind_port),      cmocka_unit_test(test_bad_bind),
	    cmocka_unit_test(test_not_to_itself),  cmocka_unit_test(test_unix_names),
	    cmocka_unit_test(test_sctp_and_mptcp), cmocka_unit_test(test_inherited),
	    cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
