/*
 * uring_internal.h: what the files of the uring model share. uring.c is the loop,
 * uring_conn.c the steps of a connection, uring_life.c its receive request and its
 * end, uring_input.c the input that waits for its session, uring_ring.c the ring and
 * its buffers, uring_check.c the invariants.
 */
#ifndef SOCKEYE_SERVE_URING_INTERNAL_H
#define SOCKEYE_SERVE_URING_INTERNAL_H

#include "base/invariant.h"
#include "serve/conn.h"

#include <liburing.h>

#define SOCKEYE__URING_BUFFERS      512         /* a power of two */
#define SOCKEYE__URING_BUFFER_BYTES (64 * 1024) /* unused pages take no memory */
/* The distance between buffers. Small messages use only the start of each buffer; at
 * a distance that is a power of two, the starts would share a few cache sets. */
#define SOCKEYE__URING_STRIDE      (SOCKEYE__URING_BUFFER_BYTES + 4160)
#define SOCKEYE__URING_GROUP       0
#define SOCKEYE__URING_STALLED_MAX (SOCKEYE__URING_BUFFERS / 2)

/* The kind of a completion: the low bits of its user_data. The other bits are a
 * connection's address or a site's index. */
enum sockeye__uring_op {
	SOCKEYE__URING_RECEIVE,
	SOCKEYE__URING_SEND,
	SOCKEYE__URING_CANCEL,
	SOCKEYE__URING_ACCEPT,
	SOCKEYE__URING_POLL,
	SOCKEYE__URING_STOP,
	SOCKEYE__URING_DISARM, /* a site */
};
#define SOCKEYE__URING_OP_BITS 3
#define SOCKEYE__URING_OP_MASK ((UINT64_C(1) << SOCKEYE__URING_OP_BITS) - 1)

/* The state of a connection. The loop frees a connection only when no request and no list
 * refers to it any more, because requests and lists contain its address. */
enum sockeye__uring_life {
	SOCKEYE__URING_OPEN,
	SOCKEYE__URING_CLOSING, /* has no more turns; a request or list still refers to it */
	SOCKEYE__URING_CLOSED,  /* in the list of connections to be freed */
};

/* The requests of a connection that are in flight and will post a completion. Quiet
 * sends are not included. */
enum sockeye__uring_request {
	SOCKEYE__URING_RECEIVING = 1,
	SOCKEYE__URING_CANCELLING = 2, /* the receive */
	SOCKEYE__URING_SENDING = 4,
};

/* The lists of the loop that a connection is in. */
enum sockeye__uring_list {
	SOCKEYE__URING_STARVED = 1,
	SOCKEYE__URING_POSTPONED = 2,
};

/*
 * A connection. Its input, oldest first:
 *
 *	chunk    the input that the session is offered in its next turn, in a ring
 *	         buffer (`buffer`) or in memory (`chunk_memory`). Output in flight
 *	         may point into either, even when the chunk has been consumed.
 *	waiting  input that arrived later, in ring buffers (`queue`) or in memory
 *	         (base.in), never in both.
 */
struct sockeye__uring_conn {
	struct sockeye__conn base;

	uint8_t *chunk;
	uint32_t chunk_len;
	int32_t buffer; /* id of the ring buffer that has the chunk; -1: none */
	struct sockeye__queue *chunk_memory;

	uint32_t waiting_bytes;
	int32_t queue_first, queue_last; /* ids of ring buffers; -1: none */
	uint32_t queue_count;
	uint32_t stalled; /* ring buffers of this connection that the loop counts as stalled */

	/* The last send and, if it was quiet, the turn in which it was made and the index of
	 * its buffer in the loop's `quiet`. */
	const uint8_t *sent;
	uint32_t sent_len;
	uint32_t quiet_turn, quiet_index;

	uint8_t life;      /* enum sockeye__uring_life */
	uint8_t requests;  /* bits of enum sockeye__uring_request */
	uint8_t lists;     /* bits of enum sockeye__uring_list */
	bool end_offered;  /* the session has had a turn with in_end */
	uint8_t end_cause; /* enum sockeye__end, unless the connection is open */
	struct sockeye__uring_conn *next_starved, *next_postponed, *next_closed;
	_Alignas(8) uint8_t state[];
};

