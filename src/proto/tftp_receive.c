/*
 * tftp_receive.c: DATA in, ACK out (RFC 1350, 7440).
 *
 *       acked     next                  acked + window
 *   ------|---------|---#-##----------------|
 *          handed over   kept in memory
 *
 * An ACK leaves at the end of a window, at the end of the file, once for each
 * gap, and when nothing comes any more. Each of them begins a new window.
 */
#include <assert.h>
#include <string.h>

#include <sockeye/time.h>

#include "proto/tftp_internal.h"

/* Blocks ahead of a gap that make it a loss and no reordering, as TCP has it
 * (RFC 5681 3.2). */
#define LOST_BEHIND    3
#define REORDER_MIN_NS UINT64_C(250000)

void sockeye__tftp_receiver_init(struct sockeye__tftp *x)
{
	/* Each slot is a block and a bit; the bits fill whole bytes. */
	size_t len = x->config.memory_len, slots = len * 8 / (x->blksize * 8u + 1);

	if (slots * x->blksize + (slots + 7) / 8 > len)
		slots--;
	if (slots > x->window - 1u)
		slots = x->window - 1u;
	x->r = (struct sockeye__tftp_receiver){.next = 1, .slots = (uint32_t)slots};
	if (slots > 0)
		memset(x->config.memory + slots * x->blksize, 0, (slots + 7) / 8);
}

static uint8_t *slot_data(const struct sockeye__tftp *x, uint64_t block)
{
	return x->config.memory + block % x->r.slots * x->blksize;
}

/* The byte behind the slots that has this block's bit, and the bit. */
static uint8_t *slot_mark(const struct sockeye__tftp *x, uint64_t block, uint8_t *out_bit)
{
	uint64_t i = block % x->r.slots;

	*out_bit = (uint8_t)(1u << i % 8);
	return x->config.memory + (size_t)x->r.slots * x->blksize + i / 8;
}

static bool is_kept(const struct sockeye__tftp *x, uint64_t block)
{
	uint8_t bit;

	return x->r.kept > 0 && block <= x->r.top && (*slot_mark(x, block, &bit) & bit) != 0;
}

static uint64_t window_end(const struct sockeye__tftp *x)
{
	return x->r.acked + x->window;
}

/* Until a client has taken the OACK, that stands for ACK 0 (OpenNMS#8483). */
static void ack(struct sockeye__tftp *x)
{
	x->say = x->offering ? SOCKEYE__SAY_OFFER : SOCKEYE__SAY_ACK;
}

/* A peer that repeats its last block for ever does not keep us for ever. */
static void dally(struct sockeye__tftp *x, uint64_t now_ns)
{
	uint64_t until_ns =
	    x->config.silence_ns > x->config.dally_ns ? x->config.silence_ns : x->config.dally_ns;

	until_ns += x->progress_ns;
	x->deadline_ns = now_ns + x->config.dally_ns;
	if (x->deadline_ns > until_ns)
		x->deadline_ns = until_ns;
}

void sockeye__tftp_receiver_said(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_receiver *r = &x->r;

	/* Karn's rule; and behind a gap, what comes next may have left before. */
	r->clean = r->next - 1 == window_end(x) || r->ack_ns == 0;
	if (r->next - 1 == r->acked && r->ack_ns != 0) {
		r->repeated++;
	} else {
		r->echoes = r->repeated;
		r->repeated = 0;
	}
	r->acked = r->next - 1;
	r->ack_ns = now_ns;
	r->waits = false;
	if (!x->confirmed)
		x->unheard++;
	if (x->result == SOCKEYE__TFTP_RUNNING)
		sockeye__tftp_arm(x, now_ns);
	else
		dally(x, now_ns);
}

static void gap_ask(struct sockeye__tftp *x)
{
	x->r.waits = false;
	x->r.gap = x->r.next;
	x->count.gaps++;
	ack(x);
}

/* There are blocks ahead of a missing one, which may only be late. */
static void gap_wait(struct sockeye__tftp *x, uint64_t now_ns)
{
	uint64_t ns = x->rtt.smoothed_ns / 4;

	/* Asked for already: one ACK for each gap, or they storm. */
	if (x->r.gap == x->r.next || x->r.waits)
		return;
	x->r.waits = true;
	x->deadline_ns = now_ns + (ns < REORDER_MIN_NS ? REORDER_MIN_NS : ns);
}

bool sockeye__tftp_receiver_gap_due(struct sockeye__tftp *x)
{
	if (!x->r.waits)
		return false;
	gap_ask(x);
	return true;
}

/* Senders that resend on a duplicate ACK (atftp; forbidden by RFC 1123 4.2.3.1)
 * answer each ACK that left twice with the same blocks twice. If those were
 * acknowledged twice, the rest of the file would be sent twice. */
static bool is_echo(struct sockeye__tftp *x, uint64_t now_ns, uint64_t block)
{
	if (x->r.echoes == 0 || now_ns - x->r.ack_ns >= x->rtt.rto_ns)
		return false;
	if (block == x->r.acked)
		x->r.echoes--;
	return true;
}

/* A block that was acknowledged: the sender lacks the ACK, or the network has
 * doubled the block. */
static void on_old(struct sockeye__tftp *x, uint64_t now_ns, uint64_t block)
{
	x->count.resent++;
	/* In the window that is on its way the sender will come to what is new. */
	if (block > x->r.acked || x->r.next - 1 != x->r.acked || is_echo(x, now_ns, block))
		return;
	if (block == x->r.acked || now_ns - x->r.ack_ns >= sockeye__rtt_patience(&x->rtt))
		ack(x);
}

