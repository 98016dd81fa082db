/*
 * store.h: the directory that a TFTP server serves: looks up files to send, and makes
 * files to receive.
 */
#ifndef SOCKEYE_TFTP_SERVER_STORE_H
#define SOCKEYE_TFTP_SERVER_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <sockeye/error.h>
#include <sockeye/sockaddr.h>

#include "files/atomic_file.h"
#include "files/open_beneath.h"
#include "tftp/server/open_files.h"

struct sockeye__tftp_store_config {
	const char *root;          /* must stay valid while the store is open */
	enum sockeye__links links; /* the symbolic links to follow when a file is sent */
	bool upload;               /* accept new files */
	bool overwrite;            /* with upload: replace existing files */
	bool create;               /* with upload: make missing directories */
	uint64_t upload_max;       /* bytes of a file; 0: no limit */
	uint64_t reserve;          /* bytes of the file system that uploads leave free */
	bool no_sync;              /* acknowledge an upload before the disk has it */
	mode_t umask;
	bool has_umask; /* use `umask`; otherwise the process's own applies */
};

struct sockeye__tftp_store {
	struct sockeye__tftp_store_config config;
	int root; /* O_PATH */
	bool is_open;
	bool by_hand; /* the kernel cannot resolve names safely (open_beneath.h) */
	struct sockeye__tftp_open_files files;
	bool shares;                          /* see sockeye__tftp_store_share */
	struct sockeye__tftp_open_file *last; /* the file of last_name; NULL: none */
	char last_name[128];                  /* longer names are looked up each time */
};

/* Opens the root. Returns 0, or -errno with *fail filled in. */
int sockeye__tftp_store_open(struct sockeye__tftp_store *s,
			     const struct sockeye__tftp_store_config *config,
			     struct sockeye_fail *fail);

/* Whether the path of the root now names another directory: a symbolic link was switched, or
 * the directory was removed and made again. The store keeps the old one. */
bool sockeye__tftp_store_replaced(const struct sockeye__tftp_store *s);
/* Opens the path of the root again. Returns 1 with the descriptor of another directory than
 * that of the store, 0 if it is the same one, or -errno. */
int sockeye__tftp_store_look(const struct sockeye__tftp_store *s, int *out_root);

/* Closes the root. All files must have been released. Legal when zeroed. */
void sockeye__tftp_store_close(struct sockeye__tftp_store *s);

/* Opens a file to send by its name below the root; the caller releases it. Returns 0
 * or -errno, among others -EXDEV if the name or a link leads outside the root,
 * whether or not a file exists there, and -EISDIR or -ENXIO if it is not a regular
 * file. Never waits for a device or FIFO. */
int sockeye__tftp_store_get(struct sockeye__tftp_store *s, const char *name,
			    struct sockeye__tftp_open_file **out_file);
void sockeye__tftp_store_release(struct sockeye__tftp_store *s,
				 struct sockeye__tftp_open_file *file);

/* Turns sharing on or off. While it is on, consecutive requests for the same name use one
 * lookup. Turn it on only for requests that arrived together. */
void sockeye__tftp_store_share(struct sockeye__tftp_store *s, bool on);

/* Makes a file to receive, which the caller commits or discards. Discarding it also
 * removes the directories made for it, if they are empty and no other upload uses them.
 * `size` is the announced size or NULL. Follows no links in `name`. Returns 0 or
 * -errno: -EROFS if uploads are not allowed, -EFBIG if the announced size exceeds the
 * limit, -ENOSPC if it exceeds the free space less the reserve, and errors of
 * sockeye__atomic_file_open(). out->contested: another upload is replacing the file. */
int sockeye__tftp_store_put(struct sockeye__tftp_store *s, const char *name, const uint64_t *size,
			    struct sockeye__atomic_file *out);

/* Returns 0 if the file system of `fd` has room for `more` bytes besides the reserve, or
 * -ENOSPC. */
int sockeye__tftp_store_room(const struct sockeye__tftp_store *s, int fd, uint64_t more);

/* Puts the directory of the client in front of the name: for an upload always, for a download
 * if the root has this directory. Returns 0, -ENAMETOOLONG if the result exceeds `cap` bytes, or
 * -EADDRNOTAVAIL for an upload if `folder` is "". */
int sockeye__tftp_store_client_folder(struct sockeye__tftp_store *s, const char *folder,
				      bool upload, char *name, size_t cap);

/* Whether something below the root has this name. */
bool sockeye__tftp_store_has(struct sockeye__tftp_store *s, const char *name);

/* Returns TFTP's error code for a negative errno, and a short constant text for the
 * client that reveals nothing about files outside the root. */
uint16_t sockeye__tftp_store_error(int err, const char **out_text);

#endif
