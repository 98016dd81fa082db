/* default_name.c: the name of a file at the other end (default_name.h). Pure. */
#include "tftp/client/default_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Returns the last component of a file's name, or NULL for "", "." and "..". */
static const char *base_of(const char *file)
{
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;

	return *base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ? NULL : base;
}

static int join(const char *folder, const char *slash, const char *base, char *buf, size_t cap)
{
	int len;

	if (base == NULL)
		return -EINVAL;
	len = snprintf(buf, cap, "%s%s%s", folder, slash, base);
	return (size_t)len < cap ? len : -ENAMETOOLONG;
}

int sockeye__tftp_default_name_local(const char *folder, const char *file, char *buf, size_t cap)
{
	return join(folder, "", base_of(file), buf, cap);
}

int sockeye__tftp_default_name_remote(const char *file, bool is_folder, const char *path, char *buf,
				      size_t cap)
{
	size_t len = strlen(file);
	bool ends = len == 0 || file[len - 1] == '/';

	if (!ends && !is_folder)
		return join("", "", file, buf, cap);
	return join(file, ends ? "" : "/", base_of(path), buf, cap);
}