void sockeye__tftp_receiver_repeat(struct sockeye__tftp *x, uint64_t now_ns)
{
	uint64_t said_ns = x->offering ? x->said_ns : x->r.ack_ns;

	x->count.resent++;
	if (x->r.next - 1 == x->r.acked && now_ns - said_ns >= x->config.rto_min_ns)
		ack(x);
}

/* The bytes of one block, handed over. */
static void hand_over(struct sockeye__tftp *x, const uint8_t *at, size_t len,
		      struct sockeye__tftp_got *out)
{
	struct sockeye__span *run = out->count > 0 ? &out->data[out->count - 1] : NULL;

	if (run != NULL && run->at + run->len == at) {
		run->len += len;
	} else {
		assert(out->count < sizeof out->data / sizeof *out->data);
		out->data[out->count++] = (struct sockeye__span){at, len};
	}
	x->r.bytes += len;
	x->r.next++;
	x->count.blocks++;
}

/* What was kept and is in order now. */
static void kept_take(struct sockeye__tftp *x, struct sockeye__tftp_got *out)
{
	struct sockeye__tftp_receiver *r = &x->r;

	while (is_kept(x, r->next)) {
		uint8_t bit, *mark = slot_mark(x, r->next, &bit);

		*mark &= (uint8_t)~bit;
		r->kept--;
		hand_over(x, slot_data(x, r->next), r->next == r->last ? r->last_len : x->blksize,
			  out);
	}
}

/* Neither more than is allowed, nor than was promised, nor less. A promise of
 * nothing is none: that is how senders say that they do not know. */
static bool size_fits(struct sockeye__tftp *x)
{
	uint64_t promised = x->config.check_size ? x->options.value[SOCKEYE__TFTP_TSIZE] : 0;
	uint64_t max = x->config.size_max;

	if (max != 0 && x->r.bytes > max) {
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_TOO_LARGE, SOCKEYE__TFTP_DISK_FULL,
				     "file too large");
		return false;
	}
	if (promised != 0 &&
	    (x->r.bytes > promised || (x->r.next - 1 == x->r.last && x->r.bytes < promised))) {
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_WRONG_SIZE, SOCKEYE__TFTP_UNDEFINED,
				     "size differs from tsize");
		return false;
	}
	return true;
}

static void on_next(struct sockeye__tftp *x, uint64_t now_ns, const struct sockeye__tftp_packet *p,
		    struct sockeye__tftp_got *out)
{
	struct sockeye__tftp_receiver *r = &x->r;

	hand_over(x, p->payload.at, p->payload.len, out);
	kept_take(x, out);
	r->waits = false;
	r->overtook = 0;
	if (!size_fits(x))
		return;
	if (r->next - 1 == r->last) {
		x->result = SOCKEYE__TFTP_DONE;
		x->deadline_ns = 0;
		out->end = true;
		ack(x);
	} else if (r->next - 1 >= window_end(x)) {
		ack(x);
	} else if (r->kept > 0) {
		gap_wait(x, now_ns);
	}
}

static void on_ahead(struct sockeye__tftp *x, uint64_t now_ns, uint64_t block,
		     const struct sockeye__tftp_packet *p)
{
	struct sockeye__tftp_receiver *r = &x->r;
	uint8_t bit, *mark;

	if (is_kept(x, block)) {
		x->count.resent++;
		return;
	}
	if (block - r->next <= r->slots) {
		mark = slot_mark(x, block, &bit);
		*mark |= bit;
		memcpy(slot_data(x, block), p->payload.at, p->payload.len);
		r->kept++;
		x->count.kept++;
		r->top = block > r->top ? block : r->top;
	}
	r->overtook++;
	/* Lost, not late, when there is nothing more to wait for. */
	if (r->gap != r->next && (r->overtook >= LOST_BEHIND || r->slots == 0 ||
				  block == window_end(x) || block == r->last))
		gap_ask(x);
	else
		gap_wait(x, now_ns);
}

/* Whether the file can have this block: its end is where a block was short. */
static bool end_agrees(struct sockeye__tftp_receiver *r, uint64_t block, size_t len,
		       uint16_t blksize)
{
	if (len > blksize || (r->last != 0 && block > r->last))
		return false;
	if (len == blksize)
		return block != r->last;
	if ((r->last != 0 && block != r->last) || (r->kept > 0 && block < r->top))
		return false;
	r->last = block;
	r->last_len = (uint16_t)len;
	return true;
}

void sockeye__tftp_receiver_data(struct sockeye__tftp *x, uint64_t now_ns,
				 const struct sockeye__tftp_packet *p,
				 struct sockeye__tftp_got *out)
{
	struct sockeye__tftp_receiver *r = &x->r;
	uint32_t ahead = sockeye__tftp_ahead(x, r->next, p->number);
	uint64_t block = r->next + ahead, back = 2u * x->window;

	if (ahead == UINT32_MAX || block > window_end(x)) {
		back = back < r->next ? back : r->next - 1;
		ahead = sockeye__tftp_ahead(x, r->next - back, p->number);
		if (ahead < back)
			on_old(x, now_ns, r->next - back + ahead);
		else
			x->count.ignored++;
		return;
	}
	if (x->result != SOCKEYE__TFTP_RUNNING ||
	    !end_agrees(r, block, p->payload.len, x->blksize)) {
		x->count.ignored++;
		return;
	}
	if (r->clean)
		sockeye__rtt_sample(&x->rtt, now_ns - r->ack_ns);
	r->clean = false;
	sockeye__tftp_progress(x, now_ns);
	if (ahead == 0)
		on_next(x, now_ns, p, out);
	else
		on_ahead(x, now_ns, block, p);
	if (x->result == SOCKEYE__TFTP_RUNNING && !r->waits)
		sockeye__tftp_arm(x, now_ns);
}
