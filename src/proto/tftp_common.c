/*
 * tftp_common.c: called by both the sender and the receiver: block numbers, the end
 * of a transfer, the timer and progress.
 */
#include "base/number.h"
#include "proto/tftp_internal.h"

#define ACK_REPEATS_FAST 2

uint16_t sockeye__tftp_number(const struct sockeye__tftp *x, uint64_t block)
{
	uint64_t numbers = x->config.numbers;

	/* The largest number is followed by 0, or by 1 with rollover=1. */
	if (x->options.value[SOCKEYE__TFTP_ROLLOVER] == 0)
		return (uint16_t)(block % numbers);
	return (uint16_t)(block == 0 ? 0 : (block - 1) % (numbers - 1) + 1);
}

uint32_t sockeye__tftp_ahead(const struct sockeye__tftp *x, uint64_t from, uint16_t number)
{
	bool to_one = x->options.value[SOCKEYE__TFTP_ROLLOVER] == 1;
	uint32_t period = x->config.numbers - (to_one ? 1 : 0);
	uint16_t own = sockeye__tftp_number(x, from);

	if (number >= x->config.numbers || (to_one && number == 0 && from > 0))
		return UINT32_MAX;
	if (to_one && from == 0)
		return number;
	return (number + period - own) % period;
}

void sockeye__tftp_finish(struct sockeye__tftp *x, enum sockeye__tftp_result result)
{
	x->result = result;
	x->stage = SOCKEYE__TFTP_STAGE_OVER;
	x->control = SOCKEYE__TFTP_CONTROL_NONE;
	x->deadline_ns = 0;
}

void sockeye__tftp_refuse(struct sockeye__tftp *x, enum sockeye__tftp_result result, uint16_t code,
			  const char *text)
{
	sockeye__tftp_finish(x, result);
	x->control = SOCKEYE__TFTP_CONTROL_ERROR;
	x->error_code = code;
	x->error_text = text;
}

bool sockeye__tftp_is_unconfirmed(const struct sockeye__tftp *x)
{
	return x->config.server && !x->confirmed;
}

uint64_t sockeye__tftp_silence(const struct sockeye__tftp *x)
{
	uint64_t ns = x->config.silence_ns;

	/* A request with a timeout of 255 s, which may be forged, must not hold a
	 * slot for twenty minutes. */
	if (sockeye__tftp_is_unconfirmed(x) && ns > SOCKEYE__TFTP_SILENCE_NS)
		ns = SOCKEYE__TFTP_SILENCE_NS;
	return ns;
}

void sockeye__tftp_arm(struct sockeye__tftp *x, uint64_t now_ns)
{
	uint64_t ns;

	/* A linear congruential step is random enough for jitter (Knuth, MMIX). */
	x->random = x->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	ns = sockeye__rtt_timeout(&x->rtt, x->random >> 32);
	/* A negotiated timeout of 10 ms lets a peer recover quickly from a loss. While
	 * the peer is silent, the timeout doubles after a few retransmissions, so that
	 * a window of 4 MiB is not sent a hundred times a second. */
	for (unsigned i = SOCKEYE__TFTP_TIMEOUTS_MIN;
	     i < x->rtt.backoff && ns < x->config.rto_max_ns / 2; i++)
		ns *= 2;
	/* The last of a few tries is sent late, so that the transfer survives a short outage. */
	if (x->restraint.tries + 1 == SOCKEYE__TFTP_TRIES_MAX && ns < x->config.rto_max_ns / 3)
		ns = x->config.rto_max_ns / 3;
	/* The sender should retransmit before the receiver does. A receiver that has sent an
	 * ACK three times waits longer, because the sender may only have paused. */
	if (x->receiver.ack_repeats >= ACK_REPEATS_FAST)
		ns = sockeye__most(ns, sockeye__least(x->config.rto_first_ns, x->rtt.ceiling_ns));
	x->deadline_ns = now_ns + ns;
	x->armed_ns = now_ns;
	if (sockeye__tftp_is_unconfirmed(x) || x->config.silence_fixed)
		x->deadline_ns =
		    sockeye__least(x->deadline_ns, x->progress_ns + sockeye__tftp_silence(x));
}

bool sockeye__tftp_silence_end(struct sockeye__tftp *x, uint64_t now_ns, bool of_first)
{
	bool paused = of_first || !sockeye__rtt_may_answer(&x->rtt, now_ns - x->timeout_ns,
							   now_ns - x->armed_ns);

	if (paused)
		sockeye__rtt_pause(&x->rtt, now_ns - x->silent_ns);
	else
		sockeye__rtt_loss(&x->rtt);
	x->silent_timeouts = 0;
	return paused;
}
