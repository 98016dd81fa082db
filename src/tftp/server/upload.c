/* upload.c: opens the file of an upload (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define UPLOAD_MEMORY (64u << 20) /* bytes per worker for blocks ahead of a gap */

/* Fills in what the client wants to claim. Returns 0 or -errno. */
static int wanted_find(const struct sockeye__tftp_worker *w, const struct sockeye__tftp_upload *u,
		       const struct sockeye_sockaddr *client, struct sockeye__tftp_claimed *out)
{
	struct stat st;

	if (fstat(u->file.dir, &st) < 0)
		return -errno;
	*out = (struct sockeye__tftp_claimed){
	    .dev = st.st_dev,
	    .ino = st.st_ino,
	    .name = u->file.name,
	    .client = client,
	    .worker = w->base->seat,
	};
	return 0;
}

static int check(const struct sockeye__tftp_worker *w, const struct sockeye__tftp_upload *u,
		 const struct sockeye_sockaddr *client)
{
	struct sockeye__tftp_claimed wanted;
	bool shared = false;
	int err = wanted_find(w, u, client, &wanted);

	if (err == 0)
		err = sockeye__tftp_claims_check(w->server->claims, &wanted, w->now_ns, &shared);
	/* The transfer that yields may still hold the file; the first of the two that is complete
	 * is stored. Otherwise the file is held by another program. */
	return err == 0 && u->file.contested && !shared ? -EBUSY : err;
}

int sockeye__tftp_upload_claim(const struct sockeye__tftp_worker *w,
			       struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_upload *u = t->upload;
	struct sockeye__tftp_claimed wanted;
	int err = wanted_find(w, u, &t->wire.to.peer, &wanted);

	if (err < 0)
		return err;
	wanted.forgeable = t->machine.config.forgeable;
	err = sockeye__tftp_claims_take(w->server->claims, &wanted, w->now_ns, &u->claim);
	if (err == 0)
		err = sockeye__atomic_file_hold(&u->file);
	if (err == 0 && u->file.contested && !u->claim.taken_over)
		err = -EBUSY;
	u->claimed = err == 0;
	return err;
}

static int file_open(struct sockeye__tftp_worker *w, struct sockeye__tftp_upload *u,
		     const struct sockeye_sockaddr *client, const char *name, const uint64_t *size)
{
	int err = sockeye__tftp_store_put(&w->server->store, name, size, &u->file);

	if (err < 0)
		return err;
	u->replaced = (uint64_t)u->file.replaced;
	err = sockeye__tftp_total_check(w, u, size != NULL ? *size : 0);
	if (err == 0)
		err = check(w, u, client);
	if (err < 0)
		sockeye__atomic_file_discard(&u->file);
	return err;
}

int sockeye__tftp_upload_open(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
			      const struct sockeye_sockaddr *client, const char *name,
			      const uint64_t *size)
{
	struct sockeye__tftp_upload *u = calloc(1, sizeof *u);
	int err;

	if (u == NULL)
		return -ENOMEM;
	err = file_open(w, u, client, name, size);
	if (err < 0) {
		free(u);
		return err;
	}
	u->in_place = u->file.in_place;
	u->sink = (struct sockeye__tftp_sink){.fd = u->file.fd, .netascii = t->netascii};
	t->upload = u;
	return 0;
}

void sockeye__tftp_upload_memory(struct sockeye__tftp_worker *w, struct sockeye__tftp_upload *u,
				 struct sockeye__tftp_config *config)
{
	size_t len = sockeye__tftp_memory(sockeye__tftp_blksize(&config->options),
					  sockeye__tftp_windowsize(&config->options));

	if (len == 0 || w->upload_bytes + len > UPLOAD_MEMORY)
		return;
	u->memory = malloc(len); /* pages are used only if there are gaps */
	if (u->memory == NULL)
		return;
	u->memory_len = len;
	w->upload_bytes += len;
	config->memory = u->memory;
	config->memory_len = len;
}
