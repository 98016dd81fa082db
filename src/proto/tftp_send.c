/*
 * tftp_send.c: sends DATA and receives ACKs (RFC 1350, RFC 7440). See the diagrams in
 * tftp_transfer.h of the window and of the two ways to repair a loss.
 *
 * A pass sends the blocks from una to the end of the window. An ACK of only some of the
 * blocks usually restarts the pass. When the timer fires for the first time, only the
 * last block is retransmitted, unless the peer's address may be forged.
 */
#include <assert.h>

#include <sockeye/time.h>

#include "base/number.h"
#include "proto/tftp_internal.h"

#define KEEPS_MAX      3u
#define KEEPS_FIRST    2
#define IGNORE_WINDOWS 8u /* after an echo; doubled for each consecutive echo */
#define ECHOES_MAX     7u
#define PEER_PAUSE_NS  SOCKEYE_NS_PER_S /* a longer silence is not a pause */
#define PAUSE_MIN_NS   UINT64_C(100000)
#define PAUSE_MAX_NS   (50 * SOCKEYE_NS_PER_MS)

void sockeye__tftp_sender_init(struct sockeye__tftp *x)
{
	struct sockeye__tftp_sender *s = &x->sender;

	*s = (struct sockeye__tftp_sender){
	    .una = 1,
	    .next = 1,
	    .high = 1,
	    .available = s->available,
	    .complete = s->complete,
	    .pacing.burst = x->window,
	    .repair.keeps = KEEPS_FIRST,
	};
}

/* Returns the first block that cannot be sent, because its bytes are not available yet or
 * because it is after the final block. */
static uint64_t ready_end(const struct sockeye__tftp *x)
{
	return x->sender.available / x->blksize + 1 + (x->sender.complete ? 1 : 0);
}

static uint64_t pass_end(const struct sockeye__tftp *x)
{
	return sockeye__least(ready_end(x), x->sender.una + x->window);
}

bool sockeye__tftp_sender_all_sent(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_sender *s = &x->sender;

	return s->complete && s->high == ready_end(x) && s->high <= s->una + x->window;
}

/* --- pacing --- */

static void pause_end(struct sockeye__tftp *x)
{
	struct sockeye__tftp_pacing *p = &x->sender.pacing;

	if (p->pause_ns != 0)
		x->deadline_ns = p->retransmit_ns;
	p->pause_ns = 0;
}

/* Begins a pause after a burst. The pauses of a window add up to about one round trip. If
 * the peer can take only a few blocks at once (careful), each pause lasts a round trip. */
static void pause_begin(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_pacing *p = &x->sender.pacing;
	/* A pause of the peer is not part of the round trip. */
	uint64_t ns = sockeye__least(x->rtt.smoothed_ns, 2 * x->rtt.least_ns);

	if (!p->careful)
		ns = ns * p->burst / x->window;
	ns = sockeye__least(ns < PAUSE_MIN_NS ? PAUSE_MIN_NS : ns, PAUSE_MAX_NS);
	p->pause_ns = now_ns + ns;
	p->retransmit_ns = x->deadline_ns;
	x->deadline_ns = sockeye__least(p->pause_ns, p->retransmit_ns);
}

bool sockeye__tftp_sender_pause_over(struct sockeye__tftp *x, uint64_t now_ns)
{
	uint64_t pause_ns = x->sender.pacing.pause_ns;

	if (pause_ns == 0)
		return false;
	pause_end(x);
	/* Even if the driver is late for both deadlines: the rest of the window is due. */
	return now_ns >= pause_ns;
}

/* --- repair --- */

static void pass_restart(struct sockeye__tftp *x)
{
	pause_end(x);
	x->sender.next = x->sender.una;
	x->sender.pacing.burst_sent = 0;
	x->sender.repair.single = false;
}

/* Sends una again because the peer lacks that block: alone if the peer seems to keep the
 * blocks after it, otherwise together with those blocks. If the evidence is weak, una is
 * sent alone only if a new block can follow, because only the ACK of a new block shows
 * whether the guess was right. After a timeout the peer may lack all blocks, so the
 * whole window is sent (RFC 7440, section 4). */
static void repair_begin(struct sockeye__tftp *x, bool after_timeout)
{
	struct sockeye__tftp_sender *s = &x->sender;
	bool has_new = pass_end(x) > s->high;

	x->count.gaps++;
	pass_restart(x);
	s->repair.single = !after_timeout && s->high > s->una + 1 &&
			   (s->repair.keeps == KEEPS_MAX || (s->repair.keeps > 0 && has_new));
}

