/* test_newfile.c: a file that appears under its name whole or not at all. */
#include "help.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tool/newfile.h"

/* Every test runs with and without O_TMPFILE. */
static const int ways[] = {0, SOCKEYE__NEWFILE_NAMED};

static char dir[32];
static int dir_fd;

static int folder_make(void **state)
{
	(void)state;
	strcpy(dir, dir_make());
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0;
}

static int folder_remove(void **state)
{
	(void)state;
	close(dir_fd);
	dir_remove();
	return 0;
}

static int new_open(struct sockeye__newfile *f, const char *name, int how)
{
	return sockeye__newfile_open(f, dir_fd, name, 0666, (enum sockeye__newfile_how)how);
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void file_write(const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	assert_return_code(fd, errno);
	put(fd, text);
	close(fd);
}

/* What is in the file, "" also when there is none. */
static const char *content(const char *name)
{
	static char text[64];
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

static bool exists(const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_return_code(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), errno);
	return st.st_mode & ALLPERMS;
}

static size_t entries(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(d);
	return count;
}

static void clear(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		if (unlinkat(dir_fd, entry->d_name, 0) < 0)
			unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR);
	closedir(d);
	assert_int_equal(entries(), 0);
}

static void test_appears_at_commit(void **state)
{
	size_t before = fds_open();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct sockeye__newfile f;

		assert_int_equal(new_open(&f, "new", ways[i]), 0);
		assert_true(f.fd > 2 && is_cloexec(f.fd) && is_cloexec(f.dir));
		assert_false(f.replaces);
		assert_int_equal(entries(), ways[i] == 0 ? 0 : 1);
		put(f.fd, "all of it");
		assert_false(exists("new"));
		assert_int_equal(sockeye__newfile_commit(&f), 0);
		assert_string_equal(content("new"), "all of it");
		assert_int_equal(entries(), 1);
		assert_int_equal(fds_open(), before);
		clear();
	}
}

static void test_discarded_leaves_nothing(void **state)
{
	size_t before = fds_open();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct sockeye__newfile f;

		assert_int_equal(new_open(&f, "new", ways[i]), 0);
		put(f.fd, "half");
		sockeye__newfile_discard(&f);
		assert_int_equal(entries(), 0);
		sockeye__newfile_discard(&f);
	}
	sockeye__newfile_discard(&(struct sockeye__newfile){0});
	assert_int_equal(fds_open(), before);
}

static void test_killed_leaves_nothing(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sockeye__newfile f;

		if (new_open(&f, "new", SOCKEYE__NEWFILE_ONLY) == 0 && write(f.fd, "x", 1) == 1)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(entries(), 0);
}

static void test_what_exists_is_not_replaced(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct sockeye__newfile f;

		file_write("old", "old");
		assert_int_equal(new_open(&f, "old", ways[i]), -EEXIST);
		sockeye__newfile_discard(&f);
		/* what comes meanwhile is not either, replaceable or not */
		for (int how = SOCKEYE__NEWFILE_ONLY; how <= SOCKEYE__NEWFILE_REPLACE; how++) {
			assert_int_equal(new_open(&f, "late", how | ways[i]), 0);
			put(f.fd, "mine");
			file_write("late", "another's");
			assert_int_equal(sockeye__newfile_commit(&f), -EEXIST);
			assert_string_equal(content("late"), "another's");
			assert_int_equal(entries(), 2);
			unlinkat(dir_fd, "late", 0);
		}
		assert_string_equal(content("old"), "old");
		clear();
	}
}

