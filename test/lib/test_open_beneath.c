/*
 * Only files below a folder are opened. The kernel's way and the library's own
 * must agree.
 */
#include "deny.h"
#include "links_tree.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "files/open_beneath.h"

static struct tree tree;
static int root;

static int setup(void **state)
{
	(void)state;
	root = links_tree_make(&tree);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(root);
	tree_remove(&tree);
	return 0;
}

static int open_by(bool by_hand, const char *path, int flags)
{
	return sockeye__open_beneath(root, path, flags, SOCKEYE__LINKS_INSIDE, &by_hand);
}

static const struct {
	const char *path;
	int err;
	const char *text;
} cases[] = {
    {"file", 0, "top"},
    {"./file", 0, "top"},
    {"dir/file", 0, "below"},
    {"dir//file", 0, "below"},
    {"dir/./sub/../file", 0, "below"},
    {"dir/sub/../../file", 0, "top"},
    {"backup..2024.bin", 0, "dots"},
    {"in", 0, "below"},
    {"in_dir/file", 0, "below"},
    {"in_dir/sub/file", 0, "deep"},
    {"in_dir/../file", 0, "top"},
    {"in_up", 0, "top"},
    {"dir/back", 0, "top"},
    {"dir/back_slow", 0, "below"},
    {"slash/file", 0, "below"},
    {"abs_in", 0, "below"},
    {"abs_dir/file", 0, "below"},
    {"abs_root/file", 0, "top"},
    {"abs_alias", 0, "top"},
    {"dir/abs_deep", 0, "deep"},
    {"abs_loop", -ELOOP, NULL},
    {"abs_back_out", -EXDEV, NULL},
    {"abs_sibling", -EXDEV, NULL},
    {"abs_secret", -EXDEV, NULL},
    {"chain39", 0, "top"},
    {"chain40", -ELOOP, NULL},
    {"", -ENOENT, NULL},
    {"missing", -ENOENT, NULL},
    {"missing/file", -ENOENT, NULL},
    {"missing/../file", -ENOENT, NULL},
    {"dangling", -ENOENT, NULL},
    {"dangling/file", -ENOENT, NULL},
    {"file/", -ENOTDIR, NULL},
    {"file/x", -ENOTDIR, NULL},
    {"file/..", -ENOTDIR, NULL},
    {"in/", -ENOTDIR, NULL},
    {"file_slash", -ENOTDIR, NULL},
    {"loop", -ELOOP, NULL},
    {"loop/file", -ELOOP, NULL},
    {"loop_a", -ELOOP, NULL},
    {"..", -EXDEV, NULL},
    {"../", -EXDEV, NULL},
    {"../secret", -EXDEV, NULL},
    {"../nothing", -EXDEV, NULL},
    {"../root/file", -EXDEV, NULL},
    {"../root-secret/x", -EXDEV, NULL},
    {"dir/../../secret", -EXDEV, NULL},
    {"dir/../../nothing", -EXDEV, NULL},
    {"in_dir/../../secret", -EXDEV, NULL},
    {"dir/sub/../../../root/file", -EXDEV, NULL},
    {"/", -EXDEV, NULL},
    {"/etc/passwd", -EXDEV, NULL},
    {"//file", -EXDEV, NULL},
    {"out", -EXDEV, NULL},
    {"out_missing", -EXDEV, NULL},
    {"out_and_in", 0, "top"}, /* what counts is the end */
    {"dir/far", 0, "deep"},
    {"alias_link/dir/file", 0, "below"},
    {"alias_link/../secret", -EXDEV, NULL},
    {"out_dir", -EXDEV, NULL},
    {"out_dir/secret", -EXDEV, NULL},
    {"dir/out", -EXDEV, NULL},
    {"sibling", -EXDEV, NULL},
    {"abs", -EXDEV, NULL},
    {"abs/", -EXDEV, NULL},
    {"abs_missing", -EXDEV, NULL},
};

static void test_cases(void **state)
{
	size_t before = fds_open();

	(void)state;
	FOR_ROWS(i, cases, "%s", cases[i].path)
		for (int by_hand = 0; by_hand < 2; by_hand++) {
			int fd = open_by(by_hand, cases[i].path, O_RDONLY);
			char text[16] = "";

			if (fd < 0 ? fd != cases[i].err : cases[i].err != 0)
				fail_msg("'%s', by hand %d: %d", cases[i].path, by_hand, fd);
			if (fd < 0)
				continue;
			assert_true(is_cloexec(fd));
			assert_true(read(fd, text, sizeof text - 1) > 0);
			assert_string_equal(text, cases[i].text);
			close(fd);
		}
	assert_int_equal(fds_open(), before);
}

