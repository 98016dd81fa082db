/*
 * tftp_transfer.c: what both directions have in common: the offer at the
 * beginning, errors, the timer, and the numbers of blocks.
 */
#include <assert.h>
#include <string.h>

#include <sockeye/time.h>

#include "proto/tftp_internal.h"

#define NUMBERS      65536u
#define SLOW_LINE_NS UINT64_C(8000) /* for a byte: a megabit a second */
#define STRANGER_MAX 5
#define RTO_FIRST_NS SOCKEYE_NS_PER_S
#define RTO_MIN_NS   (4 * SOCKEYE_NS_PER_MS)
/* Less an eighth it is still more than the 5 s of many a peer's own timer, which
 * in atftp starts anew with each block that comes again: one that has lost the
 * ACK of it and the only other it sends would wait for ever. */
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

/* No time-out is shorter while nothing else is known. What was measured so far
 * are small packets; a slow line carries a window of large ones for longer than
 * their round trip, and to repeat it meanwhile would fill the line with copies.
 * A receiver hears of each block by itself. */
static uint64_t rto_floor(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_config *c = &x->config;
	/* A receiver waits twice as long: best it is the sender who repeats. */
	uint64_t least = c->sends ? c->rto_min_ns : 2 * c->rto_min_ns;
	uint64_t line = SLOW_LINE_NS * x->blksize * (c->sends ? x->window : 1);

	if (line > c->rto_first_ns)
		line = c->rto_first_ns;
	return line > least ? line : least;
}

/* The options are agreed on. */
static void options_apply(struct sockeye__tftp *x, const struct sockeye__tftp_options *options)
{
	const struct sockeye__tftp_config *c = &x->config;
	uint64_t timeout_ns = sockeye__tftp_timeout_ns(options);
	uint64_t smoothed_ns = x->rtt.smoothed_ns;

	x->options = *options;
	/* The values of options that nobody granted must not count. */
	for (enum sockeye__tftp_option i = 0; i < SOCKEYE__TFTP_OPTIONS; i++)
		if (!sockeye__tftp_has(options, i))
			x->options.value[i] = 0;
	x->blksize = sockeye__tftp_blksize(options);
	x->window = sockeye__tftp_windowsize(options);
	sockeye__rtt_init(&x->rtt, otherwise(timeout_ns, c->rto_first_ns), rto_floor(x),
			  otherwise(timeout_ns, c->rto_max_ns));
	if (smoothed_ns != 0)
		sockeye__rtt_sample(&x->rtt, smoothed_ns);
	if (x->config.silence_ns < SOCKEYE__TFTP_TIMEOUTS_MIN * timeout_ns)
		x->config.silence_ns = SOCKEYE__TFTP_TIMEOUTS_MIN * timeout_ns;
	if (c->sends)
		sockeye__tftp_sender_init(x);
	else
		sockeye__tftp_receiver_init(x);
}

void sockeye__tftp_init(struct sockeye__tftp *x, const struct sockeye__tftp_config *config,
			uint64_t now_ns)
{
	static const struct sockeye__tftp_options none;
	struct sockeye__tftp_config *c = &x->config;

	assert(config->server || config->request.len > 0);
	*x = (struct sockeye__tftp){.config = *config, .progress_ns = now_ns};
	c->rto_first_ns = otherwise(c->rto_first_ns, RTO_FIRST_NS);
	c->rto_min_ns = otherwise(c->rto_min_ns, RTO_MIN_NS);
	c->rto_max_ns = otherwise(c->rto_max_ns, RTO_MAX_NS);
	c->silence_ns = otherwise(c->silence_ns, SOCKEYE__TFTP_SILENCE_NS);
	c->dally_ns = otherwise(c->dally_ns, 2 * c->rto_max_ns);
	c->stranger_max = c->stranger_max != 0 ? c->stranger_max : STRANGER_MAX;
	c->numbers = c->numbers != 0 ? c->numbers : NUMBERS;
	x->random = config->random;
	x->offering = !config->server || config->options.has != 0;
	options_apply(x, config->server ? &config->options : &none);
	if (x->offering)
		x->say = SOCKEYE__SAY_OFFER;
	else if (!config->sends)
		x->say = SOCKEYE__SAY_ACK;
}

