/*
 * atomic_file.h: a new file that gets its name only when it is complete, so that
 * readers never see a partial file (but see SOCKEYE__ATOMIC_FILE_IN_PLACE).
 *
 * Until it is committed, the file has no name (O_TMPFILE), so a process that is killed
 * leaves no file. If the file system does not support that, the file has a random
 * hidden name in the same directory.
 */
#ifndef SOCKEYE_FILES_ATOMIC_FILE_H
#define SOCKEYE_FILES_ATOMIC_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "files/made_folders.h"

enum sockeye__atomic_file_how {
	SOCKEYE__ATOMIC_FILE_NEW,     /* the name must not exist */
	SOCKEYE__ATOMIC_FILE_REPLACE, /* the name may be a regular file with write permission */
	SOCKEYE__ATOMIC_FILE_HOW = 0xff,
	SOCKEYE__ATOMIC_FILE_NAMED = 0x100, /* a flag: do not use O_TMPFILE */
	/* A flag: if a new file cannot be made because its directory is not writable, but
	 * the existing file is, overwrite the existing file. Readers may then see a partial
	 * file. */
	SOCKEYE__ATOMIC_FILE_IN_PLACE = 0x200,
	/* A flag: if another process is replacing the file, set `contested` instead of failing
	 * with -EBUSY. The later of the two commits then fails. The file is not locked before
	 * sockeye__atomic_file_hold(). */
	SOCKEYE__ATOMIC_FILE_CONTEST = 0x400,
};

struct sockeye__atomic_file {
	int fd;        /* to write to, never 0, 1 or 2 */
	bool in_place; /* fd is the existing file: set `len` before the commit */
	off_t len;
	off_t replaced; /* bytes of an existing file that the commit frees or overwrites */
	bool contested; /* another process is replacing the file: it is not locked */
	bool sync;      /* set it to have the commit wait until the disk has the file */
	int dir;        /* of the file, O_PATH or for reading; do not change it */
	char name[NAME_MAX + 1];
	bool is_open;  /* the members below are private */
	bool by_proc;  /* linked through /proc/self/fd, not with AT_EMPTY_PATH */
	bool replaces; /* `target` is the existing file of this name, locked */
	int target;
	char temp[32];                     /* the temporary name; "" for none */
	struct sockeye__made_folders made; /* directories made by the caller for this file;
					    * removed on failure */
};

/* Opens a file that will be called `name`, one component, in dir_fd, which may be
 * AT_FDCWD or opened with O_PATH; the caller may close dir_fd afterwards. A new file
 * gets `mode` less the umask. A file that replaces another gets the mode of the other
 * file and, where allowed, its owner.
 *
 * Returns 0 or -errno, among others -EEXIST (the name exists but must not),
 * -ELOOP (the name is a symbolic link; links are never followed), -EISDIR, -ENXIO
 * (not a regular file; to write to a device, open it directly), -EBUSY (another
 * process is replacing the same file), -EINVAL (not a file name). */
int sockeye__atomic_file_open(struct sockeye__atomic_file *f, int dir_fd, const char *name,
			      mode_t mode, enum sockeye__atomic_file_how how);
/* Locks the file to replace, if it was opened with SOCKEYE__ATOMIC_FILE_CONTEST. Sets
 * `contested` if another process has locked it meanwhile. Returns 0, or -EBUSY if the file is
 * written in place and another process writes it too. */
int sockeye__atomic_file_hold(struct sockeye__atomic_file *f);

/* Gives the file its name and closes it. With `sync`, writes first the file's contents and
 * then its name, and the names of the directories made for it, to the disk; so after a power
 * failure the file has its whole contents or does not exist. Any thread may call it. Returns
 * 0 or -errno, among others -EEXIST (the name was created meanwhile), -EBUSY (the file to
 * replace was replaced meanwhile) and errors of earlier writes. On failure it discards the
 * file as sockeye__atomic_file_discard() does. But if only writing the name to the disk fails,
 * a file that was replaced stays replaced. */
int sockeye__atomic_file_commit(struct sockeye__atomic_file *f);

/* Removes the new file; a file that was overwritten in place keeps what was written. Does
 * nothing if the struct is zeroed, after a failed open, or after commit. */
void sockeye__atomic_file_discard(struct sockeye__atomic_file *f);

#endif
