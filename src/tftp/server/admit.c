/* admit.c: which transfer is dropped at a limit (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>

#define CUT_SEARCH 64 /* transfers of a row that are searched for one of a source */

/* Drops the oldest transfer of a row or, with a source, its oldest among the first
 * CUT_SEARCH. Returns false if there is none. */
static bool row_drop(struct sockeye__tftp_worker *w, const struct sockeye__tftp_row *row,
		     const struct sockeye_sockaddr *source)
{
	struct sockeye__tftp_transfer *t = row->first;

	for (int i = 0;
	     source != NULL && t != NULL && !sockeye__tftp_same_source(w, &t->wire.to.peer, source);
	     t = t->row_next)
		if (++i == CUT_SEARCH)
			return false;
	if (t == NULL)
		return false;
	sockeye__tftp_transfer_drop(w, t, "dropped to make room for another transfer");
	return true;
}

enum sockeye__tftp_limit sockeye__tftp_admit(struct sockeye__tftp_worker *w,
					     const struct sockeye_sockaddr *peer)
{
	struct sockeye__counters *c = w->base->counters;
	int err;

	while ((err = sockeye__tftp_slot_take(w, peer)) < 0) {
		const struct sockeye_sockaddr *source = err == -EDQUOT ? peer : NULL;

		if (row_drop(w, &w->dallying, source) || row_drop(w, &w->unconfirmed, source))
			continue;
		sockeye__count(source != NULL ? &c->refused_source : &c->refused_resource, 1);
		return source != NULL ? SOCKEYE__TFTP_LIMIT_SOURCE : SOCKEYE__TFTP_LIMIT_TRANSFERS;
	}
	return SOCKEYE__TFTP_LIMIT_NONE;
}
