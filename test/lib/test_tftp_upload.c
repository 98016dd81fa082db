/* The files that uploads may make in the folder of a TFTP server. */
#include "deny.h"
#include "tree.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tftp/server/store.h"

static struct tree tree; /* the root */
static struct sockeye__tftp_store_config config;
static struct sockeye__tftp_store store;

static void store_open(void)
{
	struct sockeye_fail why;

	config.root = tree.path;
	assert_int_equal(sockeye__tftp_store_open(&store, &config, &why), 0);
}

static int setup(void **state)
{
	(void)state;
	config = (struct sockeye__tftp_store_config){0};
	tree_make(&tree);
	store_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sockeye__tftp_store_close(&store);
	tree_remove(&tree);
	return 0;
}

static void reopen(bool upload, bool overwrite, bool create)
{
	config.upload = upload;
	config.overwrite = overwrite;
	config.create = create;
	sockeye__tftp_store_close(&store);
	store_open();
}

static const char *text_got(const char *name)
{
	static char text[64];
	struct sockeye__tftp_open_file *file;
	ssize_t n;

	assert_int_equal(sockeye__tftp_store_get(&store, name, &file), 0);
	n = sockeye__tftp_open_file_read(&store.files, file, 0, text, sizeof text - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	sockeye__tftp_store_release(&store, file);
	return text;
}

static int put_text(const char *name, const char *text)
{
	struct sockeye__atomic_file f;
	int err = sockeye__tftp_store_put(&store, name, NULL, &f);

	if (err < 0)
		return err;
	assert_int_equal(write(f.fd, text, strlen(text)), strlen(text));
	return sockeye__atomic_file_commit(&f);
}

static int put_sized(const char *name, uint64_t size)
{
	struct sockeye__atomic_file f;
	int err = sockeye__tftp_store_put(&store, name, &size, &f);

	if (err == 0)
		sockeye__atomic_file_discard(&f);
	return err;
}

static void test_uploads_are_off(void **state)
{
	(void)state;
	assert_int_equal(put_text("new", "x"), -EROFS);
	assert_int_equal(tree_entries(&tree), 0);
}

static void test_new_files_only(void **state)
{
	size_t before = fds_open();

	(void)state;
	reopen(true, false, false);
	folder_make(tree.fd, "folder");
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		store.by_hand = by_hand;
		assert_int_equal(put_text("new", "text"), 0);
		assert_string_equal(file_text(tree.fd, "new"), "text");
		assert_int_equal(put_text("folder/./new", "below"), 0);
		assert_string_equal(file_text(tree.fd, "folder/new"), "below");
		assert_int_equal(put_text("new", "other"), -EEXIST);
		assert_string_equal(file_text(tree.fd, "new"), "text");
		assert_int_equal(put_text("missing/new", "x"), -ENOENT);
		assert_int_equal(put_text("new/x", "x"), -ENOTDIR);
		assert_int_equal(put_text("folder", "x"), -EEXIST);
		assert_int_equal(put_text("", "x"), -EINVAL);
		assert_int_equal(put_text("folder/", "x"), -EINVAL);
		assert_int_equal(put_text("folder/..", "x"), -EINVAL);
		unlinkat(tree.fd, "new", 0);
		unlinkat(tree.fd, "folder/new", 0);
	}
	assert_int_equal(fds_open(), before);
}

static void test_overwrite(void **state)
{
	struct sockeye__atomic_file first, second;

	(void)state;
	reopen(true, true, false);
	file_write(tree.fd, "file", "old");
	folder_make(tree.fd, "folder");
	assert_return_code(mkfifoat(tree.fd, "pipe", 0666), errno);
	assert_int_equal(put_text("file", "new"), 0);
	assert_string_equal(file_text(tree.fd, "file"), "new");
	assert_int_equal(put_text("other", "new"), 0);
	assert_int_equal(put_text("folder", "x"), -EISDIR);
	assert_int_equal(put_text("pipe", "x"), -ENXIO);
	assert_int_equal(sockeye__tftp_store_put(&store, "file", NULL, &first), 0);
	assert_int_equal(sockeye__tftp_store_put(&store, "file", NULL, &second), 0);
	assert_int_equal(sockeye__atomic_file_hold(&first), 0);
	assert_false(first.contested || second.contested);
	assert_int_equal(sockeye__atomic_file_hold(&second), 0);
	assert_true(second.contested);
	sockeye__atomic_file_discard(&second);
	assert_int_equal(sockeye__tftp_store_put(&store, "file", NULL, &second), 0);
	assert_true(second.contested);
	sockeye__atomic_file_discard(&second);
	sockeye__atomic_file_discard(&first);
	assert_string_equal(file_text(tree.fd, "file"), "new");
}

