/*
 * tftp_transfer.c: the parts of a transfer that both directions share: the offer that
 * begins it, errors, and the retransmission timer.
 */
#include <assert.h>
#include <string.h>

#include <sockeye/time.h>

#include "base/invariant.h"
#include "proto/tftp_internal.h"

#define NUMBERS                 65536u
#define SLOW_LINE_NS            UINT64_C(8000) /* per byte: 1 Mbit/s */
#define UNCONFIRMED_PACKETS_MAX 5
#define RTO_FIRST_NS            SOCKEYE_NS_PER_S
#define RTO_MIN_NS              (4 * SOCKEYE_NS_PER_MS)
/* Even after a jitter of an eighth, this is longer than 5 s, the timeout of many peers.
 * atftp restarts its timer with each repeated block. If our timeout were shorter, that
 * timer would never expire, and atftp would never repeat an ACK that was lost. */
#define RTO_MAX_NS (7 * SOCKEYE_NS_PER_S)

size_t sockeye__tftp_memory(uint16_t blksize, uint16_t window)
{
	size_t slots = window > 0 ? window - 1u : 0;

	return slots * blksize + (slots + 7) / 8;
}

static uint64_t otherwise(uint64_t v, uint64_t fallback)
{
	return v != 0 ? v : fallback;
}

/* Returns the lower bound of the timeout, which applies until the round-trip time of a
 * window has been measured.
 * Earlier samples are of small packets. A slow line takes longer for a window of large
 * packets, and a premature retransmission would fill the line with copies. A receiver
 * sees each block arrive, so it need not wait for a whole window. */
static uint64_t rto_floor(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_config *c = &x->config;
	/* The sender should retransmit first, so a receiver waits longer. */
	uint64_t least = c->sends ? c->rto_min_ns : 2 * c->rto_min_ns;
	uint64_t line = SLOW_LINE_NS * x->blksize * (c->sends ? x->window : 1);

	if (line > c->rto_first_ns)
		line = c->rto_first_ns;
	return line > least ? line : least;
}

/* Applies the negotiated options. */
static void options_apply(struct sockeye__tftp *x, const struct sockeye__tftp_options *options)
{
	const struct sockeye__tftp_config *c = &x->config;
	uint64_t timeout_ns = sockeye__tftp_timeout_ns(options);
	uint64_t smoothed_ns = x->rtt.smoothed_ns;

	x->options = *options;
	/* An option that was not granted may still have the value of the request. */
	for (enum sockeye__tftp_option i = 0; i < SOCKEYE__TFTP_OPTIONS; i++)
		if (!sockeye__tftp_has(options, i))
			x->options.value[i] = 0;
	x->blksize = sockeye__tftp_blksize(options);
	x->window = sockeye__tftp_windowsize(options);
	sockeye__rtt_init(&x->rtt, otherwise(timeout_ns, c->rto_first_ns), rto_floor(x),
			  otherwise(timeout_ns, c->rto_max_ns));
	if (smoothed_ns != 0)
		sockeye__rtt_sample(&x->rtt, smoothed_ns);
	if (!x->config.silence_fixed &&
	    x->config.silence_ns < SOCKEYE__TFTP_TIMEOUTS_MIN * timeout_ns)
		x->config.silence_ns = SOCKEYE__TFTP_TIMEOUTS_MIN * timeout_ns;
	if (c->sends)
		sockeye__tftp_sender_init(x);
	else
		sockeye__tftp_receiver_init(x);
}

static void config_defaults(struct sockeye__tftp_config *c)
{
	c->rto_first_ns = otherwise(c->rto_first_ns, RTO_FIRST_NS);
	c->rto_min_ns = otherwise(c->rto_min_ns, RTO_MIN_NS);
	c->rto_max_ns = otherwise(c->rto_max_ns, RTO_MAX_NS);
	c->silence_ns = otherwise(c->silence_ns, SOCKEYE__TFTP_SILENCE_NS);
	c->dally_ns = otherwise(c->dally_ns, 2 * c->rto_max_ns);
	if (c->unconfirmed_packets_max == 0)
		c->unconfirmed_packets_max = UNCONFIRMED_PACKETS_MAX;
	if (c->numbers == 0)
		c->numbers = NUMBERS;
}