/* The ring buffers that the quiet sends of one turn use. */
struct sockeye__uring_quiet {
	uint32_t count;
	int32_t ids[SOCKEYE__URING_BUFFERS]; /* -1: the connection took the buffer back */
};

/* The owner of a ring buffer. Only the owner may write to the buffer or pass it on. The
 * owners are recorded only for invariants. */
enum sockeye__uring_owner {
	SOCKEYE__URING_OF_LOOP, /* the loop, which passes the buffer on */
	SOCKEYE__URING_OF_KERNEL,
	SOCKEYE__URING_OF_CHUNK,
	SOCKEYE__URING_OF_QUEUE,
	SOCKEYE__URING_OF_QUIET, /* a quiet send */
};

struct sockeye__uring {
	struct sockeye__worker *worker;
	struct sockeye__counters *counters;
	bool show_messages;
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory; /* the buffers, followed by room for a record */
	struct {
		uint32_t len;
		int32_t next;
	} queued[SOCKEYE__URING_BUFFERS]; /* input that waits in a ring buffer, by its id */
	uint32_t stalled;                 /* buffers that wait for slow peers */
	struct sockeye__uring_quiet *quiet, *quiet_before, quiet_lists[2];
	uint32_t turn_count;
	bool go_on;        /* do not wait for completions: submit and begin the next turn */
	bool housekeeping; /* lists or sites need work at the end of the turn */
	bool stopping;
	bool *sites_armed;  /* by site: an accept or poll is armed */
	bool sites_pending; /* at least one site is not armed */
	uint64_t resume_ns; /* accept nothing before this time; 0: no pause */
	/* Connections that found no free buffer. They receive again when one is free. */
	struct sockeye__uring_conn *starved;
	/* Connections that continue after the sends of this turn have been submitted, and
	 * those of the previous turn, whose sends have been submitted. */
	struct sockeye__uring_conn *postponed, *postponed_before;
	struct sockeye__uring_conn *closed; /* freed at the end of the turn */
	struct sockeye__clocks clocks;
	struct sockeye__answerer *answerer;
	struct sockeye_turn turn;
	uint8_t owners[SOCKEYE__URING_BUFFERS]; /* enum sockeye__uring_owner, by id */
	uint8_t room[SOCKEYE__ROOM_BYTES];
};

static inline bool sockeye__uring_is_open(const struct sockeye__uring_conn *c)
{
	return c->life == SOCKEYE__URING_OPEN;
}

static inline bool sockeye__uring_is_sending(const struct sockeye__uring_conn *c)
{
	return (c->requests & SOCKEYE__URING_SENDING) != 0;
}

/* Whether the connection has made a quiet send in this turn, which has not been
 * submitted yet. */
static inline bool sockeye__uring_is_quiet_pending(const struct sockeye__uring *l,
						   const struct sockeye__uring_conn *c)
{
	return c->quiet_turn == l->turn_count;
}

static inline void sockeye__uring_request_begins(struct sockeye__uring_conn *c,
						 enum sockeye__uring_request request)
{
	c->requests |= (uint8_t)request;
}

static inline void sockeye__uring_request_ends(struct sockeye__uring_conn *c,
					       enum sockeye__uring_request request)
{
	c->requests &= (uint8_t) ~(unsigned)request;
}

/* Changes the owner of a ring buffer, and asserts that `from` was its owner. */
static inline void sockeye__uring_buffer_pass(struct sockeye__uring *l, int32_t id,
					      enum sockeye__uring_owner from,
					      enum sockeye__uring_owner to)
{
	assert(id >= 0 && id < SOCKEYE__URING_BUFFERS);
	assert(l->owners[id] == from);
	l->owners[id] = (uint8_t)to;
}

/* --- uring_ring.c --- */
/* Returns 0 or -errno. Call sockeye__uring_close() in both cases. */
int sockeye__uring_open(struct sockeye__uring *l);
void sockeye__uring_close(struct sockeye__uring *l);
/* Returns 0 if this machine supports all features that the model needs, or -errno. */
int sockeye__uring_probe(void);

