/*
 * tftp_transfer.h: one TFTP file on its way, at either end and in either
 * direction, as a state machine: no socket, no clock, no file, no malloc.
 *
 * The driver tells it what happens, then asks what to send until there is
 * nothing more:
 *
 *   sockeye__tftp_datagram(x, now, packet, len, &got);   from the peer's address and port
 *   sockeye__tftp_timer(x, now);                         at x->deadline_ns or later
 *   sockeye__tftp_available(x, bytes, ended);           a sender's data
 *   sockeye__tftp_abort(x, code, text);                  a full disk, Ctrl-C
 *   sockeye__tftp_gone(x);                               ICMP port unreachable
 *   while (sockeye__tftp_next(x, now, max, &send)) ...
 *
 * It ends when x->over is set; x->result is known earlier by the one that
 * lingers to repeat its last ACK.
 *
 * Blocks are counted from 1 in 64 bits; their numbers on the wire come from
 * sockeye__tftp_number(). A sender holds no data: it names blocks, and the
 * driver has them in a file or a ring of the last window. A receiver hands over
 * what is in order at once and keeps the rest of a window, when it was given
 * memory for that.
 */
#ifndef SOCKEYE_PROTO_TFTP_TRANSFER_H
#define SOCKEYE_PROTO_TFTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/rtt.h"
#include "proto/tftp_options.h"
#include "proto/tftp_packet.h"

enum sockeye__tftp_result {
	SOCKEYE__TFTP_RUNNING,
	SOCKEYE__TFTP_DONE,
	SOCKEYE__TFTP_LAST_ACK_MISSING, /* all was sent, the end of it not acknowledged */
	SOCKEYE__TFTP_TIMED_OUT,
	SOCKEYE__TFTP_PEER_ERROR, /* got.code and got.text of the datagram say which */
	SOCKEYE__TFTP_BAD_OACK,   /* the server granted what it may not */
	SOCKEYE__TFTP_BAD_START,  /* its first block has number 0 */
	SOCKEYE__TFTP_TOO_LARGE,  /* more than size_max */
	SOCKEYE__TFTP_WRONG_SIZE, /* not as many bytes as tsize said */
	SOCKEYE__TFTP_ABORTED,    /* by the driver */
	SOCKEYE__TFTP_GONE,       /* nobody has the peer's port any more */
};

/* Zero is the sensible default of everything but the first four. */
struct sockeye__tftp_config {
	bool server;
	bool sends;                           /* DATA goes out, ACKs come in */
	struct sockeye__tftp_options options; /* asked by a client, granted by a server */
	struct sockeye__span request;         /* a client's first packet; it must stay */

	uint64_t rto_first_ns; /* 1 s; the negotiated timeout overrides it */
	uint64_t rto_min_ns;   /* 4 ms */
	uint64_t rto_max_ns;   /* 7 s; the negotiated timeout overrides it */
	uint64_t silence_ns;   /* without progress for so long it gives up: 30 s, and
				* at least five negotiated timeouts */
	uint64_t dally_ns;     /* how long the last ACK is repeated: 2 * rto_max */
	unsigned stranger_max; /* packets a peer gets that never answered: 5 */
	uint64_t random;       /* seed of the jitter */

	/* Receivers. */
	uint8_t *memory;   /* for blocks ahead of a gap: sockeye__tftp_memory() bytes, */
	size_t memory_len; /* less, or none */
	uint64_t size_max; /* 0: any */
	bool check_size;   /* hold the peer to its tsize; in octet mode, that is */

	/* Block numbers start again after so many; 0 is the protocol's 65536.
	 * For the simulator, where they start again all the time. */
	uint32_t numbers;
};

struct sockeye__tftp_counters {
	uint64_t blocks;   /* sent, or received in order */
	uint64_t resent;   /* sent again; duplicates received */
	uint64_t kept;     /* received ahead of a gap */
	uint64_t timeouts; /* the timer had to help */
	uint64_t gaps;     /* lost blocks asked for, by either end */
	uint64_t ignored;  /* packets that mean nothing here, or not now */
};

struct sockeye__tftp_sender {
	uint64_t una;       /* the first block not acknowledged */
	uint64_t next;      /* the block that leaves next */
	uint64_t high;      /* the first block never sent */
	uint64_t available; /* bytes there are */
	bool ended;         /* and no more will be */
	uint64_t una_ns;    /* when una left last */
	uint64_t timed;     /* a block sent once whose round trip is measured; 0 none */
	uint64_t timed_ns;
	bool measured;        /* a window's round trip is known */
	uint64_t pause_ns;    /* nothing leaves before */
	uint64_t rto_ns;      /* the timer, for behind the pause */
	uint32_t burst;       /* blocks that leave at once, at most the window */
	uint32_t in_burst;    /* that left since the last pause */
	bool gapped;          /* this window had a gap already */
	uint32_t gaps_in_row; /* windows */
	uint64_t hole;        /* a block that was repeated alone; 0 none */
	uint64_t hole_end;    /* what was sent then */
	bool alone;           /* una is about to be */
	bool asked; /* for una, by an ACK that came again, since the timer or the last window */
	bool asked_before; /* and in the window before */
	uint64_t asked_ns; /* when it was believed; 0: whether rightly is known */
	unsigned echoes;   /* times in a row that it was none */
	unsigned deaf;     /* windows for which it is not believed */
	int trust;         /* > 0: the peer seems to keep what is ahead of a gap */
};

