/*
 * room.h: how workers make room for a new transfer of another worker.
 *
 * The limits apply to all workers together, but the kernel chooses the worker that receives
 * a request, and only the worker that runs a transfer can drop it. So each worker publishes
 * in shared memory what it could drop. A worker that needs room holds the request and asks the
 * others if one of them has a transfer of a lower rank than its own. The worker that drops a
 * transfer wakes all workers, and the worker that asked tries the request again.
 */
#ifndef SOCKEYE_TFTP_SERVER_ROOM_H
#define SOCKEYE_TFTP_SERVER_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/dgram.h>

struct sockeye__tftp_held;
struct sockeye__tftp_shared;
struct sockeye__tftp_site;
struct sockeye__tftp_worker;

/* The order in which transfers are dropped: those of the lowest rank first. */
enum sockeye__tftp_rank {
	SOCKEYE__TFTP_RANK_EXPENDABLE, /* complete and repeats its last ACK, or unconfirmed */
	SOCKEYE__TFTP_RANK_STALLED,
	SOCKEYE__TFTP_RANK_SLOW,
	SOCKEYE__TFTP_RANK_KEPT, /* it may not be dropped */
};

/* Which transfers could make room. */
enum sockeye__tftp_scope {
	SOCKEYE__TFTP_OF_SERVER, /* all */
	SOCKEYE__TFTP_OF_SOURCE, /* those of the source that makes the request */
	SOCKEYE__TFTP_OF_WORKER, /* those of this worker: its own limits are reached */
};

/* Shared memory of a worker. Other workers write only ask.wanted. */
struct sockeye__tftp_seat {
	struct {
		uint32_t expendable; /* it has expendable transfers */
		uint32_t slow;       /* it has slow ones */
		uint64_t stalls_ns;  /* when its longest silent client has stalled; 0: never */
	} offer __attribute__((aligned(64)));
	struct {
		uint32_t wanted; /* transfers to drop; a worker subtracts one before it drops one */
		enum sockeye__tftp_rank rank; /* drop none of a higher rank */
		enum sockeye__tftp_scope scope;
		struct sockeye_sockaddr peer;
	} ask __attribute__((aligned(64)));
};

/* The state of a worker. */
struct sockeye__tftp_room {
	struct sockeye__tftp_held *first, **end; /* the requests that wait for room */
	unsigned count, of_source; /* all of them; those with SOCKEYE__TFTP_OF_SOURCE */
	bool woken;                /* another worker has asked, or has made room */
	uint32_t made;             /* the last seen value of shared->room_made */
	bool ask_again;            /* requests were added to the list, or tried again */
	uint64_t due_ns; /* when they are tried again if no worker answers; 0: none waits */

	/* The request that is being handled: */
	struct sockeye__tftp_held *again;   /* it was held before; NULL: it was not */
	bool waits;                         /* it must be held */
	enum sockeye__tftp_scope waits_for; /* which transfers could make room for it */
};

/* Joins the workers that make room for each other. Returns 0 or -errno. */
int sockeye__tftp_room_open(struct sockeye__tftp_worker *w);
void sockeye__tftp_room_close(struct sockeye__tftp_worker *w);

/* Publishes what this worker could drop. */
void sockeye__tftp_room_publish(const struct sockeye__tftp_worker *w);

/* Whether another worker should drop a transfer for the current request instead of this one,
 * whose own candidate has the given rank. The request must then be held. */
bool sockeye__tftp_room_elsewhere(struct sockeye__tftp_worker *w, enum sockeye__tftp_scope scope,
				  enum sockeye__tftp_rank rank);

/* Holds the current request if sockeye__tftp_room_elsewhere() returned true for it. Returns
 * false if it did not, or if memory is short. */
bool sockeye__tftp_room_hold(struct sockeye__tftp_worker *w, struct sockeye__tftp_site *site,
			     const struct sockeye_dgram *from, const uint8_t *bytes, size_t len);

/* Makes room for other workers, and tries held requests again. Call it after each batch of
 * events. */
void sockeye__tftp_room_run(struct sockeye__tftp_worker *w);

/* Returns when sockeye__tftp_room_run() is due without an event; 0: never. */
uint64_t sockeye__tftp_room_due_ns(const struct sockeye__tftp_worker *w);

/* In the supervisor: clears the seat of a worker that died. */
void sockeye__tftp_room_forget(struct sockeye__tftp_shared *shared, unsigned seat);

#endif
