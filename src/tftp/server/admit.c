/* admit.c: whether one more transfer may begin, and which one is dropped for it
 * (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>

#define CUT_SEARCH 64 /* of a row that are looked at for one source */

/* Ends the oldest of a row, or the oldest of one source if it is not far behind. */
static bool row_cut(struct sockeye__tftp_worker *w, const struct sockeye__tftp_row *row,
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
	sockeye__tftp_transfer_drop(w, t, "another one needed its place");
	return true;
}

bool sockeye__tftp_admit(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye__counters *c = w->base->counters;
	int err;

	while ((err = sockeye__tftp_slot_take(w, peer)) < 0) {
		const struct sockeye_sockaddr *source = err == -EDQUOT ? peer : NULL;

		if (row_cut(w, &w->dallying, source) || row_cut(w, &w->unconfirmed, source))
			continue;
		sockeye__count(source != NULL ? &c->refused_source : &c->refused_resource, 1);
		return false;
	}
	return true;
}
