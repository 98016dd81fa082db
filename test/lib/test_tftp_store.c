/* The names of files that a TFTP server sends. */
#include "tree.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "proto/tftp_packet.h"
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
	row_report(state);
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

/* Returns TFTP's error code for a get, -1 if it succeeds. */
static int got(const char *name)
{
	struct sockeye__tftp_open_file *file;
	const char *text;
	int err = sockeye__tftp_store_get(&store, name, &file);

	if (err < 0)
		return sockeye__tftp_store_error(err, &text);
	sockeye__tftp_store_release(&store, file);
	return -1;
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

static void test_no_root(void **state)
{
	struct sockeye_fail why = {0};
	struct sockeye__tftp_store other = {0};
	char path[96];

	(void)state;
	file_write(tree.fd, "file", "x");
	snprintf(path, sizeof path, "%s/file", tree.path);
	config.root = path;
	assert_int_equal(sockeye__tftp_store_open(&other, &config, &why), -ENOTDIR);
	assert_string_equal(why.op, "open");
	assert_string_equal(why.address, path);
	config.root = "/nonexistent";
	assert_int_equal(sockeye__tftp_store_open(&other, &config, &why), -ENOENT);
	sockeye__tftp_store_close(&other);
}

static void socket_make(const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof un.sun_path, "%s/%s", tree.path, name);
	assert_return_code(bind(fd, (struct sockaddr *)&un, sizeof un), errno);
	close(fd);
}

static void test_which_files(void **state)
{
	char long_name[NAME_MAX + 2], beside[96];

	(void)state;
	file_write(tree.fd, "file", "text");
	file_write(tree.fd, "empty", "");
	folder_make(tree.fd, "folder");
	file_write(tree.fd, "folder/file", "below");
	link_make(tree.fd, "in", "folder/file");
	link_make(tree.fd, "in_folder", "folder");
	link_make(tree.fd, "out", "../../etc/passwd");
	link_make(tree.fd, "out_missing", "../nothing");
	link_make(tree.fd, "dangling", "nothing");
	link_make(tree.fd, "loop", "loop");
	assert_return_code(mkfifoat(tree.fd, "pipe", 0666), errno);
	link_make(tree.fd, "to_pipe", "pipe");
	socket_make("socket");
	memset(long_name, 'n', sizeof long_name);
	long_name[NAME_MAX + 1] = '\0';
	snprintf(beside, sizeof beside, "..%s-secret/x", tree.path + strlen("/tmp"));
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		store.by_hand = by_hand;
		assert_string_equal(text_got("file"), "text");
		assert_string_equal(text_got("empty"), "");
		assert_string_equal(text_got("folder/file"), "below");
		assert_string_equal(text_got("./folder//file"), "below");
		assert_string_equal(text_got("folder/../file"), "text");
		assert_string_equal(text_got("in"), "below");
		assert_string_equal(text_got("in_folder/file"), "below");
		assert_int_equal(got("missing"), SOCKEYE__TFTP_NOT_FOUND);
		assert_int_equal(got("missing/file"), SOCKEYE__TFTP_NOT_FOUND);
		assert_int_equal(got("dangling"), SOCKEYE__TFTP_NOT_FOUND);
		assert_int_equal(got("file/x"), SOCKEYE__TFTP_NOT_FOUND);
		assert_int_equal(got(""), SOCKEYE__TFTP_NOT_FOUND);
		assert_int_equal(got(long_name), SOCKEYE__TFTP_NOT_FOUND);
		assert_int_equal(got("folder"), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("."), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("pipe"),
				 SOCKEYE__TFTP_ACCESS); /* without waiting for a writer */
		assert_int_equal(got("to_pipe"), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("socket"), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("loop"), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("out"), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("out_missing"), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("../nothing"), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got(beside), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("folder/../../nothing"), SOCKEYE__TFTP_ACCESS);
		assert_int_equal(got("/etc/passwd"), SOCKEYE__TFTP_ACCESS);
	}
	assert_int_equal(store.files.count, 0);
}

