/* test_listen.c: the addresses, ports and options of listeners. */
#include "help.h"

#include <netinet/tcp.h>
#include <sys/stat.h>

#include "net/net.h"

static int listen_to(const char *address, const struct sockeye_listen_opts *opts,
		     struct sockeye_listener *out, size_t max, struct sockeye_fail *why)
{
	struct sockeye_addr addr = addr_of("%s", address);

	return sockeye_listen(&addr, opts, out, max, why);
}

/* Returns whether a stream client can connect. */
static bool answers(const char *host, uint16_t port)
{
	struct sockeye_sockaddr name = name_of(host, port);
	int fd = socket(name.u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool got_through = connect(fd, &name.u.sa, name.len) == 0;

	close(fd);
	return got_through;
}

static void test_port_of_choice(void **state)
{
	static const char *const addresses[] = {"tcp://127.0.0.1:0", "tcp://[::1]:0",   "tcp://:0",
						"udp://127.0.0.1:0", "udp://[::1]:0",   "udp://*:0",
						"tcp://127.0.0.2:0", "tcp://[::1%lo]:0"};

	(void)state;
	FOR_ROWS(i, addresses, "%s", addresses[i])
		for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
			struct sockeye_listen_opts opts = {.nonblocking = nonblocking};
			struct sockeye_addr addr = addr_of("%s", addresses[i]);
			struct sockeye_listener l;
			struct sockeye_sockaddr name;

			assert_int_equal(sockeye_listen(&addr, &opts, &l, 1, NULL), 1);
			assert_true(l.fd > 2);
			assert_int_equal(l.scheme, addr.scheme);
			assert_true(sockeye_sockaddr_port(&l.name) > 0);
			assert_int_equal(sockeye_local_name(l.fd, &name), 0);
			assert_true(sockeye_sockaddr_equal(&name, &l.name));
			assert_true(is_cloexec(l.fd));
			assert_int_equal(is_nonblocking(l.fd), nonblocking);
			sockeye_listener_close(&l);
			assert_int_equal(l.fd, -1);
			sockeye_listener_close(&l); /* closing twice is safe */
		}
}

/* One socket serves both families, or one family on request. */
static void test_wildcard(void **state)
{
	static const struct {
		const char *address;
		bool ipv4, ipv6;
	} rows[] = {
	    {"tcp://*:0", true, true},
	    {"tcp4://*:0", true, false},
	    {"tcp6://*:0", false, true},
	    {"tcp://*:0?v6only", false, true},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].address) {
		struct sockeye_listener l[4];
		uint16_t port;

		assert_int_equal(listen_to(rows[i].address, NULL, l, 4, NULL), 1);
		port = sockeye_sockaddr_port(&l[0].name);
		assert_int_equal(answers("127.0.0.1", port), rows[i].ipv4);
		assert_int_equal(answers("::1", port), rows[i].ipv6);
		sockeye_listener_close(&l[0]);
	}
}

static void test_ipv4_peer_of_dual_stack(void **state)
{
	struct sockeye_listener l = listener_on("tcp://*:0");
	struct sockeye_sockaddr peer, local,
	    server = name_of("127.0.0.1", sockeye_sockaddr_port(&l.name));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;

	(void)state;
	assert_return_code(connect(fd, &server.u.sa, server.len), errno);
	accepted = sockeye_accept(l.fd, false, MS(LONG_MS), &peer);
	assert_int_equal(peer.u.sa.sa_family, AF_INET6);
	assert_int_equal(sockeye_local_name(fd, &local), 0);
	assert_true(sockeye_sockaddr_equal(&peer, &local));
	close(accepted);
	close(fd);
	sockeye_listener_close(&l);
}

static void test_in_use(void **state)
{
	static const char *const schemes[] = {"tcp", "udp"};

	(void)state;
	FOR_ROWS(i, schemes, "%s", schemes[i]) {
		char address[64];
		struct sockeye_listener first, second = {.fd = 77};
		struct sockeye_fail why = {0};

		snprintf(address, sizeof address, "%s://127.0.0.1:0", schemes[i]);
		first = listener_on(address);
		sockeye_sockaddr_print_url(&first.name, first.scheme, address, sizeof address);
		assert_int_equal(listen_to(address, NULL, &second, 1, &why), -EADDRINUSE);
		assert_string_equal(why.op, "bind");
		assert_string_equal(why.address, address);
		assert_int_equal(why.err, -EADDRINUSE);
		assert_int_equal(second.fd, 77); /* written only on success */
		sockeye_listener_close(&first);
		first = listener_on(address); /* works in spite of TIME-WAIT */
		sockeye_listener_close(&first);
	}
}

