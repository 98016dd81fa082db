/*
 * conn.h: the state of a connection that the event and uring models share, and the time
 * limits of a worker's connections.
 *
 * While no bytes wait, a connection takes no more memory than its struct and the
 * service's state.
 */
#ifndef SOCKEYE_SERVE_CONN_H
#define SOCKEYE_SERVE_CONN_H

#include "serve/internal.h"
#include "serve/timers.h"

#include <stdlib.h>

/* For functions that run once per message: a call, which saves registers, would make a
 * message about 5% more expensive. */
#define SOCKEYE__HOT static inline __attribute__((always_inline))

/* Waiting bytes: data[at..len). NULL is an empty queue. */
struct sockeye__queue {
	size_t at, len, cap;
	uint8_t data[];
};

/* What to do when the session's output has been sent. */
enum sockeye__after_output {
	SOCKEYE__AFTER_WAIT,  /* wait for input or for the session's deadline */
	SOCKEYE__AFTER_TURN,  /* the session has more to do: give it another turn */
	SOCKEYE__AFTER_CLOSE, /* close the connection */
};

struct sockeye__conn {
	struct sockeye__timer timer; /* first, so that a timer can be cast to its connection */
	struct sockeye__visit visit;
	uint8_t after_output;          /* enum sockeye__after_output */
	struct sockeye__queue *out;    /* output that the socket has not accepted yet */
	struct sockeye__queue *in;     /* input that the session has not taken yet */
	uint64_t opened_ns, active_ns; /* active_ns: when a byte last arrived or was sent */
	uint64_t deadline_ns;          /* set by the session; 0: none */
};

/* The limits and timers of a worker's connections. */
struct sockeye__clocks {
	bool needed; /* read the time in every turn of the loop */
	uint64_t idle_ns, time_ns;
	struct sockeye_now now;
	struct sockeye__timers timers;
};

/* Why a timer expired. */
enum sockeye__due {
	SOCKEYE__DUE_IDLE,    /* the connection was idle for too long */
	SOCKEYE__DUE_TIME,    /* the connection was open for too long */
	SOCKEYE__DUE_TURN,    /* the session's deadline has passed */
	SOCKEYE__DUE_NOTHING, /* bytes were transferred after the timer was set: set it again */
};

void sockeye__clocks_init(struct sockeye__clocks *k, const struct sockeye__worker *w);

/* Returns the milliseconds until the earliest timer expires or, if also_ns (0: none) is
 * earlier, until also_ns. Returns -1 if neither is set. */
int sockeye__clocks_wait_ms(const struct sockeye__clocks *k, uint64_t also_ns);

/* Returns a connection whose timer has expired, or NULL. */
struct sockeye__conn *sockeye__clocks_expired(const struct sockeye__clocks *k);

/* Clears the connection's timer and returns why it expired. */
enum sockeye__due sockeye__conn_due(struct sockeye__clocks *k, struct sockeye__conn *c);

/* Sets the timer for the connection's limits and its session's deadline. Returns 0 or
 * -ENOMEM. */
int sockeye__conn_timer_set(struct sockeye__clocks *k, struct sockeye__conn *c);

/* Asserts the invariants between two steps in either model. with_deadline: the timer must
 * be set for the session's deadline too. */
void sockeye__conn_check(const struct sockeye__clocks *k, const struct sockeye__conn *c,
			 bool with_deadline);

/* Returns what to do when the output of a turn has been sent. */
static inline uint8_t sockeye__after_output(const struct sockeye_turn *t)
{
	return t->close  ? SOCKEYE__AFTER_CLOSE
	       : t->more ? SOCKEYE__AFTER_TURN
			 : SOCKEYE__AFTER_WAIT;
}

/* Appends a copy of data to the queue. Returns false, with *q unchanged, if memory is
 * short. */
bool sockeye__queue_grow(struct sockeye__queue **q, const void *data, size_t len);

static inline bool sockeye__queue_add(struct sockeye__queue **q, const void *data, size_t len)
{
	return len == 0 || sockeye__queue_grow(q, data, len);
}

static inline void sockeye__queue_drop(struct sockeye__queue **q)
{
	if (*q == NULL)
		return;
	free(*q);
	*q = NULL;
}

static inline size_t sockeye__queue_left(const struct sockeye__queue *q)
{
	return q != NULL ? q->len - q->at : 0;
}

#endif
