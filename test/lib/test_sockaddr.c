/* test_sockaddr.c: prints and compares socket addresses, and gets those of
 * descriptors. */
#include "help.h"

#include <arpa/inet.h>
#include <net/if.h>

static struct sockeye_sockaddr unix_of(const char *path, size_t len)
{
	struct sockeye_sockaddr name = {.u.un.sun_family = AF_UNIX};

	memcpy(name.u.un.sun_path, path, len);
	name.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return name;
}

static struct sockeye_sockaddr scoped(const char *host, uint16_t port, uint32_t scope)
{
	struct sockeye_sockaddr name = name_of(host, port);

	name.u.in6.sin6_scope_id = scope;
	return name;
}

#define PATH_108 \
	"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void test_print(void **state)
{
	const struct {
		struct sockeye_sockaddr name;
		const char *want, *want_url;
		enum sockeye_scheme scheme;
	} rows[] = {
	    {name_of("127.0.0.1", 7), "127.0.0.1:7", "tcp://127.0.0.1:7", SOCKEYE_TCP},
	    {name_of("255.255.255.255", 65535), "255.255.255.255:65535",
	     "udp://255.255.255.255:65535", SOCKEYE_UDP},
	    {name_of("::1", 7), "[::1]:7", "tcp://[::1]:7", SOCKEYE_TCP},
	    {name_of("::", 0), "[::]:0", "udp://[::]:0", SOCKEYE_UDP},
	    {name_of("::ffff:192.0.2.1", 80), "192.0.2.1:80", "tcp://192.0.2.1:80", SOCKEYE_TCP},
	    {scoped("fe80::1", 7, 1), "[fe80::1%lo]:7", "udp://[fe80::1%lo]:7", SOCKEYE_UDP},
	    {scoped("fe80::1", 7, 987654), "[fe80::1%987654]:7", "udp://[fe80::1%987654]:7",
	     SOCKEYE_UDP},
	    {unix_of("/run/x.sock", 12), "/run/x.sock", "unix:/run/x.sock", SOCKEYE_UNIX},
	    {unix_of("/run/x.sock", 11), "/run/x.sock", "unix:/run/x.sock", SOCKEYE_UNIX},
	    {unix_of("/a\033[2J", 7), "/a\\e[2J", "unix:/a%1B[2J", SOCKEYE_UNIX},
	    {unix_of("\0name", 5), "@name", "unix-dgram:@name", SOCKEYE_UNIX_DGRAM},
	    {unix_of("\0a\0b\n", 5), "@a\\0b\\n", "unix:@a%00b%0A", SOCKEYE_UNIX},
	    {unix_of("", 0), "unnamed", "unix:unnamed", SOCKEYE_UNIX},
	    {unix_of(PATH_108, 108), PATH_108, NULL, SOCKEYE_UNIX},
	    {{0}, "unnamed", "tcp:unnamed", SOCKEYE_TCP},
	    {{.len = 4, .u.sa.sa_family = AF_INET}, "unnamed", "tcp:unnamed", SOCKEYE_TCP},
	};
	char text[SOCKEYE_ADDR_TEXT_MAX];

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].want) {
		size_t len = sockeye_sockaddr_print(&rows[i].name, text, sizeof text);

		assert_string_equal(text, rows[i].want);
		assert_int_equal(len, strlen(rows[i].want));
		len = sockeye_sockaddr_print_url(&rows[i].name, rows[i].scheme, text, sizeof text);
		if (rows[i].want_url != NULL) {
			assert_string_equal(text, rows[i].want_url);
			assert_int_equal(len, strlen(rows[i].want_url));
		}
	}
}

static void test_print_cut(void **state)
{
	struct sockeye_sockaddr names[] = {name_of("192.0.2.1", 80), name_of("2001:db8::1", 80),
					   unix_of("/run/x.sock", 12), unix_of("\0abc", 4)};

	(void)state;
	FOR_ROWS(i, names, "family %d", names[i].u.sa.sa_family) {
		char whole[64], cut[64];
		size_t len = sockeye_sockaddr_print(&names[i], whole, sizeof whole);

		assert_int_equal(sockeye_sockaddr_print(&names[i], NULL, 0), len);
		for (size_t cap = 1; cap <= len; cap++) {
			memset(cut, '!', sizeof cut);
			assert_int_equal(sockeye_sockaddr_print(&names[i], cut, cap), len);
			assert_int_equal(strlen(cut), cap - 1);
			assert_memory_equal(cut, whole, cap - 1);
			assert_int_equal(cut[cap], '!');
		}
	}
}

/* A printed address resolves to the same socket address. */
static void test_url_round_trip(void **state)
{
	const struct sockeye_sockaddr names[] = {
	    name_of("127.0.0.1", 7),   name_of("::1", 65535),   scoped("fe80::1", 7, 1),
	    unix_of("/run/a b?c", 11), unix_of("\0a\0b%\n", 6), unix_of("rel", 4),
	};
	const enum sockeye_scheme schemes[] = {SOCKEYE_TCP,  SOCKEYE_UDP,  SOCKEYE_UDP,
					       SOCKEYE_UNIX, SOCKEYE_UNIX, SOCKEYE_UNIX};

	(void)state;
	FOR_ROWS(i, names, "family %d", names[i].u.sa.sa_family) {
		struct sockeye_sockaddr back;
		struct sockeye_addr addr;
		char text[SOCKEYE_ADDR_TEXT_MAX];

		sockeye_sockaddr_print_url(&names[i], schemes[i], text, sizeof text);
		addr = addr_of("%s", text);
		assert_int_equal(sockeye_resolve(&addr, false, &back, 1, NULL), 1);
		assert_true(sockeye_sockaddr_equal(&names[i], &back));
	}
}