/* Learns from the ACK that answers a single repeat. */
static void repair_judge(struct sockeye__tftp_sender *s)
{
	if (s->repair.single_end == 0)
		return;
	if (s->una >= s->repair.single_end)
		s->repair.keeps = KEEPS_MAX;
	else /* the peer did not keep all blocks, or more than one was lost */
		s->repair.keeps--;
	s->repair.single_end = 0;
}

/* Learns whether the duplicate ACK that caused a repeat requested una. If una was lost,
 * its ACK arrives a round trip after the repeat. An ACK that arrives sooner answers the
 * original block, so the duplicate ACK was an echo. If all ACKs of a peer arrive twice,
 * the duplicates are ignored for longer each time. */
static void dup_ack_judge(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_repair *r = &x->sender.repair;

	if (r->dup_ack_ns == 0)
		return;
	if (now_ns - r->dup_ack_ns < x->rtt.smoothed_ns / 2) {
		r->ignore_windows = IGNORE_WINDOWS << r->dup_ack_echoes;
		r->dup_ack_echoes += r->dup_ack_echoes < ECHOES_MAX;
	} else {
		r->dup_ack_echoes = 0;
	}
	r->dup_ack_ns = 0;
}

/* Whether the peer has never requested a lost block and receives all blocks only because
 * the bursts are short. A partial ACK from such a peer requests a lost block only if it
 * answers the single block sent after a timeout. */
static bool is_mute(const struct sockeye__tftp_sender *s, unsigned timeouts)
{
	return s->pacing.careful && !s->repair.reports_gaps && !(timeouts > 0 && s->repair.probing);
}

/* Notes that the peer requests lost blocks, so that its silence no longer means that the
 * bursts are too long. */
static void gaps_are_reported(struct sockeye__tftp_sender *s)
{
	s->repair.reports_gaps = true;
	s->pacing.careful = s->pacing_before.careful = false;
	s->pacing.cap_hold = s->pacing_before.cap_hold = 0;
}

/* Handles a duplicate ACK. RFC 1123, section 4.2.3.1, forbids sending una again for it
 * (the Sorcerer's Apprentice bug), but some peers request a lost block in this way
 * (uftpd#44, tftpy#41). A duplicate ACK causes a repeat at most once per window, and only
 * if the ACK of una is overdue. A duplicate ACK in the next window is more likely an echo
 * of the blocks sent twice in this window; if it caused a repeat too, every window would
 * be sent twice. */
static void on_dup_ack(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_sender *s = &x->sender;
	struct sockeye__tftp_repair *r = &s->repair;
	bool overdue = s->high > s->una && s->next > s->una &&
		       now_ns - s->una_ns >= sockeye__rtt_patience(&x->rtt);

	if (overdue && r->dup_ack_used_before)
		r->ignore_windows = IGNORE_WINDOWS;
	if (!overdue || r->dup_ack_used || r->ignore_windows > 0 ||
	    (s->pacing.window_timeout && is_mute(s, x->silent_timeouts))) {
		x->count.ignored++;
		return;
	}
	gaps_are_reported(s);
	sockeye__tftp_burst_shrink(&s->pacing);
	repair_begin(x, x->silent_timeouts > 0);
	r->dup_ack_used = true;
	r->dup_ack_ns = now_ns;
}

void sockeye__tftp_sender_repeat(struct sockeye__tftp *x, uint64_t now_ns)
{
	if (x->sender.una == 1)
		on_dup_ack(x, now_ns);
	else
		x->count.ignored++;
}

/* Saves the state that is restored if the peer turns out to have paused. */
static void before_note(struct sockeye__tftp *x)
{
	x->sender.pacing_before = x->sender.pacing;
	x->sender.keeps_before = x->sender.repair.keeps;
}

/* Restores the saved state, because the peer had paused and no block was lost. */
static void before_restore(struct sockeye__tftp *x)
{
	struct sockeye__tftp_sender *s = &x->sender;

	pause_end(x);
	s->pacing = s->pacing_before;
	s->repair.keeps = s->keeps_before;
}

/* Whether a duplicate ACK is the reply to a block that the timer has sent again. Such an
 * ACK requests nothing, and shows that the peer received both copies (RFC 3708). */
static bool is_timer_echo(struct sockeye__tftp *x)
{
	struct sockeye__tftp_repair *r = &x->sender.repair;

	if (r->echoes_due == 0)
		return false;
	r->echoes_due--;
	if (r->maybe_paused && x->silent_timeouts == 0) {
		sockeye__rtt_pause(&x->rtt, x->progress_ns - x->silent_ns);
		before_restore(x);
	}
	r->maybe_paused = false;
	return true;
}