/* The sockets of one server share a port, but another server cannot bind it. */
static void test_reuseport(void **state)
{
	static const char *const schemes[] = {"tcp", "udp"};
	const struct sockeye_listen_opts share = {.reuseport = true};

	(void)state;
	FOR_ROWS(i, schemes, "%s", schemes[i]) {
		struct sockeye_addr addr = addr_of("%s://127.0.0.1:0", schemes[i]), same;
		struct sockeye_listener first, other;
		struct sockeye_fail why = {0};
		char text[64];
		int more[2];

		assert_int_equal(sockeye_listen(&addr, &share, &first, 1, NULL), 1);
		for (int n = 0; n < 2; n++) {
			struct sockeye_sockaddr name;

			assert_int_equal(sockeye__listen_again(&first, &addr, &share, &more[n]), 0);
			assert_int_equal(sockeye_local_name(more[n], &name), 0);
			assert_true(sockeye_sockaddr_equal(&name, &first.name));
		}
		sockeye_sockaddr_print_url(&first.name, first.scheme, text, sizeof text);
		same = addr_of("%s", text);
		assert_int_equal(sockeye_listen(&same, &share, &other, 1, &why), -EADDRINUSE);
		assert_string_equal(why.op, "bind");
		assert_int_equal(sockeye_listen(&same, NULL, &other, 1, NULL), -EADDRINUSE);
		close(more[0]);
		close(more[1]);
		sockeye_listener_close(&first);

		/* The option in the address shares the port with other servers. */
		same = addr_of("%s?reuseport", text);
		assert_int_equal(sockeye_listen(&same, NULL, &first, 1, NULL), 1);
		assert_int_equal(sockeye_listen(&same, NULL, &other, 1, NULL), 1);
		sockeye_listener_close(&first);
		sockeye_listener_close(&other);
	}
}

/* The kernel distributes clients to all sockets, including the first. */
static void test_reuseport_spreads(void **state)
{
	const struct sockeye_listen_opts share = {.reuseport = true, .nonblocking = true};
	struct sockeye_addr addr = addr_of("tcp://127.0.0.1:0");
	struct sockeye_listener first;
	int fds[2], clients[64], counts[2] = {0};

	(void)state;
	assert_int_equal(sockeye_listen(&addr, &share, &first, 1, NULL), 1);
	fds[0] = first.fd;
	assert_int_equal(sockeye__listen_again(&first, &addr, &share, &fds[1]), 0);
	assert_true(is_nonblocking(fds[1]) && is_cloexec(fds[1]));
	for (size_t i = 0; i < COUNT(clients); i++)
		clients[i] = connected_to(&first);
	for (size_t i = 0; i < 2; i++)
		for (int fd; (fd = sockeye_accept(fds[i], false, 0, NULL)) >= 0; close(fd))
			counts[i]++;
	assert_int_equal(counts[0] + counts[1], COUNT(clients));
	assert_true(counts[0] > 0 && counts[1] > 0);
	for (size_t i = 0; i < COUNT(clients); i++)
		close(clients[i]);
	close(fds[1]);
	sockeye_listener_close(&first);
}

static void test_listen_again_not(void **state)
{
	struct sockeye_addr addr = addr_of("unix:@sockeye-test-#");
	struct sockeye_listener l = listener_on("unix:@sockeye-test-#");
	struct sockeye_listen_opts opts = {.reuseport = true};
	int fd = 77;

	(void)state;
	assert_int_equal(sockeye__listen_again(&l, &addr, &opts, &fd), -EOPNOTSUPP);
	assert_int_equal(fd, 77);
	sockeye_listener_close(&l);
}

static int backlog_of(const struct sockeye_listener *l)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	assert_return_code(getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &len), errno);
	return (int)info.tcpi_sacked; /* holds the backlog of a listener */
}

