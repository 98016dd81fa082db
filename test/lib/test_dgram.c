/* test_dgram.c: lengths and addresses of datagrams, and ICMP errors. */
#include "help.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

static char big[70000], got[70000];

/* Returns an unconnected UDP socket that is bound to a free port of `host`. */
static int bound_to(const char *host, struct sockeye_sockaddr *out_name)
{
	struct sockeye_sockaddr name = name_of(host, 0);
	int fd = socket(name.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_return_code(bind(fd, &name.u.sa, name.len), errno);
	assert_int_equal(sockeye_local_name(fd, out_name), 0);
	return fd;
}

static void send_to(int fd, const struct sockeye_sockaddr *peer, const void *buf, size_t len)
{
	struct sockeye_dgram d = {.peer = *peer};

	assert_int_equal(sockeye_dgram_send(fd, buf, len, &d), 0);
}

static const char *const servers[] = {"udp://127.0.0.1:0", "udp://[::1]:0",
				      "unix-dgram:@sockeye-test-#"};

static void test_lengths(void **state)
{
	static const size_t lens[] = {0, 1, 512, 1472, 9000, SOCKEYE_UDP_PAYLOAD_MAX};

	(void)state;
	memset(big, 'x', sizeof big);
	FOR_ROWS(s, servers, "%s", servers[s]) {
		struct sockeye_listener l = listener_on(servers[s]);
		int client = connected_to(&l);
		struct sockeye_dgram d;

		FOR_ROWS(i, lens, "%zu bytes", lens[i]) {
			assert_int_equal(sockeye_dgram_send(client, big, lens[i], NULL), 0);
			memset(got, 0, sizeof got);
			memset(&d, 0xff, sizeof d);
			assert_int_equal(sockeye_dgram_recv(l.fd, got, sizeof got, MS(LONG_MS), &d),
					 0);
			assert_int_equal(d.len, lens[i]);
			assert_int_equal(d.true_len, lens[i]);
			assert_false(d.truncated);
			assert_true(memcmp(got, big, lens[i]) == 0);
		}
		close(client);
		sockeye_listener_close(&l);
	}
}

static void test_too_long(void **state)
{
	struct sockeye_listener l = listener_on("udp://127.0.0.1:0");
	int client = connected_to(&l);

	(void)state;
	assert_int_equal(sockeye_dgram_send(client, big, SOCKEYE_UDP_PAYLOAD_MAX + 1, NULL),
			 -EMSGSIZE);
	close(client);
	sockeye_listener_close(&l);
}

/* The true length of a truncated datagram is known, and the next one is complete. */
static void test_truncation(void **state)
{
	(void)state;
	FOR_ROWS(s, servers, "%s", servers[s]) {
		struct sockeye_listener l = listener_on(servers[s]);
		int client = connected_to(&l);
		struct sockeye_dgram d;

		for (size_t cap = 0; cap < 8; cap++) {
			assert_int_equal(sockeye_dgram_send(client, "12345678", 8, NULL), 0);
			memset(got, '!', 9);
			assert_int_equal(sockeye_dgram_recv(l.fd, got, cap, MS(LONG_MS), &d), 0);
			assert_int_equal(d.len, cap);
			assert_int_equal(d.true_len, 8);
			assert_true(d.truncated);
			assert_int_equal(got[cap], '!');
		}
		assert_int_equal(sockeye_dgram_send(client, "12345678", 8, NULL), 0);
		assert_int_equal(sockeye_dgram_recv(l.fd, got, 8, MS(LONG_MS), &d), 0);
		assert_false(d.truncated);
		close(client);
		sockeye_listener_close(&l);
	}
}

static void test_nothing_there(void **state)
{
	struct sockeye_listener l = listener_on("udp://127.0.0.1:0");
	struct sockeye_dgram d = {.len = 77};
	uint64_t began;

	(void)state;
	storm();
	began = now_ms();
	assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, MS(40), &d), -ETIMEDOUT);
	assert_in_range(now_ms() - began, 40, LONG_MS);
	assert_true(calm() > 0);
	assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, 1, &d), -ETIMEDOUT);
	fcntl(l.fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, 0, &d), -EAGAIN);
	assert_int_equal(d.len, 77); /* written only on success */
	sockeye_listener_close(&l);
}

/* A reply has the address that the request was sent to as its source: IPv4, IPv6, and
 * IPv4 on a dual-stack socket. */
