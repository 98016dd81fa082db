/* open_beneath.c: opens files below a directory (open_beneath.h). */
#include "files/open_beneath.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES     32 /* attempts while other processes rename directories */
#define LINKS_MAX 40 /* like the kernel (path_resolution(7)) */
#define DEPTH_MAX 64 /* directories, all open at the same time */

/* --- by the kernel --- */

static int kernel_open(int root, const char *path, int flags, bool links)
{
	struct open_how how = {
	    .flags = (unsigned)flags,
	    .resolve = RESOLVE_BENEATH | (links ? RESOLVE_NO_MAGICLINKS : RESOLVE_NO_SYMLINKS),
	};
	long fd;
	int tries = 0;

	/* EAGAIN: a rename during the call made the result of ".." uncertain. */
	do
		fd = syscall(SYS_openat2, root, path, &how, sizeof how);
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < TRIES)));
	return fd < 0 ? -errno : (int)fd;
}

/* Whether openat2(2) itself is missing: kernels before 5.6 lack it, and seccomp filters
 * that do not know openat2(2) make it fail with EPERM. A file can cause EPERM, too, so
 * this function tries a call that must succeed if openat2(2) works. */
static bool kernel_cannot(int root, int err)
{
	int fd;

	if (err == -ENOSYS)
		return true;
	if (err != -EPERM)
		return false;
	fd = kernel_open(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, true);
	if (fd >= 0)
		close(fd);
	return fd == -EPERM;
}

/* --- by hand --- */

/* A walk along a path. The directories from root to the current one are all open, and
 * ".." returns to the previous one, so that no rename by another process can lead the
 * walk above root. */
struct walk {
	int dirs[DEPTH_MAX + 1]; /* [0] is root, which the caller closes */
	int depth;
	int links, links_max;
	char rest[PATH_MAX]; /* of the path */
};

