/*
 * tftp_transfer.h: one TFTP transfer (RFC 1350), at either end and in either
 * direction, as a state machine without a socket, a clock, a file or malloc.
 *
 * The driver reports events, then asks for packets until there are none:
 *
 *   sockeye__tftp_datagram(x, now, packet, len, &got);   from the peer's address and port
 *   sockeye__tftp_timer(x, now);                         at x->deadline_ns or later
 *   sockeye__tftp_available(x, bytes, complete);         a sender has more data
 *   sockeye__tftp_abort(x, code, text);                  a full disk, Ctrl-C
 *   sockeye__tftp_gone(x);                               ICMP port unreachable
 *   while (sockeye__tftp_next(x, now, max, &send)) ...
 *
 * The transfer ends in the stage SOCKEYE__TFTP_STAGE_OVER. A receiver knows its result
 * earlier: it dallies to repeat its last ACK (RFC 1350, section 6).
 *
 * Blocks are counted from 1 in 64 bits; sockeye__tftp_number() returns the 16 bits that
 * are sent. A sender stores no data: it names blocks, and the driver keeps the
 * file or a ring of the last window. A receiver hands over the blocks that are in
 * order. It keeps blocks ahead of a gap in memory that the driver provides.
 */
#ifndef SOCKEYE_PROTO_TFTP_TRANSFER_H
#define SOCKEYE_PROTO_TFTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/rtt.h"
#include "proto/tftp_options.h"
#include "proto/tftp_packet.h"

enum sockeye__tftp_stage {
	SOCKEYE__TFTP_STAGE_OFFERING, /* the peer has not replied to the request or the OACK */
	SOCKEYE__TFTP_STAGE_MOVING,   /* DATA and ACKs are exchanged */
	SOCKEYE__TFTP_STAGE_DALLYING, /* a receiver has the file and repeats its last ACK */
	SOCKEYE__TFTP_STAGE_OVER,     /* at most one more packet is to be sent */
};

enum sockeye__tftp_result {
	SOCKEYE__TFTP_RUNNING, /* while offering and moving */
	SOCKEYE__TFTP_DONE,
	SOCKEYE__TFTP_LAST_ACK_MISSING, /* all blocks were sent, the last ones not acknowledged */
	SOCKEYE__TFTP_TIMED_OUT,
	SOCKEYE__TFTP_PEER_ERROR, /* got.code and got.text of the datagram have the reason */
	SOCKEYE__TFTP_BAD_OACK,   /* the server granted other options than were requested */
	SOCKEYE__TFTP_BAD_START,  /* the server's first block has number 0 */
	SOCKEYE__TFTP_TOO_LARGE,  /* the file is larger than size_max */
	SOCKEYE__TFTP_WRONG_SIZE, /* the file's size is not its tsize */
	SOCKEYE__TFTP_ABORTED,    /* the driver called sockeye__tftp_abort() */
	SOCKEYE__TFTP_GONE,       /* the peer's port is closed */
};

/* Zero selects the default of each member after `request`. */
struct sockeye__tftp_config {
	bool server;
	bool sends;                           /* sends DATA and receives ACKs */
	struct sockeye__tftp_options options; /* a client's request, or what a server grants */
	struct sockeye__span request;         /* a client's first packet; the driver keeps it */

	uint64_t rto_first_ns; /* default 1 s; a negotiated timeout replaces it */
	uint64_t rto_min_ns;   /* default 4 ms */
	uint64_t rto_max_ns;   /* default 7 s; a negotiated timeout replaces it */
	uint64_t silence_ns;   /* gives up after this time without progress: default 30 s,
				* and at least five negotiated timeouts */
	bool silence_fixed;    /* negotiated timeouts do not extend silence_ns */
	uint64_t dally_ns;     /* repeats the last ACK for this time: default 2 * rto_max_ns */
	unsigned unconfirmed_packets_max; /* to a peer that never answered: default 5 */
	bool forgeable;  /* a reply does not prove the peer's address: an attacker who forges
			  * requests can forge ACKs too, because the server's port is known */
	uint64_t random; /* seed of the jitter */

	/* Receivers. */
	uint8_t *memory;   /* for blocks ahead of a gap; may be NULL */
	size_t memory_len; /* sockeye__tftp_memory() bytes keep a whole window */
	uint64_t size_max; /* bytes; 0: unlimited */
	bool check_size;   /* fails if the size differs from tsize; for octet mode only */

