/*
 * open_beneath.h: opens files below a directory, and never outside it, by names that
 * come from the network.
 */
#ifndef SOCKEYE_FILES_OPEN_BENEATH_H
#define SOCKEYE_FILES_OPEN_BENEATH_H

#include <stdbool.h>

/* Opens `path` below the directory `root`, which may be O_PATH, with flags of open(2)
 * other than O_CREAT and O_TMPFILE; O_CLOEXEC is added. Follows symbolic links,
 * even absolute ones, if they lead to a place below root. Returns the descriptor
 * or -errno; -EXDEV for an absolute path and for links and ".." that lead outside,
 * whether or not a file exists there.
 *
 * Uses openat2(2). If the kernel lacks it, sets *by_hand and resolves the path
 * itself, as it does whenever *by_hand is set. */
int sockeye__open_beneath(int root, const char *path, int flags, bool *by_hand);

#endif
