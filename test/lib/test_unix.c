/* test_unix.c: who creates and removes UNIX socket files, and their modes. */
#include "help.h"

#include <sys/inotify.h>
#include <sys/stat.h>

static const char *const schemes[] = {"unix", "unix-dgram", "unix-seqpacket"};
static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

static char path[128];

static int path_make(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "%s/s", dir_make());
	return 0;
}

static int path_remove(void **state)
{
	dir_remove();
	return row_report(state);
}

static int listen_at(const char *scheme, const char *options, struct sockeye_listener *out,
		     struct sockeye_fail *why)
{
	struct sockeye_addr addr = addr_of("%s:%s%s", scheme, path, options);

	return sockeye_listen(&addr, NULL, out, 1, why);
}

static bool exists(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Binds a socket to the path, and listens if its type can. */
static int raw_server(int type)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	strcpy(un.sun_path, path);
	assert_return_code(bind(fd, (struct sockaddr *)&un, sizeof un), errno);
	if (type != SOCK_DGRAM)
		assert_return_code(listen(fd, 0), errno);
	return fd;
}

static void test_served_and_removed(void **state)
{
	(void)state;
	FOR_ROWS(i, schemes, "%s", schemes[i]) {
		struct sockeye_listener l;
		int client;

		assert_int_equal(listen_at(schemes[i], "", &l, NULL), 1);
		assert_true(l.unlink_at_close);
		assert_string_equal(text_of(&l.name), path);
		client = connected_to(&l);
		close(client);
		sockeye_listener_close(&l);
		assert_false(exists());
	}
}

static void test_stale_is_replaced(void **state)
{
	(void)state;
	FOR_ROWS(was, types, "type %d", types[was])
		FOR_ROWS(is, schemes, "%s", schemes[is]) {
			struct sockeye_listener l;

			close(raw_server(types[was]));
			assert_true(exists());
			assert_int_equal(listen_at(schemes[is], "", &l, NULL), 1);
			close(connected_to(&l));
			sockeye_listener_close(&l);
			assert_false(exists());
		}
}

static void test_live_is_not(void **state)
{
	(void)state;
	FOR_ROWS(was, types, "type %d", types[was])
		FOR_ROWS(is, schemes, "%s", schemes[is]) {
			int fd = raw_server(types[was]);
			struct sockeye_listener l = {.fd = 77};
			struct sockeye_fail why = {0};
			struct stat before, after;

			lstat(path, &before);
			assert_int_equal(listen_at(schemes[is], "", &l, &why),
					 SOCKEYE_E_IN_USE_LIVE);
			assert_string_equal(why.op, "bind");
			assert_non_null(strstr(why.address, path));
			assert_int_equal(l.fd, 77);
			assert_return_code(lstat(path, &after), errno);
			assert_int_equal(before.st_ino, after.st_ino);
			if (types[was] != SOCK_DGRAM) { /* the probe does not queue a client */
				fcntl(fd, F_SETFL, O_NONBLOCK);
				assert_int_equal(sockeye_accept(fd, false, 0, NULL), -EAGAIN);
			}
			close(fd);
			unlink(path);
		}
}

/* A datagram socket that receives from its peer only is in use too. */
static void test_live_with_a_peer_is_not(void **state)
{
	int fd = raw_server(SOCK_DGRAM);
	struct sockeye_listener other = listener_on("unix-dgram:@sockeye-test-#"), l;

	(void)state;
	assert_return_code(connect(fd, &other.name.u.sa, other.name.len), errno);
	assert_int_equal(listen_at("unix-dgram", "", &l, NULL), SOCKEYE_E_IN_USE_LIVE);
	close(fd);
	sockeye_listener_close(&other);
}

static void test_other_files_are_not(void **state)
{
	struct sockeye_listener l;
	struct stat st;
	int fd;

	(void)state;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	assert_int_equal(listen_at("unix", "", &l, NULL), SOCKEYE_E_NOT_A_SOCKET);
	assert_return_code(stat(path, &st), errno);
	assert_int_equal(st.st_size, 8);
	unlink(path);
	assert_return_code(mkdir(path, 0700), errno);
	assert_int_equal(listen_at("unix", "", &l, NULL), SOCKEYE_E_NOT_A_SOCKET);
	assert_return_code(rmdir(path), errno);
	assert_return_code(mkfifo(path, 0600), errno);
	assert_int_equal(listen_at("unix", "", &l, NULL), SOCKEYE_E_NOT_A_SOCKET);
	unlink(path);
	/* a symbolic link is never replaced */
	assert_return_code(symlink("/nowhere", path), errno);
	assert_int_equal(listen_at("unix", "", &l, NULL), SOCKEYE_E_NOT_A_SOCKET);
	assert_true(exists());
}