	/* Block numbers wrap after this many; 0: 65536, as the protocol requires. The
	 * simulator uses fewer, so that they wrap often. */
	uint32_t numbers;
};

struct sockeye__tftp_counters {
	uint64_t blocks;   /* sent for the first time, or received in order */
	uint64_t resent;   /* sent again, or received again */
	uint64_t kept;     /* received ahead of a gap */
	uint64_t timeouts; /* of the retransmission timer */
	uint64_t gaps;     /* lost blocks that this end, or its peer, asked for */
	uint64_t ignored;  /* packets that have no meaning in this state */
};

/* After losses in several windows a sender sends shorter bursts with pauses.
 *
 * A boot ROM with room for two blocks loses the rest of each burst and does not report
 * the loss. The window cannot be shorter than granted, because the peer acknowledges only
 * full windows. So if the peer does not reply to the single block after a timeout, the
 * sender sends the window one block at a time. From then on each burst takes a round trip,
 * like a window of that size. The burst is doubled after each window without a loss, up to
 * a cap: half of the burst that was lost. The number of windows after which the cap is
 * doubled grows with each such loss. */
struct sockeye__tftp_pacing {
	uint32_t burst;         /* blocks sent without a pause, 1 to the window */
	uint32_t burst_sent;    /* blocks of the current burst that were sent */
	uint64_t pause_ns;      /* when the current pause ends; 0: none */
	uint64_t retransmit_ns; /* the deadline that the pause has replaced */
	bool window_lossy;      /* a block of the current window was lost */
	uint32_t lossy_windows; /* consecutive windows with a loss */

	bool window_timeout;      /* the timer has fired in the current window */
	uint32_t timeout_windows; /* consecutive windows in which the timer fired */

	bool careful;         /* a burst takes a round trip */
	uint32_t cap;         /* of the burst; only if cap_hold is not 0 */
	uint32_t cap_hold;    /* windows without a loss until the cap is doubled; 0: no cap */
	uint32_t cap_windows; /* how many of these windows are left */
};

/*
 * How a sender repairs a loss. An ACK of only some of the blocks sent shows that the peer
 * lacks block una. The sender cannot know what the peer did with the blocks after una:
 *
 *       una                      high          una + window
 *   -----|?|=======================|--------------|----
 *        lost    kept or dropped?     never sent
 *
 * If the peer dropped them, which RFC 7440 allows, go-back-N is right. The pass
 * starts again, next = una, and all blocks up to high are sent a second time:
 *
 *       una
 *       next                     high
 *   -----|#########################|--------------|----
 *
 * If the peer kept them, a single repeat is right. Only una is sent again, and the
 * pass continues with new blocks, next = high:
 *
 *       una                      single_end
 *                                next
 *   -----|#|=======================|##############|----
 *
 * The next ACK shows whether the guess was right. If it acknowledges all blocks
 * before single_end, the peer has kept the blocks after una. Otherwise the peer dropped
 * them, or more blocks were lost. Either way the sender knows after one round trip, not
 * after a timeout. `keeps` is the evidence from these ACKs.
 */
struct sockeye__tftp_repair {
	bool single;         /* next() sends una as a single repeat */
	uint64_t single_end; /* the value of high at the last single repeat; 0: none */
	unsigned keeps;      /* evidence that the peer keeps blocks, 0 (none) to 3 */
	bool reports_gaps;   /* the peer has requested a lost block */
	bool probing;        /* the last timeout sent a single block */

	/* A duplicate ACK may request una, or be an echo: the second reply to a packet that
	 * arrived twice. At most one duplicate ACK in a window causes a repeat. If that ACK
	 * was an echo, duplicate ACKs are ignored in the next windows. */
	bool dup_ack_used;        /* a duplicate ACK caused a repeat in this window */
	bool dup_ack_used_before; /* a duplicate ACK caused a repeat in the previous window */
	uint64_t dup_ack_ns;      /* when the ACK arrived that caused the last repeat; 0: it is
				   * known whether that ACK was an echo */
	unsigned dup_ack_echoes;  /* consecutive repeats that an echo caused */
	unsigned ignore_windows;  /* duplicate ACKs are ignored in this many windows */

	/* After the timer sent blocks again and the peer acknowledged all of them: */
	unsigned echoes_due; /* duplicate ACKs that these blocks may cause */
	bool maybe_paused;   /* such a duplicate shows that the peer had paused */
};

