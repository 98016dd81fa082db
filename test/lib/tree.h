/* tree.h: a temporary folder, for tests of code that opens and makes files. */
#ifndef TEST_LIB_TREE_H
#define TEST_LIB_TREE_H

#include "help.h"

struct tree {
	char path[64];
	int fd; /* O_PATH */
};

/* Makes an empty folder that every user may enter, and removes it. */
void tree_make(struct tree *t);
void tree_clear(const struct tree *t); /* removes its entries */
void tree_remove(struct tree *t);
size_t tree_entries(const struct tree *t); /* at the top level, with hidden ones */

/* These take names below a folder. */
void file_write(int dir, const char *name, const char *text); /* overwrites the file if it exists */
const char *file_text(int dir,
		      const char *name); /* "" if there is no file; valid until the next call */
bool name_exists(int dir, const char *name);
mode_t mode_of(int dir, const char *name);
void folder_make(int dir, const char *name);
void link_make(int dir, const char *name, const char *target);

/* Mounts a new file system on the folder, in a mount namespace of this process.
 * Ends the process with CHILD_SKIPS where that is not allowed. */
void tree_mount(struct tree *t, const char *type, const char *options);

#endif
