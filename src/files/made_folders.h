/*
 * made_folders.h: folders that were made on the way to a new file, one in the other,
 * so that they can go again when there will be no file.
 *
 * Whoever is about to put a file into a folder that somebody may take away so,
 * holds it; what is held stays. That is asked of the kernel (flock(2)), for it
 * may be another process.
 */
#ifndef SOCKEYE_FILES_MADE_FOLDERS_H
#define SOCKEYE_FILES_MADE_FOLDERS_H

#include <stddef.h>

#define SOCKEYE__MADE_FOLDERS_MAX 256 /* folders, which are all open for as long as they go */

struct sockeye__made_folders {
	size_t count;
	int dir;     /* O_PATH, where the first of them is */
	size_t len;  /* of names: each ends with its NUL */
	char *names; /* NULL for none */
};

/* Notes that the folder `name` was made in `dir`, which is the last that was
 * noted, if any was. 0 or -errno. */
int sockeye__made_folders_add(struct sockeye__made_folders *m, int dir, const char *name);

/* They stay; forgets them. Legal when zeroed. */
void sockeye__made_folders_keep(struct sockeye__made_folders *m);

/* Removes the deepest first, up to one that is held or not empty. Legal when
 * zeroed. */
void sockeye__made_folders_undo(struct sockeye__made_folders *m);

/* Holds the folder `dir`: a descriptor in its stead, which holds it for as long
 * as it or a duplicate is open, or `dir` itself where folders cannot be held.
 * -ENOENT: it has gone, -EAGAIN: it may be about to go; then `dir` is closed. */
int sockeye__made_folders_hold(int dir);

#endif