/*
 * The sender's window:
 *
 *               una            next            high         una + window
 *   -------------|==============|===============|---------------|------
 *   acknowledged   sent in this   sent in the     not sent yet
 *                  pass           pass before
 *
 * Without a loss next equals high. una and next are the SND.UNA and SND.NXT of
 * RFC 9293, and high is the largest value of SND.NXT.
 */
struct sockeye__tftp_sender {
	uint64_t una;       /* the first block that is not acknowledged */
	uint64_t next;      /* the next block to send */
	uint64_t high;      /* the first block that was never sent */
	uint64_t available; /* bytes of the file that the driver has, from the start */
	bool complete;      /* `available` is the size of the file */
	uint64_t una_ns;    /* when una was last sent */
	uint64_t timed;     /* a block sent once, whose round trip is measured; 0: none */
	uint64_t timed_ns;  /* when it was sent */
	bool measured;      /* a window's round trip was measured */
	struct sockeye__tftp_pacing pacing;
	struct sockeye__tftp_repair repair;

	/* The state before the first timeout in a row, which is restored if the peer had only
	 * paused. */
	struct sockeye__tftp_pacing pacing_before;
	unsigned keeps_before;
};

/*
 * The receiver's window:
 *
 *               acked        next           kept_top    acked + window
 *   --------------|-----------|?|====|??|=====|-------------|------
 *   acknowledged    handed      gaps and kept   not received
 *                   over        blocks
 */
struct sockeye__tftp_receiver {
	uint64_t next;      /* the first block that is missing */
	uint64_t acked;     /* the last block that was acknowledged */
	uint64_t final;     /* the last block of the file; 0: unknown */
	uint16_t final_len; /* bytes of the last block, fewer than blksize */
	uint64_t bytes;     /* bytes handed over */
	uint32_t slots;     /* blocks that the memory has room for */
	uint32_t kept;      /* blocks in the memory */
	uint64_t kept_top;  /* the highest block that was kept */

	uint32_t overtaken;    /* later blocks that have arrived while `next` is missing */
	bool reorder_wait;     /* the deadline is for a block that may only be late */
	uint64_t gap_reported; /* the missing block that was requested; 0: none */

	uint64_t ack_ns;      /* when the last ACK was sent */
	uint32_t ack_repeats; /* how often the last ACK was sent again */
	uint32_t echoes_due;  /* how often the ACK before it was sent again: each repeat may make
			       * blocks arrive again */
	bool ack_timed;       /* the next block gives a round-trip time */
};

/*
 * How a sender holds back while the peer may be forged (config.forgeable). After a
 * timeout it sends one block instead of a window, at most three times until the peer
 * acknowledges something new. Then it only waits: each further ACK that acknowledges
 * nothing new gets one block. So a forged request and a forged ACK cause at most a window
 * and three blocks.
 */
struct sockeye__tftp_restraint {
	unsigned tries;     /* blocks sent after a timeout since the last new ACK */
	bool restrained;    /* only `allowance` blocks may be sent until the next new ACK */
	uint32_t allowance; /* 0 or 1 */
};

/* The control packet to send next. A newer control packet replaces it. */
enum sockeye__tftp_control {
	SOCKEYE__TFTP_CONTROL_NONE,
	SOCKEYE__TFTP_CONTROL_OFFER, /* a client's request, a server's OACK */
	SOCKEYE__TFTP_CONTROL_ACK,
	SOCKEYE__TFTP_CONTROL_ERROR,
};

struct sockeye__tftp {
	struct sockeye__tftp_config config;
	struct sockeye__tftp_options options; /* in force */
	uint16_t blksize, window;
	struct sockeye__rtt rtt;
	enum sockeye__tftp_stage stage;
	enum sockeye__tftp_result result;
	bool confirmed; /* the peer has answered, so its address is not forged */
	enum sockeye__tftp_control control;
	uint16_t error_code;
	const char *error_text;
	uint64_t deadline_ns;     /* for sockeye__tftp_timer(); 0: none */
	uint64_t armed_ns;        /* when the timer was last started */
	uint64_t progress_ns;     /* when the peer last sent something new */
	unsigned silent_timeouts; /* timeouts since progress_ns */
	uint64_t silent_ns;       /* when the timer of the first of these timeouts was started */
	uint64_t timeout_ns;      /* when the timer last fired */
	uint64_t offer_ns;        /* when the offer was last sent */
	uint64_t moving_ns;       /* when the peer accepted the offer */
	uint64_t moving_timeouts; /* count.timeouts at that time */
	unsigned start_repeats;   /* a sender's peer requested the first block again */
	unsigned unconfirmed_packets; /* sent to the peer before it is confirmed */
	struct sockeye__tftp_restraint restraint;
	uint64_t random;
	struct sockeye__tftp_counters count;
	struct sockeye__tftp_sender sender;
	struct sockeye__tftp_receiver receiver;
	uint8_t packet[SOCKEYE__TFTP_OACK_MAX];
};

