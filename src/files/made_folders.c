/* made_folders.c: the directories that were made for a new file (made_folders.h). */
#include "files/made_folders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER      (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) /* can be locked */
#define FOLDER_PATH (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

int sockeye__made_folders_add(struct sockeye__made_folders *m, int dir, const char *name)
{
	size_t len = strlen(name) + 1;
	char *names;
	int kept = m->dir;

	if (m->count == SOCKEYE__MADE_FOLDERS_MAX)
		return -ENAMETOOLONG;
	if (m->count == 0)
		kept = fcntl(dir, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (kept < 0)
		return -errno;
	names = realloc(m->names, m->len + len);
	if (names == NULL) {
		if (m->count == 0)
			close(kept);
		return -ENOMEM;
	}
	memcpy(names + m->len, name, len);
	m->names = names;
	m->len += len;
	m->dir = kept;
	m->count++;
	return 0;
}

void sockeye__made_folders_keep(struct sockeye__made_folders *m)
{
	if (m->count == 0)
		return;
	close(m->dir);
	free(m->names);
	*m = (struct sockeye__made_folders){0};
}

/* Writes the entries of the directory `dir` to the disk. A directory that cannot be read
 * cannot be synchronized. */
static int entries_sync(int dir)
{
	int fd = openat(dir, ".", FOLDER), err = 0;

	if (fd < 0)
		return errno == EACCES ? 0 : -errno;
	if (fsync(fd) < 0 && errno != EINVAL)
		err = -errno;
	close(fd);
	return err;
}

int sockeye__made_folders_sync(const struct sockeye__made_folders *m)
{
	const char *name = m->names;
	int dir = m->dir, err = 0;

	for (size_t i = 0; i < m->count && err == 0; i++) {
		int next;

		err = entries_sync(dir);
		next = err == 0 ? openat(dir, name, FOLDER_PATH) : -1;
		if (err == 0 && next < 0)
			err = -errno;
		if (i > 0)
			close(dir);
		dir = next;
		name += strlen(name) + 1;
	}
	if (m->count > 0 && dir >= 0)
		close(dir);
	return err;
}

/* Keeps each directory open instead of using "..": another process may have moved one
 * of them. */
void sockeye__made_folders_undo(struct sockeye__made_folders *m)
{
	int dirs[SOCKEYE__MADE_FOLDERS_MAX + 1] = {m->dir};
	const char *names[SOCKEYE__MADE_FOLDERS_MAX], *name = m->names;
	size_t depth = 0;
	bool removed = true;

	while (depth < m->count) {
		int fd = openat(dirs[depth], name, FOLDER);

		if (fd < 0)
			break;
		names[depth++] = name;
		dirs[depth] = fd;
		name += strlen(name) + 1;
	}
	for (; depth > 0; depth--) {
		removed = removed && flock(dirs[depth], LOCK_EX | LOCK_NB) == 0 &&
			  unlinkat(dirs[depth - 1], names[depth - 1], AT_REMOVEDIR) == 0;
		close(dirs[depth]);
	}
	sockeye__made_folders_keep(m);
}

int sockeye__made_folders_hold(int dir)
{
	int fd = openat(dir, ".", FOLDER), err = 0;
	struct stat st;

	if (fd < 0)
		return dir;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		err = -EAGAIN;
	else if (fstat(fd, &st) == 0 &&
		 st.st_nlink == 0) /* checked under the lock, so that it stays true */
		err = -ENOENT;
	close(dir);
	if (err == 0)
		return fd;
	close(fd);
	return err;
}
