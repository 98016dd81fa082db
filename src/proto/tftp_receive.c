/*
 * tftp_receive.c: receives DATA and sends ACKs (RFC 1350, RFC 7440). See the diagram
 * in tftp_transfer.h.
 *
 * An ACK is sent at the end of a window, at the end of the file, once for each gap,
 * after a timeout, and when an acknowledged block arrives again. Each ACK begins a
 * new window.
 */
#include <assert.h>
#include <string.h>

#include <sockeye/time.h>

#include "proto/tftp_internal.h"

/* A missing block counts as lost, not late, after this many later blocks have
 * arrived. TCP uses the same number (RFC 5681, section 3.2). */
#define OVERTAKEN_MAX  3
#define REORDER_MIN_NS UINT64_C(250000)

/* --- memory --- */

/* Returns the bytes of memory that `slots` blocks need, followed by one bit per slot, which
 * is set while the slot is in use. */
static size_t memory_used(size_t slots, uint16_t blksize)
{
	return slots * blksize + (slots + 7) / 8;
}

void sockeye__tftp_receiver_init(struct sockeye__tftp *x)
{
	size_t len = x->config.memory_len, slots = len * 8 / (x->blksize * 8u + 1);

	if (memory_used(slots, x->blksize) > len) /* the bits fill whole bytes */
		slots--;
	if (slots > x->window - 1u)
		slots = x->window - 1u;
	x->receiver = (struct sockeye__tftp_receiver){.next = 1, .slots = (uint32_t)slots};
	if (slots > 0)
		memset(x->config.memory + slots * x->blksize, 0, (slots + 7) / 8);
}

static uint8_t *slot_data(const struct sockeye__tftp *x, uint64_t block)
{
	return x->config.memory + block % x->receiver.slots * x->blksize;
}

/* Returns the byte that has the block's bit, and writes the bit. */
static uint8_t *slot_mark(const struct sockeye__tftp *x, uint64_t block, uint8_t *out_bit)
{
	uint64_t i = block % x->receiver.slots;

	*out_bit = (uint8_t)(1u << i % 8);
	return x->config.memory + (size_t)x->receiver.slots * x->blksize + i / 8;
}

/* Whether a block after `next`, or `next` itself, is kept. */
static bool is_kept(const struct sockeye__tftp *x, uint64_t block)
{
	const struct sockeye__tftp_receiver *r = &x->receiver;
	uint8_t bit;

	return r->kept > 0 && block <= r->kept_top && (*slot_mark(x, block, &bit) & bit) != 0;
}

/* Keeps a block ahead of a gap, if the memory has a slot for it. */
static void keep(struct sockeye__tftp *x, uint64_t block, const struct sockeye__tftp_packet *p)
{
	struct sockeye__tftp_receiver *r = &x->receiver;
	uint8_t bit, *mark;

	if (block - r->next > r->slots)
		return;
	mark = slot_mark(x, block, &bit);
	*mark |= bit;
	memcpy(slot_data(x, block), p->payload.at, p->payload.len);
	r->kept++;
	x->count.kept++;
	r->kept_top = block > r->kept_top ? block : r->kept_top;
}

/* --- ACKs --- */

static uint64_t window_end(const struct sockeye__tftp *x)
{
	return x->receiver.acked + x->window;
}

/* Sends an ACK. Until the client has answered a server's OACK, the OACK is sent again
 * instead of ACK 0 (OpenNMS#8483). */
static void ack(struct sockeye__tftp *x)
{
	x->control = x->stage == SOCKEYE__TFTP_STAGE_OFFERING ? SOCKEYE__TFTP_CONTROL_OFFER
							      : SOCKEYE__TFTP_CONTROL_ACK;
}

/* Sets the deadline to the end of the dallying period. A peer that keeps repeating
 * its last block cannot extend it without limit. */