static void test_replaces(void **state)
{
	size_t before = fds_open();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct sockeye__newfile f;
		struct stat st;
		int reader;

		file_write("f", "old");
		assert_return_code(fchmodat(dir_fd, "f", 0640, 0), errno);
		if (geteuid() == 0)
			assert_return_code(fchownat(dir_fd, "f", 1234, 5678, 0), errno);
		reader = openat(dir_fd, "f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(new_open(&f, "f", SOCKEYE__NEWFILE_REPLACE | ways[i]), 0);
		assert_true(f.replaces);
		put(f.fd, "the new");
		assert_string_equal(content("f"), "old");
		assert_int_equal(sockeye__newfile_commit(&f), 0);
		assert_string_equal(content("f"), "the new");
		assert_int_equal(mode_of("f"), 0640);
		assert_int_equal(entries(), 1);
		assert_int_equal(fstat(reader, &st), 0); /* who reads the old one goes on */
		assert_int_equal(st.st_size, 3);
		close(reader);
		assert_int_equal(fstatat(dir_fd, "f", &st, 0), 0);
		if (geteuid() == 0)
			assert_true(st.st_uid == 1234 && st.st_gid == 5678);
		assert_int_equal(fds_open(), before);
		clear();
	}
}

static void test_discarded_replacement_keeps_the_old(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct sockeye__newfile f;

		file_write("f", "old");
		assert_int_equal(new_open(&f, "f", SOCKEYE__NEWFILE_REPLACE | ways[i]), 0);
		put(f.fd, "half of the n");
		sockeye__newfile_discard(&f);
		assert_string_equal(content("f"), "old");
		assert_int_equal(entries(), 1);
		clear();
	}
}

static void test_one_replacement_at_a_time(void **state)
{
	size_t before = fds_open();

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const int how = SOCKEYE__NEWFILE_REPLACE | ways[i];
		struct sockeye__newfile first, second;

		file_write("f", "old");
		assert_int_equal(new_open(&first, "f", how), 0);
		assert_int_equal(new_open(&second, "f", how), -EBUSY);
		put(first.fd, "1st");
		assert_int_equal(sockeye__newfile_commit(&first), 0);
		assert_int_equal(new_open(&second, "f", how),
				 0); /* then it is the next one's turn */
		sockeye__newfile_discard(&second);
		assert_int_equal(new_open(&second, "f", how), 0);
		assert_string_equal(content("f"), "1st");
		sockeye__newfile_discard(&second);
		assert_int_equal(fds_open(), before);
		clear();
	}
}

/* Who writes without asking for the lock wins, and whole. */
static void test_replaced_meanwhile(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const int how = SOCKEYE__NEWFILE_REPLACE | ways[i];
		struct sockeye__newfile f;

		file_write("f", "old");
		assert_int_equal(new_open(&f, "f", how), 0);
		file_write("other", "another's");
		assert_return_code(renameat(dir_fd, "other", dir_fd, "f"), errno);
		assert_int_equal(sockeye__newfile_commit(&f), -EBUSY);
		assert_string_equal(content("f"), "another's");
		assert_int_equal(entries(), 1);

		assert_int_equal(new_open(&f, "f", how), 0);
		unlinkat(dir_fd, "f", 0);
		put(f.fd, "mine");
		assert_int_equal(sockeye__newfile_commit(&f), 0);
		assert_string_equal(content("f"), "mine");

		assert_int_equal(new_open(&f, "f", how), 0);
		unlinkat(dir_fd, "f", 0);
		assert_return_code(symlinkat("elsewhere", dir_fd, "f"), errno);
		assert_int_equal(sockeye__newfile_commit(&f), -EBUSY);
		assert_false(exists("elsewhere"));
		clear();
	}
}

