/*
 * sim_check.c: checks the behavior of both ends from outside, and their invariants.
 */
#include <inttypes.h>

#include "sim.h"

/* Returns the position of an end in the file. */
static uint64_t front_of(const struct peer *p)
{
	uint64_t front = sockeye__tftp_is_unanswered(&p->x) ? 0 : 1;

	return front + (p->x.config.sends ? p->x.sender.una : p->x.receiver.next + p->x.count.kept);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t sim_limit_ns(const struct sim *s)
{
	const struct sockeye__tftp *x = &s->peer[s->sender].x;
	uint64_t windows = s->peer[s->sender].exists ? sim_blocks(s) / x->window + 1 : 0;
	uint64_t trip_ns = 2 * (s->net.delay_ns + s->net.jitter_ns);
	const struct peer *receiver = &s->peer[1 - s->sender];
	/* Jitter exchanges blocks that are sent together, also after the network has healed. A
	 * receiver that cannot keep the window loses some of them and reports a gap, and a sender
	 * repeats a window for such a report only if it is not an echo (RFC 1123, section
	 * 4.2.3.1): otherwise its timer does, which is one window in eight. */
	bool by_timer = s->net.jitter_ns > 0 && x->window > 1 && receiver->exists &&
			receiver->x.receiver.slots < x->window - 1u;
	uint64_t window_ns = 2 * trip_ns + MS + (by_timer ? RTO_MAX_NS / 8 : 0);

	/* Each window takes up to two round trips, with pauses. Both ends may have to
	 * give up after a silence, and that may begin within a backed-off timeout. */
	return s->net.heal_ns + windows * window_ns + s->size / 16 * MS + 2 * SILENCE_NS +
	       DALLY_NS + 4 * RTO_MAX_NS;
}

static void check_give_up(struct sim *s, enum end end)
{
	const struct peer *p = &s->peer[end], *other = &s->peer[1 - end];
	uint64_t silent_ns = s->now_ns - p->front_ns;

	if (end == SERVER && !p->x.confirmed)
		return; /* an unconfirmed peer gets few packets */
	if (silent_ns < SILENCE_NS)
		sim_wrong(s, "%s gives up %" PRIu64 " ms after progress", sim_ends[end],
			  silent_ns / MS);
	if (s->now_ns > later(s->net.heal_ns, p->front_ns) + SILENCE_NS &&
	    !sockeye__tftp_is_over(&other->x) && other->exists)
		sim_wrong(s, "%s gives up though the network has healed", sim_ends[end]);
}

/* Fails if the sender lacks the last ACK although the receiver has dallied long enough
 * after the network healed. */
static void check_dally(struct sim *s)
{
	const struct peer *sender = &s->peer[s->sender], *receiver = &s->peer[1 - s->sender];
	uint64_t from_ns = later(receiver->done_ns, s->net.heal_ns);

	uint64_t to_ns = sockeye__tftp_is_over(&receiver->x) ? receiver->over_ns : s->now_ns;

	if (sender->x.restraint.tries == 3)
		return; /* it waits to be asked, and the receiver has nothing to ask for */
	if ((s->sender == CLIENT || sender->x.confirmed) &&
	    receiver->x.result == SOCKEYE__TFTP_DONE &&
	    (to_ns > from_ns + 2 * RTO_MAX_NS + 20 * MS || receiver->done_ns > s->net.heal_ns))
		sim_wrong(s, "the last ACK is missing although the receiver was dallying");
}

static void check_over(struct sim *s, enum end end)
{
	const struct peer *p = &s->peer[end], *other = &s->peer[1 - end];

	switch (p->x.result) {
	case SOCKEYE__TFTP_DONE:
		if (p->x.config.sends &&
		    (!other->exists || other->x.result != SOCKEYE__TFTP_DONE) && !s->aborted)
			sim_wrong(s, "%s is done, but the receiver is not", sim_ends[end]);
		if (!p->x.config.sends && s->now_ns < p->done_ns + DALLY_NS && !s->aborted)
			sim_wrong(s, "%s ends without dallying", sim_ends[end]);
		break;
	case SOCKEYE__TFTP_LAST_ACK_MISSING:
		check_dally(s);
		check_give_up(s, end);
		break;
	case SOCKEYE__TFTP_TIMED_OUT:
		check_give_up(s, end);
		break;
	case SOCKEYE__TFTP_PEER_ERROR:
	case SOCKEYE__TFTP_ABORTED:
		if (!s->aborted)
			sim_wrong(s, "%s has an error without a cause", sim_ends[end]);
		break;
	default:
		sim_wrong(s, "%s ends: %s", sim_ends[end], sim_results[p->x.result]);
	}
}

/* A peer that may be forged gets a window and three blocks, and a window for each request
 * and each ACK of nothing new, which it pays for. */
static void check_restraint(struct sim *s, enum end end)
{
	const struct peer *p = &s->peer[end];
	uint64_t most = (1 + p->asked_since) * p->x.window + 3;

	if (p->x.config.forgeable && p->x.confirmed && p->blocks_since > most)
		sim_wrong(s, "%s sends %" PRIu64 " blocks to a silent peer", sim_ends[end],
			  p->blocks_since);
}

void sim_check_progress(struct sim *s)
{
	for (int i = 0; i < 2; i++) {
		struct peer *p = &s->peer[i];
		uint64_t front;

		if (!p->exists)
			continue;
		sockeye__tftp_check(&p->x);
		front = front_of(p);
		if (front != p->front) {
			/* Some of the blocks were sent before: the requests paid for them. */
			p->front_ns = s->now_ns;
			p->blocks_since = p->asked_since = 0;
		} else {
			check_restraint(s, (enum end)i);
		}
		p->front = front;
		if (p->x.result == SOCKEYE__TFTP_DONE && p->done_ns == 0)
			p->done_ns = s->now_ns;
		if (sockeye__tftp_is_over(&p->x) && p->over_ns == 0) {
			p->over_ns = s->now_ns;
			check_over(s, (enum end)i);
		}
	}
}

/* Without faults every packet is sent once. */
static void check_perfect(struct sim *s)
{
	const struct peer *sender = &s->peer[s->sender], *receiver = &s->peer[1 - s->sender];
	uint64_t blocks = sim_blocks(s), window = sender->x.window;
	uint64_t acks = (blocks + window - 1) / window;

	if (sender->blocks != blocks)
		sim_wrong(s, "%" PRIu64 " DATA sent for %" PRIu64 " blocks", sender->blocks,
			  blocks);
	if (receiver->acks < acks || receiver->acks > acks + 1)
		sim_wrong(s, "%" PRIu64 " ACK sent for %" PRIu64 " blocks, window %" PRIu64,
			  receiver->acks, blocks, window);
}

/* Each fault and each timeout justifies one pass of a window at most. */
static void check_amount(struct sim *s)
{
	const struct peer *sender = &s->peer[s->sender], *receiver = &s->peer[1 - s->sender];
	const struct network *n = &s->net;
	uint64_t blocks = sim_blocks(s), window = sender->x.window;
	uint64_t faults = n->dropped + n->delayed + n->damaged + sender->x.count.timeouts +
			  receiver->x.count.timeouts;
	bool steady = n->jitter_ns == 0; /* no packet overtakes another */
	bool keeps = receiver->x.receiver.slots == window - 1;
	uint64_t most = blocks + faults * window + n->repeated;

	if (!steady)
		most += blocks * (keeps ? 5 : window);
	else if (!keeps) /* the sender has to learn that */
		most += window;

	if (steady && faults == 0 && n->repeated == 0) {
		check_perfect(s);
		return;
	}
	/* Duplicated packets alone must not cause a repeat (RFC 1123, section 4.2.3.1). */
	if (steady && faults == 0 && sender->blocks != blocks)
		sim_wrong(s, "%" PRIu64 " DATA sent for %" PRIu64 " blocks, but no packet was lost",
			  sender->blocks, blocks);
	if (sender->blocks > most)
		sim_wrong(s,
			  "%" PRIu64 " DATA sent for %" PRIu64 " blocks, window %" PRIu64
			  ", after %" PRIu64 " faults",
			  sender->blocks, blocks, window, faults);
	if (receiver->acks > (steady ? blocks / window + 2 : blocks + 2) + 2 * faults +
				 sender->x.count.resent + n->repeated)
		sim_wrong(s, "%" PRIu64 " ACK sent for %" PRIu64 " blocks, window %" PRIu64,
			  receiver->acks, blocks, window);
}

void sim_check_end(struct sim *s)
{
	const struct peer *client = &s->peer[CLIENT], *server = &s->peer[SERVER];
	bool failed = client->x.result > SOCKEYE__TFTP_LAST_ACK_MISSING ||
		      (server->exists && server->x.result > SOCKEYE__TFTP_LAST_ACK_MISSING);

	if (s->aborted || failed || !server->exists)
		return;
	if (s->written != s->size)
		sim_wrong(s, "%" PRIu64 " bytes of %" PRIu64, s->written, s->size);
	if (s->tids == 1 && !s->dribbled)
		check_amount(s);
}