static const char *own_name(const char *folder, bool upload, size_t cap)
{
	static char name[32];
	int err;

	snprintf(name, sizeof name, "f");
	err = sockeye__tftp_store_client_folder(&store, folder, upload, name, cap);
	return err == -ENAMETOOLONG ? "too long" : err == -EADDRNOTAVAIL ? "unknown" : name;
}

static void test_folders_of_clients(void **state)
{
	(void)state;
	folder_make(tree.fd, "192.0.2.1");
	link_make(tree.fd, "192.0.2.2", "192.0.2.1");
	link_make(tree.fd, "192.0.2.3", "..");
	file_write(tree.fd, "192.0.2.4", "a file");
	for (int by_hand = 0; by_hand < 2; by_hand++) {
		store.by_hand = by_hand;
		assert_string_equal(own_name("192.0.2.1", false, 12), "192.0.2.1/f");
		assert_string_equal(own_name("192.0.2.1", false, 11), "too long");
		assert_string_equal(own_name("192.0.2.2", false, 32), "192.0.2.2/f");
		assert_string_equal(own_name("192.0.2.3", false, 32), "f");
		assert_string_equal(own_name("192.0.2.4", false, 32), "f");
		assert_string_equal(own_name("192.0.2.5", false, 32), "f");
		assert_string_equal(own_name("", false, 32), "f");
		/* an upload never goes to the directory of all clients */
		assert_string_equal(own_name("", true, 32), "unknown");
		assert_string_equal(own_name("192.0.2.1", true, 32), "192.0.2.1/f");
		assert_string_equal(own_name("192.0.2.5", true, 32), "192.0.2.5/f");
		assert_string_equal(own_name("192.0.2.5", true, 11), "too long");
	}
}

static void test_devices(void **state)
{
	(void)state;
	if (mknodat(tree.fd, "device", S_IFCHR | 0666, makedev(1, 3)) < 0)
		skip();
	assert_int_equal(got("device"), SOCKEYE__TFTP_ACCESS);
}

static void as_nobody(void)
{
	if (geteuid() == 0)
		assert_return_code(setresuid(65534, 65534, 65534), errno);
	assert_int_equal(got("shut"), SOCKEYE__TFTP_ACCESS);
	assert_int_equal(got("shut_folder/file"), SOCKEYE__TFTP_ACCESS);
	assert_string_equal(text_got("open"), "x");
}

static void test_unreadable(void **state)
{
	(void)state;
	file_write(tree.fd, "open", "x");
	file_write(tree.fd, "shut", "x");
	folder_make(tree.fd, "shut_folder");
	file_write(tree.fd, "shut_folder/file", "x");
	assert_return_code(fchmodat(tree.fd, "shut", 0, 0), errno);
	assert_return_code(fchmodat(tree.fd, "shut_folder", 0, 0), errno);
	in_child(as_nobody);
	assert_return_code(fchmodat(tree.fd, "shut_folder", 0700, 0), errno);
}

/* A file that has not just changed is open once for all transfers. */
static void test_shared(void **state)
{
	struct sockeye__tftp_open_file *first, *second;
	uint64_t start = now_ms();
	size_t before = fds_open();

	(void)state;
	file_write(tree.fd, "file", "text");
	link_make(tree.fd, "link", "file");
	do { /* until the last change is older than a tick of the clock */
		assert_int_equal(sockeye__tftp_store_get(&store, "file", &first), 0);
		assert_int_equal(sockeye__tftp_store_get(&store, "link", &second), 0);
		assert_in_range(store.files.count, 1, 2);
		if (first == second)
			break;
		sockeye__tftp_store_release(&store, first);
		sockeye__tftp_store_release(&store, second);
	} while (now_ms() - start < LONG_MS);
	assert_ptr_equal(first, second);
	assert_int_equal(store.files.count, 1);
	assert_int_equal(fds_open(), before + 1);
	sockeye__tftp_store_release(&store, first);
	assert_int_equal(store.files.count, 1);
	assert_return_code(fchmodat(tree.fd, "file", 0640, 0), errno); /* changed: opened again */
	assert_int_equal(sockeye__tftp_store_get(&store, "file", &first), 0);
	assert_ptr_not_equal(first, second);
	sockeye__tftp_store_release(&store, first);
	sockeye__tftp_store_release(&store, second);
	assert_int_equal(fds_open(), before);
}

