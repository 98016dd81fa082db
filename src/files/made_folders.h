/*
 * made_folders.h: the directories that were made for a new file, each in the previous
 * one, so that they can be removed if the file is not created after all.
 *
 * Another process may be about to create a file in one of these directories. That
 * process holds (locks) the directory with flock(2), and a held directory is not removed.
 */
#ifndef SOCKEYE_FILES_MADE_FOLDERS_H
#define SOCKEYE_FILES_MADE_FOLDERS_H

#include <stddef.h>

#define SOCKEYE__MADE_FOLDERS_MAX 256 /* all are open while they are removed */

struct sockeye__made_folders {
	size_t count;
	int dir;     /* the parent of the first directory, opened with O_PATH */
	size_t len;  /* of names, each with its NUL */
	char *names; /* NULL if there are none */
};

/* Records that the directory `name` was made in `dir`, which is the directory recorded
 * last, if any. Returns 0 or -errno. */
int sockeye__made_folders_add(struct sockeye__made_folders *m, int dir, const char *name);

/* Keeps the directories and frees the record. Does nothing to a zeroed record. */
void sockeye__made_folders_keep(struct sockeye__made_folders *m);

/* Writes the names of the directories to the disk. Returns 0 or -errno. */
int sockeye__made_folders_sync(const struct sockeye__made_folders *m);

/* Removes the directories, the deepest first, and stops at one that is held or not
 * empty. Frees the record. Does nothing to a zeroed record. */
void sockeye__made_folders_undo(struct sockeye__made_folders *m);

/* Closes `dir` and returns a descriptor that holds the same directory until that
 * descriptor and its duplicates are closed. If the directory cannot be opened for
 * reading, it is not held, and `dir` itself is returned. Fails with -ENOENT if the
 * directory was removed and -EAGAIN if another process may be removing it; then `dir`
 * is closed. */
int sockeye__made_folders_hold(int dir);

#endif
