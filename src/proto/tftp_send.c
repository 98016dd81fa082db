/*
 * tftp_send.c: DATA out, ACK in (RFC 1350, 7440).
 *
 *        una          next      high        una + window
 *   ------|============|=========|--------------|
 *   ACKed   sent in this pass  sent before   not yet
 *
 * An ACK of less than all that was sent says that una was lost: the pass starts
 * again from there. When the peer seems to keep what is ahead of a gap, una is
 * repeated alone and the pass goes on at high; one that keeps nothing answers
 * the next block with another ACK, so finding out costs a round trip, not a
 * time-out.
 */
#include <assert.h>

#include <sockeye/time.h>

#include "proto/tftp_internal.h"

#define TRUST_MAX    3
#define TRUST_FIRST  2
#define DEAF_WINDOWS 8u
#define ECHOES_MAX   7
#define PAUSE_MIN_NS UINT64_C(100000)
#define PAUSE_MAX_NS (50 * SOCKEYE_NS_PER_MS)

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void sockeye__tftp_sender_init(struct sockeye__tftp *x)
{
	struct sockeye__tftp_sender *s = &x->s;

	*s = (struct sockeye__tftp_sender){
	    .una = 1,
	    .next = 1,
	    .high = 1,
	    .available = s->available,
	    .ended = s->ended,
	    .burst = x->window,
	    .trust = TRUST_FIRST,
	};
}

/* The first block that cannot leave: its bytes are not there yet, or it is
 * behind the final one. */
static uint64_t ready_end(const struct sockeye__tftp *x)
{
	return x->s.available / x->blksize + 1 + (x->s.ended ? 1 : 0);
}

static uint64_t pass_end(const struct sockeye__tftp *x)
{
	return least(ready_end(x), x->s.una + x->window);
}

bool sockeye__tftp_sender_all_sent(const struct sockeye__tftp *x)
{
	return x->s.ended && x->s.high == ready_end(x) && x->s.high <= x->s.una + x->window;
}

static void pause_end(struct sockeye__tftp *x)
{
	if (x->s.pause_ns != 0)
		x->deadline_ns = x->s.rto_ns;
	x->s.pause_ns = 0;
}

/* The pass starts again from una. */
static void restart(struct sockeye__tftp *x)
{
	pause_end(x);
	x->s.next = x->s.una;
	x->s.in_burst = 0;
	x->s.alone = false;
}

/* Receivers count windows from their last ACK, so a shorter window would only
 * make them wait. Where windows lose blocks again and again, they leave in
 * shorter bursts instead, with pauses between. */
static void burst_shrink(struct sockeye__tftp *x)
{
	if (!x->s.gapped)
		x->s.gaps_in_row++;
	if (x->s.gaps_in_row > 1 && x->s.burst > 1)
		x->s.burst /= 2;
	x->s.gapped = true;
}

/* All of a window is there. */
static void burst_grow(struct sockeye__tftp *x)
{
	if (!x->s.gapped) {
		x->s.gaps_in_row = 0;
		x->s.burst = (uint32_t)least(x->s.burst + (x->s.burst + 3) / 4, x->window);
	}
	x->s.gapped = false;
}

/* The peer lacks una, and maybe more of what was sent. */
static void gap_fill(struct sockeye__tftp *x)
{
	bool news = pass_end(x) > x->s.high; /* to try with whether the peer keeps */

	x->count.gaps++;
	restart(x);
	x->s.alone =
	    x->s.high > x->s.una + 1 && (x->s.trust == TRUST_MAX || (x->s.trust > 0 && news));
}

/* What an ACK of all before una says about the block that was repeated alone. */
static void trust_judge(struct sockeye__tftp *x)
{
	if (x->s.hole == 0 || x->s.una <= x->s.hole)
		return;
	if (x->s.una >= x->s.hole_end)
		x->s.trust = TRUST_MAX;
	else /* it kept nothing, or has not room for all, or lost more */
		x->s.trust--;
	x->s.hole = 0;
}

/* What was lost is acknowledged a round trip after it was repeated; an ACK that
 * comes sooner is that of the first time, and the question was none. A peer whose
 * ACKs all come twice is then believed less and less. */
static void asked_judge(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_sender *s = &x->s;

	if (s->asked_ns == 0)
		return;
	if (now_ns - s->asked_ns < x->rtt.smoothed_ns / 2) {
		s->deaf = DEAF_WINDOWS << s->echoes;
		s->echoes += s->echoes < ECHOES_MAX;
	} else {
		s->echoes = 0;
	}
	s->asked_ns = 0;
}

/* An ACK of what was acknowledged before. It must not resend (the sorcerer's
 * apprentice, RFC 1123 4.2.3.1), but it is also how peers ask for a block that
 * was lost (uftpd#44, tftpy#41): believed when that block has been gone for a
 * round trip, and once until the timer goes. From one window to the next it
 * rather is the echo of what was sent twice, which would go on to the end. */
