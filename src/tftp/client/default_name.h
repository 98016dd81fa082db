/*
 * default_name.h: the name of a file at the other end, if the user gives none.
 */
#ifndef SOCKEYE_TFTP_CLIENT_DEFAULT_NAME_H
#define SOCKEYE_TFTP_CLIENT_DEFAULT_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the local name of a file to fetch: the directory `folder`, which ends in '/'
 * or is "", and the last component of `file`. Returns its length, -EINVAL if `file`
 * has no such component, or -ENAMETOOLONG. */
int sockeye__tftp_default_name_local(const char *folder, const char *file, char *buf, size_t cap);

/* Writes the server's name of the local file `path`: `file` itself or, if that is a
 * directory ("", "x/", or any name with `is_folder`), `file` and the last component of
 * `path`. Fails like the function above. */
int sockeye__tftp_default_name_remote(const char *file, bool is_folder, const char *path, char *buf,
				      size_t cap);

#endif