static void test_what_is_no_file(void **state)
{
	static const struct {
		const char *name;
		int err;
	} others[] = {
	    {"link", -ELOOP}, {"dangling", -ELOOP}, {"folder", -EISDIR}, {"pipe", -ENXIO}};
	struct sockeye__newfile f;
	size_t before = fds_open();

	(void)state;
	file_write("target", "old");
	assert_return_code(symlinkat("target", dir_fd, "link"), errno);
	assert_return_code(symlinkat("nowhere", dir_fd, "dangling"), errno);
	assert_return_code(mkdirat(dir_fd, "folder", 0777), errno);
	assert_return_code(mkfifoat(dir_fd, "pipe", 0666), errno);
	for (size_t i = 0; i < COUNT(others); i++) {
		assert_int_equal(new_open(&f, others[i].name, SOCKEYE__NEWFILE_REPLACE),
				 others[i].err);
		assert_int_equal(new_open(&f, others[i].name, SOCKEYE__NEWFILE_ONLY), -EEXIST);
	}
	assert_string_equal(content("target"), "old");
	assert_int_equal(entries(), 5);
	assert_int_equal(fds_open(), before);
	clear();
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "a/"};
	char name[NAME_MAX + 2];
	struct sockeye__newfile f;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(new_open(&f, bad[i], SOCKEYE__NEWFILE_ONLY), -EINVAL);
	memset(name, 'n', sizeof name);
	name[NAME_MAX + 1] = '\0';
	assert_int_equal(new_open(&f, name, SOCKEYE__NEWFILE_ONLY), -ENAMETOOLONG);
	name[NAME_MAX] = '\0';
	for (size_t i = 0; i < COUNT(ways); i++) {
		assert_int_equal(new_open(&f, name, ways[i]), 0);
		assert_int_equal(sockeye__newfile_commit(&f), 0);
		clear();
	}
}

static void test_mode_and_umask(void **state)
{
	mode_t old = umask(027);

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		struct sockeye__newfile f;

		assert_int_equal(new_open(&f, "f", ways[i]), 0);
		assert_int_equal(sockeye__newfile_commit(&f), 0);
		assert_int_equal(mode_of("f"), 0640);
		clear();
	}
	umask(old);
}

static void in_current_folder(void)
{
	struct sockeye__newfile f;

	assert_return_code(chdir(dir), errno);
	assert_int_equal(sockeye__newfile_open(&f, AT_FDCWD, "here", 0666, SOCKEYE__NEWFILE_ONLY),
			 0);
	assert_int_equal(sockeye__newfile_commit(&f), 0);
	assert_true(exists("here"));
}

static void test_current_folder(void **state)
{
	(void)state;
	in_child(in_current_folder);
	clear();
}

static void without_standard(void)
{
	struct sockeye__newfile f;

	close(0);
	close(1);
	assert_int_equal(new_open(&f, "f", SOCKEYE__NEWFILE_ONLY), 0);
	assert_true(f.fd > 2 && f.dir > 2);
	sockeye__newfile_discard(&f);
}

static void test_never_a_standard_descriptor(void **state)
{
	(void)state;
	in_child(without_standard);
}

static void test_removed_folder(void **state)
{
	struct sockeye__newfile f;

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		const enum sockeye__newfile_how how = (enum sockeye__newfile_how)ways[i];
		int own, err;

		assert_return_code(mkdirat(dir_fd, "d", 0777), errno);
		own = openat(dir_fd, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (ways[i] == 0) /* a named one keeps its folder in use */
			assert_int_equal(sockeye__newfile_open(&f, own, "f", 0666, how), 0);
		assert_return_code(unlinkat(dir_fd, "d", AT_REMOVEDIR), errno);
		if (ways[i] == 0)
			assert_int_equal(sockeye__newfile_commit(&f), -ENOENT);
		err = sockeye__newfile_open(&f, own, "f", 0666, how);
		assert_true(err == -ENOENT || err == -EPERM); /* the latter from ext4 */
		close(own);
	}
}

static bool proc_hidden(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/proc", "tmpfs", 0, NULL) == 0 && access("/proc/self", F_OK) < 0;
}

/* With or without AT_EMPTY_PATH, as root or not: a file is made. */
static void without_proc(void)
{
	struct sockeye__newfile f;

	if (!proc_hidden())
		_exit(CHILD_SKIPS);
	assert_return_code(fchmodat(AT_FDCWD, dir, 0777, 0), errno);
	for (int who = 0; who < 2; who++) {
		assert_int_equal(new_open(&f, "f", SOCKEYE__NEWFILE_ONLY), 0);
		put(f.fd, "whole");
		assert_int_equal(sockeye__newfile_commit(&f), 0);
		assert_string_equal(content("f"), "whole");
		assert_int_equal(entries(), 1);
		clear();
		assert_return_code(setresuid(65534, 65534, 65534), errno);
	}
}

