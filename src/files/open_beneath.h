/*
 * open_beneath.h: opens files below a directory, and never outside it unless
 * SOCKEYE__LINKS_ANY is given, by names that arrive from the network.
 */
#ifndef SOCKEYE_FILES_OPEN_BENEATH_H
#define SOCKEYE_FILES_OPEN_BENEATH_H

#include <stdbool.h>

/* Which symbolic links are followed. */
enum sockeye__links {
	SOCKEYE__LINKS_INSIDE, /* those that end below root, even if they lead outside first */
	SOCKEYE__LINKS_NONE,
	SOCKEYE__LINKS_ANY, /* also to files outside root */
};

/* Whether a component of the path is "..". */
bool sockeye__path_has_up(const char *path);

/* Opens `path` below the directory `root`, which may be O_PATH, with flags of open(2)
 * other than O_CREAT and O_TMPFILE; O_CLOEXEC is added. Returns the file descriptor or
 * -errno: -EXDEV for an absolute path, for ".." that leads outside, and for links that
 * lead outside, whether or not a file exists there; -ELOOP for a link that is not
 * followed.
 *
 * Uses openat2(2) unless *by_hand is set. If the kernel lacks openat2(2), sets *by_hand.
 * If *by_hand is set, the function resolves the path itself. */
int sockeye__open_beneath(int root, const char *path, int flags, enum sockeye__links links,
			  bool *by_hand);

#endif