/* Requests after a change get the new file and earlier ones keep the old file, even
 * with the same size and within one tick of the clock. */
static void changes(void)
{
	struct sockeye__tftp_open_file *before;
	char text[32];

	file_write(tree.fd, "file", "0000");
	for (int i = 1; i < 500; i++) {
		assert_int_equal(sockeye__tftp_store_get(&store, "file", &before), 0);
		sockeye__tftp_open_file_read(&store.files, before, 0, text, 4);
		snprintf(text, sizeof text, "%04d", i);
		file_write(tree.fd, "file", text);
		assert_string_equal(text_got("file"), text);
		sockeye__tftp_store_release(&store, before);
	}
}

/* File times are not finer than the kernel's clock. */
static void changes_in_ramfs(void)
{
	tree_mount(&tree, "ramfs", "");
	sockeye__tftp_store_close(&store);
	store_open();
	changes();
}

static void test_changed(void **state)
{
	(void)state;
	changes();
}

static void test_changed_within_a_tick(void **state)
{
	(void)state;
	in_child(changes_in_ramfs);
}

static void test_renamed_over(void **state)
{
	struct sockeye__tftp_open_file *old;
	char text[16] = "";

	(void)state;
	file_write(tree.fd, "file", "old text");
	assert_int_equal(sockeye__tftp_store_get(&store, "file", &old), 0);
	file_write(tree.fd, "new", "new");
	assert_return_code(renameat(tree.fd, "new", tree.fd, "file"), errno);
	assert_int_equal(sockeye__tftp_open_file_read(&store.files, old, 4, text, 15), 4);
	assert_string_equal(text, "text");
	assert_string_equal(text_got("file"), "new");
	sockeye__tftp_store_release(&store, old);
}

/* Requests that arrive together share the lookup of the first. Later requests do
 * not. */
static void test_looked_up_once(void **state)
{
	struct sockeye__tftp_open_file *files[3];
	size_t before = fds_open();

	(void)state;
	file_write(tree.fd, "file", "old");
	file_write(tree.fd, "new", "new");
	sockeye__tftp_store_share(&store, true);
	assert_int_equal(sockeye__tftp_store_get(&store, "file", &files[0]), 0);
	assert_return_code(renameat(tree.fd, "new", tree.fd, "file"), errno);
	assert_int_equal(sockeye__tftp_store_get(&store, "file", &files[1]), 0);
	assert_ptr_equal(files[1], files[0]);
	assert_int_equal(got("other"), SOCKEYE__TFTP_NOT_FOUND);
	sockeye__tftp_store_share(&store, false);
	assert_int_equal(sockeye__tftp_store_get(&store, "file", &files[2]), 0);
	assert_ptr_not_equal(files[2], files[0]);
	assert_string_equal(text_got("file"), "new");
	for (int i = 0; i < 3; i++)
		sockeye__tftp_store_release(&store, files[i]);
	assert_int_equal(fds_open(), before);
}