static void test_equal(void **state)
{
	const struct {
		struct sockeye_sockaddr a, b;
		bool want;
	} rows[] = {
	    {name_of("127.0.0.1", 7), name_of("127.0.0.1", 7), true},
	    {name_of("127.0.0.1", 7), name_of("127.0.0.1", 8), false},
	    {name_of("127.0.0.1", 7), name_of("127.0.0.2", 7), false},
	    {name_of("127.0.0.1", 7), name_of("::ffff:127.0.0.1", 7), true},
	    {name_of("127.0.0.1", 7), name_of("::1", 7), false},
	    {name_of("::1", 7), name_of("::1", 7), true},
	    {name_of("::1", 7), name_of("::1", 8), false},
	    {name_of("::1", 7), name_of("::2", 7), false},
	    {scoped("fe80::1", 7, 1), scoped("fe80::1", 7, 2), false},
	    {unix_of("/a", 3), unix_of("/a", 2), true},
	    {unix_of("/a", 3), unix_of("/ab", 4), false},
	    {unix_of("\0a", 2), unix_of("\0a\0", 3), false},
	    {unix_of("a", 2), unix_of("\0a", 2), false},
	    {unix_of("", 0), unix_of("", 0), true},
	    {{0}, {0}, true},
	    {{0}, name_of("0.0.0.0", 0), false},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].want ? "equal" : "different") {
		assert_int_equal(sockeye_sockaddr_equal(&rows[i].a, &rows[i].b), rows[i].want);
		assert_int_equal(sockeye_sockaddr_equal(&rows[i].b, &rows[i].a), rows[i].want);
	}
}

static void test_port(void **state)
{
	struct sockeye_sockaddr v4 = name_of("127.0.0.1", 65535), v6 = name_of("::1", 7),
				path = unix_of("/a", 3), none = {0};

	(void)state;
	assert_int_equal(sockeye_sockaddr_port(&v4), 65535);
	assert_int_equal(sockeye_sockaddr_port(&v6), 7);
	assert_int_equal(sockeye_sockaddr_port(&path), 0);
	assert_int_equal(sockeye_sockaddr_port(&none), 0);
}

static void test_names_of_descriptors(void **state)
{
	struct sockeye_listener l = listener_on("tcp://127.0.0.1:0");
	int client = connected_to(&l), server = accepted_from(&l), fds[2];
	struct sockeye_sockaddr a, b;

	(void)state;
	assert_int_equal(sockeye_local_name(client, &a), 0);
	assert_int_equal(sockeye_peer_name(server, &b), 0);
	assert_true(sockeye_sockaddr_equal(&a, &b));
	assert_int_equal(sockeye_peer_name(client, &b), 0);
	assert_true(sockeye_sockaddr_equal(&l.name, &b));
	assert_int_equal(sockeye_peer_name(l.fd, &b), -ENOTCONN);
	close(client);
	close(server);
	sockeye_listener_close(&l);

	pair_open(SOCK_STREAM, fds);
	assert_int_equal(sockeye_local_name(fds[0], &a), 0);
	assert_string_equal(text_of(&a), "unnamed");
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(sockeye_local_name(fds[0], &a), -EBADF);
	assert_int_equal(sockeye_local_name(STDIN_FILENO, &a), -ENOTSOCK);
}

/* Other programs may bind a path that fills sun_path and has no NUL. */
static void test_path_of_108(void **state)
{
	struct sockeye_sockaddr name = {.len = sizeof name.u.un, .u.un.sun_family = AF_UNIX}, back;
	const char *dir = dir_make();
	size_t len = strlen(dir);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char text[128];

	(void)state;
	memset(name.u.un.sun_path, 'x', sizeof name.u.un.sun_path);
	memcpy(name.u.un.sun_path, dir, len);
	name.u.un.sun_path[len] = '/';
	assert_return_code(bind(fd, &name.u.sa, name.len), errno);
	assert_int_equal(sockeye_local_name(fd, &back), 0);
	assert_int_equal(back.len, sizeof back.u.un); /* not 111 */
	assert_int_equal(sockeye_sockaddr_print(&back, text, sizeof text), 108);
	assert_memory_equal(text, name.u.un.sun_path, 108);
	close(fd);
	dir_remove();
}

static int stdin_open(void **state)
{
	(void)state;
	return dup2(open("/dev/null", O_RDONLY), STDIN_FILENO) < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_print),          cmocka_unit_test(test_print_cut),
	    cmocka_unit_test(test_url_round_trip), cmocka_unit_test(test_equal),
	    cmocka_unit_test(test_port),           cmocka_unit_test(test_names_of_descriptors),
	    cmocka_unit_test(test_path_of_108),
	};

	return cmocka_run_group_tests(tests, stdin_open, NULL);
}