static void test_answer_from_the_address_asked(void **state)
{
	static const struct {
		const char *server, *ask, *from;
	} rows[] = {
	    {"udp://0.0.0.0:0", "127.0.0.2", "127.0.0.1"},
	    {"udp://0.0.0.0:0", "127.0.0.3", "127.0.0.9"},
	    {"udp://*:0", "127.0.0.2", "127.0.0.1"},
	    {"udp://*:0", "::1", "::1"},
	    {"udp6://*:0", "::1", "::1"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s through %s", rows[i].server, rows[i].ask) {
		struct sockeye_listener l = listener_on(rows[i].server);
		struct sockeye_sockaddr asked =
		    name_of(rows[i].ask, sockeye_sockaddr_port(&l.name));
		struct sockeye_sockaddr client, local;
		int fd = bound_to(rows[i].from, &client);
		struct sockeye_dgram d, answer;

		send_to(fd, &asked, "ping", 4);
		assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, MS(LONG_MS), &d), 0);
		assert_true(sockeye_sockaddr_equal(&d.peer, &client));
		local = name_of(rows[i].ask, 0);
		assert_true(sockeye_sockaddr_equal(&d.local, &local));
		assert_int_equal(d.ifindex, 1); /* lo */
		assert_false(d.group);
		assert_int_equal(sockeye_dgram_send(l.fd, got, d.len, &d), 0);
		assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &answer), 0);
		assert_true(sockeye_sockaddr_equal(&answer.peer, &asked));
		close(fd);
		sockeye_listener_close(&l);
	}
}

/* A broadcast is recognized. Only the routes show that 127.255.255.255 is a broadcast
 * address, and the IPv6 control message does not. */
static void test_group(void **state)
{
	static const char *const listeners[] = {"udp4://*:0", "udp://*:0", "udp://[::]:0"};
	static const char *const groups[] = {"127.255.255.255", "255.255.255.255"};

	(void)state;
	for (size_t i = 0; i < COUNT(listeners) * COUNT(groups); i++) {
		struct sockeye_listener l = listener_on(listeners[i % COUNT(listeners)]);
		struct sockeye_sockaddr to =
		    name_of(groups[i / COUNT(listeners)], sockeye_sockaddr_port(&l.name));
		struct sockeye_sockaddr client;
		struct sockeye_dgram d;
		int fd = bound_to("127.0.0.1", &client), one = 1;

		setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
		assert_return_code(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), errno);
		send_to(fd, &to, "all", 3);
		assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, MS(LONG_MS), &d), 0);
		assert_true(d.group);
		assert_int_equal(d.local.len, 0);
		assert_int_equal(d.ifindex, 1); /* lo */
		/* A reply to it works. */
		assert_int_equal(sockeye_dgram_send(l.fd, got, d.len, &d), 0);
		assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), 0);
		close(fd);
		sockeye_listener_close(&l);
	}
}

static void test_want_local_elsewhere(void **state)
{
	int fds[2];

	(void)state;
	pair_open(SOCK_DGRAM, fds);
	assert_int_equal(sockeye_dgram_want_local(fds[0]), 0);
	assert_int_equal(sockeye_dgram_want_errors(fds[0]), -EOPNOTSUPP);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(sockeye_dgram_want_local(fds[0]), -EBADF);
	assert_int_equal(sockeye_dgram_want_errors(fds[0]), -EBADF);
}

/* One socket connects to two servers in turn, then to none. */
static void test_reconnect(void **state)
{
	static const char *const hosts[] = {"udp://127.0.0.1:0", "udp://127.0.0.2:0"};
	struct sockeye_listener l[2] = {listener_on(hosts[0]), listener_on(hosts[1])};
	int fd = connected_to(&l[0]);
	struct sockeye_sockaddr before, after;
	struct sockeye_dgram d;

	(void)state;
	assert_int_equal(sockeye_local_name(fd, &before), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(sockeye_dgram_reconnect(fd, &l[i % 2].name), 0);
		assert_int_equal(sockeye_dgram_send(fd, "x", 1, NULL), 0);
		assert_int_equal(sockeye_dgram_recv(l[i % 2].fd, got, 9, MS(LONG_MS), &d), 0);
		/* It receives from its peer only. */
		d.local.len = 0;
		assert_int_equal(sockeye_dgram_send(l[(i + 1) % 2].fd, "no", 2, &d), 0);
		assert_int_equal(sockeye_dgram_send(l[i % 2].fd, "y", 1, &d), 0);
		assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), 0);
		assert_int_equal(got[0], 'y');
	}
	assert_int_equal(sockeye_local_name(fd, &after), 0);
	assert_int_equal(sockeye_sockaddr_port(&before), sockeye_sockaddr_port(&after));
	assert_int_equal(sockeye_dgram_reconnect(fd, NULL), 0);
	assert_int_equal(sockeye_peer_name(fd, &after), -ENOTCONN);
	assert_int_equal(sockeye_dgram_send(fd, "x", 1, NULL), -EDESTADDRREQ);
	send_to(fd, &l[1].name, "z", 1);
	assert_int_equal(sockeye_dgram_recv(l[1].fd, got, 9, MS(LONG_MS), &d), 0);
	assert_int_equal(got[0], 'z');
	close(fd);
	sockeye_listener_close(&l[0]);
	sockeye_listener_close(&l[1]);
}

