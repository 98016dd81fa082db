/*
 * tftp_restraint.c: how a sender holds back while its peer may be forged
 * (tftp_transfer.h).
 *
 * The transfer calls this file instead of the sender. The sender decides what to send, and
 * this file limits how much of that is sent.
 */
#include <assert.h>

#include "proto/tftp_internal.h"

static bool is_restrained(const struct sockeye__tftp *x)
{
	return x->config.forgeable && x->confirmed && x->config.sends &&
	       x->stage == SOCKEYE__TFTP_STAGE_MOVING;
}

static bool is_spent(const struct sockeye__tftp *x)
{
	return is_restrained(x) && x->restraint.tries == SOCKEYE__TFTP_TRIES_MAX;
}

/* Starts a pass, of which only one block will be sent. */
static void lone_block(struct sockeye__tftp *x, uint64_t now_ns)
{
	sockeye__tftp_sender_timer(x, now_ns);
	x->restraint.restrained = true;
	x->restraint.allowance = 1;
}

void sockeye__tftp_restraint_timer(struct sockeye__tftp *x, uint64_t now_ns)
{
	if (!is_restrained(x)) {
		sockeye__tftp_sender_timer(x, now_ns);
		return;
	}
	x->restraint.tries++;
	lone_block(x, now_ns);
}

bool sockeye__tftp_restraint_wait(struct sockeye__tftp *x)
{
	if (!is_spent(x))
		return false;
	x->deadline_ns = x->progress_ns + sockeye__tftp_silence(x);
	return true;
}

void sockeye__tftp_restraint_ack(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number)
{
	uint64_t una = x->sender.una, una_ns = x->sender.una_ns;
	bool again = sockeye__tftp_ahead(x, una - 1, number) == 0;

	sockeye__tftp_sender_ack(x, now_ns, number);
	/* The peer repeats its ACK because it still waits. Send it one block, but not more
	 * often than the timer would. */
	if (again && is_spent(x) && now_ns - una_ns >= x->rtt.rto_ns)
		lone_block(x, now_ns);
}

bool sockeye__tftp_restraint_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
				  struct sockeye__tftp_send *out)
{
	struct sockeye__tftp_restraint *r = &x->restraint;

	if (!r->restrained)
		return sockeye__tftp_sender_next(x, now_ns, max_blocks, out);
	if (r->allowance == 0 || !sockeye__tftp_sender_next(x, now_ns, 1, out))
		return false;
	r->allowance = 0;
	return true;
}

void sockeye__tftp_restraint_check(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_restraint *r = &x->restraint;

	assert(r->tries <= SOCKEYE__TFTP_TRIES_MAX && r->allowance <= 1);
	assert(r->restrained == (r->tries > 0));
	assert(r->restrained || r->allowance == 0);
}
