/* store.c: the directory that a TFTP server serves (store.h). */
#include "tftp/server/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "net/net.h"
#include "proto/tftp_packet.h"
#include "files/open_beneath.h"

#define FOLDER (O_PATH | O_DIRECTORY | O_CLOEXEC)
#define TRIES  128 /* attempts while other uploads remove directories that they made */

/* --- the root --- */

int sockeye__tftp_store_open(struct sockeye__tftp_store *s,
			     const struct sockeye__tftp_store_config *config,
			     struct sockeye_fail *fail)
{
	int root = open(config->root, FOLDER);

	if (root < 0)
		return sockeye__fail_set(fail, "open", config->root, -errno);
	*s = (struct sockeye__tftp_store){.config = *config, .root = root, .is_open = true};
	return 0;
}

void sockeye__tftp_store_close(struct sockeye__tftp_store *s)
{
	if (!s->is_open)
		return;
	sockeye__tftp_open_files_fini(&s->files);
	close(s->root);
	s->is_open = false;
}

static bool is_root(const struct sockeye__tftp_store *s, const struct stat *st)
{
	struct stat held;

	return fstat(s->root, &held) == 0 && held.st_dev == st->st_dev && held.st_ino == st->st_ino;
}

bool sockeye__tftp_store_replaced(const struct sockeye__tftp_store *s)
{
	struct stat now;

	return stat(s->config.root, &now) == 0 && S_ISDIR(now.st_mode) && !is_root(s, &now);
}

int sockeye__tftp_store_look(const struct sockeye__tftp_store *s, int *out_root)
{
	int root = open(s->config.root, FOLDER), err;
	struct stat st;

	if (root < 0)
		return -errno;
	err = fstat(root, &st) < 0 ? -errno : !is_root(s, &st);
	if (err == 1)
		*out_root = root;
	else
		close(root);
	return err;
}

static int open_below(struct sockeye__tftp_store *s, const char *name, int flags)
{
	return sockeye__open_beneath(s->root, name, flags, s->config.links, &s->by_hand);
}

static bool can_open(struct sockeye__tftp_store *s, const char *name, int flags)
{
	int fd = open_below(s, name, flags);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool sockeye__tftp_store_has(struct sockeye__tftp_store *s, const char *name)
{
	return can_open(s, name, O_PATH);
}

int sockeye__tftp_store_client_folder(struct sockeye__tftp_store *s, const char *folder,
				      bool upload, char *name, size_t cap)
{
	size_t len = strlen(folder), name_len = strlen(name) + 1;

	if (upload && len == 0)
		return -EADDRNOTAVAIL;
	if (!upload && (len == 0 || !can_open(s, folder, FOLDER)))
		return 0;
	if (len + 1 + name_len > cap)
		return -ENAMETOOLONG;
	memmove(name + len + 1, name, name_len);
	*stpcpy(name, folder) = '/';
	return 0;
}

/* --- files to send --- */

/* Opens a regular file and returns its descriptor, or -errno. */
static int regular_open(struct sockeye__tftp_store *s, const char *name, int flags,
			struct stat *out_st)
{
	int fd = open_below(s, name, flags), err = 0;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
	if (err < 0) {
		close(fd);
		return err;
	}
	*out_st = st;
	return fd;
}

/* Opening a device or a FIFO can have side effects, so the type is checked first, with
 * O_PATH. If the name changes after that check, O_NONBLOCK prevents a wait. */
static int file_open(struct sockeye__tftp_store *s, const char *name,
		     struct sockeye__tftp_open_file **out_file)
{
	struct sockeye__tftp_open_file *file;
	struct stat st;
	int fd = regular_open(s, name, O_PATH, &st);

	if (fd < 0)
		return fd;
	file = sockeye__tftp_open_files_find(&s->files, &st);
	close(fd);
	if (file == NULL) {
		fd = regular_open(s, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, &st);
		if (fd < 0)
			return fd;
		file = sockeye__tftp_open_files_adopt(&s->files, fd, &st);
		if (file == NULL) {
			close(fd);
			return -ENOMEM;
		}
	}
	*out_file = file;
	return 0;
}

static void last_forget(struct sockeye__tftp_store *s)
{
	if (s->last != NULL)
		sockeye__tftp_open_files_release(&s->files, s->last);
	s->last = NULL;
}

void sockeye__tftp_store_share(struct sockeye__tftp_store *s, bool on)
{
	last_forget(s);
	s->shares = on;
}

int sockeye__tftp_store_get(struct sockeye__tftp_store *s, const char *name,
			    struct sockeye__tftp_open_file **out_file)
{
	size_t len = strlen(name);
	int err;

	if (s->last != NULL && strcmp(s->last_name, name) == 0) {
		*out_file = sockeye__tftp_open_files_share(s->last);
		return 0;
	}
	err = file_open(s, name, out_file);
	if (err < 0 || !s->shares || len >= sizeof s->last_name)
		return err;
	last_forget(s);
	s->last = sockeye__tftp_open_files_share(*out_file);
	memcpy(s->last_name, name, len + 1);
	return 0;
}

void sockeye__tftp_store_release(struct sockeye__tftp_store *s,
				 struct sockeye__tftp_open_file *file)
{
	sockeye__tftp_open_files_release(&s->files, file);
}

/* --- files to receive --- */

/* Makes a directory and records it in *made. Returns 0, also if the directory exists
 * already, or -errno. */
static int folder_make(const struct sockeye__tftp_store *s, int dir, const char *name,
		       struct sockeye__made_folders *made)
{
	int fd, err;

	if (mkdirat(dir, name, ACCESSPERMS & ~s->config.umask) < 0) {
		if (errno != EEXIST)
			return -errno;
		sockeye__made_folders_keep(made);
		return 0;
	}
	err = sockeye__made_folders_add(made, dir, name);
	if (err < 0)
		unlinkat(dir, name, AT_REMOVEDIR);
	if (err < 0 || !s->config.has_umask)
		return err;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	fchmod(fd, ACCESSPERMS & ~s->config.umask); /* mkdirat() applied the process's umask */
	close(fd);
	return 0;
}

static int folder_open(int dir, const char *name)
{
	struct stat st;
	int fd = openat(dir, name, FOLDER | O_NOFOLLOW), err = -errno;

	if (fd >= 0)
		return fd;
	if (err == -ENOTDIR && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode))
		return -ELOOP;
	return err;
}