void sockeye__tftp_init(struct sockeye__tftp *x, const struct sockeye__tftp_config *config,
			uint64_t now_ns)
{
	static const struct sockeye__tftp_options none;

	assert(config->server || config->request.len > 0);
	*x = (struct sockeye__tftp){
	    .config = *config,
	    .stage = SOCKEYE__TFTP_STAGE_MOVING,
	    .progress_ns = now_ns,
	    .random = config->random,
	};
	config_defaults(&x->config);
	options_apply(x, config->server ? &config->options : &none);
	if (!config->server || config->options.has != 0) {
		x->stage = SOCKEYE__TFTP_STAGE_OFFERING;
		x->control = SOCKEYE__TFTP_CONTROL_OFFER;
	} else if (!config->sends) {
		x->control = SOCKEYE__TFTP_CONTROL_ACK;
	}
	sockeye__invariant(sockeye__tftp_check(x));
}

void sockeye__tftp_abort(struct sockeye__tftp *x, uint16_t code, const char *text)
{
	/* If a complete file cannot be stored, the transfer can still fail until its last ACK is
	 * sent. */
	if (x->result == SOCKEYE__TFTP_RUNNING ||
	    (x->stage == SOCKEYE__TFTP_STAGE_DALLYING && x->control == SOCKEYE__TFTP_CONTROL_ACK))
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_ABORTED, code, text);
	sockeye__invariant(sockeye__tftp_check(x));
}

/* Ends the offer, which the peer has accepted with its first packet. */
static void offer_end(struct sockeye__tftp *x, uint64_t now_ns,
		      const struct sockeye__tftp_options *options)
{
	/* Karn's rule: an offer that was sent twice gives no sample. */
	if (x->unconfirmed_packets == 1)
		sockeye__rtt_sample(&x->rtt, now_ns - x->offer_ns);
	x->stage = SOCKEYE__TFTP_STAGE_MOVING;
	x->moving_ns = now_ns;
	x->moving_timeouts = x->count.timeouts;
	x->control = SOCKEYE__TFTP_CONTROL_NONE;
	if (!x->config.server)
		options_apply(x, options);
	sockeye__tftp_progress(x, now_ns);
	x->deadline_ns = 0; /* a sender may have no data yet */
	if (!x->config.sends)
		sockeye__tftp_arm(x, now_ns);
}

/* Handles a repeat of the packet that began the transfer: the peer did not receive the
 * reply, or the reply is in flight. */
static void start_repeated(struct sockeye__tftp *x, uint64_t now_ns)
{
	x->start_repeats++;
	if (x->config.sends)
		sockeye__tftp_sender_repeat(x, now_ns);
	else
		sockeye__tftp_receiver_repeat(x, now_ns);
}

static void on_oack(struct sockeye__tftp *x, uint64_t now_ns, const struct sockeye__tftp_packet *p)
{
	struct sockeye__tftp_options options;

	if (x->config.server) {
		x->count.ignored++;
		return;
	}
	if (x->stage != SOCKEYE__TFTP_STAGE_OFFERING) {
		start_repeated(x, now_ns);
		return;
	}
	if (sockeye__tftp_oack_check(&x->config.options, p->options, &options) < 0) {
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_BAD_OACK, SOCKEYE__TFTP_OPTION_REFUSED,
				     "option not as requested");
		return;
	}
	if (options.has == 0) {
		x->count.ignored++; /* the list of options is truncated or garbage */
		return;
	}
	offer_end(x, now_ns, &options);
	if (!x->config.sends)
		x->control = SOCKEYE__TFTP_CONTROL_ACK;
}

static void on_ack(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number)
{
	static const struct sockeye__tftp_options none;
	bool offering = x->stage == SOCKEYE__TFTP_STAGE_OFFERING;

	if (!x->config.sends || (offering && number != 0)) {
		x->count.ignored++;
		return;
	}
	if (offering) {
		offer_end(x, now_ns, &none);
		return;
	}
	x->start_repeats += number == 0 && x->sender.una == 1;
	sockeye__tftp_restraint_ack(x, now_ns, number);
}