/* No link is followed, or all are. */
static void test_links(void **state)
{
	static const struct {
		const char *path;
		int none, any; /* the results */
	} rows[] = {
	    {"file", 0, 0},
	    {"dir/sub/file", 0, 0},
	    {"in", -ELOOP, 0},
	    {"in_dir/file", -ELOOP, 0},
	    {"abs_in", -ELOOP, 0},
	    {"out", -ELOOP, 0},
	    {"abs", -ELOOP, 0},
	    {"out_dir/secret", -ELOOP, 0},
	    {"out_missing", -ELOOP, -ENOENT},
	    {"loop", -ELOOP, -ELOOP},
	    {"missing", -ENOENT, -ENOENT},
	    {"/etc/passwd", -EXDEV, -EXDEV},
	    {"../secret", -EXDEV, -EXDEV},
	    {"dir/../../secret", -EXDEV, -EXDEV},
	};
	size_t before = fds_open();

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].path)
		for (int way = 0; way < 2; way++) {
			bool by_hand = way;
			int none = sockeye__open_beneath(root, rows[i].path, O_RDONLY,
							 SOCKEYE__LINKS_NONE, &by_hand);
			int any = sockeye__open_beneath(root, rows[i].path, O_RDONLY,
							SOCKEYE__LINKS_ANY, &by_hand);

			assert_int_equal(none < 0 ? none : 0, rows[i].none);
			assert_int_equal(any < 0 ? any : 0, rows[i].any);
			if (none >= 0)
				close(none);
			if (any >= 0)
				close(any);
		}
	assert_int_equal(fds_open(), before);
}

static void test_folders(void **state)
{
	static const char *const folders[] = {".",     "dir",           "dir/",  "in_dir",
					      "slash", "in_dir/sub/..", "dir/.."};

	(void)state;
	FOR_ROWS(i, folders, "%s", folders[i])
		for (int by_hand = 0; by_hand < 2; by_hand++) {
			int fd = open_by(by_hand, folders[i], O_PATH | O_DIRECTORY);

			assert_return_code(fd, -fd);
			close(fd);
		}
	assert_int_equal(open_by(true, "file", O_PATH | O_DIRECTORY), -ENOTDIR);
	assert_int_equal(open_by(false, "file", O_PATH | O_DIRECTORY), -ENOTDIR);
}

/* Magic links of /proc, which lead to any file, are refused. */
static void test_magic_links(void **state)
{
	int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	for (int i = 0; i < 2; i++) {
		bool by_hand = i;

		assert_true(sockeye__open_beneath(self, "exe", O_RDONLY, SOCKEYE__LINKS_INSIDE,
						  &by_hand) < 0);
		assert_true(sockeye__open_beneath(self, "root/etc/passwd", O_RDONLY,
						  SOCKEYE__LINKS_INSIDE, &by_hand) < 0);
		assert_true(sockeye__open_beneath(self, "cwd/x", O_RDONLY, SOCKEYE__LINKS_INSIDE,
						  &by_hand) < 0);
	}
	close(self);
}

static void test_long(void **state)
{
	static char path[PATH_MAX + 16];
	size_t before = fds_open();

	(void)state;
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		memset(path, 'n', NAME_MAX + 1);
		path[NAME_MAX + 1] = '\0';
		assert_int_equal(open_by(by_hand, path, O_RDONLY), -ENAMETOOLONG);
		strcat(path, "/x");
		assert_int_equal(open_by(by_hand, path, O_RDONLY), -ENAMETOOLONG);
		for (size_t i = 0; i < PATH_MAX; i += 2)
			memcpy(path + i, "./", 2);
		strcpy(path + PATH_MAX - 4, "file"); /* one byte too long with its NUL */
		assert_int_equal(open_by(by_hand, path, O_RDONLY), -ENAMETOOLONG);
		strcpy(path + PATH_MAX - 6, "file");
		assert_int_equal(close(open_by(by_hand, path, O_RDONLY)), 0);
	}
	assert_int_equal(fds_open(), before);
}

/* A path deeper than the library's own walk supports is refused, and no descriptor
 * stays open. */
static void test_deep(void **state)
{
	char path[512] = "";
	size_t before = fds_open();

	(void)state;
	for (int i = 0; i < 70; i++) {
		strcat(path, i ? "/d" : "d");
		folder_make(root, path);
	}
	assert_int_equal(open_by(true, path, O_PATH), -ENAMETOOLONG);
	path[2 * 60 - 1] = '\0';
	close(open_by(true, path, O_PATH));
	assert_int_equal(fds_open(), before);
}

/* --- both ways agree on random paths --- */

