/* Files that appear complete or not at all. */
#include "tree.h"

#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

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

static void test_appears_at_commit(void **state)
{
	size_t before = fds_open();

	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		struct sockeye__atomic_file f;

		assert_int_equal(new_open(&f, "new", ways[i]), 0);
		assert_true(f.fd > 2 && is_cloexec(f.fd) && is_cloexec(f.dir));
		assert_false(f.replaces);
		assert_int_equal(tree_entries(&tree), ways[i] == 0 ? 0 : 1);
		put(f.fd, "all of it");
		assert_false(name_exists(tree.fd, "new"));
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		assert_string_equal(file_text(tree.fd, "new"), "all of it");
		assert_int_equal(tree_entries(&tree), 1);
		assert_int_equal(fds_open(), before);
		tree_clear(&tree);
	}
}

static void test_discarded_leaves_nothing(void **state)
{
	size_t before = fds_open();

	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		struct sockeye__atomic_file f;

		assert_int_equal(new_open(&f, "new", ways[i]), 0);
		put(f.fd, "half");
		sockeye__atomic_file_discard(&f);
		assert_int_equal(tree_entries(&tree), 0);
		sockeye__atomic_file_discard(&f);
	}
	sockeye__atomic_file_discard(&(struct sockeye__atomic_file){0});
	assert_int_equal(fds_open(), before);
}

static void test_killed_leaves_nothing(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sockeye__atomic_file f;

		if (new_open(&f, "new", SOCKEYE__ATOMIC_FILE_NEW) == 0 && write(f.fd, "x", 1) == 1)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(tree_entries(&tree), 0);
}

static void test_what_exists_is_not_replaced(void **state)
{
	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		struct sockeye__atomic_file f;

		file_write(tree.fd, "old", "old");
		assert_int_equal(new_open(&f, "old", ways[i]), -EEXIST);
		sockeye__atomic_file_discard(&f);
		/* nor is a file replaced that was created meanwhile */
		for (int how = SOCKEYE__ATOMIC_FILE_NEW; how <= SOCKEYE__ATOMIC_FILE_REPLACE;
		     how++) {
			assert_int_equal(new_open(&f, "late", how | ways[i]), 0);
			put(f.fd, "mine");
			file_write(tree.fd, "late", "another's");
			assert_int_equal(sockeye__atomic_file_commit(&f), -EEXIST);
			assert_string_equal(file_text(tree.fd, "late"), "another's");
			assert_int_equal(tree_entries(&tree), 2);
			unlinkat(tree.fd, "late", 0);
		}
		assert_string_equal(file_text(tree.fd, "old"), "old");
		tree_clear(&tree);
	}
}

static void test_replaces(void **state)
{
	size_t before = fds_open();

	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		struct sockeye__atomic_file f;
		struct stat st;
		int reader;

		file_write(tree.fd, "f", "old");
		assert_return_code(fchmodat(tree.fd, "f", 0640, 0), errno);
		if (geteuid() == 0)
			assert_return_code(fchownat(tree.fd, "f", 1234, 5678, 0), errno);
		reader = openat(tree.fd, "f", O_RDONLY | O_CLOEXEC);
		assert_int_equal(new_open(&f, "f", SOCKEYE__ATOMIC_FILE_REPLACE | ways[i]), 0);
		assert_true(f.replaces);
		put(f.fd, "the new");
		assert_string_equal(file_text(tree.fd, "f"), "old");
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		assert_string_equal(file_text(tree.fd, "f"), "the new");
		assert_int_equal(mode_of(tree.fd, "f"), 0640);
		assert_int_equal(tree_entries(&tree), 1);
		assert_int_equal(fstat(reader, &st), 0); /* readers keep the old file */
		assert_int_equal(st.st_size, 3);
		close(reader);
		assert_int_equal(fstatat(tree.fd, "f", &st, 0), 0);
		if (geteuid() == 0)
			assert_true(st.st_uid == 1234 && st.st_gid == 5678);
		assert_int_equal(fds_open(), before);
		tree_clear(&tree);
	}
}

static void test_discarded_replacement_keeps_the_old(void **state)
{
	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		struct sockeye__atomic_file f;

		file_write(tree.fd, "f", "old");
		assert_int_equal(new_open(&f, "f", SOCKEYE__ATOMIC_FILE_REPLACE | ways[i]), 0);
		put(f.fd, "half of the n");
		sockeye__atomic_file_discard(&f);
		assert_string_equal(file_text(tree.fd, "f"), "old");
		assert_int_equal(tree_entries(&tree), 1);
		tree_clear(&tree);
	}
}

static void test_one_replacement_at_a_time(void **state)
{
	size_t before = fds_open();

	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		const int how = SOCKEYE__ATOMIC_FILE_REPLACE | ways[i];
		struct sockeye__atomic_file first, second;

		file_write(tree.fd, "f", "old");
		assert_int_equal(new_open(&first, "f", how), 0);
		assert_int_equal(new_open(&second, "f", how), -EBUSY);
		put(first.fd, "1st");
		assert_int_equal(sockeye__atomic_file_commit(&first), 0);
		assert_int_equal(new_open(&second, "f", how), 0); /* the lock is free again */
		sockeye__atomic_file_discard(&second);
		assert_int_equal(new_open(&second, "f", how), 0);
		assert_string_equal(file_text(tree.fd, "f"), "1st");
		sockeye__atomic_file_discard(&second);
		assert_int_equal(fds_open(), before);
		tree_clear(&tree);
	}
}