/* Handles the first DATA: a client's reply to an OACK, or the reply to a request from a
 * server that grants no options. Returns whether the offer was accepted. */
static bool on_first_data(struct sockeye__tftp *x, uint64_t now_ns,
			  const struct sockeye__tftp_packet *p)
{
	static const struct sockeye__tftp_options none;
	bool accepted;

	if (x->config.server) {
		/* A peer that received the OACK sends no blocks larger than the OACK grants. */
		accepted = sockeye__tftp_ahead(x, 1, p->number) < x->window &&
			   p->payload.len <= x->blksize;
	} else if (p->number == 0) {
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_BAD_START, SOCKEYE__TFTP_ILLEGAL,
				     "there is no block 0");
		return false;
	} else {
		accepted = p->number == 1 && p->payload.len <= SOCKEYE__TFTP_BLKSIZE_DEFAULT;
	}
	if (accepted)
		offer_end(x, now_ns, &none);
	else
		x->count.ignored++;
	return accepted;
}

static void on_data(struct sockeye__tftp *x, uint64_t now_ns, const struct sockeye__tftp_packet *p,
		    struct sockeye__tftp_got *out)
{
	if (x->config.sends) {
		x->count.ignored++;
		return;
	}
	if (x->stage != SOCKEYE__TFTP_STAGE_OFFERING || on_first_data(x, now_ns, p))
		sockeye__tftp_receiver_data(x, now_ns, p, out);
}

/* Handles a repeated request. The transfer that the request began must reply, because a
 * request must never begin two transfers (raspberrypi/firmware#1041). */
static void on_request(struct sockeye__tftp *x, uint64_t now_ns, bool read)
{
	if (!x->config.server || read != x->config.sends) {
		x->count.ignored++;
		return;
	}
	if (!x->config.sends || x->stage != SOCKEYE__TFTP_STAGE_OFFERING)
		start_repeated(x, now_ns);
	else if (now_ns - x->offer_ns >= x->config.rto_min_ns)
		x->control = SOCKEYE__TFTP_CONTROL_OFFER;
}

/* Handles an ERROR, to which no reply is sent (RFC 1350, section 7). If the file is already
 * complete, the transfer has still succeeded. */
static void on_error(struct sockeye__tftp *x, const struct sockeye__tftp_packet *p,
		     struct sockeye__tftp_got *out)
{
	out->code = p->number;
	out->text = p->text;
	sockeye__tftp_finish(x, x->result == SOCKEYE__TFTP_RUNNING ? SOCKEYE__TFTP_PEER_ERROR
								   : x->result);
}

void sockeye__tftp_datagram(struct sockeye__tftp *x, uint64_t now_ns, const void *packet,
			    size_t len, struct sockeye__tftp_got *out)
{
	struct sockeye__tftp_packet p;

	*out = (struct sockeye__tftp_got){0};
	if (sockeye__tftp_is_over(x))
		return;
	if (sockeye__tftp_decode(packet, len, &p) < 0) {
		x->count.ignored++;
		return;
	}
	switch (p.opcode) {
	case SOCKEYE__TFTP_RRQ:
	case SOCKEYE__TFTP_WRQ:
		on_request(x, now_ns, p.opcode == SOCKEYE__TFTP_RRQ);
		break;
	case SOCKEYE__TFTP_DATA:
		on_data(x, now_ns, &p, out);
		break;
	case SOCKEYE__TFTP_ACK:
		on_ack(x, now_ns, p.number);
		break;
	case SOCKEYE__TFTP_OACK:
		on_oack(x, now_ns, &p);
		break;
	case SOCKEYE__TFTP_ERROR:
		on_error(x, &p, out);
		break;
	}
	sockeye__invariant(sockeye__tftp_check(x));
}

/* Returns the result of a transfer whose peer is silent. After the last block a sender
 * cannot know whether only the ACK was lost. */