/* Prepares what a timeout sends. The first timeout in a row sends the last block
 * again: the reply shows which blocks the peer lacks (the tail loss probe of RFC 8985,
 * section 7), and a pause of the peer costs only one block. The second sends the window,
 * one block at a time unless the peer reports gaps. Later timeouts send the last block
 * until the silence is too long for a pause, and then the window. */
void sockeye__tftp_sender_timer(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_sender *s = &x->sender;
	struct sockeye__tftp_repair *r = &s->repair;

	pass_restart(x);
	if (x->silent_timeouts == 1) {
		before_note(x);
		sockeye__tftp_burst_timeout(&s->pacing, !r->reports_gaps);
	}
	/* No reply to a single repeat: the peer waits for the blocks after it. */
	if (r->single_end != 0)
		r->keeps = r->keeps == KEEPS_MAX ? 1 : 0;
	r->single_end = 0;
	r->ignore_windows = 0;
	r->dup_ack_ns = 0;
	r->dup_ack_used = r->dup_ack_used_before = false;
	r->probing = false;
	/* A peer whose address may be forged receives only a few blocks, starting at una. */
	if (x->config.forgeable)
		return;
	r->probing = x->silent_timeouts == 1 ||
		     (x->silent_timeouts > 2 && now_ns - x->silent_ns < PEER_PAUSE_NS);
	if (r->probing) {
		s->next = s->high - 1;
	} else if (x->silent_timeouts == 2 && s->high > s->una + 1 && !r->reports_gaps) {
		sockeye__tftp_burst_careful(&s->pacing, s->pacing_before.burst);
		r->keeps = r->keeps == KEEPS_MAX ? KEEPS_MAX : 0;
	}
}

/* --- ACKs --- */

/* Measures the round-trip time if the timed block is acknowledged. */
static void rtt_measure(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_sender *s = &x->sender;

	if (s->timed == 0 || s->timed >= s->una)
		return;
	if (!s->measured) /* all samples so far were of small packets */
		sockeye__rtt_init(&x->rtt, x->rtt.rto_ns, x->config.rto_min_ns, x->rtt.ceiling_ns);
	s->measured = true;
	sockeye__rtt_sample(&x->rtt, now_ns - s->timed_ns);
	s->timed = 0;
}

/* Ends a window: all blocks that were sent are acknowledged. */
static void window_end(struct sockeye__tftp *x)
{
	struct sockeye__tftp_pacing *p = &x->sender.pacing;
	struct sockeye__tftp_repair *r = &x->sender.repair;

	r->dup_ack_used_before = r->dup_ack_used;
	r->dup_ack_used = false;
	r->ignore_windows -= r->ignore_windows > 0;
	if (p->lossy_windows > 0 || p->burst < x->window || p->cap_hold > 0)
		sockeye__tftp_burst_grow(p, x->window);
	pass_restart(x);
	x->deadline_ns = 0;
}

/* Handles an ACK of only some of the blocks sent. The ACK normally reports a gap. From a
 * peer that never reports gaps, it means only that the peer's window ends at another
 * block than ours. */
static void on_partial_ack(struct sockeye__tftp *x, unsigned timeouts)
{
	struct sockeye__tftp_sender *s = &x->sender;

	if (is_mute(s, timeouts)) {
		if (timeouts == 0)
			sockeye__tftp_burst_grow(&s->pacing, x->window);
		return;
	}
	gaps_are_reported(s);
	if (!s->pacing.window_lossy)
		sockeye__tftp_burst_shrink(&s->pacing);
	repair_begin(x, timeouts > 0);
}

/* Learns from an ACK of new blocks after timeouts. */
static void on_timeout_reply(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_sender *s = &x->sender;
	unsigned timeouts = x->silent_timeouts;
	bool all = s->una == s->high;
	/* An ACK of all blocks must be for their first transmission in two cases: the slow
	 * retransmission has not yet reached the last blocks, or there were more than two
	 * timeouts, because by then a peer that lacked a block would have reported a gap. */
	bool of_first =
	    x->window > 1 && all && (timeouts > 2 || (timeouts == 2 && s->next < s->una));
	bool paused = sockeye__tftp_silence_end(x, now_ns, of_first);

	if (paused)
		before_restore(x);
	s->repair.echoes_due = all ? timeouts : 0;
	s->repair.maybe_paused = !paused;
}

