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

enum sockeye__child_state {
	SOCKEYE__CHILD_WAITS, /* starts at respawn_ns */
	SOCKEYE__CHILD_RUNS,
	SOCKEYE__CHILD_ENDED, /* not restarted, because the server is stopping */
};

struct sockeye__child {
	const struct sockeye__crew *crew;
	unsigned member;
	enum sockeye__child_state state;
	struct sockeye__process process; /* SOCKEYE__CHILD_RUNS: the worker; otherwise none */
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
	struct sockeye__child *list; /* as many as server->processes */
	unsigned running;
	uint64_t looked_ns; /* when the watchdog last looked at them */
};

/* Makes the list; no worker runs yet. Returns 0 or -ENOMEM. Call sockeye__children_fini() in
 * both cases. */
int sockeye__children_init(struct sockeye__children *c, struct sockeye__server *server);
void sockeye__children_fini(struct sockeye__children *c);

/* Starts the workers whose time has come. In a worker, does not return. */
void sockeye__children_start(struct sockeye__children *c, uint64_t now);

/* Sets the first elements of `polled`, one for each worker: poll(2) reports those that have
 * ended. */
void sockeye__children_poll(const struct sockeye__children *c, struct pollfd *polled);

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

/* Asserts the invariants that hold after each step. */
void sockeye__children_check(const struct sockeye__children *c);

#endif
