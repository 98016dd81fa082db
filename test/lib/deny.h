/* deny.h: make system calls fail, as they do on kernels, file systems and in
 * sandboxes that lack them. */
#ifndef TEST_LIB_DENY_H
#define TEST_LIB_DENY_H

#include <stdint.h>

/* Makes system call `number` fail with `err` for the rest of this process: always
 * if `bits` is 0, otherwise if argument `arg` has all these bits. Ends the process
 * with CHILD_SKIPS where seccomp filters are not allowed. */
void deny(int number, int err, unsigned arg, uint32_t bits);

/* Restricts this process to the files below the folder (Landlock). It may read,
 * write, make and remove them. */
void confine(int dir);

#endif
