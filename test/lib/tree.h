/* tree.h: a folder with files in it, for tests of what opens and makes them. */
#ifndef TEST_LIB_TREE_H
#define TEST_LIB_TREE_H

#include "help.h"

struct tree {
	char path[64];
	int fd; /* O_PATH */
};

/* An empty folder that everybody may enter; and the end of it. */
void tree_make(struct tree *t);
void tree_clear(const struct tree *t); /* all that is in it */
void tree_remove(struct tree *t);
size_t tree_entries(const struct tree *t); /* at the top, hidden ones too */

/* Names below a folder. */
void file_write(int dir, const char *name, const char *text); /* in place when there is one */
const char *file_text(int dir, const char *name); /* "" without a file; until the next call */
bool name_exists(int dir, const char *name);
mode_t mode_of(int dir, const char *name);
void folder_make(int dir, const char *name);
void link_make(int dir, const char *name, const char *target);

/* A mount namespace of one's own with a new file system on the folder, for the
 * rest of the process: CHILD_SKIPS where that is not allowed. */
void tree_mount(struct tree *t, const char *type, const char *options);

#endif
