/* links_tree.c: a tree for tests of symbolic links (links_tree.h). */
#include "links_tree.h"

#include <limits.h>

static void links_make(const struct tree *tree, int root)
{
	static const char *const links[][2] = {
	    {"in", "dir/file"},
	    {"in_dir", "dir"},
	    {"in_up", "dir/../file"},
	    {"dir/back", "../file"},
	    {"dir/back_slow", ".././/dir/sub/../../in"},
	    {"slash", "dir/"},
	    {"file_slash", "file/"},
	    {"out", "../secret"},
	    {"out_missing", "../nothing"},
	    {"out_and_in", "../root/file"},
	    {"out_dir", ".."},
	    {"dir/far", "../../root-secret/../alias/in_dir/sub/file"},
	    {"alias_link", "../alias"},
	    {"dir/out", "../../secret"},
	    {"sibling", "../root-secret/x"},
	    {"abs", "/etc/passwd"},
	    {"abs_missing", "/nonexistent/x"},
	    {"dangling", "nowhere"},
	    {"loop", "loop"},
	    {"loop_a", "loop_b"},
	    {"loop_b", "dir/../loop_a"},
	    {"chain0", "file"},
	};
	char name[16], target[16];

	/* absolute targets below the tree's folder, in which "alias" is a link to root */
	static const char *const absolute[][2] = {
	    {"abs_in", "root/dir/file"},
	    {"abs_dir", "root/dir/"},
	    {"abs_root", "root"},
	    {"abs_alias", "alias/file"},
	    {"abs_loop", "root/abs_loop"},
	    {"abs_back_out", "root/../secret"},
	    {"abs_sibling", "root-secret/x"},
	    {"abs_secret", "secret"},
	    {"dir/abs_deep", "root//dir/sub/../sub/file"},
	};
	char path[PATH_MAX];

	link_make(tree->fd, "alias", "root");
	for (size_t i = 0; i < COUNT(absolute); i++) {
		snprintf(path, sizeof path, "%s/%s", tree->path, absolute[i][1]);
		link_make(root, absolute[i][0], path);
	}
	for (size_t i = 0; i < COUNT(links); i++)
		link_make(root, links[i][0], links[i][1]);
	for (int i = 1; i <= 40; i++) {
		snprintf(name, sizeof name, "chain%d", i);
		snprintf(target, sizeof target, "chain%d", i - 1);
		link_make(root, name, target);
	}
}

int links_tree_make(struct tree *tree)
{
	int root;

	tree_make(tree);
	folder_make(tree->fd, "root");
	folder_make(tree->fd, "root-secret");
	file_write(tree->fd, "secret", "secret");
	file_write(tree->fd, "root-secret/x", "secret");
	root = openat(tree->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	folder_make(root, "dir");
	folder_make(root, "dir/sub");
	file_write(root, "file", "top");
	file_write(root, "backup..2024.bin", "dots");
	file_write(root, "dir/file", "below");
	file_write(root, "dir/sub/file", "deep");
	links_make(tree, root);
	return root;
}