static void test_refused_when_connected(void **state)
{
	static const char *const hosts[] = {"udp://127.0.0.1:0", "udp://[::1]:0"};

	(void)state;
	FOR_ROWS(i, hosts, "%s", hosts[i]) {
		struct sockeye_listener l = listener_on(hosts[i]);
		struct sockeye_dgram d;
		int fd = connected_to(&l);

		sockeye_listener_close(&l);
		assert_int_equal(sockeye_dgram_send(fd, "x", 1, NULL), 0);
		assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), -ECONNREFUSED);
		assert_int_equal(sockeye_dgram_recv(fd, got, 9, 1, &d), -ETIMEDOUT); /* once */
		close(fd);
	}
}

/* The error queue of an unconnected socket has ICMP errors, with the destination and
 * the sender of the ICMP message. */
static void test_refused_when_unconnected(void **state)
{
	static const struct {
		const char *own, *dead;
		uint8_t type, code;
	} rows[] = {
	    {"127.0.0.1", "127.0.0.1", 3, 3}, /* destination, port unreachable (RFC 792) */
	    {"::1", "::1", 1, 4},             /* the same (RFC 4443, section 3.1) */
	    {"::", "::ffff:127.0.0.1", 3, 3},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s to %s", rows[i].own, rows[i].dead) {
		struct sockeye_sockaddr own, dead;
		struct sockeye_dgram_error e;
		struct sockeye_dgram d;
		int fd = bound_to(rows[i].dead, &dead); /* reserves a free port */

		close(fd);
		fd = bound_to(rows[i].own, &own);
		assert_int_equal(sockeye_dgram_want_errors(fd), 0);
		assert_int_equal(sockeye_dgram_error_recv(fd, &e), -EAGAIN);
		send_to(fd, &dead, "x", 1);
		assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), -ECONNREFUSED);
		assert_int_equal(sockeye_dgram_error_recv(fd, &e), 0);
		assert_int_equal(e.err, -ECONNREFUSED);
		assert_true(e.from_icmp);
		assert_int_equal(e.icmp_type, rows[i].type);
		assert_int_equal(e.icmp_code, rows[i].code);
		assert_true(sockeye_sockaddr_equal(&e.peer, &dead));
		dead = name_of(rows[i].dead, 0);
		assert_true(sockeye_sockaddr_equal(&e.offender, &dead));
		assert_int_equal(sockeye_dgram_error_recv(fd, &e), -EAGAIN);
		close(fd);
	}
}

/* An entry in the error queue makes poll(2) return at once. The call must not spin. */
static void test_receive_beside_the_error_queue(void **state)
{
	struct sockeye_sockaddr own, dead;
	struct sockeye_dgram_error e;
	struct sockeye_dgram d;
	int fd = bound_to("127.0.0.1", &dead);
	uint64_t began = now_ms();

	(void)state;
	close(fd);
	fd = bound_to("127.0.0.1", &own);
	assert_int_equal(sockeye_dgram_want_errors(fd), 0);
	send_to(fd, &dead, "x", 1);
	assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), -ECONNREFUSED);
	assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), -EAGAIN);
	assert_int_equal(sockeye_dgram_recv(fd, got, 9, 1, &d), -ETIMEDOUT);
	assert_true(now_ms() - began < LONG_MS);
	send_to(fd, &own, "y", 1); /* a datagram is still received */
	assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), 0);
	assert_int_equal(sockeye_dgram_error_recv(fd, &e), 0);
	assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(20), &d), -ETIMEDOUT);
	close(fd);
}

static void test_local_error(void **state)
{
	struct sockeye_sockaddr own, to = name_of("127.0.0.1", 9);
	struct sockeye_dgram d = {.peer = to};
	struct sockeye_dgram_error e;
	int fd = bound_to("127.0.0.1", &own);

	(void)state;
	assert_int_equal(sockeye_dgram_want_errors(fd), 0);
	assert_int_equal(sockeye_dgram_send(fd, big, SOCKEYE_UDP_PAYLOAD_MAX + 1, &d), -EMSGSIZE);
	while (sockeye_dgram_error_recv(fd, &e) == 0) { /* the kernel may also queue it */
		assert_int_equal(e.err, -EMSGSIZE);
		assert_false(e.from_icmp);
		assert_int_equal(e.offender.len, 0);
	}
	close(fd);
}