static void asked_again(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_sender *s = &x->s;
	bool old = s->high > s->una && s->next > s->una &&
		   now_ns - s->una_ns >= sockeye__rtt_patience(&x->rtt);

	if (old && s->asked_before)
		s->deaf = DEAF_WINDOWS;
	if (!old || s->asked || s->deaf > 0) {
		x->count.ignored++;
		return;
	}
	burst_shrink(x);
	gap_fill(x);
	s->asked = true;
	s->asked_ns = now_ns;
}

void sockeye__tftp_sender_repeat(struct sockeye__tftp *x, uint64_t now_ns)
{
	if (x->s.una == 1)
		asked_again(x, now_ns);
	else
		x->count.ignored++;
}

static void progress(struct sockeye__tftp *x, uint64_t now_ns, uint32_t blocks)
{
	struct sockeye__tftp_sender *s = &x->s;

	if (s->timed != 0 && s->timed < s->una + blocks) {
		if (!s->measured) /* what was known is of small packets */
			sockeye__rtt_init(&x->rtt, x->rtt.rto_ns, x->config.rto_min_ns,
					  x->rtt.ceiling_ns);
		s->measured = true;
		sockeye__rtt_sample(&x->rtt, now_ns - s->timed_ns);
		s->timed = 0;
	}
	asked_judge(x, now_ns);
	s->una += blocks;
	if (s->next < s->una)
		restart(x);
	sockeye__tftp_progress(x, now_ns);
	trust_judge(x);
}

/* All that was sent has arrived. */
static void window_end(struct sockeye__tftp *x)
{
	struct sockeye__tftp_sender *s = &x->s;

	s->asked_before = s->asked;
	s->asked = false;
	s->deaf -= s->deaf > 0;
	burst_grow(x);
	restart(x);
	x->deadline_ns = 0;
}

void sockeye__tftp_sender_ack(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number)
{
	struct sockeye__tftp_sender *s = &x->s;
	uint32_t blocks = sockeye__tftp_ahead(x, s->una - 1, number);

	/* Of long ago, or of what was never sent. */
	if (blocks > s->high - s->una) {
		x->count.ignored++;
		return;
	}
	if (blocks == 0) {
		asked_again(x, now_ns);
		return;
	}
	progress(x, now_ns, blocks);
	if (s->ended && s->una == ready_end(x)) {
		sockeye__tftp_finish(x, SOCKEYE__TFTP_DONE);
	} else if (s->una == s->high) {
		window_end(x);
	} else {
		if (!s->gapped)
			burst_shrink(x);
		gap_fill(x);
	}
}

bool sockeye__tftp_sender_pause_over(struct sockeye__tftp *x, uint64_t now_ns)
{
	if (x->s.pause_ns == 0)
		return false;
	pause_end(x);
	return now_ns < x->s.rto_ns;
}

void sockeye__tftp_sender_timer(struct sockeye__tftp *x)
{
	burst_shrink(x);
	restart(x);
	x->s.hole = 0;
	x->s.deaf = 0;
	x->s.asked_ns = 0;
	x->s.asked = x->s.asked_before = false;
}

/* Behind a burst that is less than what may leave: long enough for all pauses
 * of a window together to be about a round trip. */
static void pause_begin(struct sockeye__tftp *x, uint64_t now_ns)
{
	uint64_t ns = x->rtt.smoothed_ns * x->s.burst / x->window;

	ns = least(ns < PAUSE_MIN_NS ? PAUSE_MIN_NS : ns, PAUSE_MAX_NS);
	x->s.pause_ns = now_ns + ns;
	x->s.rto_ns = x->deadline_ns;
	x->deadline_ns = least(x->s.pause_ns, x->s.rto_ns);
}

/* Blocks [next, next + count) leave now. */
static void leave(struct sockeye__tftp *x, uint64_t now_ns, uint32_t count)
{
	struct sockeye__tftp_sender *s = &x->s;
	uint64_t end = s->next + count, again = least(end, s->high);

	if (s->next == s->una)
		s->una_ns = now_ns;
	if (s->next < again) {
		x->count.resent += again - s->next;
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
	s->next = end;
	s->in_burst += count;
	if (s->alone) {
		s->hole = s->una;
		s->hole_end = s->high;
		s->next = s->high;
		s->alone = false;
	}
	if (!x->confirmed)
		x->unheard++;
	sockeye__tftp_arm(x, now_ns);
	if (s->in_burst < s->burst)
		return;
	s->in_burst = 0;
	if (s->next < pass_end(x))
		pause_begin(x, now_ns);
}

bool sockeye__tftp_sender_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
			       struct sockeye__tftp_send *out)
{
	struct sockeye__tftp_sender *s = &x->s;
	uint64_t end = pass_end(x), count, offset = (s->next - 1) * x->blksize;

	if (s->next >= end || now_ns < s->pause_ns)
		return false;
	pause_end(x);
	count = least(least(end - s->next, s->burst - s->in_burst), max_blocks);
	if (s->alone)
		count = 1;
	*out = (struct sockeye__tftp_send){
	    .block = s->next,
	    .count = (uint32_t)count,
	    .offset = offset,
	    .bytes = least(count * x->blksize, s->available - offset),
	};
	leave(x, now_ns, (uint32_t)count);
	return true;
}
