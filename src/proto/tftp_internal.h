/*
 * tftp_internal.h: what the files of the transfer share.
 *
 * tftp_transfer.c   both ends and directions: offers, errors, timers
 * tftp_common.c     what the other three call: numbers, the end, the deadline
 * tftp_send.c       DATA out, ACK in
 * tftp_receive.c    DATA in, ACK out
 */
#ifndef SOCKEYE_PROTO_TFTP_INTERNAL_H
#define SOCKEYE_PROTO_TFTP_INTERNAL_H

#include <sockeye/time.h>

#include "proto/tftp_transfer.h"

#define SOCKEYE__TFTP_SILENCE_NS   (30 * SOCKEYE_NS_PER_S)
#define SOCKEYE__TFTP_TIMEOUTS_MIN 5 /* of a negotiated length, before giving up */

/* The one control packet that can be due: the newest replaces what was. */
enum sockeye__tftp_say {
	SOCKEYE__SAY_NOTHING,
	SOCKEYE__SAY_OFFER, /* a client's request, a server's OACK */
	SOCKEYE__SAY_ACK,
	SOCKEYE__SAY_ERROR,
};

/* How many blocks after `from` the nearest block of that number is;
 * UINT32_MAX when none has it. */
uint32_t sockeye__tftp_ahead(const struct sockeye__tftp *x, uint64_t from, uint16_t number);

/* A peer of a server that may not exist. */
bool sockeye__tftp_is_stranger(const struct sockeye__tftp *x);

/* How long the transfer lives without progress. */
uint64_t sockeye__tftp_silence(const struct sockeye__tftp *x);

/* The timer, armed anew. */
void sockeye__tftp_arm(struct sockeye__tftp *x, uint64_t now_ns);

/* Something new came from the peer. */
void sockeye__tftp_progress(struct sockeye__tftp *x, uint64_t now_ns);

/* The end, without a word to the peer, or with an ERROR. */
void sockeye__tftp_finish(struct sockeye__tftp *x, enum sockeye__tftp_result result);
void sockeye__tftp_refuse(struct sockeye__tftp *x, enum sockeye__tftp_result result, uint16_t code,
			  const char *text);

/* Sender. */
void sockeye__tftp_sender_init(struct sockeye__tftp *x);
void sockeye__tftp_sender_ack(struct sockeye__tftp *x, uint64_t now_ns, uint16_t number);
void sockeye__tftp_sender_repeat(struct sockeye__tftp *x, uint64_t now_ns);
void sockeye__tftp_sender_timer(struct sockeye__tftp *x);
bool sockeye__tftp_sender_pause_over(struct sockeye__tftp *x, uint64_t now_ns);
bool sockeye__tftp_sender_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
			       struct sockeye__tftp_send *out);
bool sockeye__tftp_sender_all_sent(const struct sockeye__tftp *x);

/* Receiver. */
void sockeye__tftp_receiver_init(struct sockeye__tftp *x);
void sockeye__tftp_receiver_data(struct sockeye__tftp *x, uint64_t now_ns,
				 const struct sockeye__tftp_packet *p,
				 struct sockeye__tftp_got *out);
void sockeye__tftp_receiver_repeat(struct sockeye__tftp *x, uint64_t now_ns);
bool sockeye__tftp_receiver_gap_due(struct sockeye__tftp *x);
void sockeye__tftp_receiver_said(struct sockeye__tftp *x, uint64_t now_ns);

#endif
