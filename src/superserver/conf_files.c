/* conf_files.c: files, ports and names for the reader of a configuration (conf_files.h). */
#include "superserver/conf_files.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules/lines.h"

static int file_read(void *context, const char *path, char **out_text, size_t *out_len)
{
	(void)context;
	return sockeye__rules_file_read(path, AT_FDCWD, out_text, out_len);
}

/* Writes the names of the regular files, and of symbolic links to some. Returns 0 or
 * -errno. */
static int names_write(DIR *dir, FILE *out)
{
	for (;;) {
		struct dirent *entry;
		struct stat st;

		errno = 0;
		entry = readdir(dir);
		if (entry == NULL)
			return -errno;
		if (fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
			fprintf(out, "%s%c", entry->d_name, '\0');
	}
}

static int directory_list(void *context, const char *path, char **out_names)
{
	DIR *dir = opendir(path);
	char *names = NULL;
	size_t len;
	FILE *out;
	int err;

	(void)context;
	if (dir == NULL)
		return -errno;
	out = open_memstream(&names, &len);
	err = out != NULL ? names_write(dir, out) : -ENOMEM;
	closedir(dir);
	/* The stream adds a NUL, which ends the list. */
	if (out != NULL && fclose(out) != 0)
		err = -ENOMEM;
	if (err < 0) {
		free(names);
		return err;
	}
	*out_names = names;
	return 0;
}

static int service_port(void *context, const char *service, const char *protocol)
{
	const struct servent *entry = getservbyname(service, protocol);

	(void)context;
	return entry != NULL ? ntohs((uint16_t)entry->s_port) : -ENOENT;
}

static bool name_known(void *context, const char *name)
{
	struct addrinfo *found = NULL;

	(void)context;
	if (getnetbyname(name) != NULL)
		return true;
	if (getaddrinfo(name, NULL, NULL, &found) != 0)
		return false;
	freeaddrinfo(found);
	return true;
}

static bool is_program(void *context, const char *path)
{
	struct stat st;

	(void)context;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool is_user(void *context, const char *name)
{
	(void)context;
	return getpwnam(name) != NULL;
}

static bool is_group(void *context, const char *name)
{
	(void)context;
	return getgrnam(name) != NULL;
}

const struct sockeye__conf_world sockeye__conf_files = {
    .read = file_read,
    .list = directory_list,
    .port = service_port,
    .name_known = name_known,
    .is_program = is_program,
    .is_user = is_user,
    .is_group = is_group,
};