static void dally(struct sockeye__tftp *x, uint64_t now_ns)
{
	const struct sockeye__tftp_config *c = &x->config;
	uint64_t limit_ns =
	    x->progress_ns + (c->silence_ns > c->dally_ns ? c->silence_ns : c->dally_ns);

	x->deadline_ns = now_ns + c->dally_ns;
	if (x->deadline_ns > limit_ns)
		x->deadline_ns = limit_ns;
}

void sockeye__tftp_receiver_ack_sent(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_receiver *r = &x->receiver;
	bool again = r->next - 1 == r->acked && r->ack_ns != 0;

	/* A repeated ACK gives no round-trip sample (Karn's rule). An ACK that reports a gap
	 * gives none either, because the next block may have been sent before that ACK. */
	r->ack_timed = r->next - 1 == window_end(x) || r->ack_ns == 0;
	if (again) {
		r->ack_repeats++;
	} else {
		r->echoes_due = r->ack_repeats;
		r->ack_repeats = 0;
	}
	r->acked = r->next - 1;
	r->ack_ns = now_ns;
	r->reorder_wait = false;
	if (!x->confirmed)
		x->unconfirmed_packets++;
	if (x->stage == SOCKEYE__TFTP_STAGE_MOVING)
		sockeye__tftp_arm(x, now_ns);
	else if (x->stage == SOCKEYE__TFTP_STAGE_DALLYING)
		dally(x, now_ns);
}

/* Whether a block arrives again because an ACK was sent twice. Some senders answer
 * each copy of an ACK with the same blocks (atftp; RFC 1123, section 4.2.3.1, forbids
 * it). If the copies of those blocks were acknowledged too, the rest of the file would
 * be sent twice. */
static bool is_echo(struct sockeye__tftp *x, uint64_t now_ns, uint64_t block)
{
	struct sockeye__tftp_receiver *r = &x->receiver;

	if (r->echoes_due == 0 || now_ns - r->ack_ns >= x->rtt.rto_ns)
		return false;
	if (block == r->acked)
		r->echoes_due--;
	return true;
}

/* Handles a block that was received before: the sender did not receive the ACK, or the
 * network duplicated the block. */
static void on_old(struct sockeye__tftp *x, uint64_t now_ns, uint64_t block)
{
	struct sockeye__tftp_receiver *r = &x->receiver;
	bool window_begun = r->next - 1 != r->acked; /* new blocks follow this one */

	x->count.resent++;
	if (block > r->acked || window_begun || is_echo(x, now_ns, block))
		return;
	if (block == r->acked || now_ns - r->ack_ns >= sockeye__rtt_patience(&x->rtt))
		ack(x);
}

void sockeye__tftp_receiver_repeat(struct sockeye__tftp *x, uint64_t now_ns)
{
	const struct sockeye__tftp_receiver *r = &x->receiver;
	uint64_t sent_ns = x->stage == SOCKEYE__TFTP_STAGE_OFFERING ? x->offer_ns : r->ack_ns;

	x->count.resent++;
	if (r->next - 1 == r->acked && now_ns - sent_ns >= x->config.rto_min_ns)
		ack(x);
}

/* --- gaps --- */

static void gap_report(struct sockeye__tftp *x)
{
	x->receiver.reorder_wait = false;
	x->receiver.gap_reported = x->receiver.next;
	x->count.gaps++;
	ack(x);
}

/* Waits a short time for a missing block, which may only be late, before it is reported. */
static void gap_wait(struct sockeye__tftp *x, uint64_t now_ns)
{
	struct sockeye__tftp_receiver *r = &x->receiver;
	uint64_t ns = x->rtt.smoothed_ns / 4;

	/* Report each gap once: an ACK for every block would cause an ACK storm. */
	if (r->gap_reported == r->next || r->reorder_wait)
		return;
	r->reorder_wait = true;
	x->deadline_ns = now_ns + (ns < REORDER_MIN_NS ? REORDER_MIN_NS : ns);
}

bool sockeye__tftp_receiver_gap_due(struct sockeye__tftp *x)
{
	if (!x->receiver.reorder_wait)
		return false;
	gap_report(x);
	return true;
}

/* --- DATA --- */

