/*
 * atomic_file.h: a file that appears under its name whole or not at all.
 *
 * Until it is committed it has no name where the file system can do that
 * (O_TMPFILE), so that nothing is left behind by whoever is killed; elsewhere a
 * hidden random one beside its place.
 */
#ifndef SOCKEYE_FILES_ATOMIC_FILE_H
#define SOCKEYE_FILES_ATOMIC_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "files/made_folders.h"

enum sockeye__atomic_file_how {
	SOCKEYE__ATOMIC_FILE_ONLY,    /* the name must not exist */
	SOCKEYE__ATOMIC_FILE_REPLACE, /* it may, as a regular file that can be written */
	SOCKEYE__ATOMIC_FILE_HOW = 0xff,
	SOCKEYE__ATOMIC_FILE_NAMED = 0x100, /* or'ed to one of them: as without O_TMPFILE */
};

struct sockeye__atomic_file {
	int fd;        /* to write to, never 0, 1 or 2 */
	bool is_open;  /* all below is the file's own */
	bool by_proc;  /* what links it is /proc/self/fd, not AT_EMPTY_PATH */
	bool replaces; /* `held` is the file of this name, locked */
	int held;
	int dir;
	char name[NAME_MAX + 1];
	char temp[32];                     /* the name it has for now; "" for none */
	struct sockeye__made_folders made; /* for it, by whoever opened it: stay when it does */
};

/* A file to write, to be called `name` (one component) in dir_fd, which may be
 * AT_FDCWD or O_PATH and is not kept. A file that replaces another takes over
 * its mode and, where allowed, its owner; `mode` and the umask are for new ones.
 *
 * 0, or: -EEXIST (it must not exist), -ELOOP (the name is a symbolic link, which
 * is never followed), -EISDIR, -ENXIO (something else that is no regular file;
 * who wants to write to a device opens it himself), -EBUSY (another new file is
 * about to replace the same one), -EINVAL (no name for a file), -errno. */
int sockeye__atomic_file_open(struct sockeye__atomic_file *f, int dir_fd, const char *name,
			      mode_t mode, enum sockeye__atomic_file_how how);

/* Gives it its name. 0, or -EEXIST (what did not exist does now), -EBUSY (what
 * it was to replace has been replaced by others), -errno; late errors of
 * write(2) too. Then nothing has changed. Closes it in every case. */
int sockeye__atomic_file_commit(struct sockeye__atomic_file *f);

/* Leaves nothing of it. Legal when zeroed, after a failed open and after commit. */
void sockeye__atomic_file_discard(struct sockeye__atomic_file *f);

#endif
