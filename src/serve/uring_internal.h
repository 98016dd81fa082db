/*
 * uring_internal.h: what the files of the uring model share. uring.c is the loop,
 * uring_conn.c a connection, uring_input.c the input that waits for it,
 * uring_ring.c the ring and its buffers.
 */
#ifndef SOCKEYE_SERVE_URING_INTERNAL_H
#define SOCKEYE_SERVE_URING_INTERNAL_H

#include "serve/conn.h"

#include <liburing.h>

#define SOCKEYE__URING_BUFFERS      512         /* a power of two */
#define SOCKEYE__URING_BUFFER_BYTES (64 * 1024) /* pages are touched only when used */
/* Buffers lie a little more than that apart: at a power of two the starts of all
 * would share few cache sets, and small messages touch only the starts. */
#define SOCKEYE__URING_STRIDE (SOCKEYE__URING_BUFFER_BYTES + 4160)
#define SOCKEYE__URING_GROUP  0

/* What a completion is for: the low bits of its user_data, above them a
 * connection or the number of a site. */
enum sockeye__uring_op {
	SOCKEYE__URING_RECEIVE,
	SOCKEYE__URING_SEND,
	SOCKEYE__URING_CANCEL,
	SOCKEYE__URING_ACCEPT,
	SOCKEYE__URING_POLL,
	SOCKEYE__URING_STOP,
};
#define SOCKEYE__URING_OP_BITS 3
#define SOCKEYE__URING_OP_MASK ((UINT64_C(1) << SOCKEYE__URING_OP_BITS) - 1)

struct sockeye__uring_conn {
	struct sockeye__conn base;

	/* The chunk of input that the session has before it, and that output in
	 * flight may point into: in a ring buffer or in memory of its own. */
	uint8_t *chunk;
	uint32_t chunk_len;
	int32_t buffer; /* -1: none */
	struct sockeye__queue *own;

	/* Input behind the chunk: first c.in, then a queue of ring buffers. */
	uint32_t behind;                 /* bytes of it all */
	int32_t queue_first, queue_last; /* -1: none */
	uint32_t queue_len;
	uint32_t held; /* ring buffers that may wait for the peer of this connection */

	/* The last send. A light one needs nothing once it is over, which it is in
	 * the turn after light_turn: only its failure is told. */
	const uint8_t *sent;
	uint32_t sent_len;
	uint32_t light_turn, light_at;

	uint8_t ops;                       /* requests that the kernel has and will answer */
	bool receiving;                    /* one of them receives */
	bool cancelling;                   /* one of them calls that off */
	bool sending;                      /* one of them sends */
	bool end_told;                     /* the session has had a turn with in_end */
	bool starved, later, ending, dead; /* in those lists; closed as soon as ops is 0 */
	uint8_t end;                       /* why: enum sockeye__end */
	struct sockeye__uring_conn *next_starved, *next_later, *next_dead;
	_Alignas(8) uint8_t state[];
};

/* Ring buffers that light sends are made from, by turn. */
struct sockeye__uring_lent {
	uint32_t count;
	int32_t ids[SOCKEYE__URING_BUFFERS]; /* -1: taken back; none is lent twice */
};

struct sockeye__uring {
	struct sockeye__worker *w;
	struct sockeye__counters *counters;
	bool shows; /* show_messages */
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory; /* of the buffers, and behind them of a record */
	struct {
		uint32_t len;
		int32_t next;
	} queued[SOCKEYE__URING_BUFFERS]; /* input that waits in a ring buffer, by its id */
	uint32_t held;                    /* buffers that wait for slow peers */
	struct sockeye__uring_lent *lent, *lent_before, lists[2];
	uint32_t turn_count;
	bool hurry;  /* something is to be done once this turn's requests are submitted */
	bool chores; /* something is to be done before the turn ends: one of the below */
	bool stopping;
	bool *accepting;                     /* by site: an accept or poll is armed */
	bool unarmed;                        /* for one of them it is not */
	uint64_t resume_ns;                  /* no accepting before; 0 no pause */
	struct sockeye__uring_conn *starved; /* found no buffer: receive again when some are back */
	struct sockeye__uring_conn *later;   /* got input while a light send was not yet over ... */
	struct sockeye__uring_conn *resume;  /* ... in the turn before: it is over now */
	struct sockeye__uring_conn *dead;    /* to be freed at the end of the turn */
	struct sockeye__clocks clocks;
	struct sockeye__answerer *answerer;
	struct sockeye_turn turn;
	uint8_t room[SOCKEYE__ROOM_BYTES];
};

