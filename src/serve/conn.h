/*
 * conn.h: a connection as the loops (event, uring) keep it, and its clocks.
 *
 * While nothing waits, this struct and the service's state are all the memory
 * a connection has.
 */
#ifndef SOCKEYE_SERVE_CONN_H
#define SOCKEYE_SERVE_CONN_H

#include "serve/server.h"
#include "serve/timers.h"

#include <stdlib.h>

/* On the way of every message: a call, with its registers saved, would be a
 * twentieth of it. */
#define SOCKEYE__HOT static inline __attribute__((always_inline))

/* Bytes that wait, in memory that exists only while they do: data[at..len). */
struct sockeye__queue {
	size_t at, len, cap;
	uint8_t data[];
};

struct sockeye__conn {
	struct sockeye__timer timer; /* first, so that a timer is its connection */
	struct sockeye__visit v;
	bool more;                   /* the session has more to say once its output has left */
	bool close;                  /* it wants to be closed then */
	struct sockeye__queue *out;  /* what the peer has not taken, or NULL */
	struct sockeye__queue *in;   /* what the session has not taken, or NULL */
	uint64_t born_ns, active_ns; /* kept when a limit needs them */
	uint64_t deadline_ns;        /* of the session; 0 none */
};

/* The limits of all connections of a worker. */
struct sockeye__clocks {
	bool needed; /* something needs the time in every turn */
	uint64_t idle_ns, time_ns;
	struct sockeye_now now;
	struct sockeye__timers timers;
};

enum sockeye__due { SOCKEYE__DUE_IDLE, SOCKEYE__DUE_TIME, SOCKEYE__DUE_TURN, SOCKEYE__DUE_LATER };

void sockeye__clocks_init(struct sockeye__clocks *k, const struct sockeye__server *server);

/* Milliseconds until the earliest timer, or until also_ns when that is sooner
 * (0: none); -1 when nothing is due. */
int sockeye__clocks_wait_ms(const struct sockeye__clocks *k, uint64_t also_ns);

/* The connection whose timer has gone off, or NULL. */
struct sockeye__conn *sockeye__clocks_expired(const struct sockeye__clocks *k);

/* Why its timer went off; the timer is cleared. */
enum sockeye__due sockeye__conn_due(struct sockeye__clocks *k, struct sockeye__conn *c);

/* Sees to it that the timer goes off in time: 0 or -ENOMEM. */
int sockeye__conn_time(struct sockeye__clocks *k, struct sockeye__conn *c);

/* Adds a copy of data behind what *b holds already (NULL: nothing). False when
 * memory is short, *b is as before then. */
bool sockeye__queue_grow(struct sockeye__queue **b, const void *data, size_t len);

static inline bool sockeye__queue_add(struct sockeye__queue **b, const void *data, size_t len)
{
	return len == 0 || sockeye__queue_grow(b, data, len);
}

static inline void sockeye__queue_drop(struct sockeye__queue **b)
{
	if (*b == NULL)
		return;
	free(*b);
	*b = NULL;
}

static inline size_t sockeye__queue_left(const struct sockeye__queue *b)
{
	return b != NULL ? b->len - b->at : 0;
}

#endif