struct sockeye__tftp_receiver {
	uint64_t next;     /* the first block not here */
	uint64_t acked;    /* the last block acknowledged */
	uint64_t last;     /* the final block; 0 not seen */
	uint64_t top;      /* the highest block kept */
	uint64_t bytes;    /* handed over */
	uint32_t slots;    /* blocks that memory has room for */
	uint32_t kept;     /* blocks in it */
	uint32_t overtook; /* blocks that came ahead since `next` is missing */
	uint16_t last_len;
	uint64_t gap;      /* the missing block that was asked for; 0 none */
	uint64_t ack_ns;   /* when the last ACK left */
	uint32_t repeated; /* times it left again */
	uint32_t echoes;   /* and so did the one before: what may come twice */
	bool clean;        /* it left once: what it brings is a sample */
	bool waits;        /* the deadline is that of a block that may only be late */
};

struct sockeye__tftp {
	struct sockeye__tftp_config config;
	struct sockeye__tftp_options options; /* in force */
	uint16_t blksize, window;
	struct sockeye__rtt rtt;
	enum sockeye__tftp_result result;
	bool over;      /* nothing will happen any more; what next() still has may be sent */
	bool confirmed; /* the peer has answered: it is no forged address */
	bool offering;  /* a server's OACK, a client's request: not answered yet */
	uint8_t say;    /* the packet that is due */
	uint16_t error_code;
	const char *error_text;
	uint64_t deadline_ns; /* timer() wants to be called; 0 never */
	uint64_t progress_ns;
	uint64_t said_ns; /* when the last offer left */
	unsigned unheard; /* packets since the peer was heard, until it is confirmed */
	uint64_t random;
	struct sockeye__tftp_counters count;
	struct sockeye__tftp_sender s;
	struct sockeye__tftp_receiver r;
	uint8_t packet[SOCKEYE__TFTP_OACK_MAX];
};

/* What a datagram brought. Valid while the datagram is, and until the next call. */
struct sockeye__tftp_got {
	struct sockeye__span data[3]; /* bytes of the file (netascii as on the wire), in order */
	unsigned count;
	bool end;      /* and that was all: put it in its place before next() says so */
	uint16_t code; /* SOCKEYE__TFTP_PEER_ERROR */
	struct sockeye__span text;
};

/* What to send: a packet, or `count` DATA whose payloads are the bytes from
 * `offset` on, each of x->blksize but the last, which ends at s.available. */
struct sockeye__tftp_send {
	struct sockeye__span packet;
	uint64_t block;
	uint32_t count;
	uint64_t offset;
	uint64_t bytes; /* of all `count` together */
};

/* Bytes with which a receiver never drops a block of a window. */
size_t sockeye__tftp_memory(uint16_t blksize, uint16_t window);

void sockeye__tftp_init(struct sockeye__tftp *x, const struct sockeye__tftp_config *config,
			uint64_t now_ns);

/* Nobody's packet does harm: what makes no sense is counted and ignored. */
void sockeye__tftp_datagram(struct sockeye__tftp *x, uint64_t now_ns, const void *packet,
			    size_t len, struct sockeye__tftp_got *out);

void sockeye__tftp_timer(struct sockeye__tftp *x, uint64_t now_ns);

/* The sender's driver has the bytes up to `bytes` (it may let go of those
 * before block s.una), and with `ended` there are no more. */
void sockeye__tftp_available(struct sockeye__tftp *x, uint64_t bytes, bool ended);

/* Ends it with an ERROR to the peer; `text` must stay. */
void sockeye__tftp_abort(struct sockeye__tftp *x, uint16_t code, const char *text);

/* The network says that nobody is at the peer's port (ICMP): the end. */
void sockeye__tftp_gone(struct sockeye__tftp *x);

/* What to send now, at most max_blocks at once; false: nothing. */
bool sockeye__tftp_next(struct sockeye__tftp *x, uint64_t now_ns, uint32_t max_blocks,
			struct sockeye__tftp_send *out);

/* Bytes of the blocks before `una`, as if each were full: the last one may not be. */
static inline uint64_t sockeye__tftp_acknowledged(const struct sockeye__tftp *x)
{
	return (x->s.una - 1) * x->blksize;
}

/* The block's number on the wire. */
uint16_t sockeye__tftp_number(const struct sockeye__tftp *x, uint64_t block);

#endif
