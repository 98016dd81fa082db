/*
 * children.h: the workers of a server, as its supervisor sees them: it starts them, replaces
 * workers that die, and ends them.
 */
#ifndef SOCKEYE_SERVE_CHILDREN_H
#define SOCKEYE_SERVE_CHILDREN_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "serve/internal.h"
#include "serve/process.h"
#include "serve/watchdog.h"

#define SOCKEYE__CHILD_FDS 2 /* elements of poll(2) for each worker */

enum sockeye__child_state {
	SOCKEYE__CHILD_WAITS, /* starts at respawn_ns */
	SOCKEYE__CHILD_RUNS,
	SOCKEYE__CHILD_RETIRES, /* runs, but a worker of a newer generation serves */
	SOCKEYE__CHILD_FREE,    /* a seat without a worker */
	SOCKEYE__CHILD_ENDED,   /* not restarted, because the server is stopping */
};

struct sockeye__child {
	const struct sockeye__crew *crew;
	unsigned member;
	enum sockeye__child_state state;
	uint64_t generation;             /* of its crew when it was started */
	int link;                        /* to the worker, in crews with `renew`; -1: none */
	struct sockeye__process process; /* RUNS, RETIRES: the worker; otherwise none */
	unsigned poll_at;                /* index of its elements, see sockeye__children_poll() */
	uint64_t started_ns;
	uint64_t respawn_ns; /* 0: now */
	uint64_t backoff_ns;
	struct sockeye__watched watched;
};

enum sockeye__phase {
	SOCKEYE__PHASE_SERVES,
	SOCKEYE__PHASE_DRAINS, /* workers finish their sessions */
};

struct sockeye__children {
	struct sockeye__server *server;
	pid_t supervisor;
	int signal_fd; /* the supervisor's: closed in workers; -1: none */
	enum sockeye__phase phase;
	bool killing;                /* sockeye__children_kill() was called */
	struct sockeye__child *list; /* as many as server->seats */
	unsigned running;            /* also those that retire */
	uint64_t renew_ns;           /* when sockeye__renewal_run() is due; 0: never */
	uint64_t looked_ns;          /* when the watchdog last looked at them */
};

static inline bool sockeye__child_has_process(const struct sockeye__child *child)
{
	return child->state == SOCKEYE__CHILD_RUNS || child->state == SOCKEYE__CHILD_RETIRES;
}

/* Makes the list; no worker runs yet. Returns 0 or -ENOMEM. Call sockeye__children_fini() in
 * both cases. */
int sockeye__children_init(struct sockeye__children *c, struct sockeye__server *server);
void sockeye__children_fini(struct sockeye__children *c);

/* Starts a worker. Returns false after a warning; the caller tries again in 1 s. In the worker,
 * does not return. */
bool sockeye__child_start(struct sockeye__children *c, struct sockeye__child *child, uint64_t now);

/* Starts the workers whose time has come. In a worker, does not return. */
void sockeye__children_start(struct sockeye__children *c, uint64_t now);

/* Sets the first elements of `polled`, SOCKEYE__CHILD_FDS for each worker: its process, which
 * may have ended, and its link, on which it may ask. Returns how many; poll(2) accepts no more
 * than the limit of file descriptors. */
unsigned sockeye__children_poll(struct sockeye__children *c, struct pollfd *polled);

/* Returns the next time at which a worker must be started, or looked at because poll(2)
 * cannot report its end. 0: none. */
uint64_t sockeye__children_due_ns(const struct sockeye__children *c, uint64_t now);

/* Reaps the workers that poll(2) reported, and those that it cannot report. Accounts for
 * them, and schedules their replacements unless the server is stopping. */
void sockeye__children_reap(struct sockeye__children *c, const struct pollfd *polled, uint64_t now);

/* Tells all workers to finish their sessions, and replaces none from now on. */
void sockeye__children_drain(struct sockeye__children *c);

/* Sends a signal to the running workers of a crew, or of all crews if it is NULL. */
void sockeye__children_signal(const struct sockeye__children *c, const struct sockeye__crew *crew,
			      int sig);

/* Kills all workers. */
void sockeye__children_kill(struct sockeye__children *c);

/* Kills and reaps all workers. */
void sockeye__children_end(struct sockeye__children *c);

/* --- renewal.c: generations of workers --- */

/* Whether workers of the crew are replaced when their resources were replaced. */
bool sockeye__renewal_applies(const struct sockeye__crew *crew);
/* Calls `renew` of the crews if it is due, at SIGHUP (`hangup`), or after a worker has asked.
 * Retires the workers of old generations, and gives their members to new workers. */
void sockeye__renewal_run(struct sockeye__children *c, const struct pollfd *polled, bool hangup,
			  uint64_t now);

/* Asserts the invariants that hold after each step. */
void sockeye__children_check(const struct sockeye__children *c);

#endif
