/*
 * default_name.h: what a file is called at the other end when nobody says.
 */
#ifndef SOCKEYE_TFTP_CLIENT_DEFAULT_NAME_H
#define SOCKEYE_TFTP_CLIENT_DEFAULT_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* The name here: `folder`, which ends in '/' or is "", and the base name of
 * `file`. Its length, or -EINVAL (no name), -ENAMETOOLONG. */
int sockeye__tftp_default_name_local(const char *folder, const char *file, char *buf, size_t cap);

/* The name there of the local file `path`: `file` itself, or, when it is a folder
 * ("", "x/", or any with `is_folder`), the base name of `path` in it. The
 * same results. */
int sockeye__tftp_default_name_remote(const char *file, bool is_folder, const char *path, char *buf,
				      size_t cap);

#endif