/* A process that ignores the lock and replaces the file wins. */
static void test_replaced_meanwhile(void **state)
{
	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		const int how = SOCKEYE__ATOMIC_FILE_REPLACE | ways[i];
		struct sockeye__atomic_file f;

		file_write(tree.fd, "f", "old");
		assert_int_equal(new_open(&f, "f", how), 0);
		file_write(tree.fd, "other", "another's");
		assert_return_code(renameat(tree.fd, "other", tree.fd, "f"), errno);
		assert_int_equal(sockeye__atomic_file_commit(&f), -EBUSY);
		assert_string_equal(file_text(tree.fd, "f"), "another's");
		assert_int_equal(tree_entries(&tree), 1);

		assert_int_equal(new_open(&f, "f", how), 0);
		unlinkat(tree.fd, "f", 0);
		put(f.fd, "mine");
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		assert_string_equal(file_text(tree.fd, "f"), "mine");

		assert_int_equal(new_open(&f, "f", how), 0);
		unlinkat(tree.fd, "f", 0);
		link_make(tree.fd, "f", "elsewhere");
		assert_int_equal(sockeye__atomic_file_commit(&f), -EBUSY);
		assert_false(name_exists(tree.fd, "elsewhere"));
		tree_clear(&tree);
	}
}

static void test_what_is_no_file(void **state)
{
	static const struct {
		const char *name;
		int err;
	} others[] = {
	    {"link", -ELOOP}, {"dangling", -ELOOP}, {"folder", -EISDIR}, {"pipe", -ENXIO}};
	struct sockeye__atomic_file f;
	size_t before = fds_open();

	(void)state;
	file_write(tree.fd, "target", "old");
	link_make(tree.fd, "link", "target");
	link_make(tree.fd, "dangling", "nowhere");
	folder_make(tree.fd, "folder");
	assert_return_code(mkfifoat(tree.fd, "pipe", 0666), errno);
	FOR_ROWS(i, others, "%s", others[i].name) {
		assert_int_equal(new_open(&f, others[i].name, SOCKEYE__ATOMIC_FILE_REPLACE),
				 others[i].err);
		assert_int_equal(new_open(&f, others[i].name, SOCKEYE__ATOMIC_FILE_NEW), -EEXIST);
	}
	assert_string_equal(file_text(tree.fd, "target"), "old");
	assert_int_equal(tree_entries(&tree), 5);
	assert_int_equal(fds_open(), before);
	tree_clear(&tree);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "a/"};
	char name[NAME_MAX + 2];
	struct sockeye__atomic_file f;

	(void)state;
	FOR_ROWS(i, bad, "%s", bad[i])
		assert_int_equal(new_open(&f, bad[i], SOCKEYE__ATOMIC_FILE_NEW), -EINVAL);
	memset(name, 'n', sizeof name);
	name[NAME_MAX + 1] = '\0';
	assert_int_equal(new_open(&f, name, SOCKEYE__ATOMIC_FILE_NEW), -ENAMETOOLONG);
	name[NAME_MAX] = '\0';
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		assert_int_equal(new_open(&f, name, ways[i]), 0);
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		tree_clear(&tree);
	}
}

static void test_mode_and_umask(void **state)
{
	mode_t old = umask(027);

	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		struct sockeye__atomic_file f;

		assert_int_equal(new_open(&f, "f", ways[i]), 0);
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		assert_int_equal(mode_of(tree.fd, "f"), 0640);
		tree_clear(&tree);
	}
	umask(old);
}

static void in_current_folder(void)
{
	struct sockeye__atomic_file f;

	assert_return_code(chdir(tree.path), errno);
	assert_int_equal(
	    sockeye__atomic_file_open(&f, AT_FDCWD, "here", 0666, SOCKEYE__ATOMIC_FILE_NEW), 0);
	assert_int_equal(sockeye__atomic_file_commit(&f), 0);
	assert_true(name_exists(tree.fd, "here"));
}

static void test_current_folder(void **state)
{
	(void)state;
	in_child(in_current_folder);
	tree_clear(&tree);
}

static void without_standard(void)
{
	struct sockeye__atomic_file f;

	close(0);
	close(1);
	assert_int_equal(new_open(&f, "f", SOCKEYE__ATOMIC_FILE_NEW), 0);
	assert_true(f.fd > 2 && f.dir > 2);
	sockeye__atomic_file_discard(&f);
}

static void test_never_a_standard_descriptor(void **state)
{
	(void)state;
	in_child(without_standard);
}