static void *late_sender(void *fd)
{
	poll(NULL, 0, 20);
	assert_int_equal(sockeye_dgram_send(*(int *)fd, "late", 4, NULL), 0);
	return NULL;
}

/* Signals do not end a blocking call without a deadline. */
static void test_storm(void **state)
{
	struct sockeye_listener l = listener_on("udp://127.0.0.1:0");
	int fd = connected_to(&l);
	struct sockeye_dgram d;
	sigset_t all, before;
	pthread_t thread;

	(void)state;
	storm();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	assert_int_equal(pthread_create(&thread, NULL, late_sender, &fd), 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, 0, &d), 0);
	assert_true(calm() > 0);
	assert_int_equal(d.len, 4);
	pthread_join(thread, NULL);
	close(fd);
	sockeye_listener_close(&l);
}

/* A server can reply to a client whose path fills sun_path. */
static void test_peer_with_a_full_path(void **state)
{
	struct sockeye_listener l = listener_on("unix-dgram:@sockeye-test-#");
	struct sockeye_sockaddr own = {.len = sizeof own.u.un, .u.un.sun_family = AF_UNIX};
	const char *dir = dir_make();
	struct sockeye_dgram d;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	memset(own.u.un.sun_path, 'x', sizeof own.u.un.sun_path);
	memcpy(own.u.un.sun_path, dir, strlen(dir));
	own.u.un.sun_path[strlen(dir)] = '/';
	assert_return_code(bind(fd, &own.u.sa, own.len), errno);
	send_to(fd, &l.name, "x", 1);
	assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, MS(LONG_MS), &d), 0);
	assert_int_equal(sockeye_dgram_send(l.fd, "y", 1, &d), 0);
	assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), 0);
	close(fd);
	sockeye_listener_close(&l);
	dir_remove();
}

/* A UNIX datagram server can reply to an autobound client. An unbound client has no
 * name. */
static void test_unix_peers(void **state)
{
	struct sockeye_listener l = listener_on("unix-dgram:@sockeye-test-#");
	int fd = connected_to(&l), unbound = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockeye_sockaddr name;
	struct sockeye_dgram d;

	(void)state;
	assert_int_equal(sockeye_dgram_send(fd, "x", 1, NULL), 0);
	assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, MS(LONG_MS), &d), 0);
	assert_int_equal(sockeye_local_name(fd, &name), 0);
	assert_true(sockeye_sockaddr_equal(&d.peer, &name));
	assert_int_equal(sockeye_dgram_send(l.fd, "y", 1, &d), 0);
	assert_int_equal(sockeye_dgram_recv(fd, got, 9, MS(LONG_MS), &d), 0);
	assert_true(sockeye_sockaddr_equal(&d.peer, &l.name));
	send_to(unbound, &l.name, "x", 1);
	assert_int_equal(sockeye_dgram_recv(l.fd, got, 9, MS(LONG_MS), &d), 0);
	assert_string_equal(text_of(&d.peer), "unnamed");
	close(fd);
	close(unbound);
	sockeye_listener_close(&l);
}

/* After a peer on loopback our address is 127.0.0.1, which reaches no other host. The
 * second connect has to choose another one. */
static void test_reconnect_to_another_network(void **state)
{
	struct sockeye_listener l = listener_on("udp://127.0.0.1:0");
	struct sockeye_sockaddr far = name_of("192.0.2.7", 9), local;
	int fd = connected_to(&l), probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	if (connect(probe, &far.u.sa, far.len) < 0) {
		close(probe);
		close(fd);
		sockeye_listener_close(&l);
		skip(); /* no route to any network */
	}
	assert_int_equal(sockeye_dgram_reconnect(fd, &far), 0);
	assert_int_equal(sockeye_local_name(fd, &local), 0);
	assert_int_not_equal(local.u.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	close(probe);
	close(fd);
	sockeye_listener_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_truncation),
	    cmocka_unit_test(test_nothing_there),
	    cmocka_unit_test(test_answer_from_the_address_asked),
	    cmocka_unit_test(test_group),
	    cmocka_unit_test(test_want_local_elsewhere),
	    cmocka_unit_test(test_reconnect),
	    cmocka_unit_test(test_refused_when_connected),
	    cmocka_unit_test(test_refused_when_unconnected),
	    cmocka_unit_test(test_receive_beside_the_error_queue),
	    cmocka_unit_test(test_local_error),
	    cmocka_unit_test(test_storm),
	    cmocka_unit_test(test_unix_peers),
	    cmocka_unit_test(test_peer_with_a_full_path),
	    cmocka_unit_test(test_reconnect_to_another_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