/* The contents of a datagram. They refer to the datagram and to the receiver's memory,
 * and are valid until the next call. */
struct sockeye__tftp_got {
	struct sockeye__span data[3]; /* bytes of the file in order, netascii as on the wire */
	unsigned count;
	bool end;      /* the file is complete; store it before next() acknowledges it */
	uint16_t code; /* SOCKEYE__TFTP_PEER_ERROR */
	struct sockeye__span text;
};

/* One control packet, or `count` DATA packets to send. The payloads are the bytes of
 * the file from `offset` on, x->blksize in each block except the final one. `bytes` is
 * the length of all payloads together. */
struct sockeye__tftp_send {
	struct sockeye__span packet;
	uint64_t block;
	uint32_t count;
	uint64_t offset;
	uint64_t bytes;
};

/* Returns the bytes of memory that a receiver needs to keep a whole window. */
size_t sockeye__tftp_memory(uint16_t blksize, uint16_t window);

/* Begins a transfer. A client needs a request; a server makes an offer if it
 * grants an option. */
void sockeye__tftp_init(struct sockeye__tftp *x, const struct sockeye__tftp_config *config,
			uint64_t now_ns);

/* Handles a packet from the peer. Ignores and counts packets that make no sense. */
void sockeye__tftp_datagram(struct sockeye__tftp *x, uint64_t now_ns, const void *packet,
			    size_t len, struct sockeye__tftp_got *out);

/* Handles the deadline. Does nothing before x->deadline_ns. */
void sockeye__tftp_timer(struct sockeye__tftp *x, uint64_t now_ns);

/* Reports to a sender that its driver has the first `bytes` bytes of the file. The driver
 * may discard the bytes of blocks before sender.una. `complete`: the file has no more
 * bytes. */
void sockeye__tftp_available(struct sockeye__tftp *x, uint64_t bytes, bool complete);

/* Ends the transfer with an ERROR to the peer. The text must stay valid until the ERROR
 * is sent. Does nothing for a receiver whose last ACK was sent: its transfer has
 * succeeded. */
void sockeye__tftp_abort(struct sockeye__tftp *x, uint16_t code, const char *text);

/* Ends the transfer because no process has the peer's port (ICMP). */
void sockeye__tftp_gone(struct sockeye__tftp *x);

/* Moves the deadline to until_ns if it is earlier, so that nothing is retransmitted before
 * until_ns. */
void sockeye__tftp_postpone(struct sockeye__tftp *x, uint64_t until_ns);

/* Writes the packets to send now, at most max_blocks blocks, to *out and returns true.
 * Returns false if none are due. */
bool sockeye__tftp_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
			struct sockeye__tftp_send *out);

/* Returns the number of a block on the wire. */
uint16_t sockeye__tftp_number(const struct sockeye__tftp *x, uint64_t block);

/* Asserts the invariants that hold between two calls. */
void sockeye__tftp_check(const struct sockeye__tftp *x);

/* Whether no block has reached the receiver, and the blocks may be too large for the path. */
bool sockeye__tftp_is_stuck(const struct sockeye__tftp *x);

/* Whether the path probably drops the blocks, so that a client should request smaller ones.
 * Remains true if the transfer times out. */
bool sockeye__tftp_loses_blocks(const struct sockeye__tftp *x, uint64_t now_ns);

static inline bool sockeye__tftp_is_over(const struct sockeye__tftp *x)
{
	return x->stage == SOCKEYE__TFTP_STAGE_OVER;
}

/* Whether the peer has not accepted a request or an OACK. Remains true if the transfer
 * ends first, with an ERROR from the peer or without a reply. */
static inline bool sockeye__tftp_is_unanswered(const struct sockeye__tftp *x)
{
	return !x->confirmed && (!x->config.server || x->options.has != 0);
}

/* Returns the number of bytes in the blocks before sender.una. The final block counts as
 * full, so the result is too large once that block is acknowledged. */
static inline uint64_t sockeye__tftp_acknowledged(const struct sockeye__tftp *x)
{
	return (x->sender.una - 1) * x->blksize;
}

#endif