static bool same_folder(int fd, const struct stat *st)
{
	struct stat other;

	return fstat(fd, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

/* Returns the part of an absolute link target that is below root, or NULL if the
 * target is not below root. Compares the directories themselves, because the name of
 * the root may contain links. Returns NULL for every failure, so that a client cannot
 * distinguish them. */
static const char *target_inside(int root, const char *target)
{
	struct stat st;
	char name[NAME_MAX + 1];
	int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool found = false;

	if (dir < 0 || fstat(root, &st) < 0)
		goto out;
	while (!(found = same_folder(dir, &st))) {
		size_t len;
		int next;

		target += strspn(target, "/");
		len = strcspn(target, "/");
		if (len == 0 || len > NAME_MAX)
			break;
		memcpy(name, target, len);
		name[len] = '\0';
		target += len;
		next = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (next < 0)
			break;
		close(dir);
		dir = next;
	}
out:
	if (dir >= 0)
		close(dir);
	return found ? target + strspn(target, "/") : NULL;
}

static int walk_up(struct walk *w)
{
	if (w->depth == 0)
		return -EXDEV;
	close(w->dirs[w->depth--]);
	return 0;
}

/* Restarts at root with the part of an absolute target that is below root. */
static int walk_again(struct walk *w, const char **target, size_t *len)
{
	const char *inside = target_inside(w->dirs[0], *target);

	if (inside == NULL)
		return -EXDEV;
	while (w->depth > 0)
		walk_up(w);
	*target = *inside != '\0' ? inside : ".";
	*len = strlen(*target);
	return 0;
}

/* Puts the target of a link before the rest of the path. */
static int walk_link(struct walk *w, const char *target, size_t len)
{
	size_t rest = strlen(w->rest);
	int err = 0;

	if (++w->links > w->links_max)
		return -ELOOP;
	if (target[0] == '/')
		err = walk_again(w, &target, &len);
	if (err < 0)
		return err;
	if (len + 1 + rest >= sizeof w->rest)
		return -ENAMETOOLONG;
	memmove(w->rest + len + 1, w->rest, rest + 1);
	memcpy(w->rest, target, len);
	w->rest[len] = '/';
	/* "link" may lead to a file, "link/" may not */
	if (rest == 0)
		w->rest[len] = '\0';
	return 0;
}

static int walk_down(struct walk *w, const char *name)
{
	int fd;

	if (w->depth == DEPTH_MAX)
		return -ENAMETOOLONG;
	fd = openat(w->dirs[w->depth], name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	w->dirs[++w->depth] = fd;
	return 0;
}

/* Removes the next name and the slashes after it from the path. *out_last is set if no
 * slash followed. Returns false at the end of the path. */
static bool walk_name(struct walk *w, char name[NAME_MAX + 2], bool *out_last)
{
	size_t len = strcspn(w->rest, "/"), slashes = strspn(w->rest + len, "/");
	size_t kept = len <= NAME_MAX ? len : NAME_MAX + 1; /* the kernel rejects it */

	if (len + slashes == 0)
		return false;
	memcpy(name, w->rest, kept);
	name[kept] = '\0';
	*out_last = slashes == 0;
	memmove(w->rest, w->rest + len + slashes, strlen(w->rest + len + slashes) + 1);
	return true;
}

/* Follows one name. Returns the descriptor after the last name, -EINPROGRESS if the
 * path continues, or -errno. */
static int walk_step(struct walk *w, const char *name, bool last, int flags)
{
	char target[PATH_MAX];
	ssize_t len;
	int err;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		err = name[1] == '.' ? walk_up(w) : 0;
		return err < 0 ? err : -EINPROGRESS;
	}
	len = readlinkat(w->dirs[w->depth], name, target, sizeof target - 1);
	if (len >= 0) {
		target[len] = '\0';
		if (!last && w->rest[0] == '\0') /* keep the slash of "link/" */
			memcpy(w->rest, "./", 2 + 1);
		err = walk_link(w, target, (size_t)len);
		return err < 0 ? err : -EINPROGRESS;
	}
	if (errno != EINVAL) /* EINVAL: the file exists and is not a link */
		return -errno;
	if (last) {
		int fd = openat(w->dirs[w->depth], name, flags | O_NOFOLLOW);

		return fd < 0 ? -errno : fd;
	}
	err = walk_down(w, name);
	return err < 0 ? err : -EINPROGRESS;
}

static int hand_open(int root, const char *path, int flags, bool links)
{
	struct walk w;
	char name[NAME_MAX + 2];
	bool last;
	int fd = -EINPROGRESS;

	if (path[0] == '/' || path[0] == '\0')
		return path[0] == '/' ? -EXDEV : -ENOENT;
	if (strlen(path) >= sizeof w.rest)
		return -ENAMETOOLONG;
	w.dirs[0] = root;
	w.depth = w.links = 0;
	w.links_max = links ? LINKS_MAX : 0;
	memcpy(w.rest, path, strlen(path) + 1);
	while (fd == -EINPROGRESS && walk_name(&w, name, &last))
		fd = walk_step(&w, name, last, flags);
	if (fd == -EINPROGRESS) { /* the path names the current directory */
		fd = openat(w.dirs[w.depth], ".", flags | O_NOFOLLOW);
		fd = fd < 0 ? -errno : fd;
	}
	while (w.depth > 0)
		walk_up(&w);
	return fd;
}

/* --- by the file at the end of links --- */

bool sockeye__path_has_up(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")) != NULL; p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '\0' || p[2] == '/'))
			return true;
	return false;
}

/* Opens a file by the path that the kernel reports for it, if that path is below root,
 * because links may lead outside and back. Every failure is -EXDEV until the file is
 * known to be below root. */
static int end_open(int root, const char *path, int flags, bool by_hand)
{
	char link[32], end[PATH_MAX];
	const char *inside = NULL;
	ssize_t len = -1;
	int fd = path[0] == '/' || sockeye__path_has_up(path)
		     ? -1
		     : openat(root, path, O_PATH | O_CLOEXEC);

	if (fd >= 0) {
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		len = readlinkat(AT_FDCWD, link, end, sizeof end - 1);
		close(fd);
	}
	if (len > 0 && end[0] == '/') {
		end[len] = '\0';
		inside = target_inside(root, end);
	}
	if (inside == NULL)
		return -EXDEV;
	if (*inside == '\0')
		inside = ".";
	return by_hand ? hand_open(root, inside, flags, false)
		       : kernel_open(root, inside, flags, false);
}

/* --- */

/* Opens a file by hand, including by links that leave root and lead back. */
static int hand_or_end_open(int root, const char *path, int flags, bool links, bool by_hand)
{
	int fd = hand_open(root, path, flags, links);

	return fd == -EXDEV && links ? end_open(root, path, flags, by_hand) : fd;
}

int sockeye__open_beneath(int root, const char *path, int flags, enum sockeye__links links,
			  bool *by_hand)
{
	bool follow = links != SOCKEYE__LINKS_NONE;
	int fd;

	assert(!(flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE);
	flags |= O_CLOEXEC;
	if (links == SOCKEYE__LINKS_ANY) {
		fd = path[0] == '/' || sockeye__path_has_up(path) ? -EXDEV
								  : openat(root, path, flags);
		return fd == -1 ? -errno : fd;
	}
	if (*by_hand)
		return hand_or_end_open(root, path, flags, follow, true);
	fd = kernel_open(root, path, flags, follow);
	/* The kernel refuses links that leave root, even those that lead back, and gives up
	 * if other processes keep renaming directories. */
	if (fd == -EXDEV || fd == -EAGAIN)
		return hand_or_end_open(root, path, flags, follow, false);
	if (!kernel_cannot(root, fd))
		return fd;
	*by_hand = true;
	return hand_or_end_open(root, path, flags, follow, true);
}