/* A file that another server has created meanwhile is not removed. */
static void test_not_removed_when_replaced(void **state)
{
	struct sockeye_listener l;
	int fd;

	(void)state;
	assert_int_equal(listen_at("unix", "", &l, NULL), 1);
	unlink(path);
	fd = raw_server(SOCK_STREAM);
	sockeye_listener_close(&l);
	assert_true(exists());
	close(fd);
}

static void test_mode(void **state)
{
	static const struct {
		mode_t umask;
		const char *options;
		mode_t want;
	} rows[] = {
	    {022, "", 0755},           {077, "", 0700},         {022, "?mode=0660", 0660},
	    {077, "?mode=0666", 0666}, {0, "?mode=0600", 0600}, {0777, "?mode=0640", 0640},
	};

	(void)state;
	FOR_ROWS(i, rows, "umask %03o, %s", rows[i].umask, rows[i].options)
		FOR_ROWS(s, schemes, "%s", schemes[s]) {
			mode_t before = umask(rows[i].umask);
			struct sockeye_listener l;
			struct stat st;

			assert_int_equal(listen_at(schemes[s], rows[i].options, &l, NULL), 1);
			assert_int_equal(umask(before), rows[i].umask);
			assert_return_code(stat(path, &st), errno);
			assert_int_equal(st.st_mode & 07777, rows[i].want);
			sockeye_listener_close(&l);
		}
}

/* The file is created with its mode: it never has other permissions. */
static void test_mode_from_birth(void **state)
{
	struct sockeye_listener l;
	mode_t before = umask(0);
	int in = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char events[512];

	(void)state;
	*strrchr(path, '/') = '\0';
	assert_return_code(inotify_add_watch(in, path, IN_ATTRIB), errno);
	path[strlen(path)] = '/';
	assert_int_equal(listen_at("unix-dgram", "?mode=0600", &l, NULL), 1);
	umask(before);
	assert_int_equal(read(in, events, sizeof events), -1);
	assert_int_equal(errno, EAGAIN);
	close(in);
	sockeye_listener_close(&l);
}

static void test_longest_path(void **state)
{
	char dir[64];
	struct sockeye_addr addr;
	struct sockeye_listener l;

	(void)state;
	snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
	addr = addr_of("unix:%s/%0*d", dir, (int)(SOCKEYE_UNIX_PATH_MAX - strlen(dir) - 1), 0);
	assert_int_equal(addr.path_len, 107);
	assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, NULL), 1);
	assert_int_equal(strlen(text_of(&l.name)), 107);
	close(connected_to(&l));
	sockeye_listener_close(&l);
	assert_int_equal(access(addr.path, F_OK), -1);
	/* a stale file with this path is replaced */
	assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, NULL), 1);
	close(l.fd);
	assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, NULL), 1);
	sockeye_listener_close(&l);
}

static void test_abstract(void **state)
{
	(void)state;
	FOR_ROWS(i, schemes, "%s", schemes[i]) {
		struct sockeye_addr addr = addr_of("%s:@#%%00test", schemes[i]);
		struct sockeye_listener l, second;
		char want[32];

		assert_true(addr.abstract);
		assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, NULL), 1);
		assert_false(l.unlink_at_close);
		snprintf(want, sizeof want, "@%d\\0test", (int)getpid());
		assert_string_equal(text_of(&l.name), want);
		close(connected_to(&l));
		assert_int_equal(sockeye_listen(&addr, NULL, &second, 1, NULL), -EADDRINUSE);
		sockeye_listener_close(&l);
		assert_int_equal(sockeye_listen(&addr, NULL, &l, 1, NULL), 1);
		sockeye_listener_close(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_served_and_removed, path_make, path_remove),
	    cmocka_unit_test_setup_teardown(test_stale_is_replaced, path_make, path_remove),
	    cmocka_unit_test_setup_teardown(test_live_is_not, path_make, path_remove),
	    cmocka_unit_test_setup_teardown(test_live_with_a_peer_is_not, path_make, path_remove),
	    cmocka_unit_test_setup_teardown(test_other_files_are_not, path_make, path_remove),
	    cmocka_unit_test_setup_teardown(test_not_removed_when_replaced, path_make, path_remove),
	    cmocka_unit_test_setup_teardown(test_mode, path_make, path_remove),
	    cmocka_unit_test_setup_teardown(test_mode_from_birth, path_make, path_remove),
	    cmocka_unit_test_setup_teardown(test_longest_path, path_make, path_remove),
	    cmocka_unit_test(test_abstract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