static void test_backlog(void **state)
{
	static const struct {
		const char *address;
		uint32_t opt;
		int want;
	} rows[] = {
	    {"tcp://127.0.0.1:0", 3, 3},
	    {"tcp://127.0.0.1:0?backlog=5", 0, 5},
	    {"tcp://127.0.0.1:0?backlog=5", 3, 3},
	};
	struct sockeye_listen_opts opts = {0};
	struct sockeye_listener l;

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].address) {
		opts.backlog = rows[i].opt;
		assert_int_equal(listen_to(rows[i].address, &opts, &l, 1, NULL), 1);
		assert_int_equal(backlog_of(&l), rows[i].want);
		sockeye_listener_close(&l);
	}
	l = listener_on("tcp://127.0.0.1:0");
	assert_in_range(backlog_of(&l), 128, 4096); /* limited by somaxconn */
	sockeye_listener_close(&l);
}

static int option_of(int fd, int level, int option)
{
	int value = -1;

	assert_int_equal(sockeye__option_get(fd, level, option, &value), 0);
	return value;
}

static void test_options(void **state)
{
	struct sockeye_listener l =
	    listener_on("tcp://127.0.0.1:0?nodelay&keepalive&ttl=9&rcvbuf=20000&sndbuf=30000");

	(void)state;
	assert_int_equal(option_of(l.fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option_of(l.fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option_of(l.fd, IPPROTO_IP, IP_TTL), 9);
	assert_int_equal(option_of(l.fd, SOL_SOCKET, SO_RCVBUF), 40000); /* the kernel doubles */
	assert_int_equal(option_of(l.fd, SOL_SOCKET, SO_SNDBUF), 60000);
	assert_int_equal(option_of(l.fd, SOL_SOCKET, SO_REUSEADDR), 1);
	sockeye_listener_close(&l);

	l = listener_on("udp://*:0?broadcast&dontroute&ttl=9");
	assert_int_equal(option_of(l.fd, SOL_SOCKET, SO_BROADCAST), 1);
	assert_int_equal(option_of(l.fd, SOL_SOCKET, SO_DONTROUTE), 1);
	assert_int_equal(option_of(l.fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
	assert_int_equal(option_of(l.fd, IPPROTO_IP, IP_TTL), 9);
	assert_int_equal(option_of(l.fd, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
	/* With it another process could receive half of the datagrams. */
	assert_int_equal(option_of(l.fd, SOL_SOCKET, SO_REUSEADDR), 0);
	sockeye_listener_close(&l);

	l = listener_on("udp://127.0.0.1:0");
	assert_int_equal(option_of(l.fd, IPPROTO_IP, IP_PKTINFO), 1);
	sockeye_listener_close(&l);
}

/* An address that this machine does not have: documentation addresses. */
static void test_freebind(void **state)
{
	static const char *const rows[] = {
	    "tcp://192.0.2.77:0?freebind",
	    "udp://192.0.2.77:0?freebind",
	    "tcp://[2001:db8::77]:0?freebind",
	    "udp://[2001:db8::77]:0?freebind",
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct sockeye_listener l = listener_on(rows[i]);

		assert_true(sockeye_sockaddr_port(&l.name) > 0);
		sockeye_listener_close(&l);
	}
}

static void test_failures(void **state)
{
	static const struct {
		const char *address;
		int err;
		const char *op;
	} rows[] = {
	    {"tcp://192.0.2.77:0", -EADDRNOTAVAIL, "bind"},
	    {"unix:/no/such/directory/x", -ENOENT, "bind"},
	    {"tls://127.0.0.1:0", SOCKEYE_E_SCHEME_UNSUPPORTED, "listen"},
	    {"tcp://127.0.0.1:no-such-service", SOCKEYE_E_SERVICE, "resolve"},
	};
	size_t fds = fds_open();

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].address) {
		struct sockeye_listener l = {.fd = 77};
		struct sockeye_fail why = {0};

		assert_int_equal(listen_to(rows[i].address, NULL, &l, 1, &why), rows[i].err);
		assert_string_equal(why.op, rows[i].op);
		assert_string_equal(why.address, rows[i].address);
		assert_int_equal(why.err, rows[i].err);
		assert_int_equal(l.fd, 77);
		assert_int_equal(listen_to(rows[i].address, NULL, &l, 1, NULL), rows[i].err);
		assert_int_equal(listen_to(rows[i].address, NULL, &l, 0, NULL), -EINVAL);
	}
	assert_int_equal(fds_open(), fds);
}

static void as_unprivileged_user(void)
{
	struct sockeye_fail why = {0};
	struct sockeye_listener l;
	int err;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		_exit(CHILD_SKIPS);
	err = listen_to("tcp://127.0.0.1:999", NULL, &l, 1, &why);
	/* net.ipv4.ip_unprivileged_port_start may allow it. */
	_exit(err == 1 || (err == -EACCES && strstr(why.detail, "CAP_NET_BIND") != NULL) ? 0 : 1);
}

static void test_low_port(void **state)
{
	(void)state;
	in_child(as_unprivileged_user);
}

/* A name with two addresses gets one port for both. Addresses that this machine does not
 * have are skipped. Runs in its own network namespace. */
static void names_in_own_network(void)
{
	struct sockeye_listener l[4];
	struct sockeye_fail why = {0};

	if (!own_network("::1 both\n127.0.0.1 both\n192.0.2.7 part\n127.0.0.1 part\n"
			 "192.0.2.7 none\n192.0.2.8 none\n"))
		_exit(CHILD_SKIPS);
	for (int i = 0; i < 20; i++) {
		if (listen_to(i % 2 ? "tcp://both:0" : "udp://both:0", NULL, l, 4, &why) != 2 ||
		    sockeye_sockaddr_port(&l[0].name) != sockeye_sockaddr_port(&l[1].name) ||
		    l[0].name.u.sa.sa_family == l[1].name.u.sa.sa_family)
			_exit(1);
		sockeye_listener_close(&l[0]);
		sockeye_listener_close(&l[1]);
	}
	if (listen_to("tcp://both:0", NULL, l, 1, NULL) != 1)
		_exit(2);
	sockeye_listener_close(&l[0]);
	if (listen_to("tcp://part:0", NULL, l, 4, &why) != 1 || why.op != NULL)
		_exit(3);
	if (listen_to("tcp://none:0", NULL, l, 4, &why) != -EADDRNOTAVAIL ||
	    strcmp(why.address, "tcp://none:0") != 0 ||
	    strcmp(why.detail,
		   "192.0.2.7; this machine does not have the address; append ?freebind "
		   "to bind before it has") != 0)
		_exit(4);
}

static void test_names(void **state)
{
	(void)state;
	in_child(names_in_own_network);
}

/* If a port is in use in one family, another port is tried. If all are in use, no socket
 * stays open. */
enum { PORT_FIRST = 40000, PORTS_TAKEN = 8, PORTS = 64 };

static void ports_take(int from, int to)
{
	for (int port = PORT_FIRST + from; port < PORT_FIRST + to; port++) {
		struct sockeye_addr addr = addr_of("tcp://127.0.0.1:%d", port);
		struct sockeye_listener l; /* closed when the process exits */

		if (sockeye_listen(&addr, NULL, &l, 1, NULL) != 1)
			_exit(1);
	}
}

static void crowded_in_own_network(void)
{
	static const char range[] = "40000 40063";
	struct sockeye_listener l[2];
	size_t fds;
	int fd;

	if (!own_network("::1 both\n127.0.0.1 both\n"))
		_exit(CHILD_SKIPS);
	fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, range, sizeof range - 1) < 0)
		_exit(CHILD_SKIPS);
	close(fd);
	ports_take(0, PORTS_TAKEN);
	for (int i = 0; i < 8; i++) {
		if (listen_to("tcp://both:0", NULL, l, 2, NULL) != 2 ||
		    sockeye_sockaddr_port(&l[1].name) < PORT_FIRST + PORTS_TAKEN)
			_exit(2);
		sockeye_listener_close(&l[0]);
		sockeye_listener_close(&l[1]);
	}
	ports_take(PORTS_TAKEN, PORTS);
	fds = fds_open();
	if (listen_to("tcp://both:0", NULL, l, 2, NULL) != -EADDRINUSE || fds_open() != fds)
		_exit(3);
}

static void test_crowded_ports(void **state)
{
	(void)state;
	in_child(crowded_in_own_network);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_port_of_choice),
	    cmocka_unit_test(test_wildcard),
	    cmocka_unit_test(test_ipv4_peer_of_dual_stack),
	    cmocka_unit_test(test_in_use),
	    cmocka_unit_test(test_reuseport),
	    cmocka_unit_test(test_reuseport_spreads),
	    cmocka_unit_test(test_listen_again_not),
	    cmocka_unit_test(test_backlog),
	    cmocka_unit_test(test_options),
	    cmocka_unit_test(test_freebind),
	    cmocka_unit_test(test_failures),
	    cmocka_unit_test(test_low_port),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_crowded_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