static void test_without_proc(void **state)
{
	(void)state;
	in_child(without_proc);
}

/* A file system that has no O_TMPFILE, with no hint from the caller. */
static void on_ramfs(void)
{
	struct sockeye__newfile f;
	int own;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", dir, "ramfs", 0, NULL) < 0)
		_exit(CHILD_SKIPS);
	own = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int how = SOCKEYE__NEWFILE_ONLY; how <= SOCKEYE__NEWFILE_REPLACE; how++) {
		assert_int_equal(sockeye__newfile_open(&f, own, "f", 0666, how), 0);
		assert_int_equal(sockeye__newfile_commit(&f), 0);
	}
}

static void test_plain_file_systems(void **state)
{
	(void)state;
	in_child(on_ramfs);
}

static void full(void)
{
	static char octets[65536];
	struct sockeye__newfile f;
	ssize_t n;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", dir, "tmpfs", 0, "size=256k") < 0)
		_exit(CHILD_SKIPS);
	close(dir_fd);
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < COUNT(ways); i++) {
		file_write("f", "old");
		assert_int_equal(new_open(&f, "f", SOCKEYE__NEWFILE_REPLACE | ways[i]), 0);
		while ((n = write(f.fd, octets, sizeof octets)) > 0)
			;
		assert_int_equal(errno, ENOSPC);
		sockeye__newfile_discard(&f);
		assert_string_equal(content("f"), "old");
		assert_int_equal(entries(), 1);
		file_write("more", "there is room again");
		clear();
	}
}

static void test_disk_full(void **state)
{
	(void)state;
	in_child(full);
}

/* Many write the same name at once: what is there is always one of theirs, whole. */
#define WRITERS 4
#define ROUNDS  200

static void writer(int number)
{
	char text[32];

	for (int i = 0; i < ROUNDS; i++) {
		struct sockeye__newfile f;
		int err = new_open(
		    &f, "f", SOCKEYE__NEWFILE_REPLACE | ways[(size_t)(i + number) % COUNT(ways)]);

		if (err == -EBUSY)
			continue;
		if (err < 0)
			_exit(1);
		memset(text, 'a' + number, sizeof text);
		if (write(f.fd, text, sizeof text / 2) < 0 ||
		    write(f.fd, text, sizeof text / 2) < 0)
			_exit(2);
		err = sockeye__newfile_commit(&f);
		if (err < 0 && err != -EEXIST && err != -EBUSY)
			_exit(3);
	}
	_exit(0);
}

static void test_many_writers(void **state)
{
	pid_t pids[WRITERS];
	int status;

	(void)state;
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			writer(i);
	}
	for (int i = 0; i < WRITERS; i++) {
		while (waitpid(pids[i], &status, WNOHANG) == 0) {
			const char *text = content("f");

			if (text[0] != '\0') {
				assert_int_equal(strlen(text), 32);
				assert_int_equal(strspn(text, (char[]){text[0], '\0'}), 32);
			}
		}
		assert_int_equal(status, 0);
	}
	assert_int_equal(entries(), 1);
	clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_appears_at_commit),
	    cmocka_unit_test(test_discarded_leaves_nothing),
	    cmocka_unit_test(test_killed_leaves_nothing),
	    cmocka_unit_test(test_what_exists_is_not_replaced),
	    cmocka_unit_test(test_replaces),
	    cmocka_unit_test(test_discarded_replacement_keeps_the_old),
	    cmocka_unit_test(test_one_replacement_at_a_time),
	    cmocka_unit_test(test_replaced_meanwhile),
	    cmocka_unit_test(test_what_is_no_file),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_mode_and_umask),
	    cmocka_unit_test(test_current_folder),
	    cmocka_unit_test(test_never_a_standard_descriptor),
	    cmocka_unit_test(test_removed_folder),
	    cmocka_unit_test(test_without_proc),
	    cmocka_unit_test(test_plain_file_systems),
	    cmocka_unit_test(test_disk_full),
	    cmocka_unit_test(test_many_writers),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
