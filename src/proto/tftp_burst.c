/*
 * tftp_burst.c: how many blocks a sender sends without a pause (tftp_transfer.h).
 */
#include <assert.h>

#include "base/number.h"
#include "proto/tftp_internal.h"

#define CAP_HOLD_FIRST 64
#define CAP_HOLD_MAX   4096

#define LOSSY_WINDOWS_MIN 3

/* Shortens the bursts in the third consecutive window with a loss, and in each that follows.
 * Of the windows of 64 blocks, a network that loses 1 % of the packets hits half: after two
 * in a row, bursts would become shorter on average, although that prevents no loss. The
 * window itself is not shortened: receivers acknowledge only a full window, counted from
 * their last ACK, and would wait for the rest of it. */
void sockeye__tftp_burst_shrink(struct sockeye__tftp_pacing *p)
{
	if (!p->window_lossy)
		p->lossy_windows++;
	if (p->lossy_windows >= LOSSY_WINDOWS_MIN && p->burst > 1)
		p->burst /= 2;
	p->window_lossy = true;
}

/* Doubles the bursts up to the cap. After cap_hold windows, doubles the cap too. */
static void burst_grow_capped(struct sockeye__tftp_pacing *p, uint16_t window)
{
	if (--p->cap_windows == 0 && p->cap == window) {
		p->cap_hold = 0;
	} else if (p->cap_windows == 0) {
		p->cap = (uint32_t)sockeye__least(2 * p->cap, window);
		p->cap_windows = p->cap_hold;
	}
	p->burst = (uint32_t)sockeye__least(2 * p->burst, p->cap);
}

/* Lengthens the bursts after a window without a loss. */
void sockeye__tftp_burst_grow(struct sockeye__tftp_pacing *p, uint16_t window)
{
	if (!p->window_lossy) {
		p->lossy_windows = 0;
		if (p->cap_hold > 0)
			burst_grow_capped(p, window);
		else
			p->burst = (uint32_t)sockeye__least(p->burst + (p->burst + 3) / 4, window);
	}
	p->careful = p->careful && p->burst < window;
	if (!p->window_timeout)
		p->timeout_windows = 0;
	p->window_lossy = p->window_timeout = false;
}

/* Limits the bursts for a number of windows that doubles each time. */
static void cap_set(struct sockeye__tftp_pacing *p, uint32_t cap)
{
	p->cap = cap;
	p->cap_hold = p->cap_hold == 0 ? CAP_HOLD_FIRST
				       : (uint32_t)sockeye__least(2 * p->cap_hold, CAP_HOLD_MAX);
	p->cap_windows = p->cap_hold;
	p->burst = (uint32_t)sockeye__least(p->burst, cap);
	p->careful = true;
}

/* Shortens the bursts after a timeout. If the peer reports no gaps (mute), timeouts in
 * consecutive windows show that it has no room for the end of a burst, and the bursts are
 * capped. A timeout in only one window is taken for a lost packet. */
void sockeye__tftp_burst_timeout(struct sockeye__tftp_pacing *p, bool mute)
{
	uint32_t lost = p->burst;

	sockeye__tftp_burst_shrink(p);
	p->timeout_windows += !p->window_timeout;
	p->window_timeout = true;
	if (p->timeout_windows > 1 && lost > 1 && mute)
		cap_set(p, lost / 2);
}

/* Sends one block at a time, because the peer has not replied to a burst. */
void sockeye__tftp_burst_careful(struct sockeye__tftp_pacing *p, uint32_t lost)
{
	if (lost > 1)
		cap_set(p, lost / 2);
	p->burst = 1;
	p->careful = true;
}

/* --- invariants --- */

void sockeye__tftp_burst_check(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_pacing *p = &x->sender.pacing;

	assert(p->burst >= 1 && p->burst <= x->window);
	assert(p->burst_sent < p->burst);
	assert(p->cap_hold == 0 || (p->cap_windows > 0 && p->cap >= 1 && p->cap <= x->window));
	assert(p->pause_ns == 0 || x->stage != SOCKEYE__TFTP_STAGE_MOVING ||
	       (p->burst_sent == 0 && p->retransmit_ns != 0));
	assert(!p->window_lossy || p->lossy_windows > 0);
}