/* Hands over the bytes of block `next`. */
static void hand_over(struct sockeye__tftp *x, const uint8_t *at, size_t len,
		      struct sockeye__tftp_got *out)
{
	struct sockeye__span *run = out->count > 0 ? &out->data[out->count - 1] : NULL;

	if (run != NULL && run->at + run->len == at) {
		run->len += len;
	} else {
		assert(out->count < sizeof out->data / sizeof out->data[0]);
		out->data[out->count++] = (struct sockeye__span){at, len};
	}
	x->receiver.bytes += len;
	x->receiver.next++;
	x->count.blocks++;
}

/* Hands over the kept blocks that now follow without a gap. */
static void kept_hand_over(struct sockeye__tftp *x, struct sockeye__tftp_got *out)
{
	struct sockeye__tftp_receiver *r = &x->receiver;

	while (is_kept(x, r->next)) {
		size_t len = r->next == r->final ? r->final_len : x->blksize;
		uint8_t bit, *mark = slot_mark(x, r->next, &bit);

		*mark &= (uint8_t)~bit;
		r->kept--;
		hand_over(x, slot_data(x, r->next), len, out);
	}
}

static bool is_complete(const struct sockeye__tftp_receiver *r)
{
	return r->final != 0 && r->next - 1 == r->final;
}

/* Ends the transfer and returns false if the file is larger than size_max or its size
 * differs from tsize. A tsize of 0 is not checked, because senders use it for an
 * unknown size. */
static bool size_fits(struct sockeye__tftp *x)
{
	const struct sockeye__tftp_receiver *r = &x->receiver;
	uint64_t tsize = x->config.check_size ? x->options.value[SOCKEYE__TFTP_TSIZE] : 0;
	uint64_t max = x->config.size_max;

	if (max != 0 && r->bytes > max) {
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_TOO_LARGE, SOCKEYE__TFTP_DISK_FULL,
				     "file too large");
		return false;
	}
	if (tsize != 0 && (r->bytes > tsize || (is_complete(r) && r->bytes < tsize))) {
		sockeye__tftp_refuse(x, SOCKEYE__TFTP_WRONG_SIZE, SOCKEYE__TFTP_UNDEFINED,
				     "size differs from tsize");
		return false;
	}
	return true;
}

static void on_next(struct sockeye__tftp *x, uint64_t now_ns, const struct sockeye__tftp_packet *p,
		    struct sockeye__tftp_got *out)
{
	struct sockeye__tftp_receiver *r = &x->receiver;

	hand_over(x, p->payload.at, p->payload.len, out);
	kept_hand_over(x, out);
	r->reorder_wait = false;
	r->overtaken = 0;
	if (!size_fits(x))
		return;
	if (is_complete(r)) {
		x->stage = SOCKEYE__TFTP_STAGE_DALLYING;
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
	struct sockeye__tftp_receiver *r = &x->receiver;
	bool again = is_kept(x, block), last = block == window_end(x) || block == r->final, lost;
	uint64_t late_ns;

	/* If a block arrives late, the sender's timer has fired: the ACK that reported the gap
	 * may have been lost. A block that was not kept may also arrive for the first time. */
	late_ns = again || last ? sockeye__rtt_patience(&x->rtt) : x->rtt.rto_ns;
	if (r->gap_reported == r->next && now_ns - r->ack_ns >= late_ns)
		ack(x);
	if (again) {
		x->count.resent++;
		return;
	}
	keep(x, block, p);
	r->overtaken++;
	/* After the last block of the window, or without memory, there is nothing
	 * to wait for. */
	lost = r->overtaken >= OVERTAKEN_MAX || r->slots == 0 || last;
	if (lost && r->gap_reported != r->next)
		gap_report(x);
	else
		gap_wait(x, now_ns);
}

/* Whether this block is consistent with the end of the file: a short block is the
 * final one, so no other block may be short or follow it. Records the final block. */
static bool end_agrees(struct sockeye__tftp_receiver *r, uint64_t block, size_t len,
		       uint16_t blksize)
{
	if (len > blksize || (r->final != 0 && block > r->final))
		return false;
	if (len == blksize)
		return block != r->final;
	if ((r->final != 0 && block != r->final) || (r->kept > 0 && block < r->kept_top))
		return false;
	r->final = block;
	r->final_len = (uint16_t)len;
	return true;
}

/* Handles a block number outside the current window. */
static void on_outside(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number)
{
	uint64_t next = x->receiver.next, back = 2u * x->window;
	uint32_t ahead;

	back = back < next ? back : next - 1;
	ahead = sockeye__tftp_ahead(x, next - back, number);
	if (ahead < back)
		on_old(x, now_ns, next - back + ahead);
	else
		x->count.ignored++;
}

void sockeye__tftp_receiver_data(struct sockeye__tftp *x, uint64_t now_ns,
				 const struct sockeye__tftp_packet *p,
				 struct sockeye__tftp_got *out)
{
	struct sockeye__tftp_receiver *r = &x->receiver;
	uint32_t ahead = sockeye__tftp_ahead(x, r->next, p->number);
	uint64_t block = r->next + ahead;