int sockeye__tftp_store_room(const struct sockeye__tftp_store *s, int fd, uint64_t more)
{
	struct statvfs fs;
	uint64_t free_bytes;

	/* A file system that does not count blocks reports 0. */
	if (fstatvfs(fd, &fs) < 0 || fs.f_blocks == 0)
		return 0;
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	return free_bytes < more || free_bytes - more < s->config.reserve ? -ENOSPC : 0;
}

static int room_check(const struct sockeye__tftp_store *s, int dir, const uint64_t *size)
{
	return sockeye__tftp_store_room(s, dir, size != NULL ? *size : 0);
}

/* Opens the directory `name` in `dir`, after making it if necessary, and closes `dir`. */
static int folder_enter(const struct sockeye__tftp_store *s, int dir, const char *name,
			const uint64_t *size, struct sockeye__made_folders *made)
{
	int fd = strcmp(name, "..") == 0 ? -EXDEV : folder_open(dir, name), err;

	if (fd == -ENOENT && s->config.create) {
		err = room_check(s, dir, size);
		if (err == 0)
			err = folder_make(s, dir, name, made);
		fd = err < 0 ? err : folder_open(dir, name);
	} else if (fd >= 0 && strcmp(name, ".") != 0) {
		/* This directory existed before, and so did the directories above it. */
		sockeye__made_folders_keep(made);
	}
	close(dir);
	return fd;
}

/* Opens the directory of `name`, one component after the other, and writes the last
 * component to out_last. Follows no symbolic links and rejects ".." with -EXDEV. With
 * --create, locks the directory unless it is the root, so that another upload does not
 * remove it. */
static int parent_open(struct sockeye__tftp_store *s, const char *name, const uint64_t *size,
		       char out_last[NAME_MAX + 1], struct sockeye__made_folders *made)
{
	int dir = name[0] == '/' ? -EXDEV : open_below(s, ".", FOLDER);
	bool below = false;

	while (dir >= 0) {
		size_t len = strcspn(name, "/"), slashes = strspn(name + len, "/");

		if (len > NAME_MAX) {
			close(dir);
			return -ENAMETOOLONG;
		}
		memcpy(out_last, name, len);
		out_last[len] = '\0';
		if (slashes == 0)
			return s->config.create && below ? sockeye__made_folders_hold(dir) : dir;
		dir = folder_enter(s, dir, out_last, size, made);
		name += len + slashes;
		below = true;
	}
	return dir;
}

/* Like parent_open(), but retries if another process removes a directory meanwhile. On
 * failure, removes the directories that it made. */
static int parent_hold(struct sockeye__tftp_store *s, const char *name, const uint64_t *size,
		       char out_last[NAME_MAX + 1], struct sockeye__made_folders *made)
{
	int dir = -EAGAIN;

	for (int i = 0; i < TRIES && (dir == -EAGAIN || (dir == -ENOENT && s->config.create));
	     i++) {
		dir = parent_open(s, name, size, out_last, made);
		if (dir < 0)
			sockeye__made_folders_undo(made);
	}
	return dir;
}

