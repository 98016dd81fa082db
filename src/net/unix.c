/*
 * unix.c: creates UNIX socket files with their mode, replaces the files of dead
 * servers, and removes the files that this process created.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/net.h"

/* Probes whether a server uses this name. Returns 0 if no server does,
 * SOCKEYE_E_IN_USE_LIVE, or -errno if this cannot be determined. The probe is a
 * datagram socket, because a stream server would have to accept a stream probe; with
 * a stream server, connect(2) fails with EPROTOTYPE and the server is not disturbed. */
static int server_probe(const struct sockeye_sockaddr *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	err = connect(fd, &name->u.sa, name->len) < 0 ? -errno : 0;
	close(fd);
	switch (err) {
	case -ECONNREFUSED: /* no process has the socket open */
	case -ENOENT:       /* the file has been removed */
		return 0;
	case 0:
	case -EPROTOTYPE: /* a socket of another type */
	case -EPERM:      /* a datagram socket that receives only from its peer */
		return SOCKEYE_E_IN_USE_LIVE;
	default:
		return err;
	}
}

bool sockeye__same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Removes the file at `name` if it is a socket without a server. Returns 0 (also if
 * there is no file), SOCKEYE_E_NOT_A_SOCKET, SOCKEYE_E_IN_USE_LIVE or -errno. */
static int stale_remove(const struct sockeye_sockaddr *name)
{
	const char *path = name->u.un.sun_path;
	struct stat held, now;
	int fd, err;

	/* While the file is open, no other file can have its inode number. So a
	 * socket that another server binds meanwhile is recognized, except between
	 * lstat(2) and unlink(2). */
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = fstat(fd, &held) < 0 ? -errno : 0;
	if (err == 0 && !S_ISSOCK(held.st_mode))
		err = SOCKEYE_E_NOT_A_SOCKET;
	if (err == 0)
		err = server_probe(name);
	if (err == 0 && lstat(path, &now) == 0 && sockeye__same_file(&held, &now) &&
	    unlink(path) < 0 && errno != ENOENT)
		err = -errno;
	close(fd);
	return err;
}

/* Records which file bind(2) created, and restores the mode bits that the umask has
 * cleared. */
static int file_made(const struct sockeye_addr *addr, const struct sockeye_sockaddr *name,
		     struct sockeye_listener *listener)
{
	const char *path = name->u.un.sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	listener->name = *name;
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	listener->unlink_at_close = true;
	if (!addr->opts.has_mode || (st.st_mode & ALLPERMS) == addr->opts.mode)
		return 0;
	return fchmodat(AT_FDCWD, path, addr->opts.mode, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int sockeye__unix_bind(int fd, const struct sockeye_addr *addr, const struct sockeye_sockaddr *name,
		       struct sockeye_listener *listener)
{
	/* bind(2) creates the file with the mode of the socket, less the umask. So the
	 * file never has more permissions than requested. Changing the umask instead
	 * would affect the other threads of the process. */
	if (addr->opts.has_mode && fchmod(fd, addr->opts.mode) < 0)
		return -errno;
	for (int tries = 0; tries < 16; tries++) {
		int err;

		if (bind(fd, &name->u.sa, name->len) == 0)
			return addr->abstract ? 0 : file_made(addr, name, listener);
		if (errno != EADDRINUSE || addr->abstract)
			return -errno;
		err = stale_remove(name);
		if (err < 0)
			return err;
	}
	return -EADDRINUSE; /* other processes keep creating the file */
}

void sockeye__unix_unlink(const struct sockeye_listener *listener)
{
	const char *path = listener->name.u.un.sun_path;
	struct stat st;

	if (listener->unlink_at_close && lstat(path, &st) == 0 && st.st_dev == listener->dev &&
	    st.st_ino == listener->ino)
		unlink(path);
}