static enum sockeye__tftp_result unless_all_sent(const struct sockeye__tftp *x,
						 enum sockeye__tftp_result result)
{
	return x->config.sends && sockeye__tftp_sender_all_sent(x) ? SOCKEYE__TFTP_LAST_ACK_MISSING
								   : result;
}

/* Gives up after too long without progress, or after the maximum number of packets to
 * an unconfirmed peer. Returns whether it gave up. */
static bool give_up(struct sockeye__tftp *x, uint64_t now_ns)
{
	bool silent = now_ns - x->progress_ns >= sockeye__tftp_silence(x);
	bool limit = sockeye__tftp_is_unconfirmed(x) &&
		     x->unconfirmed_packets >= x->config.unconfirmed_packets_max;

	if (silent || limit)
		sockeye__tftp_finish(x, unless_all_sent(x, SOCKEYE__TFTP_TIMED_OUT));
	return silent || limit;
}

void sockeye__tftp_gone(struct sockeye__tftp *x)
{
	if (sockeye__tftp_is_over(x))
		return;
	sockeye__tftp_finish(x, x->result == SOCKEYE__TFTP_RUNNING
				    ? unless_all_sent(x, SOCKEYE__TFTP_GONE)
				    : x->result);
	sockeye__invariant(sockeye__tftp_check(x));
}

static void timeout(struct sockeye__tftp *x, uint64_t now_ns)
{
	x->count.timeouts++;
	if (x->silent_timeouts++ == 0)
		x->silent_ns = x->armed_ns;
	x->timeout_ns = now_ns;
	/* The timeout of the first window assumes a slow line and is long enough already. */
	if (!(x->silent_timeouts == 1 && x->config.sends && x->window > 1 && !x->sender.measured))
		sockeye__rtt_back_off(&x->rtt);
	if (x->stage == SOCKEYE__TFTP_STAGE_OFFERING)
		x->control = SOCKEYE__TFTP_CONTROL_OFFER;
	else if (x->config.sends)
		sockeye__tftp_restraint_timer(x, now_ns);
	else
		x->control = SOCKEYE__TFTP_CONTROL_ACK;
}

/* Handles the end of a pause or of the wait for a late block, which are earlier than the
 * retransmission timer. Returns true if one of them was due and the timer was not. */
static bool early_deadline(struct sockeye__tftp *x, uint64_t now_ns)
{
	return x->config.sends ? sockeye__tftp_sender_pause_over(x, now_ns)
			       : sockeye__tftp_receiver_gap_due(x);
}

void sockeye__tftp_timer(struct sockeye__tftp *x, uint64_t now_ns)
{
	if (x->deadline_ns == 0 || now_ns < x->deadline_ns)
		return;
	x->deadline_ns = 0;
	if (x->stage == SOCKEYE__TFTP_STAGE_DALLYING)
		x->stage = SOCKEYE__TFTP_STAGE_OVER;
	else if (!early_deadline(x, now_ns) && !give_up(x, now_ns) &&
		 !sockeye__tftp_restraint_wait(x))
		timeout(x, now_ns);
	sockeye__invariant(sockeye__tftp_check(x));
}

void sockeye__tftp_postpone(struct sockeye__tftp *x, uint64_t until_ns)
{
	if (x->deadline_ns != 0 && x->deadline_ns < until_ns)
		x->deadline_ns = until_ns;
}

static struct sockeye__span offer_encode(struct sockeye__tftp *x)
{
	ssize_t len;

	if (!x->config.server)
		return x->config.request;
	sockeye__tftp_put16(x->packet, SOCKEYE__TFTP_OACK);
	len = sockeye__tftp_options_encode(x->packet + 2, sizeof x->packet - 2, &x->options);
	assert(len > 0);
	return (struct sockeye__span){x->packet, 2 + (size_t)len};
}

static struct sockeye__span control_encode(struct sockeye__tftp *x)
{
	size_t len = SOCKEYE__TFTP_HEADER;