static uint32_t chance(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

static void path_make(uint32_t *seed, char *path)
{
	static const char *const words[] = {
	    "file",   "dir",     "sub",    "..",  "..",   ".",        "in",
	    "in_dir", "in_up",   "back",   "out", "loop", "dangling", "slash",
	    "abs",    "out_dir", "chain3", "x",   "",
	};
	uint32_t count = 1 + chance(seed, 7);

	path[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		strcat(path, words[chance(seed, COUNT(words))]);
		if (i + 1 < count || chance(seed, 8) == 0)
			strcat(path, "/");
	}
}

static void test_both_agree(void **state)
{
	static const int flags[] = {O_RDONLY, O_PATH, O_PATH | O_DIRECTORY, O_WRONLY};
	size_t before = fds_open();
	uint32_t seed = 1, opened = 0;
	char path[128];

	(void)state;
	for (int round = 0; round < 50000; round++) {
		int how = flags[chance(&seed, COUNT(flags))], kernel, hand;
		struct stat a, b;

		path_make(&seed, path);
		kernel = open_by(false, path, how);
		hand = open_by(true, path, how);
		if (kernel < 0 || hand < 0) {
			if (kernel != hand)
				fail_msg("'%s' %o: %d, by hand %d", path, how, kernel, hand);
			continue;
		}
		assert_return_code(fstat(kernel, &a), errno);
		assert_return_code(fstat(hand, &b), errno);
		if (a.st_ino != b.st_ino)
			fail_msg("'%s' %o: not the same file", path, how);
		close(kernel);
		close(hand);
		opened++;
	}
	assert_true(opened > 1000);
	assert_int_equal(fds_open(), before);
}

/* --- while another thread renames --- */

#define OPENS 50000

struct swapper {
	pthread_t thread;
	atomic_bool stop;
	int dir;
	const char *one, *other;
};

static void *swap(void *arg)
{
	struct swapper *s = arg;

	while (!atomic_load(&s->stop))
		if (renameat2(s->dir, s->one, s->dir, s->other, RENAME_EXCHANGE) < 0)
			break;
	return NULL;
}

/* Opens `path` many times while two names are exchanged. It never opens the file
 * outside, and at least once the file inside. */
static void swapped(int dir, const char *one, const char *other, const char *path, bool by_hand)
{
	struct swapper s = {.dir = dir, .one = one, .other = other};
	unsigned inside = 0;

	assert_int_equal(pthread_create(&s.thread, NULL, swap, &s), 0);
	for (unsigned i = 0; i < OPENS || (inside == 0 && i < 50 * OPENS); i++) {
		int fd = open_by(by_hand, path, O_RDONLY | O_NONBLOCK);
		char text[16] = "";
		ssize_t n;

		if (fd < 0)
			continue;
		n = read(fd, text, sizeof text - 1); /* of a folder: EISDIR */
		close(fd);
		assert_string_not_equal(text, "secret");
		inside += n > 0;
	}
	atomic_store(&s.stop, true);
	pthread_join(s.thread, NULL);
	assert_true(inside > 0);
}

static void test_file_becomes_a_link(void **state)
{
	(void)state;
	file_write(root, "swap", "inside");
	link_make(root, "swap_out", "../secret");
	swapped(root, "swap", "swap_out", "swap", false);
	swapped(root, "swap", "swap_out", "swap", true);
}

static void test_folder_becomes_a_link(void **state)
{
	(void)state;
	folder_make(root, "folder");
	file_write(root, "folder/x", "inside");
	link_make(root, "folder_out", "../root-secret");
	swapped(root, "folder", "folder_out", "folder/x", false);
	swapped(root, "folder", "folder_out", "folder/x", true);
}

/* A folder is moved up during a walk through it, so that its ".." leads too far. */
static void test_folder_moves_up(void **state)
{
	(void)state;
	folder_make(root, "low");
	folder_make(root, "low/mover");
	file_write(root, "low/secret", "inside");
	folder_make(tree.fd, "empty");
	for (int by_hand = 0; by_hand < 2; by_hand++)
		swapped(tree.fd, "root/low/mover", "empty", "low/mover/../secret", by_hand);
}

/* --- without the system call --- */

static void denied(int err, bool permanent)
{
	bool by_hand = false;
	int fd;

	deny(SYS_openat2, err, 0, 0);
	fd = sockeye__open_beneath(root, "dir/../in", O_RDONLY, SOCKEYE__LINKS_INSIDE, &by_hand);
	assert_true(fd >= 0);
	assert_int_equal(by_hand, permanent);
	assert_int_equal(
	    sockeye__open_beneath(root, "out", O_RDONLY, SOCKEYE__LINKS_INSIDE, &by_hand), -EXDEV);
}

static void without_call(void)
{
	denied(ENOSYS, true);
}

static void with_filter(void)
{
	denied(EPERM, true);
}

/* EAGAIN: renames made the result of ".." uncertain each time. */
static void with_renames(void)
{
	denied(EAGAIN, false);
}

static void test_without_openat2(void **state)
{
	(void)state;
	in_child(without_call);
	in_child(with_filter);
	in_child(with_renames);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_folders),
	    cmocka_unit_test(test_links),
	    cmocka_unit_test(test_magic_links),
	    cmocka_unit_test(test_long),
	    cmocka_unit_test(test_deep),
	    cmocka_unit_test(test_both_agree),
	    cmocka_unit_test(test_file_becomes_a_link),
	    cmocka_unit_test(test_folder_becomes_a_link),
	    cmocka_unit_test(test_folder_moves_up),
	    cmocka_unit_test(test_without_openat2),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
