/* again.c: requests of a peer that has a transfer (internal.h). */
#include "tftp/server/internal.h"

#include <string.h>

#define CATCH_UP 4 /* packets of a peer handled before its new request */
/* A repeated request is a duplicate if the transfer made progress within this time. */
#define PATIENCE_NS SOCKEYE_NS_PER_S
#define HUSH_NS     (PATIENCE_NS / 2) /* pause of a peer's old transfer */

/* Handles a request from a peer that has a transfer. Returns true if the request is a
 * duplicate, which a client sends if the reply was lost; the transfer then answers it.
 *
 * Otherwise the peer has abandoned the old transfer, or an attacker, who need not know
 * the transfer's port, has forged the request. So the old transfer only pauses for
 * HUSH_NS, and is dropped when the new one is confirmed. The old transfer is dropped
 * immediately if it is done, was never confirmed, or has made no progress for
 * PATIENCE_NS, and always in single-port mode, in which packets of the old and the new
 * transfer cannot be distinguished. */
bool sockeye__tftp_is_duplicate(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer,
				const uint8_t *bytes, size_t len)
{
	struct sockeye__tftp_transfer *t = sockeye__tftp_peers_find(w, peer);
	bool same;

	if (t == NULL)
		return false;
	same = t->request_len == len && memcmp(t->bytes, bytes, len) == 0;
	if (same && (!t->machine.confirmed || w->now_ns - t->machine.progress_ns < PATIENCE_NS) &&
	    (t->machine.result == SOCKEYE__TFTP_RUNNING || t->phase == SOCKEYE__TFTP_STORING)) {
		sockeye__tftp_transfer_datagram(w, t, bytes, len, len);
		return true;
	}
	if (t->phase == SOCKEYE__TFTP_STORING && t->port != NULL)
		return false; /* it loses its last ACK when the other transfer is confirmed */
	if (t->machine.result == SOCKEYE__TFTP_DONE) /* it only repeats its last ACK */
		sockeye__tftp_transfer_drop(w, t, NULL);
	else if (t->port == NULL || !t->machine.confirmed ||
		 w->now_ns - t->machine.progress_ns >= PATIENCE_NS)
		sockeye__tftp_transfer_drop(w, t, SOCKEYE__TFTP_SUPERSEDED);
	else /* a packet from its peer resumes it earlier */
		sockeye__tftp_postpone(&t->machine, t->machine.progress_ns + HUSH_NS);
	return false;
}

/* Handles packets that the peer sent before its request but that are queued at another
 * socket: the last ACK of its transfer, or the ERROR of a probe. */
void sockeye__tftp_catch_up(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye__tftp_transfer *t = sockeye__tftp_peers_find(w, peer);

	if (t == NULL || t->port == NULL)
		return;
	for (int i = 0; i < CATCH_UP && t->phase != SOCKEYE__TFTP_CLOSED; i++)
		sockeye__tftp_transfer_ready(w, t);
}
