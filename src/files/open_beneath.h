/*
 * open_beneath.h: opening what lies below a folder and nothing else, by names that
 * strangers made up.
 */
#ifndef SOCKEYE_FILES_OPEN_BENEATH_H
#define SOCKEYE_FILES_OPEN_BENEATH_H

#include <stdbool.h>

/* Opens `path`, below the folder `root` (which may be O_PATH), with the flags
 * of open(2) but O_CREAT and O_TMPFILE; O_CLOEXEC is added. Symbolic links are
 * followed, absolute ones too if they come back into root; those that lead out
 * are refused: -EXDEV, as for an absolute path and a ".." too many, whether
 * anything is out there or not. The descriptor or -errno.
 *
 * The kernel does it (openat2(2)); where it does not, *by_hand becomes true and
 * it is done here, from then on and for whoever sets it. */
int sockeye__open_beneath(int root, const char *path, int flags, bool *by_hand);

#endif
