/*
 * Atomic files where something is missing: on file systems, on kernels and in
 * sandboxes that lack a call, and on full disks.
 */
#include "deny.h"
#include "tree.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "files/atomic_file.h"

/* Every test runs with and without O_TMPFILE. */
static const int ways[] = {0, SOCKEYE__ATOMIC_FILE_NAMED};

static struct tree tree;

static int setup(void **state)
{
	(void)state;
	tree_make(&tree);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tree_remove(&tree);
	return 0;
}

static int new_open(struct sockeye__atomic_file *f, const char *name, int how)
{
	return sockeye__atomic_file_open(f, tree.fd, name, 0666,
					 (enum sockeye__atomic_file_how)how);
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static bool proc_hidden(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/proc", "tmpfs", 0, NULL) == 0 && access("/proc/self", F_OK) < 0;
}

/* A file can be made with and without AT_EMPTY_PATH, as root and as a user. */
static void without_proc(void)
{
	struct sockeye__atomic_file f;

	if (!proc_hidden())
		_exit(CHILD_SKIPS);
	for (int who = 0; who < 2; who++) {
		assert_int_equal(new_open(&f, "f", SOCKEYE__ATOMIC_FILE_NEW), 0);
		put(f.fd, "whole");
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		assert_string_equal(file_text(tree.fd, "f"), "whole");
		assert_int_equal(tree_entries(&tree), 1);
		tree_clear(&tree);
		assert_return_code(setresuid(65534, 65534, 65534), errno);
	}
}

static void test_without_proc(void **state)
{
	(void)state;
	in_child(without_proc);
}

/* Every operation, in this process. */
static void all_done(bool named)
{
	struct sockeye__atomic_file f;

	for (int how = SOCKEYE__ATOMIC_FILE_NEW; how <= SOCKEYE__ATOMIC_FILE_REPLACE; how++) {
		assert_int_equal(new_open(&f, "f", how), 0);
		assert_int_equal(f.temp[0] != '\0', named);
		put(f.fd, how == SOCKEYE__ATOMIC_FILE_NEW ? "one" : "two");
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		assert_int_equal(tree_entries(&tree), 1);
	}
	assert_string_equal(file_text(tree.fd, "f"), "two");
	assert_int_equal(new_open(&f, "late", SOCKEYE__ATOMIC_FILE_REPLACE), 0);
	file_write(tree.fd, "late", "another's");
	assert_int_equal(sockeye__atomic_file_commit(&f), -EEXIST);
	assert_string_equal(file_text(tree.fd, "late"), "another's");
	assert_int_equal(tree_entries(&tree), 2);
}

static void without_tmpfile(void)
{
	deny(SYS_openat, EOPNOTSUPP, 2, O_TMPFILE);
	all_done(true);
}

static void without_linkat(void)
{
	deny(SYS_linkat, EPERM, 0, 0);
	all_done(true);
}

static void without_empty_path(void)
{
	deny(SYS_linkat, ENOENT, 4, AT_EMPTY_PATH);
	all_done(false);
}

static void as_on_nfs(void)
{
	deny(SYS_openat, EOPNOTSUPP, 2, O_TMPFILE);
	deny(SYS_renameat2, EINVAL, 4, RENAME_NOREPLACE);
	all_done(true);
}

static void without_locks(void)
{
	deny(SYS_flock, ENOLCK, 0, 0);
	all_done(false);
}

static void confined(void)
{
	confine(tree.fd);
	all_done(false);
}

static void confined_and_named(void)
{
	deny(SYS_openat, EOPNOTSUPP, 2, O_TMPFILE);
	confine(tree.fd);
	all_done(true);
}

static void each_place(void (*body)(void))
{
	in_child(body);
	tree_clear(&tree);
}

static void test_without_tmpfile(void **state)
{
	(void)state;
	each_place(without_tmpfile);
	each_place(without_linkat);
}

static void test_without_empty_path(void **state)
{
	(void)state;
	each_place(without_empty_path);
}

static void test_as_on_nfs(void **state)
{
	(void)state;
	each_place(as_on_nfs);
	each_place(without_locks);
}

static void test_under_landlock(void **state)
{
	(void)state;
	each_place(confined);
	each_place(confined_and_named);
}

/* Errors that only close(2) reports are found before the file gets its name. */
static void late(void)
{
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		struct sockeye__atomic_file f;

		file_write(tree.fd, "f", "old");
		assert_int_equal(new_open(&f, "f", SOCKEYE__ATOMIC_FILE_REPLACE | ways[i]), 0);
		close(f.fd);
		assert_int_equal(sockeye__atomic_file_commit(&f), -EBADF);
		assert_string_equal(file_text(tree.fd, "f"), "old");
		assert_int_equal(tree_entries(&tree), 1);
	}
}

static void test_late_error(void **state)
{
	(void)state;
	each_place(late);
}

static void full(void)
{
	static char bytes[65536];
	struct sockeye__atomic_file f;
	ssize_t n;

	tree_mount(&tree, "tmpfs", "size=256k");
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		file_write(tree.fd, "f", "old");
		assert_int_equal(new_open(&f, "f", SOCKEYE__ATOMIC_FILE_REPLACE | ways[i]), 0);
		while ((n = write(f.fd, bytes, sizeof bytes)) > 0)
			;
		assert_int_equal(errno, ENOSPC);
		sockeye__atomic_file_discard(&f);
		assert_string_equal(file_text(tree.fd, "f"), "old");
		assert_int_equal(tree_entries(&tree), 1);
		file_write(tree.fd, "more", "there is room again");
		tree_clear(&tree);
	}
}

static void test_disk_full(void **state)
{
	(void)state;
	in_child(full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_without_proc),       cmocka_unit_test(test_without_tmpfile),
	    cmocka_unit_test(test_without_empty_path), cmocka_unit_test(test_as_on_nfs),
	    cmocka_unit_test(test_under_landlock),     cmocka_unit_test(test_late_error),
	    cmocka_unit_test(test_disk_full),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
