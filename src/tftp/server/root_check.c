/* root_check.c: whether the user of the workers can use the served directory (root.h). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/net.h"
#include "tftp/server/root.h"

#define ENTRIES_MAX 10000 /* entries of the root that are checked */

static bool may(int dir, const char *name, int mode)
{
	return faccessat(dir, name, mode, AT_EACCESS) == 0;
}

/* Whether this process may write to an entry of the root: a directory for uploads, or a file
 * that uploads may overwrite. */
static bool entry_is_writable(int root)
{
	int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	bool found = false;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (int i = 0; i < ENTRIES_MAX && !found && (entry = readdir(dir)) != NULL; i++)
		found = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			may(root, entry->d_name, W_OK);
	closedir(dir);
	return found;
}

int sockeye__tftp_root_check(const struct sockeye__tftp_store *store)
{
	if (!may(store->root, ".", X_OK))
		return -EACCES;
	if (!store->config.upload || may(store->root, ".", W_OK))
		return 0;
	if (errno == EROFS)
		return -EROFS;
	return entry_is_writable(store->root) ? 0 : -EPERM;
}

/* Writes a command for the shell. Returns false if it does not fit, or if the path has a
 * single quote. */
static bool command(const char *words, const char *path, char *out, size_t cap)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "_./:@%+,-";
	const char *quote = path[strspn(path, safe)] != '\0' ? "'" : "";

	return strchr(path, '\'') == NULL &&
	       snprintf(out, cap, "%s %s%s%s", words, quote, path, quote) < (int)cap;
}

void sockeye__tftp_root_explain(const struct sockeye__tftp_store *store, const char *user, int err,
				struct sockeye_fail *fail)
{
	const char *root = store->config.root;
	const bool reads = err == -EACCES;
	char words[64] = "chmod o+rx", mends[110];

	sockeye__fail_set(fail, "use root directory", root, err == -EPERM ? -EACCES : err);
	if (err == -EROFS)
		return;
	if (!reads)
		snprintf(words, sizeof words, "chown %.32s", user);
	if (!command(words, root, mends, sizeof mends))
		snprintf(mends, sizeof mends, "%s DIR", words);
	sockeye__fail_detail(fail, "user %.32s cannot %s it; run: %s", user,
			     reads ? "read" : "write to", mends);
}