static void test_removed_folder(void **state)
{
	struct sockeye__atomic_file f;

	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		const enum sockeye__atomic_file_how how = (enum sockeye__atomic_file_how)ways[i];
		int dir, err;

		folder_make(tree.fd, "d");
		dir = openat(tree.fd, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (ways[i] == 0) /* a named file keeps its folder from being removed */
			assert_int_equal(sockeye__atomic_file_open(&f, dir, "f", 0666, how), 0);
		assert_return_code(unlinkat(tree.fd, "d", AT_REMOVEDIR), errno);
		if (ways[i] == 0)
			assert_int_equal(sockeye__atomic_file_commit(&f), -ENOENT);
		err = sockeye__atomic_file_open(&f, dir, "f", 0666, how);
		assert_true(err == -ENOENT || err == -EPERM); /* EPERM: ext4 */
		close(dir);
	}
}

/* A writable file in a directory that is not writable. */
static void test_in_place(void **state)
{
	const int how = SOCKEYE__ATOMIC_FILE_REPLACE;
	struct sockeye__atomic_file f;
	struct stat before, after;
	bool root = geteuid() == 0;

	(void)state;
	file_write(tree.fd, "f", "the old content");
	file_write(tree.fd, "read-only", "old");
	assert_return_code(fchmodat(tree.fd, "f", 0666, 0), errno);
	assert_return_code(fchmodat(tree.fd, "read-only", 0444, 0), errno);
	assert_return_code(fstatat(tree.fd, "f", &before, 0), errno);
	assert_return_code(chmod(tree.path, 0555), errno);
	if (root)
		assert_return_code(seteuid(65534), errno);
	assert_int_equal(new_open(&f, "f", how), -EACCES); /* only on request */
	assert_int_equal(new_open(&f, "read-only", how | SOCKEYE__ATOMIC_FILE_IN_PLACE), -EACCES);
	assert_int_equal(new_open(&f, "new", how | SOCKEYE__ATOMIC_FILE_IN_PLACE), -EACCES);
	assert_int_equal(new_open(&f, "f", how | SOCKEYE__ATOMIC_FILE_IN_PLACE), 0);
	assert_true(f.in_place && f.fd > 2 && is_cloexec(f.fd));
	put(f.fd, "new");
	f.len = 3;
	assert_int_equal(sockeye__atomic_file_commit(&f), 0);
	if (root)
		assert_return_code(seteuid(0), errno);
	assert_return_code(chmod(tree.path, 0777), errno);
	assert_string_equal(file_text(tree.fd, "f"), "new");
	assert_string_equal(file_text(tree.fd, "read-only"), "old");
	assert_return_code(fstatat(tree.fd, "f", &after, 0), errno);
	assert_int_equal(before.st_ino, after.st_ino);
	/* in a directory that is writable the file is replaced */
	assert_int_equal(new_open(&f, "f", how | SOCKEYE__ATOMIC_FILE_IN_PLACE), 0);
	assert_false(f.in_place);
	sockeye__atomic_file_discard(&f);
	tree_clear(&tree);
}

/* Programs that watch the directory see a new file once, complete, under its name. */
static void test_watchers(void **state)
{
	(void)state;
	FOR_ROWS(i, ways, "flags %#x", (unsigned)ways[i]) {
		char events[4096] __attribute__((aligned(8)));
		struct sockeye__atomic_file f;
		int watch = inotify_init1(IN_NONBLOCK), moved = 0;
		ssize_t len;

		assert_true(inotify_add_watch(watch, tree.path, IN_MOVED_TO) >= 0);
		assert_int_equal(new_open(&f, "new", ways[i]), 0);
		put(f.fd, "all");
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		len = read(watch, events, sizeof events);
		for (ssize_t at = 0; at < len;) {
			const struct inotify_event *event = (const void *)(events + at);

			assert_string_equal(event->name, "new");
			moved++;
			at += (ssize_t)(sizeof *event + event->len);
		}
		assert_int_equal(moved, 1);
		close(watch);
		tree_clear(&tree);
	}
}

/* Several processes write the same name at once. The file is always complete. */
#define WRITERS 4
#define ROUNDS  200

static void writer(int number)
{
	char text[32];

	for (int i = 0; i < ROUNDS; i++) {
		struct sockeye__atomic_file f;
		int err = new_open(&f, "f",
				   SOCKEYE__ATOMIC_FILE_REPLACE |
				       ways[(size_t)(i + number) % COUNT(ways)]);

		if (err == -EBUSY)
			continue;
		if (err < 0)
			_exit(1);
		memset(text, 'a' + number, sizeof text);
		if (write(f.fd, text, sizeof text / 2) < 0 ||
		    write(f.fd, text, sizeof text / 2) < 0)
			_exit(2);
		err = sockeye__atomic_file_commit(&f);
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
			const char *text = file_text(tree.fd, "f");

			if (text[0] != '\0') {
				assert_int_equal(strlen(text), 32);
				assert_int_equal(strspn(text, (char[]){text[0], '\0'}), 32);
			}
		}
		assert_int_equal(status, 0);
	}
	assert_int_equal(tree_entries(&tree), 1);
	tree_clear(&tree);
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
	    cmocka_unit_test(test_many_writers),
	    cmocka_unit_test(test_in_place),
	    cmocka_unit_test(test_watchers),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