static void test_not_through_links(void **state)
{
	char outside[] = "/tmp/sockeye-out-XXXXXX";
	int out;

	(void)state;
	reopen(true, true, true);
	assert_non_null(mkdtemp(outside));
	out = open(outside, O_PATH | O_DIRECTORY | O_CLOEXEC);
	folder_make(tree.fd, "folder");
	file_write(tree.fd, "folder/file", "old");
	link_make(tree.fd, "link", "folder/file");
	link_make(tree.fd, "dangling", "folder/new");
	link_make(tree.fd, "folder_link", "folder");
	link_make(tree.fd, "out", outside);
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		store.by_hand = by_hand;
		assert_int_equal(put_text("link", "x"), -ELOOP);
		assert_int_equal(put_text("dangling", "x"), -ELOOP);
		assert_int_equal(put_text("folder_link/new", "x"), -ELOOP);
		assert_int_equal(put_text("out/new", "x"), -ELOOP);
		assert_int_equal(put_text("out/made/new", "x"), -ELOOP);
		assert_int_equal(put_text("../new", "x"), -EXDEV);
		assert_int_equal(put_text("folder/../../new", "x"), -EXDEV);
		assert_int_equal(put_text("/tmp/new", "x"), -EXDEV);
	}
	assert_string_equal(file_text(tree.fd, "folder/file"), "old");
	assert_false(name_exists(tree.fd, "folder/new"));
	close(out);
	assert_return_code(rmdir(outside), errno); /* it is empty */
}

/* Begins an upload that must succeed. */
static struct sockeye__atomic_file begun(const char *name)
{
	struct sockeye__atomic_file f;

	assert_int_equal(sockeye__tftp_store_put(&store, name, NULL, &f), 0);
	return f;
}

static void test_folders_of_failed_uploads(void **state)
{
	struct sockeye__atomic_file f;
	char name[300] = "";
	size_t before;

	(void)state;
	reopen(true, true, true);
	before = fds_open();
	f = begun("a/./b//c/file");
	assert_true(name_exists(tree.fd, "a/b/c"));
	sockeye__atomic_file_discard(&f);
	assert_int_equal(tree_entries(&tree), 0);
	assert_int_equal(put_text("made/../new", "x"), -EXDEV);
	memset(name, 'x', sizeof name - 1);
	memcpy(name, "made/more/", 10);
	assert_int_equal(put_text(name, "x"), -ENAMETOOLONG);
	assert_int_equal(put_text("made/more/", "x"), -EINVAL);
	assert_int_equal(tree_entries(&tree), 0);
	/* existing folders stay, empty or not */
	folder_make(tree.fd, "old");
	f = begun("old/a/file");
	sockeye__atomic_file_discard(&f);
	assert_true(name_exists(tree.fd, "old"));
	assert_false(name_exists(tree.fd, "old/a"));
	f = begun("old/a/b/file");
	file_write(tree.fd, "old/a/other", "x");
	sockeye__atomic_file_discard(&f);
	assert_true(name_exists(tree.fd, "old/a/other"));
	assert_false(name_exists(tree.fd, "old/a/b"));
	/* and so do the folders of the new name */
	f = begun("c/file");
	file_write(tree.fd, "c/file", "x");
	assert_int_equal(sockeye__atomic_file_commit(&f), -EEXIST);
	assert_string_equal(file_text(tree.fd, "c/file"), "x");
	assert_int_equal(fds_open(), before);
}

/* Another upload uses the folder, but its file has no name yet. */
static void test_folders_of_two_uploads(void **state)
{
	struct sockeye__atomic_file first, second;

	(void)state;
	reopen(true, false, true);
	for (int deeper = 0; deeper < 2; deeper++) {
		first = begun(deeper ? "a/b/first" : "a/first");
		second = begun("a/second");
		sockeye__atomic_file_discard(&first);
		assert_false(name_exists(tree.fd, "a/b"));
		assert_int_equal(sockeye__atomic_file_commit(&second), 0);
		assert_true(name_exists(tree.fd, "a/second"));
		tree_clear(&tree);
	}
	first = begun("a/first");
	second = begun("a/b/second"); /* in folders that the first upload made */
	sockeye__atomic_file_discard(&first);
	assert_true(name_exists(tree.fd, "a/b"));
	sockeye__atomic_file_discard(&second);
	assert_false(name_exists(tree.fd, "a/b"));
}

