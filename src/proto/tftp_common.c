/*
 * tftp_common.c: what the sender and the receiver need too: the numbers of blocks,
 * the end, the timer and progress.
 */
#include "proto/tftp_internal.h"

uint16_t sockeye__tftp_number(const struct sockeye__tftp *x, uint64_t block)
{
	uint64_t numbers = x->config.numbers;

	/* To 0, or to 1 where that was agreed on. */
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
	x->over = true;
	x->say = SOCKEYE__SAY_NOTHING;
	x->deadline_ns = 0;
}

void sockeye__tftp_refuse(struct sockeye__tftp *x, enum sockeye__tftp_result result, uint16_t code,
			  const char *text)
{
	sockeye__tftp_finish(x, result);
	x->say = SOCKEYE__SAY_ERROR;
	x->error_code = code;
	x->error_text = text;
}

/* A peer of a server that may not exist. */
bool sockeye__tftp_is_stranger(const struct sockeye__tftp *x)
{
	return x->config.server && !x->confirmed;
}

/* A stranger's time-out of 255 s would hold a place for twenty minutes. */
uint64_t sockeye__tftp_silence(const struct sockeye__tftp *x)
{
	uint64_t ns = x->config.silence_ns;

	return sockeye__tftp_is_stranger(x) && ns > SOCKEYE__TFTP_SILENCE_NS
		   ? SOCKEYE__TFTP_SILENCE_NS
		   : ns;
}

void sockeye__tftp_arm(struct sockeye__tftp *x, uint64_t now_ns)
{
	uint64_t ns;

	/* SplitMix64's step; jitter needs no better. */
	x->random = x->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	ns = sockeye__rtt_timeout(&x->rtt, x->random >> 32);
	/* Peers ask for 10 ms to lose little by a loss, not to get a window of 4 MiB
	 * a hundred times a second when they are silent. */
	for (unsigned i = SOCKEYE__TFTP_TIMEOUTS_MIN;
	     i < x->rtt.backoff && ns < x->config.rto_max_ns / 2; i++)
		ns *= 2;
	x->deadline_ns = now_ns + ns;
	if (sockeye__tftp_is_stranger(x) &&
	    x->deadline_ns > x->progress_ns + sockeye__tftp_silence(x))
		x->deadline_ns = x->progress_ns + sockeye__tftp_silence(x);
}

void sockeye__tftp_progress(struct sockeye__tftp *x, uint64_t now_ns)
{
	x->progress_ns = now_ns;
	x->confirmed = true;
	x->unheard = 0;
}