	if (x->control == SOCKEYE__TFTP_CONTROL_OFFER)
		return offer_encode(x);
	if (x->control == SOCKEYE__TFTP_CONTROL_ACK)
		sockeye__tftp_ack_encode(x->packet, sockeye__tftp_number(x, x->receiver.next - 1));
	else
		len = sockeye__tftp_error_encode(x->packet, sizeof x->packet, x->error_code,
						 x->error_text);
	return (struct sockeye__span){x->packet, len};
}

/* Writes the control packet that is to be sent, and counts it as sent. */
static void control_next(struct sockeye__tftp *x, uint64_t now_ns, struct sockeye__tftp_send *out)
{
	enum sockeye__tftp_control sent = x->control;

	*out = (struct sockeye__tftp_send){.packet = control_encode(x)};
	x->control = SOCKEYE__TFTP_CONTROL_NONE;
	if (sent == SOCKEYE__TFTP_CONTROL_OFFER) {
		x->offer_ns = now_ns;
		x->unconfirmed_packets++;
		sockeye__tftp_arm(x, now_ns);
	} else if (sent == SOCKEYE__TFTP_CONTROL_ACK) {
		sockeye__tftp_receiver_ack_sent(x, now_ns);
	}
}

bool sockeye__tftp_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
			struct sockeye__tftp_send *out)
{
	bool found = x->control != SOCKEYE__TFTP_CONTROL_NONE;

	if (found)
		control_next(x, now_ns, out);
	else if (x->stage == SOCKEYE__TFTP_STAGE_MOVING && x->config.sends)
		found = sockeye__tftp_restraint_next(x, now_ns, max_blocks, out);
	sockeye__invariant(sockeye__tftp_check(x));
	return found;
}

void sockeye__tftp_available(struct sockeye__tftp *x, uint64_t bytes, bool complete)
{
	assert(bytes >= x->sender.available && !(x->sender.complete && !complete));
	x->sender.available = bytes;
	x->sender.complete = complete;
	sockeye__invariant(sockeye__tftp_check(x));
}

static void deadline_check(const struct sockeye__tftp *x)
{
	bool to_send = x->control != SOCKEYE__TFTP_CONTROL_NONE;
	bool moving_sender = x->stage == SOCKEYE__TFTP_STAGE_MOVING && x->config.sends;

	/* A transfer that waits for its peer has a deadline. A sender with no block in
	 * flight waits for its driver. */
	if (x->stage == SOCKEYE__TFTP_STAGE_OVER)
		assert(x->deadline_ns == 0);
	else if (!moving_sender)
		assert(x->deadline_ns != 0 || to_send);
	else if (x->deadline_ns == 0)
		assert(x->sender.next == x->sender.una || x->sender.next < x->sender.high);
	else
		assert(x->sender.una < x->sender.high);
}

void sockeye__tftp_check(const struct sockeye__tftp *x)
{
	bool running = x->result == SOCKEYE__TFTP_RUNNING;

	assert(running == (x->stage <= SOCKEYE__TFTP_STAGE_MOVING));
	assert(x->stage != SOCKEYE__TFTP_STAGE_OFFERING || sockeye__tftp_is_unanswered(x));
	assert(x->stage != SOCKEYE__TFTP_STAGE_MOVING || !sockeye__tftp_is_unanswered(x));
	assert(x->stage != SOCKEYE__TFTP_STAGE_DALLYING ||
	       (!x->config.sends && x->result == SOCKEYE__TFTP_DONE));
	assert(x->control != SOCKEYE__TFTP_CONTROL_OFFER ||
	       x->stage == SOCKEYE__TFTP_STAGE_OFFERING);
	assert(x->control != SOCKEYE__TFTP_CONTROL_ACK || !x->config.sends);
	assert(x->control != SOCKEYE__TFTP_CONTROL_ERROR || x->stage == SOCKEYE__TFTP_STAGE_OVER);
	assert(!x->confirmed || x->unconfirmed_packets == 0);
	assert(x->rtt.floor_ns <= x->rtt.rto_ns && x->rtt.rto_ns <= x->rtt.ceiling_ns);
	deadline_check(x);
	sockeye__tftp_restraint_check(x);
	if (x->config.sends)
		sockeye__tftp_sender_check(x);
	else
		sockeye__tftp_receiver_check(x);
}