void sockeye__tftp_abort(struct sockeye__tftp *x, uint16_t code, const char *text)
{
	/* A last ACK that has not left yet is not too late. */
	if (!x->over && (x->result == SOCKEYE__TFTP_RUNNING || x->say == SOCKEYE__SAY_ACK))
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_ABORTED, code, text);
}

/* The peer took the offer, by its first packet. */
static void offer_end(struct sockeye__tftp *x, uint64_t now_ns,
		      const struct sockeye__tftp_options *options)
{
	/* Karn: only an offer that was made once is a sample. */
	if (x->unheard == 1)
		sockeye__rtt_sample(&x->rtt, now_ns - x->said_ns);
	x->offering = false;
	x->say = SOCKEYE__SAY_NOTHING;
	if (!x->config.server)
		options_apply(x, options);
	sockeye__tftp_progress(x, now_ns);
	x->deadline_ns = 0; /* a sender waits for nothing as long as it has nothing */
	if (!x->config.sends)
		sockeye__tftp_arm(x, now_ns);
}

/* A client's OACK. */
static void on_oack(struct sockeye__tftp *x, uint64_t now_ns, const struct sockeye__tftp_packet *p)
{
	struct sockeye__tftp_options options;

	if (x->config.server) {
		x->count.ignored++;
		return;
	}
	if (!x->offering) {
		/* Once more: our answer to it was lost. */
		if (x->config.sends)
			sockeye__tftp_sender_repeat(x, now_ns);
		else
			sockeye__tftp_receiver_repeat(x, now_ns);
		return;
	}
	if (sockeye__tftp_oack_check(&x->config.options, p->options, &options) < 0) {
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_BAD_OACK, SOCKEYE__TFTP_OPTION_REFUSED,
				     "option not as requested");
		return;
	}
	if (options.has == 0) {
		x->count.ignored++; /* cut, or no OACK of this world */
		return;
	}
	offer_end(x, now_ns, &options);
	if (!x->config.sends)
		x->say = SOCKEYE__SAY_ACK;
}

static void on_ack(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number)
{
	static const struct sockeye__tftp_options none;

	if (!x->config.sends || (x->offering && number != 0)) {
		x->count.ignored++;
		return;
	}
	if (x->offering)
		offer_end(x, now_ns, &none);
	else
		sockeye__tftp_sender_ack(x, now_ns, number);
}

static void on_data(struct sockeye__tftp *x, uint64_t now_ns, const struct sockeye__tftp_packet *p,
		    struct sockeye__tftp_got *out)
{
	static const struct sockeye__tftp_options none;

	if (x->config.sends) {
		x->count.ignored++;
		return;
	}
	if (x->offering && x->config.server) {
		/* A block longer than was granted confirms no OACK. */
		if (sockeye__tftp_ahead(x, 1, p->number) >= x->window ||
		    p->payload.len > x->blksize) {
			x->count.ignored++;
			return;
		}
		offer_end(x, now_ns, &none);
	} else if (x->offering) {
		/* The first block of a server that knows no options. */
		if (p->number == 0) {
			sockeye__tftp_refuse(x, SOCKEYE__TFTP_BAD_START, SOCKEYE__TFTP_ILLEGAL,
					     "there is no block 0");
			return;
		}
		if (p->number != 1 || p->payload.len > SOCKEYE__TFTP_BLKSIZE_DEFAULT) {
			x->count.ignored++;
			return;
		}
		offer_end(x, now_ns, &none);
	}
	sockeye__tftp_receiver_data(x, now_ns, p, out);
}

/* The client's request again: its answer was lost, or is on its way. The same
 * transfer answers, never a second one (raspberrypi/firmware#1041). */
static void on_request(struct sockeye__tftp *x, uint64_t now_ns, bool read)
{
	if (!x->config.server || read != x->config.sends) {
		x->count.ignored++;
		return;
	}
	if (!x->config.sends) {
		sockeye__tftp_receiver_repeat(x, now_ns);
	} else if (!x->offering) {
		sockeye__tftp_sender_repeat(x, now_ns);
	} else if (now_ns - x->said_ns >= x->config.rto_min_ns) {
		x->say = SOCKEYE__SAY_OFFER;
	}
}

