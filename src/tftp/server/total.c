/*
 * total.c: the bytes that all uploads may add to the directory, across all workers
 * (internal.h).
 *
 * The total is the sum of the files that are or will be committed and, for each worker, of
 * the uploads in progress. So if a worker dies, the bytes of its uploads in progress are
 * subtracted, but not those of a file that it may have committed.
 */
#include "tftp/server/internal.h"

#include <errno.h>

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void add(uint64_t *at, uint64_t bytes)
{
	__atomic_add_fetch(at, bytes, __ATOMIC_RELAXED);
}

/* Subtracts the bytes, but not below 0: a file may be replaced that was there before the
 * server started. */
static void subtract(uint64_t *at, uint64_t bytes)
{
	uint64_t now = load(at), rest;

	do
		rest = now > bytes ? now - bytes : 0;
	while (
	    !__atomic_compare_exchange_n(at, &now, rest, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

static uint64_t total(const struct sockeye__tftp_shared *shared)
{
	uint64_t sum = load(&shared->committed_bytes);

	for (unsigned i = 0; i < SOCKEYE__SEATS_MAX; i++)
		sum += load(&shared->received_bytes[i]);
	return sum;
}

/* Returns by how much an upload of this size makes the directory grow. */
static uint64_t growth(const struct sockeye__tftp_upload *u, uint64_t size)
{
	return size > u->replaced ? size - u->replaced : 0;
}

int sockeye__tftp_total_check(const struct sockeye__tftp_worker *w,
			      const struct sockeye__tftp_upload *u, uint64_t size)
{
	uint64_t max = w->server->config.upload_total, now = total(w->server->shared);

	return max == 0 || (now <= max && growth(u, size) <= max - now) ? 0 : -EOVERFLOW;
}

int sockeye__tftp_total_take(const struct sockeye__tftp_worker *w, struct sockeye__tftp_upload *u)
{
	uint64_t max = w->server->config.upload_total;
	uint64_t *received = &w->server->shared->received_bytes[w->base->seat];
	uint64_t wanted = growth(u, u->sink.bytes), more = wanted - u->counted;

	if (max == 0 || more == 0)
		return 0;
	add(received, more);
	if (total(w->server->shared) > max) {
		subtract(received, more);
		return -EOVERFLOW;
	}
	u->counted = wanted;
	return 0;
}

void sockeye__tftp_total_commit(const struct sockeye__tftp_worker *w,
				struct sockeye__tftp_upload *u)
{
	struct sockeye__tftp_shared *shared = w->server->shared;

	add(&shared->committed_bytes, u->counted);
	subtract(&shared->received_bytes[w->base->seat], u->counted);
	u->counted_committed = true;
}

void sockeye__tftp_total_committed(const struct sockeye__tftp_worker *w,
				   struct sockeye__tftp_upload *u)
{
	if (w->server->config.upload_total != 0 && u->sink.bytes < u->replaced)
		subtract(&w->server->shared->committed_bytes, u->replaced - u->sink.bytes);
	u->counted = 0;
}

void sockeye__tftp_total_give(const struct sockeye__tftp_worker *w, struct sockeye__tftp_upload *u)
{
	struct sockeye__tftp_shared *shared = w->server->shared;

	/* What was written in place stays. */
	if (u->in_place && !u->counted_committed)
		sockeye__tftp_total_commit(w, u);
	else if (!u->in_place)
		subtract(u->counted_committed ? &shared->committed_bytes
					      : &shared->received_bytes[w->base->seat],
			 u->counted);
	u->counted = 0;
}
