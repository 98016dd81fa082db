/*
 * watchdog.h: notices workers that are stopped or hang, and lets them continue or replaces
 * them.
 *
 * The kernel continues to queue requests for a worker that is stopped (SIGSTOP). With
 * SO_REUSEPORT it always chooses this worker for the same clients, which would wait forever.
 * The same applies to an event loop that handles the same events for a long time, for example
 * because it waits for a disk. Workers of blocking models may wait for one client, so they are
 * not watched for this. The supervisor looks at its workers once per second.
 */
#ifndef SOCKEYE_SERVE_WATCHDOG_H
#define SOCKEYE_SERVE_WATCHDOG_H

#include <stdint.h>

struct sockeye__children;

/* What the supervisor knows of one worker. */
struct sockeye__watched {
	unsigned stopped;   /* looks at which it has been stopped; 0: it runs */
	int signal;         /* that stopped it */
	unsigned continued; /* looks until its next stop counts as the first; 0: it does */
	uint64_t turns;     /* of its event loop at the last look */
	unsigned busy;      /* looks at which it handled the same events */
};

/* Looks at the running workers if a second has passed since the last look. Sends SIGCONT to
 * a worker that has been stopped for at least a second, and SIGKILL if it had already been
 * continued within the last minute. Reports a worker that handles the same events for 10 s, and
 * kills it after 60 s. Ignores workers that a debugger traces. */
void sockeye__watchdog_look(struct sockeye__children *c, uint64_t now);

/* Returns when the next look is due. */
uint64_t sockeye__watchdog_due_ns(const struct sockeye__children *c);

#endif
