/*
 * links_tree.h: a tree whose folder "root" has files and symbolic links. Some links lead out of
 * root, to "secret" and other files beside it.
 */
#ifndef TEST_LIB_LINKS_TREE_H
#define TEST_LIB_LINKS_TREE_H

#include "tree.h"

/* Makes the tree and returns a descriptor of root. The caller closes the descriptor and removes
 * the tree. */
int links_tree_make(struct tree *tree);

#endif