/* In another process, like a second worker. */
static void test_folders_of_many_uploads(void **state)
{
	struct sockeye__atomic_file f;
	pid_t parent = getpid(), child;

	(void)state;
	reopen(true, true, true);
	child = fork();
	assert_return_code(child, errno);
	if (child == 0) {
		while (getppid() == parent)
			if (sockeye__tftp_store_put(&store, "a/b/broken", NULL, &f) == 0)
				sockeye__atomic_file_discard(&f);
		_exit(0);
	}
	for (int i = 0; i < 400; i++) {
		int err = sockeye__tftp_store_put(&store, "a/b/whole", NULL, &f);

		if (err == -EAGAIN) /* the other process is removing the folders */
			continue;
		assert_int_equal(err, 0);
		assert_int_equal(sockeye__atomic_file_commit(&f), 0);
		assert_return_code(unlinkat(tree.fd, "a/b/whole", 0), errno);
		(void)unlinkat(tree.fd, "a/b", AT_REMOVEDIR);
		(void)unlinkat(tree.fd, "a", AT_REMOVEDIR);
	}
	assert_return_code(kill(child, SIGKILL), errno);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_create(void **state)
{
	char deep[PATH_MAX] = "";
	size_t before;

	(void)state;
	reopen(true, false, true);
	before = fds_open();
	assert_int_equal(put_text("a/b//c/file", "x"), 0);
	assert_string_equal(file_text(tree.fd, "a/b/c/file"), "x");
	assert_int_equal(put_text("a/b/c/file", "x"), -EEXIST);
	assert_int_equal(put_text("a/b/c/file/x", "x"), -ENOTDIR);
	assert_int_equal(put_text("made/../../x", "x"), -EXDEV);
	for (int i = 0; i < 200; i++)
		strcat(deep, "d/");
	strcat(deep, "file");
	assert_int_equal(put_text(deep, "x"), 0);
	assert_int_equal(fds_open(), before);
}

static void modes(void)
{
	umask(022);
	config.umask = 0;
	config.has_umask = false;
	reopen(true, true, true);
	assert_int_equal(put_text("a/file", "x"), 0);
	assert_int_equal(mode_of(tree.fd, "a"), 0755);
	assert_int_equal(mode_of(tree.fd, "a/file"), 0644);
	config.umask = 007;
	config.has_umask = true;
	reopen(true, true, true);
	assert_int_equal(put_text("b/file", "x"), 0);
	assert_int_equal(mode_of(tree.fd, "b"), 0770);
	assert_int_equal(mode_of(tree.fd, "b/file"), 0660);
	assert_int_equal(put_text("a/file", "x"), 0); /* an existing folder keeps its mode */
	assert_int_equal(mode_of(tree.fd, "a/file"), 0644);
}

static void test_umask(void **state)
{
	(void)state;
	in_child(modes);
}

static void test_announced_size(void **state)
{
	(void)state;
	config.upload_max = 1000;
	reopen(true, false, true);
	assert_int_equal(put_sized("new", 0), 0);
	assert_int_equal(put_sized("new", 1000), 0);
	assert_int_equal(put_sized("new", 1001), -EFBIG);
	assert_int_equal(put_sized("new", UINT64_MAX), -EFBIG);
	config.upload_max = 0;
	reopen(true, false, true);
	assert_int_equal(put_sized("new", UINT64_MAX), -ENOSPC);
	assert_int_equal(put_sized("a/b/new", UINT64_MAX), -ENOSPC);
	assert_int_equal(tree_entries(&tree), 0); /* and makes no folders */
}

static void full(void)
{
	static char bytes[65536];
	struct sockeye__atomic_file f;
	ssize_t n;

	tree_mount(&tree, "tmpfs", "size=256k");
	reopen(true, true, false);
	file_write(tree.fd, "file", "old");
	assert_int_equal(put_sized("file", 256 * 1024), -ENOSPC);
	assert_int_equal(put_sized("file", 128 * 1024), 0);
	assert_int_equal(sockeye__tftp_store_put(&store, "file", NULL, &f), 0);
	while ((n = write(f.fd, bytes, sizeof bytes)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	sockeye__atomic_file_discard(&f);
	assert_string_equal(file_text(tree.fd, "file"), "old");
	assert_int_equal(tree_entries(&tree), 1);
	assert_int_equal(put_sized("file", 128 * 1024), 0);
}

static void test_disk_full(void **state)
{
	(void)state;
	in_child(full);
}

static void confined(void)
{
	reopen(true, true, true);
	confine(tree.fd);
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		store.by_hand = by_hand;
		assert_string_equal(text_got("file"), "old");
		assert_int_equal(put_text(by_hand ? "a/b/new" : "c/new", "new"), 0);
		assert_int_equal(put_sized("d/e/new", 1), 0);
		assert_false(name_exists(tree.fd, "d"));
	}
	assert_int_equal(put_text("file", "new"), 0);
	assert_string_equal(text_got("file"), "new");
}

static void test_under_landlock(void **state)
{
	(void)state;
	file_write(tree.fd, "file", "old");
	in_child(confined);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_uploads_are_off),
	    TEST(test_new_files_only),
	    TEST(test_overwrite),
	    TEST(test_not_through_links),
	    TEST(test_folders_of_failed_uploads),
	    TEST(test_folders_of_two_uploads),
	    TEST(test_folders_of_many_uploads),
	    TEST(test_create),
	    TEST(test_umask),
	    TEST(test_announced_size),
	    TEST(test_disk_full),
	    TEST(test_under_landlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
