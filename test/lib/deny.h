/* deny.h: system calls that fail, as on kernels, file systems and in sandboxes
 * that do not have them. */
#ifndef TEST_LIB_DENY_H
#define TEST_LIB_DENY_H

#include <stdint.h>

/* From now on call `number` fails with `err` in this process, for good: always
 * when `bits` is 0, else when argument `arg` has all these bits. Ends the
 * process with CHILD_SKIPS where filters are not allowed. */
void deny(int number, int err, unsigned arg, uint32_t bits);

/* Landlock: from now on only what is below the folder can be opened, and it can
 * be read, written to, made and removed. */
void confine(int dir);

#endif
