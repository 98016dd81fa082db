/* atomic_file.c: creates files that become visible only when they are complete
 * (atomic_file.h). */
#include "files/atomic_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"

#define TRIES 16 /* attempts while other processes create and remove the same names */

static int dir_open(int dir_fd)
{
	if (dir_fd == AT_FDCWD)
		return sockeye__fd_above_stdio(
		    openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
	return sockeye__fd_above_stdio(fcntl(dir_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

static int temp_name(struct sockeye__atomic_file *f)
{
	uint64_t number;

	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return -errno;
	snprintf(f->temp, sizeof f->temp, ".sockeye-%016" PRIx64, number);
	return 0;
}

/* --- a file without a name --- */

static int link_as(const struct sockeye__atomic_file *f, const char *name)
{
	char path[32];
	int done;

	snprintf(path, sizeof path, "/proc/self/fd/%d", f->fd);
	done = f->by_proc ? linkat(AT_FDCWD, path, f->dir, name, AT_SYMLINK_FOLLOW)
			  : linkat(f->fd, "", f->dir, name, AT_EMPTY_PATH);
	return done < 0 ? -errno : 0;
}

/* Determines how this process can link the file. Returns false if it cannot link it.
 * AT_EMPTY_PATH needs Linux 6.10 or a capability, the other method needs /proc. The
 * trial links to ".", which fails with EEXIST only if the kernel has found the file. */
static bool can_link(struct sockeye__atomic_file *f)
{
	f->by_proc = false;
	if (link_as(f, ".") == -EEXIST)
		return true;
	f->by_proc = true;
	return link_as(f, ".") == -EEXIST;
}

static bool cannot_be_unnamed(int err)
{
	return err == -EOPNOTSUPP || err == -EISDIR || err == -EINVAL; /* O_TMPFILE in open(2) */
}

static int unnamed_open(struct sockeye__atomic_file *f, mode_t mode)
{
	f->fd =
	    sockeye__fd_above_stdio(openat(f->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
	if (f->fd < 0)
		return f->fd;
	if (can_link(f))
		return 0;
	close(f->fd);
	f->fd = -1;
	return -EOPNOTSUPP;
}

/* --- a file with a temporary name --- */

static int named_open(struct sockeye__atomic_file *f, mode_t mode)
{
	int err = -EEXIST;

	for (int tries = 0; err == -EEXIST && tries < TRIES; tries++) {
		err = temp_name(f);
		if (err < 0)
			break;
		f->fd = sockeye__fd_above_stdio(openat(
		    f->dir, f->temp, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode));
		if (f->fd >= 0)
			return 0;
		err = f->fd;
	}
	f->temp[0] = '\0';
	return err;
}

/* --- the file that is replaced --- */

static int kind_error(mode_t mode)
{
	if (S_ISREG(mode))
		return 0;
	if (S_ISLNK(mode))
		return -ELOOP;
	return S_ISDIR(mode) ? -EISDIR : -ENXIO;
}

static int target_open_for(const struct sockeye__atomic_file *f, int access)
{
	int fd = openat(f->dir, f->name, access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Opens the file that will be replaced, which must not be read-only. Opens it for reading if
 * possible: closing a descriptor that was opened for writing would look like a complete new
 * file to programs that watch the directory (inotify(7), IN_CLOSE_WRITE). */
static int target_open(const struct sockeye__atomic_file *f)
{
	int fd;

	if (faccessat(f->dir, f->name, W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	fd = target_open_for(f, O_RDONLY);
	return fd == -EACCES ? target_open_for(f, O_WRONLY) : fd;
}

static bool has_name(const struct sockeye__atomic_file *f, int fd)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 &&
	       fstatat(f->dir, f->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       sockeye__same_file(&opened, &named);
}

/* Opens and locks the file to replace. Returns 0, 1 if the name changed
 * meanwhile, or -errno. */
static int target_hold(struct sockeye__atomic_file *f, int how)
{
	int fd = target_open(f), err = 0;
	const bool contest = how & SOCKEYE__ATOMIC_FILE_CONTEST;
	struct stat st = {0};

	if (fd < 0)
		return fd == -ENOENT || fd == -ELOOP ? 1 : fd;
	/* Where files cannot be locked, the later of two commits fails. */
	f->contested =
	    flock(fd, (contest ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	if (f->contested && !contest)
		err = -EBUSY;
	else if (!has_name(f, fd) ||
		 fstat(fd, &st) < 0) /* checked under the lock, so that it stays true */
		err = 1;
	if (err != 0) {
		close(fd);
		return err;
	}
	if (contest)
		(void)flock(fd, LOCK_UN);
	f->target = fd;
	f->replaces = true;
	f->replaced = st.st_nlink == 1 ? st.st_size : 0; /* other names keep its contents */
	return 0;
}

static int target_find(struct sockeye__atomic_file *f, int how)
{
	struct stat st;
	int err = 1;

	for (int tries = 0; err == 1 && tries < TRIES; tries++) {
		if (fstatat(f->dir, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
		if ((how & SOCKEYE__ATOMIC_FILE_HOW) == SOCKEYE__ATOMIC_FILE_NEW)
			return -EEXIST;
		err = kind_error(st.st_mode);
		if (err == 0)
			err = target_hold(f, how);
	}
	return err == 1 ? -EBUSY : err;
}

/* Copies the owner and mode of the old file, as if that file had been written. Sets the
 * owner first: chown(2) may clear mode bits. */
static int take_over(const struct sockeye__atomic_file *f)
{
	struct stat old;

	if (fstat(f->target, &old) < 0)
		return -errno;
	if (fchown(f->fd, old.st_uid, old.st_gid) < 0 && fchown(f->fd, (uid_t)-1, old.st_gid) < 0) {
		/* the new file's group must not get the rights of the old file's group */
		old.st_mode &= ~(mode_t)S_IRWXG | (old.st_mode & S_IRWXO) << 3;
	}
	return fchmod(f->fd, old.st_mode & ACCESSPERMS) < 0 ? -errno : 0;
}

/* --- opening and ending --- */

static int name_check(const char *name)
{
	size_t len = strlen(name);

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	return 0;
}

/* Opens the existing file for writing. Fails with -EACCES if it is a running program. */
static int in_place_open(struct sockeye__atomic_file *f)
{
	int fd = sockeye__fd_above_stdio(target_open_for(f, O_WRONLY));
	struct stat st;

	if (fd >= 0 && !has_name(f, fd)) { /* `target`, which has the lock, was replaced */
		close(fd);
		fd = -EBUSY;
	}
	if (fd == -ETXTBSY)
		fd = -EACCES;
	f->fd = fd;
	f->in_place = fd >= 0;
	if (f->in_place && fstat(fd, &st) == 0)
		f->replaced = st.st_size;
	return fd < 0 ? fd : 0;
}

static int file_open(struct sockeye__atomic_file *f, mode_t mode, int how)
{
	int err = target_find(f, how);

	if (err < 0)
		return err;
	err = how & SOCKEYE__ATOMIC_FILE_NAMED ? -EOPNOTSUPP : unnamed_open(f, mode);
	if (cannot_be_unnamed(err))
		err = named_open(f, mode);
	if (err == -EACCES && (how & SOCKEYE__ATOMIC_FILE_IN_PLACE) && f->replaces)
		return f->contested ? -EBUSY : in_place_open(f);
	if (err == 0 && f->replaces)
		err = take_over(f);
	return err;
}

int sockeye__atomic_file_open(struct sockeye__atomic_file *f, int dir_fd, const char *name,
			      mode_t mode, enum sockeye__atomic_file_how how)
{
	int err = name_check(name), dir;

	*f = (struct sockeye__atomic_file){0};
	if (err < 0)
		return err;
	dir = dir_open(dir_fd);
	if (dir < 0)
		return dir;
	*f = (struct sockeye__atomic_file){.fd = -1, .is_open = true, .target = -1, .dir = dir};
	memcpy(f->name, name, strlen(name) + 1);
	err = file_open(f, mode, (int)how);
	if (err < 0)
		sockeye__atomic_file_discard(f);
	return err;
}

int sockeye__atomic_file_hold(struct sockeye__atomic_file *f)
{
	if (!f->replaces)
		return 0;
	f->contested = flock(f->target, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
	return f->in_place && (f->contested || !has_name(f, f->fd)) ? -EBUSY : 0;
}

/* Some file systems report a failed write only at close(2). Closing a duplicate descriptor
 * returns that error while the file has no name yet. */
static int late_error(const struct sockeye__atomic_file *f)
{
	int fd = fcntl(f->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	return fd < 0 || close(fd) < 0 ? -errno : 0;
}

/* Writes the file to the disk. Some kinds of file cannot be synchronized (EINVAL). */
static int disk_write(int fd)
{
	int done;

	do
		done = fsync(fd);
	while (done < 0 && errno == EINTR);
	return done < 0 && errno != EINVAL ? -errno : 0;
}

/* Gives the file a temporary name: link(2) cannot replace a file, rename(2) can. */
static int need_temp(struct sockeye__atomic_file *f)
{
	int err = f->temp[0] == '\0' ? -EEXIST : 0;

	for (int tries = 0; err == -EEXIST && tries < TRIES; tries++) {
		err = temp_name(f);
		if (err == 0)
			err = link_as(f, f->temp);
	}
	if (err < 0)
		f->temp[0] = '\0';
	return err;
}

/* Gives the file its name, which must not exist. Uses rename(2), because programs that
 * watch a directory for complete files (inotify(7), IN_MOVED_TO) do not notice a link. */
static int put_new(struct sockeye__atomic_file *f)
{
	int err = need_temp(f);

	if (err < 0)
		return err;
	if (renameat2(f->dir, f->temp, f->dir, f->name, RENAME_NOREPLACE) == 0) {
		f->temp[0] = '\0';
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS) /* NFS and old kernels lack RENAME_NOREPLACE */
		return -errno;
	return linkat(f->dir, f->temp, f->dir, f->name, 0) < 0 ? -errno : 0;
}

static int put_over(struct sockeye__atomic_file *f)
{
	struct stat st;
	int err;

	if (fstatat(f->dir, f->name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return put_new(f);
	if (!has_name(f, f->target))
		return -EBUSY;
	err = need_temp(f);
	if (err < 0)
		return err;
	if (renameat(f->dir, f->temp, f->dir, f->name) < 0)
		return -errno;
	f->temp[0] = '\0';
	return 0;
}

static int put(struct sockeye__atomic_file *f)
{
	return f->replaces ? put_over(f) : put_new(f);
}

/* Gives the file its name and writes the name to the disk. If that fails, a new name is
 * removed. */
static int put_and_sync(struct sockeye__atomic_file *f)
{
	/* Opened first: a lack of descriptors must not be noticed after the name is in place. */
	int dir = openat(f->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (dir < 0 && errno != EACCES)
		return -errno;
	err = sockeye__made_folders_sync(&f->made);
	if (err == 0)
		err = put(f);
	if (err == 0) {
		/* Without read permission on the directory, only the file can be synchronized;
		 * ext4, XFS and Btrfs then write its new name too. */
		err = disk_write(dir >= 0 ? dir : f->fd);
		if (err < 0 && !f->replaces && has_name(f, f->fd))
			unlinkat(f->dir, f->name, 0);
	}
	if (dir >= 0)
		close(dir);
	return err;
}

int sockeye__atomic_file_commit(struct sockeye__atomic_file *f)
{
	int err;

	assert(f->is_open);
	err = f->in_place && ftruncate(f->fd, f->len) < 0 ? -errno : 0;
	if (err == 0 && f->sync)
		err = disk_write(f->fd);
	if (err == 0)
		err = late_error(f);
	if (err == 0 && !f->in_place)
		err = f->sync ? put_and_sync(f) : put(f);
	if (err == 0)
		sockeye__made_folders_keep(&f->made);
	sockeye__atomic_file_discard(f);
	return err;
}

void sockeye__atomic_file_discard(struct sockeye__atomic_file *f)
{
	if (!f->is_open)
		return;
	if (f->temp[0] != '\0')
		unlinkat(f->dir, f->temp, 0);
	if (f->fd >= 0)
		close(f->fd);
	if (f->target >= 0)
		close(f->target);
	close(f->dir); /* before undo: f->dir may hold the last of the made directories */
	sockeye__made_folders_undo(&f->made);
	*f = (struct sockeye__atomic_file){0};
}