	if (ahead == UINT32_MAX || block > window_end(x)) {
		on_outside(x, now_ns, p->number);
		return;
	}
	if (x->stage != SOCKEYE__TFTP_STAGE_MOVING ||
	    !end_agrees(r, block, p->payload.len, x->blksize)) {
		x->count.ignored++;
		return;
	}
	if (r->ack_timed)
		sockeye__rtt_sample(&x->rtt, now_ns - r->ack_ns);
	r->ack_timed = false;
	sockeye__tftp_progress(x, now_ns);
	if (ahead == 0)
		on_next(x, now_ns, p, out);
	else
		on_ahead(x, now_ns, block, p);
	if (x->stage == SOCKEYE__TFTP_STAGE_MOVING && !r->reorder_wait)
		sockeye__tftp_arm(x, now_ns);
}

/* --- invariants --- */

static uint32_t marks_count(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_receiver *r = &x->receiver;
	const uint8_t *marks = x->config.memory + (size_t)r->slots * x->blksize;
	uint32_t count = 0;

	for (size_t left = (r->slots + 7u) / 8; left > 0;) {
		size_t len = left < sizeof(uint64_t) ? left : sizeof(uint64_t);
		uint64_t bits = 0;

		memcpy(&bits, marks, len);
		for (; bits != 0; bits &= bits - 1)
			count++;
		marks += len;
		left -= len;
	}
	return count;
}

static void kept_check(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_receiver *r = &x->receiver;

	assert(r->slots <= x->window - 1u);
	assert(memory_used(r->slots, x->blksize) <= x->config.memory_len);
	assert(r->kept <= r->slots);
	assert(r->kept == (r->slots == 0 ? 0 : marks_count(x)));
	assert(r->kept == 0 || (r->next < r->kept_top && r->kept_top <= window_end(x)));
	assert(r->kept == 0 || r->final == 0 || r->kept_top <= r->final);
	assert(r->kept == 0 || r->kept_top - r->next <= r->slots);
}

void sockeye__tftp_receiver_check(const struct sockeye__tftp *x)
{
	const struct sockeye__tftp_receiver *r = &x->receiver;
	bool done = x->result == SOCKEYE__TFTP_DONE;

	assert(r->acked < r->next && r->next - 1 <= window_end(x));
	assert(r->final == 0 || r->next - 1 <= r->final);
	assert(r->final_len < x->blksize);
	assert(r->bytes ==
	       (r->next - 1) * x->blksize - (is_complete(r) ? x->blksize - r->final_len : 0));
	assert(x->stage != SOCKEYE__TFTP_STAGE_MOVING || !is_complete(r));
	assert(!done || (is_complete(r) && r->kept == 0));
	assert(r->gap_reported <= r->next);
	assert(x->stage != SOCKEYE__TFTP_STAGE_MOVING || !r->reorder_wait ||
	       (r->overtaken + r->kept > 0 && x->deadline_ns != 0));
	kept_check(x);
}