void sockeye__tftp_datagram(struct sockeye__tftp *x, uint64_t now_ns, const void *packet,
			    size_t len, struct sockeye__tftp_got *out)
{
	struct sockeye__tftp_packet p;

	*out = (struct sockeye__tftp_got){0};
	if (x->over)
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
		/* It is never answered (RFC 1350 7); what has all arrived stays so. */
		out->code = p.number;
		out->text = p.text;
		sockeye__tftp_finish(
		    x, x->result == SOCKEYE__TFTP_RUNNING ? SOCKEYE__TFTP_PEER_ERROR : x->result);
		break;
	}
}

/* Nothing new for too long, or a peer that may not exist was told enough. */
static bool give_up(struct sockeye__tftp *x, uint64_t now_ns)
{
	if (now_ns - x->progress_ns < sockeye__tftp_silence(x) &&
	    (!sockeye__tftp_is_stranger(x) || x->unheard < x->config.stranger_max))
		return false;
	sockeye__tftp_finish(x, x->config.sends && sockeye__tftp_sender_all_sent(x)
				    ? SOCKEYE__TFTP_LAST_ACK_MISSING
				    : SOCKEYE__TFTP_TIMED_OUT);
	return true;
}

/* A client that leaves without its last ACK has all of the file, as far as it
 * can be known. */
void sockeye__tftp_gone(struct sockeye__tftp *x)
{
	if (x->over)
		return;
	if (x->result == SOCKEYE__TFTP_RUNNING)
		x->result = x->config.sends && sockeye__tftp_sender_all_sent(x)
				? SOCKEYE__TFTP_LAST_ACK_MISSING
				: SOCKEYE__TFTP_GONE;
	sockeye__tftp_finish(x, x->result);
}

void sockeye__tftp_timer(struct sockeye__tftp *x, uint64_t now_ns)
{
	if (x->deadline_ns == 0 || now_ns < x->deadline_ns)
		return;
	x->deadline_ns = 0;
	if (x->result != SOCKEYE__TFTP_RUNNING) {
		x->over = true; /* no longer dallying */
		return;
	}
	if (x->config.sends ? sockeye__tftp_sender_pause_over(x, now_ns)
			    : sockeye__tftp_receiver_gap_due(x))
		return;
	if (give_up(x, now_ns))
		return;
	x->count.timeouts++;
	sockeye__rtt_back_off(&x->rtt);
	if (x->offering)
		x->say = SOCKEYE__SAY_OFFER;
	else if (x->config.sends)
		sockeye__tftp_sender_timer(x);
	else
		x->say = SOCKEYE__SAY_ACK;
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

	if (x->say == SOCKEYE__SAY_OFFER)
		return offer_encode(x);
	if (x->say == SOCKEYE__SAY_ACK)
		sockeye__tftp_ack_encode(x->packet, sockeye__tftp_number(x, x->r.next - 1));
	else
		len = sockeye__tftp_error_encode(x->packet, sizeof x->packet, x->error_code,
						 x->error_text);
	return (struct sockeye__span){x->packet, len};
}

bool sockeye__tftp_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
			struct sockeye__tftp_send *out)
{
	if (x->say == SOCKEYE__SAY_NOTHING) {
		if (x->over || x->offering || !x->config.sends)
			return false;
		return sockeye__tftp_sender_next(x, now_ns, max_blocks, out);
	}
	*out = (struct sockeye__tftp_send){.packet = control_encode(x)};
	if (x->say == SOCKEYE__SAY_OFFER) {
		x->said_ns = now_ns;
		x->unheard++;
		sockeye__tftp_arm(x, now_ns);
	}
	if (x->say == SOCKEYE__SAY_ACK)
		sockeye__tftp_receiver_said(x, now_ns);
	x->say = SOCKEYE__SAY_NOTHING;
	return true;
}

void sockeye__tftp_available(struct sockeye__tftp *x, uint64_t bytes, bool ended)
{
	assert(bytes >= x->s.available && !(x->s.ended && !ended));
	x->s.available = bytes;
	x->s.ended = ended;
}
