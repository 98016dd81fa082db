/*
 * tftp_internal.h: shared by the files of the transfer.
 *
 * tftp_transfer.c   both ends and directions: offers, errors, the timer
 * tftp_common.c     used by sender and receiver: block numbers, the end, the deadline
 * tftp_send.c       sends DATA, receives ACKs
 * tftp_burst.c      how many blocks the sender sends without a pause
 * tftp_restraint.c  how much the sender sends while its peer may be forged
 * tftp_receive.c    receives DATA, sends ACKs
 * tftp_path.c       recognizes a path that drops large packets
 */
#ifndef SOCKEYE_PROTO_TFTP_INTERNAL_H
#define SOCKEYE_PROTO_TFTP_INTERNAL_H

#include <sockeye/time.h>

#include "proto/tftp_transfer.h"

#define SOCKEYE__TFTP_SILENCE_NS   (30 * SOCKEYE_NS_PER_S)
#define SOCKEYE__TFTP_TIMEOUTS_MIN 5 /* negotiated timeouts before giving up */
#define SOCKEYE__TFTP_TRIES_MAX    3 /* blocks sent again to a peer that may be forged */

/* Returns the distance from block `from` to the next block that has this number, or
 * UINT32_MAX if no block has the number. */
uint32_t sockeye__tftp_ahead(const struct sockeye__tftp *x, uint64_t from, uint16_t number);

/* Whether this is a server whose peer has not answered: the request may be
 * forged. */
bool sockeye__tftp_is_unconfirmed(const struct sockeye__tftp *x);

/* Returns the time without progress after which the transfer gives up. */
uint64_t sockeye__tftp_silence(const struct sockeye__tftp *x);

/* Starts the retransmission timer. */
void sockeye__tftp_arm(struct sockeye__tftp *x, uint64_t now_ns);

/* Judges the first reply after one or more timeouts. Returns true if the peer had only
 * paused, so that it did not need the packets that the timer sent again. This is certain if
 * the reply acknowledges packets that were sent only once (of_first); otherwise the time of
 * the reply decides. */
bool sockeye__tftp_silence_end(struct sockeye__tftp *x, uint64_t now_ns, bool of_first);

/* Records that the peer has sent something new. */
static inline void sockeye__tftp_progress(struct sockeye__tftp *x, uint64_t now_ns)
{
	if (x->silent_timeouts > 0)
		(void)sockeye__tftp_silence_end(x, now_ns, false);
	x->progress_ns = now_ns;
	x->confirmed = true;
	x->unconfirmed_packets = 0;
	x->restraint = (struct sockeye__tftp_restraint){0};
}

/* sockeye__tftp_finish() ends the transfer without a packet to the peer,
 * sockeye__tftp_refuse() with an ERROR. */
void sockeye__tftp_finish(struct sockeye__tftp *x, enum sockeye__tftp_result result);
void sockeye__tftp_refuse(struct sockeye__tftp *x, enum sockeye__tftp_result result, uint16_t code,
			  const char *text);

/* Sender. */
void sockeye__tftp_sender_init(struct sockeye__tftp *x);
void sockeye__tftp_sender_ack(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number);
/* Handles a repeat of the packet that began the transfer. */
void sockeye__tftp_sender_repeat(struct sockeye__tftp *x, uint64_t now_ns);
void sockeye__tftp_sender_timer(struct sockeye__tftp *x, uint64_t now_ns);
/* Ends a pause between bursts. Returns true if there was one and the next burst is due. */
bool sockeye__tftp_sender_pause_over(struct sockeye__tftp *x, uint64_t now_ns);
bool sockeye__tftp_sender_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
			       struct sockeye__tftp_send *out);
bool sockeye__tftp_sender_all_sent(const struct sockeye__tftp *x);
void sockeye__tftp_sender_check(const struct sockeye__tftp *x);

/* Restraint: how much the sender sends while its peer may be forged. */
void sockeye__tftp_restraint_timer(struct sockeye__tftp *x, uint64_t now_ns);
/* After the last try, sets the deadline to the time at which the transfer gives up, and
 * returns true. Before the last try, returns false. */
bool sockeye__tftp_restraint_wait(struct sockeye__tftp *x);
void sockeye__tftp_restraint_ack(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number);
bool sockeye__tftp_restraint_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
				  struct sockeye__tftp_send *out);
void sockeye__tftp_restraint_check(const struct sockeye__tftp *x);

/* The length of a sender's bursts. */
void sockeye__tftp_burst_shrink(struct sockeye__tftp_pacing *p);
void sockeye__tftp_burst_grow(struct sockeye__tftp_pacing *p, uint16_t window);
void sockeye__tftp_burst_timeout(struct sockeye__tftp_pacing *p, bool mute);
void sockeye__tftp_burst_careful(struct sockeye__tftp_pacing *p, uint32_t lost);
void sockeye__tftp_burst_check(const struct sockeye__tftp *x);

/* Receiver. */
void sockeye__tftp_receiver_init(struct sockeye__tftp *x);
void sockeye__tftp_receiver_data(struct sockeye__tftp *x, uint64_t now_ns,
				 const struct sockeye__tftp_packet *p,
				 struct sockeye__tftp_got *out);
/* Handles a repeat of the packet that began the transfer. */
void sockeye__tftp_receiver_repeat(struct sockeye__tftp *x, uint64_t now_ns);
/* Requests the missing block with an ACK if the receiver has waited for it. Returns
 * false if it has not. */
bool sockeye__tftp_receiver_gap_due(struct sockeye__tftp *x);
void sockeye__tftp_receiver_ack_sent(struct sockeye__tftp *x, uint64_t now_ns);
void sockeye__tftp_receiver_check(const struct sockeye__tftp *x);

#endif
