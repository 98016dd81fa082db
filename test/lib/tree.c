#include "tree.h"

#include <dirent.h>
#include <ftw.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

void tree_make(struct tree *t)
{
	strcpy(t->path, "/tmp/sockeye-XXXXXX");
	assert_non_null(mkdtemp(t->path));
	assert_return_code(chmod(t->path, 0777), errno);
	t->fd = open(t->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(t->fd, errno);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	return at->level > 0 ? remove(path) : 0;
}

void tree_clear(const struct tree *t)
{
	assert_int_equal(nftw(t->path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), 0);
}

void tree_remove(struct tree *t)
{
	tree_clear(t);
	close(t->fd);
	assert_return_code(rmdir(t->path), errno);
}

size_t tree_entries(const struct tree *t)
{
	DIR *d = opendir(t->path);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(d);
	return count;
}

void file_write(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

const char *file_text(int dir, const char *name)
{
	static char text[64];
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

bool name_exists(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

mode_t mode_of(int dir, const char *name)
{
	struct stat st;

	assert_return_code(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), errno);
	return st.st_mode & ALLPERMS;
}

void folder_make(int dir, const char *name)
{
	assert_return_code(mkdirat(dir, name, 0777), errno);
}

void link_make(int dir, const char *name, const char *target)
{
	assert_return_code(symlinkat(target, dir, name), errno);
}

void tree_mount(struct tree *t, const char *type, const char *options)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", t->path, type, 0, options) < 0)
		_exit(CHILD_SKIPS);
	close(t->fd);
	t->fd = open(t->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}
