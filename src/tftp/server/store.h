/*
 * store.h: the folder a TFTP server serves: which names are files of it,
 * which may be sent, and which may be made.
 */
#ifndef SOCKEYE_TFTP_SERVER_STORE_H
#define SOCKEYE_TFTP_SERVER_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <sockeye/error.h>
#include <sockeye/sockaddr.h>

#include "files/atomic_file.h"
#include "tftp/server/open_files.h"

struct sockeye__tftp_store_config {
	const char *root;    /* stays valid as long as the store */
	bool upload;         /* files that do not exist may be made, */
	bool overwrite;      /* those that do may be replaced, */
	bool create;         /* and missing folders on the way be made, too */
	uint64_t upload_max; /* bytes; 0: no limit of ours */
	mode_t umask;
	bool umask_given; /* else the process's own counts */
};

struct sockeye__tftp_store {
	struct sockeye__tftp_store_config config;
	int root; /* O_PATH */
	bool is_open;
	bool confined; /* this process cannot reach another root in the place of this one */
	bool by_hand;  /* names are resolved by us, not by the kernel (open_beneath.h) */
	struct sockeye__tftp_open_files files;
	bool shares; /* names are looked up once (sockeye__tftp_store_share) */
	struct sockeye__tftp_open_file *last; /* what the last name led to; NULL */
	char last_name[128];                  /* longer ones are looked up each time */
};

/* 0 or -errno with *fail filled in. */
int sockeye__tftp_store_open(struct sockeye__tftp_store *s,
			     const struct sockeye__tftp_store_config *config,
			     struct sockeye_fail *fail);

/* Whether the root was removed and its name is a folder's again; and takes that
 * one. Names are looked for there anyhow, but not in a sandbox that only lets
 * into the old one. */
bool sockeye__tftp_store_replaced(const struct sockeye__tftp_store *s);
void sockeye__tftp_store_refresh(struct sockeye__tftp_store *s);

/* All files must have been released. Legal when zeroed. */
void sockeye__tftp_store_close(struct sockeye__tftp_store *s);

/* A file to send, by its name below the root; to be given back by release. What
 * can be said of an error is in sockeye__tftp_store_error(): -EXDEV is a name or
 * a link that leads out, be there something or not; -EISDIR and -ENXIO are what
 * is no regular file, and never waited for. */
int sockeye__tftp_store_get(struct sockeye__tftp_store *s, const char *name,
			    struct sockeye__tftp_open_file **out_file);
void sockeye__tftp_store_release(struct sockeye__tftp_store *s,
				 struct sockeye__tftp_open_file *file);

/* For as long as it is on, a name that is asked for several times in a row is
 * looked up once: for requests that came at the same time. */
void sockeye__tftp_store_share(struct sockeye__tftp_store *s, bool on);

/* A file to receive: *out, which is open only on success, is to be committed or
 * discarded; with it go folders that were made for it, if they are empty and
 * nobody else is about to put a file there. `size` is what the peer announced,
 * or NULL. Links are followed nowhere in `name`. -EROFS: no uploads; -EFBIG,
 * -ENOSPC: the announced size is over the limit, or what is free; more by
 * sockeye__atomic_file_open(). */
int sockeye__tftp_store_put(struct sockeye__tftp_store *s, const char *name, const uint64_t *size,
			    struct sockeye__atomic_file *out);

/* Puts the folder before the name that is called like the client's address, where
 * the root has one and `cap` bytes hold both. */
void sockeye__tftp_store_own(struct sockeye__tftp_store *s, const struct sockeye_sockaddr *client,
			     char *name, size_t cap);

/* What to tell the peer of a negative code: TFTP's error code, and a text, which
 * is constant, short, and says nothing about what lies outside. */
uint16_t sockeye__tftp_store_error(int err, const char **out_text);

#endif