/* --- uring_ring.c --- */
/* 0 or -errno; to be closed all the same. */
int sockeye__uring_open(struct sockeye__uring *l);
void sockeye__uring_close(struct sockeye__uring *l);
/* 0 when this machine can do all that the model needs, or -errno. */
int sockeye__uring_probe(void);

/* A free submission entry; when all are used, what there is goes to the
 * kernel first. */
static inline struct io_uring_sqe *sockeye__uring_entry(struct sockeye__uring *l,
							uint64_t user_data)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&l->ring)) == NULL)
		(void)io_uring_submit(&l->ring);
	sqe->user_data = user_data; /* the prep functions leave it alone */
	return sqe;
}

static inline uint64_t sockeye__uring_conn_tag(const struct sockeye__uring_conn *c,
					       enum sockeye__uring_op op)
{
	return (uint64_t)(uintptr_t)c | op;
}

static inline uint64_t sockeye__uring_site_tag(size_t i, enum sockeye__uring_op op)
{
	return (uint64_t)i << SOCKEYE__URING_OP_BITS | op;
}

static inline uint8_t *sockeye__uring_buffer(const struct sockeye__uring *l, int32_t id)
{
	return l->memory + (size_t)id * SOCKEYE__URING_STRIDE;
}

static inline void sockeye__uring_buffer_give(struct sockeye__uring *l, int32_t id)
{
	io_uring_buf_ring_add(l->buffers, sockeye__uring_buffer(l, id), SOCKEYE__URING_BUFFER_BYTES,
			      (unsigned short)id, SOCKEYE__URING_BUFFERS - 1, 0);
	io_uring_buf_ring_advance(l->buffers, 1);
}

/* --- uring_input.c --- */

/* Input of n bytes in ring buffer `id` goes before the session, which has
 * nothing before it. */
static inline void sockeye__uring_chunk_set(struct sockeye__uring *l, struct sockeye__uring_conn *c,
					    int32_t id, uint32_t n)
{
	c->buffer = id;
	c->chunk = sockeye__uring_buffer(l, id);
	c->chunk_len = n;
}

/* Gives back what held the chunk. */
void sockeye__uring_chunk_drop(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Puts the input that waits behind the chunk before the session; both in one
 * piece when it has left some of the chunk. False when memory is short. */
bool sockeye__uring_chunk_next(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Input that must wait: in its ring buffer `id` if that is allowed, else copied
 * (id -1: it is in none). False when memory is short. */
bool sockeye__uring_input_wait(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			       const uint8_t *data, uint32_t n, int32_t id);
/* Whether the ring buffers that this connection has may wait for its peer. */
bool sockeye__uring_hold(struct sockeye__uring *l, struct sockeye__uring_conn *c);
void sockeye__uring_unhold(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Copies what is left of the chunk, or all input, out of the ring. */
bool sockeye__uring_input_own(struct sockeye__uring *l, struct sockeye__uring_conn *c);
bool sockeye__uring_chunk_own(struct sockeye__uring *l, struct sockeye__uring_conn *c);
void sockeye__uring_input_drop(struct sockeye__uring *l, struct sockeye__uring_conn *c);

/* --- uring_conn.c --- */
void sockeye__uring_conn_open(struct sockeye__uring *l, const struct sockeye__visit *v);
void sockeye__uring_on_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res,
			       uint32_t flags);
void sockeye__uring_on_send(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res);
void sockeye__uring_on_cancel(struct sockeye__uring *l, struct sockeye__uring_conn *c);
void sockeye__uring_conn_expired(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* The end of a turn: goes on with those whose light send has been submitted,
 * feeds those that found no buffer, and frees the dead. */
void sockeye__uring_conns_settle(struct sockeye__uring *l);

#endif
