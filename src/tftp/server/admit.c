/*
 * admit.c: which transfer is dropped under pressure (internal.h).
 *
 * The rows of confirmed transfers are ordered by the clients' last progress, but only
 * approximately: a transfer is moved to the end of its row at most ten times per second.
 */
#include "tftp/server/internal.h"

#include <errno.h>

#include "base/deadline.h"

#define CUT_SEARCH 64 /* a transfer of the source is sought among this many of a row */
#define RANK_NS    (SOCKEYE_NS_PER_S / 10)
#define STALLED_NS (2 * SOCKEYE_NS_PER_S) /* the silence of a client that has stalled */
/* The same limit for a client whose answers may be forged. An attacker who forges a request
 * and an answer does not receive the blocks, and cannot acknowledge them in time. */
#define STALLED_FORGEABLE_NS (SOCKEYE_NS_PER_S / 4)
#define MINUTE_NS            (60 * SOCKEYE_NS_PER_S)
#define SLOW_BYTES_S         1024

void sockeye__tftp_rank(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	uint64_t life_ns = w->now_ns - t->minute_ns;

	if (t->machine.progress_ns != w->now_ns || w->now_ns - t->row_ns < RANK_NS)
		return;
	t->row_ns = w->now_ns;
	if (life_ns >= MINUTE_NS) {
		uint64_t moved = sockeye__tftp_transfer_moved(t);

		t->slow = moved - t->minute_bytes < SLOW_BYTES_S * (life_ns / SOCKEYE_NS_PER_S);
		t->minute_ns = w->now_ns;
		t->minute_bytes = moved;
	}
	sockeye__tftp_row_join(t->slow ? &w->slow : &w->moving, t);
}

/* Returns the first transfer of a source among the first CUT_SEARCH of a row, or NULL. */
static struct sockeye__tftp_transfer *first_of_source(const struct sockeye__tftp_worker *w,
						      const struct sockeye__tftp_row *row,
						      const struct sockeye_sockaddr *peer)
{
	struct sockeye__tftp_transfer *t = row->first;

	for (int i = 0; t != NULL && i < CUT_SEARCH; i++, t = t->row_next)
		if (sockeye__tftp_same_source(w, &t->wire.to.peer, peer))
			return t;
	return NULL;
}

static struct sockeye__tftp_transfer *first(const struct sockeye__tftp_worker *w,
					    const struct sockeye__tftp_row *row,
					    const struct sockeye_sockaddr *peer, bool source_only)
{
	struct sockeye__tftp_transfer *t =
	    row->first != NULL ? first_of_source(w, row, peer) : NULL;

	return t != NULL || source_only ? t : row->first;
}

/* Returns when the client of a transfer has stalled unless it makes progress, or 0 if there is
 * no transfer. */
static uint64_t stalls_ns(const struct sockeye__tftp_transfer *t)
{
	if (t == NULL)
		return 0;
	return t->machine.progress_ns +
	       (t->machine.config.forgeable ? STALLED_FORGEABLE_NS : STALLED_NS);
}

uint64_t sockeye__tftp_stalls_ns(const struct sockeye__tftp_worker *w)
{
	return sockeye__earlier(stalls_ns(w->moving.first), stalls_ns(w->slow.first));
}

/* Returns the transfer if its client has stalled, otherwise NULL. */
static struct sockeye__tftp_transfer *if_stalled(const struct sockeye__tftp_worker *w,
						 struct sockeye__tftp_transfer *t)
{
	return t != NULL && w->now_ns >= stalls_ns(t) ? t : NULL;
}

/* Returns a transfer of a row whose client has stalled, or NULL. */
static struct sockeye__tftp_transfer *stalled(const struct sockeye__tftp_worker *w,
					      const struct sockeye__tftp_row *row,
					      const struct sockeye_sockaddr *peer, bool source_only)
{
	struct sockeye__tftp_transfer *t = if_stalled(w, first(w, row, peer, source_only));

	return t != NULL || source_only ? t : if_stalled(w, row->first);
}

/* Returns the transfer whose client has been silent longer. Either may be NULL. */
static struct sockeye__tftp_transfer *more_silent(struct sockeye__tftp_transfer *a,
						  struct sockeye__tftp_transfer *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	return a->machine.progress_ns <= b->machine.progress_ns ? a : b;
}

struct sockeye__tftp_transfer *sockeye__tftp_drop_candidate(const struct sockeye__tftp_worker *w,
							    const struct sockeye_sockaddr *peer,
							    bool source_only,
							    enum sockeye__tftp_rank *out_rank)
{
	struct sockeye__tftp_transfer *t = first(w, &w->dallying, peer, source_only);

	*out_rank = SOCKEYE__TFTP_RANK_EXPENDABLE;
	if (t == NULL)
		t = first(w, &w->unconfirmed, peer, source_only);
	if (t != NULL)
		return t;
	*out_rank = SOCKEYE__TFTP_RANK_STALLED;
	t = more_silent(stalled(w, &w->moving, peer, source_only),
			stalled(w, &w->slow, peer, source_only));
	if (t != NULL)
		return t;
	t = first(w, &w->slow, peer, source_only);
	*out_rank = t != NULL ? SOCKEYE__TFTP_RANK_SLOW : SOCKEYE__TFTP_RANK_KEPT;
	return t;
}

bool sockeye__tftp_make_room(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer,
			     enum sockeye__tftp_scope scope)
{
	enum sockeye__tftp_rank rank;
	struct sockeye__tftp_transfer *t =
	    sockeye__tftp_drop_candidate(w, peer, scope == SOCKEYE__TFTP_OF_SOURCE, &rank);

	if (sockeye__tftp_room_elsewhere(w, scope, rank) || t == NULL)
		return false;
	sockeye__tftp_transfer_drop(w, t, SOCKEYE__TFTP_MADE_ROOM);
	return true;
}

enum sockeye__tftp_limit sockeye__tftp_admit(struct sockeye__tftp_worker *w,
					     const struct sockeye_sockaddr *peer)
{
	struct sockeye__counters *c = w->base->counters;
	int err;

	while ((err = sockeye__tftp_slot_take(w, peer)) < 0) {
		bool source = err == -EDQUOT;

		if (sockeye__tftp_make_room(
			w, peer, source ? SOCKEYE__TFTP_OF_SOURCE : SOCKEYE__TFTP_OF_SERVER))
			continue;
		if (!w->room.waits)
			sockeye__count(source ? &c->refused_source : &c->refused_resource, 1);
		return source ? SOCKEYE__TFTP_LIMIT_SOURCE : SOCKEYE__TFTP_LIMIT_TRANSFERS;
	}
	return SOCKEYE__TFTP_LIMIT_NONE;
}