static int file_new(const struct sockeye__tftp_store *s, int dir, const char *name,
		    struct sockeye__atomic_file *f)
{
	const mode_t mode = DEFFILEMODE & ~s->config.umask;
	int err = sockeye__atomic_file_open(
	    f, dir, name, mode,
	    s->config.overwrite ? SOCKEYE__ATOMIC_FILE_REPLACE | SOCKEYE__ATOMIC_FILE_IN_PLACE |
				      SOCKEYE__ATOMIC_FILE_CONTEST
				: SOCKEYE__ATOMIC_FILE_NEW);

	if (err == 0 && s->config.has_umask && !f->replaces && fchmod(f->fd, mode) < 0) {
		err = -errno;
		sockeye__atomic_file_discard(f);
	}
	return err;
}

int sockeye__tftp_store_put(struct sockeye__tftp_store *s, const char *name, const uint64_t *size,
			    struct sockeye__atomic_file *out)
{
	struct sockeye__atomic_file f;
	struct sockeye__made_folders made = {0};
	char last[NAME_MAX + 1];
	int err, dir;

	if (!s->config.upload)
		return -EROFS;
	if (size != NULL && s->config.upload_max > 0 && *size > s->config.upload_max)
		return -EFBIG;
	dir = parent_hold(s, name, size, last, &made);
	if (dir < 0)
		return dir;
	err = room_check(s, dir, size);
	if (err == 0)
		err = file_new(s, dir, last, &f);
	close(dir);
	if (err < 0) {
		sockeye__made_folders_undo(&made);
		return err;
	}
	f.made = made;
	f.sync = !s->config.no_sync;
	*out = f;
	return 0;
}

/* --- ERROR codes and texts for the client --- */

static const struct answer {
	int err;
	uint16_t code;
	const char *text;
} answers[] = {
    {-ENOENT, SOCKEYE__TFTP_NOT_FOUND, "File not found"},
    {-ENOTDIR, SOCKEYE__TFTP_NOT_FOUND, "File not found"},
    {-ENAMETOOLONG, SOCKEYE__TFTP_NOT_FOUND, "Name too long"},
    {-EINVAL, SOCKEYE__TFTP_NOT_FOUND, "Not a file name"},
    {-ESTALE, SOCKEYE__TFTP_NOT_FOUND, "File not found"},
    {-EACCES, SOCKEYE__TFTP_ACCESS, "Permission denied"},
    {-EPERM, SOCKEYE__TFTP_ACCESS, "Permission denied"},
    {-EADDRNOTAVAIL, SOCKEYE__TFTP_ACCESS, "Your MAC address is not known here"},
    {-EXDEV, SOCKEYE__TFTP_ACCESS, "Outside the served directory"},
    {-ELOOP, SOCKEYE__TFTP_ACCESS, "Symbolic links are not followed"},
    {-EISDIR, SOCKEYE__TFTP_ACCESS, "Is a directory"},
    {-ENXIO, SOCKEYE__TFTP_ACCESS, "Not a regular file"},
    {-EROFS, SOCKEYE__TFTP_ACCESS, "Uploads are not allowed"},
    {-EBUSY, SOCKEYE__TFTP_ACCESS, "File is being written"},
    {-EALREADY, SOCKEYE__TFTP_ACCESS, "Another client is uploading this file"}, /* claims.h */
    {-ENOSPC, SOCKEYE__TFTP_DISK_FULL, "Disk full"},
    {-EOVERFLOW, SOCKEYE__TFTP_DISK_FULL, "Limit on all uploads reached"}, /* total.c */
    {-EDQUOT, SOCKEYE__TFTP_DISK_FULL, "Disk quota exceeded"},
    {-EFBIG, SOCKEYE__TFTP_DISK_FULL, "File too large"},
    {-EEXIST, SOCKEYE__TFTP_EXISTS, "File already exists"},
    {-ENODATA, SOCKEYE__TFTP_UNDEFINED, "File has become shorter"}, /* from source.c */
    {-EIO, SOCKEYE__TFTP_UNDEFINED, "Read or write error"},
    {-EMFILE, SOCKEYE__TFTP_UNDEFINED, "Server is busy"},
    {-ENFILE, SOCKEYE__TFTP_UNDEFINED, "Server is busy"},
    {-ENOMEM, SOCKEYE__TFTP_UNDEFINED, "Server is busy"},
    {-EAGAIN, SOCKEYE__TFTP_UNDEFINED, "Server is busy"},
};

uint16_t sockeye__tftp_store_error(int err, const char **out_text)
{
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		if (answers[i].err == err) {
			*out_text = answers[i].text;
			return answers[i].code;
		}
	*out_text = "Server error";
	return SOCKEYE__TFTP_UNDEFINED;
}