/* Returns a free submission entry. If all are in use, submits them first. */
static inline struct io_uring_sqe *sockeye__uring_entry(struct sockeye__uring *l,
							uint64_t user_data)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&l->ring)) == NULL)
		(void)io_uring_submit(&l->ring);
	sqe->user_data = user_data; /* the prep functions do not change it */
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

static inline void sockeye__uring_buffer_give(struct sockeye__uring *l, int32_t id,
					      enum sockeye__uring_owner from)
{
	sockeye__invariant(sockeye__uring_buffer_pass(l, id, from, SOCKEYE__URING_OF_KERNEL));
	(void)from;
	io_uring_buf_ring_add(l->buffers, sockeye__uring_buffer(l, id), SOCKEYE__URING_BUFFER_BYTES,
			      (unsigned short)id, SOCKEYE__URING_BUFFERS - 1, 0);
	io_uring_buf_ring_advance(l->buffers, 1);
}

/* --- uring_input.c --- */

/* Makes the n bytes in ring buffer `id` the chunk. The old chunk must have been
 * dropped. */
static inline void sockeye__uring_chunk_set(struct sockeye__uring *l, struct sockeye__uring_conn *c,
					    int32_t id, uint32_t n)
{
	c->buffer = id;
	c->chunk = sockeye__uring_buffer(l, id);
	c->chunk_len = n;
}

/* Drops the chunk with its buffer or memory. */
void sockeye__uring_chunk_drop(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Moves waiting input to the chunk, after the bytes that the session has left of the
 * old chunk. Returns false if memory is short. */
bool sockeye__uring_chunk_next(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Queues n bytes of input: in ring buffer `id` if that is allowed, otherwise as a copy
 * (id -1: the input is not in a ring buffer). Returns false if memory is short. */
bool sockeye__uring_input_queue(struct sockeye__uring *l, struct sockeye__uring_conn *c,
				const uint8_t *data, uint32_t n, int32_t id);
/* Counts the connection's ring buffers as stalled by a slow peer. Returns false
 * if too many are already. */
bool sockeye__uring_stall(struct sockeye__uring *l, struct sockeye__uring_conn *c);
void sockeye__uring_stall_end(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Moves the chunk, or all input, from ring buffers to memory. Return false if
 * memory is short. */
bool sockeye__uring_chunk_copy(struct sockeye__uring *l, struct sockeye__uring_conn *c);
bool sockeye__uring_input_copy(struct sockeye__uring *l, struct sockeye__uring_conn *c);
void sockeye__uring_input_drop(struct sockeye__uring *l, struct sockeye__uring_conn *c);

/* --- uring_life.c --- */
/* Starts to receive, unless a receive is in progress or none is allowed. */
void sockeye__uring_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Cancels the receive: further input waits in the kernel. */
void sockeye__uring_receive_cancel(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Continues the connection after the requests of this turn have been submitted. */
void sockeye__uring_postpone(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Continues the connection when the ring has free buffers again. */
void sockeye__uring_starve(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Closes the connection. It is freed once its output has been sent and no request
 * or list refers to it. */
void sockeye__uring_conn_close(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			       enum sockeye__end end);
/* Adds a closing connection to the list to be freed if no request or list refers
 * to it any more. */
void sockeye__uring_release(struct sockeye__uring *l, struct sockeye__uring_conn *c);

/* --- uring_conn.c --- */
void sockeye__uring_conn_open(struct sockeye__uring *l, const struct sockeye__visit *v);
void sockeye__uring_on_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res,
			       uint32_t flags);
void sockeye__uring_on_send(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res);
void sockeye__uring_on_cancel(struct sockeye__uring *l, struct sockeye__uring_conn *c);
void sockeye__uring_conn_expired(struct sockeye__uring *l, struct sockeye__uring_conn *c);
/* Ends a turn: continues postponed connections, starts receives for connections that
 * found no buffer, and frees closed connections. */
void sockeye__uring_conns_settle(struct sockeye__uring *l);

/* --- uring_check.c --- */
/* Asserts the invariants of a connection between two steps. */
void sockeye__uring_conn_check(const struct sockeye__uring *l, const struct sockeye__uring_conn *c);

#endif