static void root_make(const char *text)
{
	assert_return_code(mkdir(tree.path, 0777), errno);
	close(tree.fd);
	tree.fd = open(tree.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	file_write(tree.fd, "file", text);
}

static void test_root_is_replaced(void **state)
{
	size_t before = fds_open();
	int root = -1;

	(void)state;
	reopen(true, false, true);
	for (int i = 0; i < 4; i++) {
		store.by_hand = i % 2;
		tree_clear(&tree);
		assert_false(sockeye__tftp_store_replaced(&store));
		assert_int_equal(sockeye__tftp_store_look(&store, &root), 0);
		assert_return_code(rmdir(tree.path), errno);
		assert_false(sockeye__tftp_store_replaced(&store));
		assert_int_equal(sockeye__tftp_store_look(&store, &root), -ENOENT);
		assert_int_equal(got("file"), SOCKEYE__TFTP_NOT_FOUND);
		assert_true(put_text("new", "x") < 0);
		assert_true(put_text("folder/new", "x") < 0);
		root_make("back");
		assert_true(sockeye__tftp_store_replaced(&store));
		assert_int_equal(got("file"), SOCKEYE__TFTP_NOT_FOUND); /* keeps the old root */
		assert_true(put_text("new", "x") < 0);
		assert_int_equal(sockeye__tftp_store_look(&store, &root), 1);
		close(store.root);
		store.root = root;
		assert_false(sockeye__tftp_store_replaced(&store));
		assert_string_equal(text_got("file"), "back");
	}
	assert_int_equal(fds_open(), before);
}

static void no_descriptors(void)
{
	const struct rlimit none = {3, 3};
	struct sockeye__tftp_open_file *file;
	struct sockeye__atomic_file f;
	const char *text;

	reopen(true, false, false);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	assert_int_equal(sockeye__tftp_store_get(&store, "file", &file), -EMFILE);
	store.by_hand = true;
	assert_int_equal(sockeye__tftp_store_get(&store, "file", &file), -EMFILE);
	assert_int_equal(sockeye__tftp_store_put(&store, "new", NULL, &f), -EMFILE);
	assert_int_equal(sockeye__tftp_store_error(-EMFILE, &text), SOCKEYE__TFTP_UNDEFINED);
}

static void test_no_descriptors(void **state)
{
	(void)state;
	file_write(tree.fd, "file", "x");
	in_child(no_descriptors);
}

/* --- error codes and texts --- */

static void test_errors(void **state)
{
	static const struct {
		int err;
		uint16_t code;
	} errors[] = {
	    {-ENOENT, SOCKEYE__TFTP_NOT_FOUND}, {-ENAMETOOLONG, SOCKEYE__TFTP_NOT_FOUND},
	    {-EACCES, SOCKEYE__TFTP_ACCESS},    {-EXDEV, SOCKEYE__TFTP_ACCESS},
	    {-EROFS, SOCKEYE__TFTP_ACCESS},     {-EBUSY, SOCKEYE__TFTP_ACCESS},
	    {-ENOSPC, SOCKEYE__TFTP_DISK_FULL}, {-EDQUOT, SOCKEYE__TFTP_DISK_FULL},
	    {-EFBIG, SOCKEYE__TFTP_DISK_FULL},  {-EEXIST, SOCKEYE__TFTP_EXISTS},
	    {-EIO, SOCKEYE__TFTP_UNDEFINED},    {-12345, SOCKEYE__TFTP_UNDEFINED},
	};

	(void)state;
	FOR_ROWS(i, errors, "%d", errors[i].err) {
		const char *text = NULL;

		assert_int_equal(sockeye__tftp_store_error(errors[i].err, &text), errors[i].code);
		assert_in_range(strlen(text), 5, 40);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_no_root),
	    TEST(test_which_files),
	    TEST(test_folders_of_clients),
	    TEST(test_devices),
	    TEST(test_unreadable),
	    TEST(test_shared),
	    TEST(test_changed),
	    TEST(test_changed_within_a_tick),
	    TEST(test_renamed_over),
	    TEST(test_looked_up_once),
	    TEST(test_root_is_replaced),
	    TEST(test_no_descriptors),
	    TEST(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