void sockeye__tftp_sender_ack(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number)
{
	struct sockeye__tftp_sender *s = &x->sender;
	uint32_t blocks = sockeye__tftp_ahead(x, s->una - 1, number);
	unsigned timeouts = x->silent_timeouts;

	/* The ACK is older than this window, or acknowledges blocks that were never sent. */
	if (blocks > s->high - s->una) {
		x->count.ignored++;
		return;
	}
	if (blocks == 0 && is_timer_echo(x)) {
		x->count.ignored++;
		return;
	}
	if (blocks == 0) {
		on_dup_ack(x, now_ns);
		return;
	}
	s->una += blocks;
	rtt_measure(x, now_ns);
	dup_ack_judge(x, now_ns);
	s->repair.echoes_due = 0;
	if (timeouts > 0)
		on_timeout_reply(x, now_ns);
	sockeye__tftp_progress(x, now_ns);
	if (s->next < s->una)
		pass_restart(x);
	repair_judge(s);
	if (s->complete && s->una == ready_end(x)) {
		sockeye__tftp_finish(x, SOCKEYE__TFTP_DONE);
	} else if (s->una == s->high) {
		window_end(x);
	} else {
		on_partial_ack(x, timeouts);
	}
}

/* --- DATA --- */

/* Records that the blocks from next to end are sent now. */
static void blocks_count(struct sockeye__tftp *x, uint64_t now_ns, uint64_t end)
{
	struct sockeye__tftp_sender *s = &x->sender;
	uint64_t resent_end = sockeye__least(end, s->high);

	if (s->next == s->una)
		s->una_ns = now_ns;
	if (s->next < resent_end) {
		x->count.resent += resent_end - s->next;
		s->timed = 0; /* Karn's rule */
	}
	if (end > s->high) {
		x->count.blocks += end - s->high;
		if (s->next >= s->high) {
			s->timed = end - 1;
			s->timed_ns = now_ns;
		}
		s->high = end;
	}
	s->pacing.burst_sent += (uint32_t)(end - s->next);
	s->next = end;
}

static void blocks_send(struct sockeye__tftp *x, uint64_t now_ns, uint32_t count)
{
	struct sockeye__tftp_sender *s = &x->sender;

	blocks_count(x, now_ns, s->next + count);
	if (s->repair.single) {
		s->repair.single = false;
		s->repair.single_end = s->high;
		s->next = s->high;
	}
	if (!x->confirmed)
		x->unconfirmed_packets++;
	sockeye__tftp_arm(x, now_ns);
	if (s->pacing.burst_sent < s->pacing.burst)
		return;
	s->pacing.burst_sent = 0;
	if (s->next < pass_end(x))
		pause_begin(x, now_ns);
}

bool sockeye__tftp_sender_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
			       struct sockeye__tftp_send *out)
{
	struct sockeye__tftp_sender *s = &x->sender;
	uint64_t end = pass_end(x), count, offset = (s->next - 1) * x->blksize;

	if (s->next >= end || now_ns < s->pacing.pause_ns)
		return false;
	pause_end(x);
	count = sockeye__least(
	    sockeye__least(end - s->next, s->pacing.burst - s->pacing.burst_sent), max_blocks);
	if (s->repair.single)
		count = 1;
	*out = (struct sockeye__tftp_send){
	    .block = s->next,
	    .count = (uint32_t)count,
	    .offset = offset,
	    .bytes = sockeye__least(count * x->blksize, s->available - offset),
	};
	blocks_send(x, now_ns, (uint32_t)count);
	return true;
}

/* --- invariants --- */

static void repair_check(const struct sockeye__tftp_sender *s)
{
	const struct sockeye__tftp_repair *r = &s->repair;

	assert(r->keeps <= KEEPS_MAX && s->keeps_before <= KEEPS_MAX);
	/* A single repeat skips at least one block that was sent before. */
	assert(!r->single || (s->next == s->una && s->high > s->una + 1));
	assert(r->single_end == 0 || (s->una < r->single_end && r->single_end <= s->high));
	assert(r->dup_ack_ns == 0 || r->dup_ack_used);
	assert(r->dup_ack_echoes <= ECHOES_MAX);
	assert(r->ignore_windows <= IGNORE_WINDOWS << ECHOES_MAX);
}

void sockeye__tftp_sender_check(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_sender *s = &x->sender;

	assert(1 <= s->una && s->una <= s->next && s->next <= s->high);
	assert(s->high <= s->una + x->window);
	assert(s->high <= ready_end(x));
	assert(s->timed == 0 || (s->una <= s->timed && s->timed < s->high));
	assert(x->result != SOCKEYE__TFTP_DONE || (s->complete && s->una == ready_end(x)));
	sockeye__tftp_burst_check(x);
	repair_check(s);
}
