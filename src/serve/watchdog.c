/* watchdog.c: notices workers that are stopped or hang (watchdog.h). */
#include "serve/watchdog.h"
#include "serve/children.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LOOK_NS       SOCKEYE_NS_PER_S
#define LATE_NS       (2 * LOOK_NS)
#define STOPPED_LOOKS 2  /* a worker stopped for this many looks is continued or replaced */
#define BUSY_LOOKS    10 /* a loop that handles the same events at these looks is reported */
#define HANGS_LOOKS   60 /* and replaced */
#define FORGET_LOOKS  60 /* a worker stopped this long after it was continued is continued again */

static void warn_stopped(const struct sockeye__children *c, const struct sockeye__child *child,
			 const char *what)
{
	const char *name = sigabbrev_np(child->watched.signal);
	char text[128];

	snprintf(text, sizeof text, "worker %d is stopped%s by SIG%s; %s it",
		 (int)child->process.pid, child->watched.continued > 0 ? " again" : "",
		 name != NULL ? name : "?", what);
	sockeye__event(c->server->opts,
		       &(struct sockeye_event){.kind = SOCKEYE_EVENT_WARNING, .text = text});
}

/* Updates the number of looks at which the worker has been stopped. A late look does not
 * count: the supervisor was stopped too, and the whole group is about to continue (Ctrl-Z,
 * then fg in a shell). */
static void stopped_update(struct sockeye__child *child, bool late)
{
	struct sockeye__watched *w = &child->watched;

	switch (sockeye__process_change(&child->process, &w->signal)) {
	case SOCKEYE__PROCESS_STOPPED: /* since the last look */
		w->stopped = 1;
		break;
	case SOCKEYE__PROCESS_CONTINUED:
		w->stopped = 0;
		break;
	case SOCKEYE__PROCESS_SAME:
		if (w->stopped > 0 && !late)
			w->stopped++;
		break;
	}
}

static void stopped_look(const struct sockeye__children *c, struct sockeye__child *child, bool late)
{
	struct sockeye__watched *w = &child->watched;

	stopped_update(child, late);
	if (w->continued > 0 && w->stopped == 0)
		w->continued--;
	if (w->stopped < STOPPED_LOOKS || sockeye__process_is_traced(&child->process))
		return;
	if (w->continued > 0) {
		warn_stopped(c, child, "replacing");
		sockeye__process_signal(&child->process, SIGKILL);
	} else {
		warn_stopped(c, child, "continuing");
		sockeye__process_signal(&child->process, SIGCONT);
		w->continued = FORGET_LOOKS;
	}
	w->stopped = 1; /* if it stays stopped, it was stopped again immediately */
}

static void warn_busy(const struct sockeye__children *c, const struct sockeye__child *child,
		      const char *what)
{
	char text[128];

	snprintf(text, sizeof text, "worker %d has handled the same events for %u s; %s",
		 (int)child->process.pid, child->watched.busy, what);
	sockeye__event(c->server->opts,
		       &(struct sockeye_event){.kind = SOCKEYE_EVENT_WARNING, .text = text});
}

/* Updates the number of looks at which the worker has handled the same events. */
static void busy_look(const struct sockeye__children *c, struct sockeye__child *child, bool late)
{
	const unsigned index = (unsigned)(child - c->list);
	struct sockeye__watched *w = &child->watched;
	uint64_t turns =
	    __atomic_load_n(sockeye__turns_of(c->server->shared, index), __ATOMIC_RELAXED);

	if (turns != w->turns || turns % 2 == 0 || w->stopped > 0) {
		w->turns = turns;
		w->busy = 0;
		return;
	}
	if (late)
		return;
	w->busy++;
	if (w->busy != BUSY_LOOKS && w->busy != HANGS_LOOKS)
		return;
	if (sockeye__process_is_traced(&child->process)) {
		w->busy = 0;
	} else if (w->busy == BUSY_LOOKS) {
		warn_busy(c, child, "its clients wait");
	} else {
		warn_busy(c, child, "replacing it");
		sockeye__process_signal(&child->process, SIGKILL);
	}
}

void sockeye__watchdog_look(struct sockeye__children *c, uint64_t now)
{
	const bool late = now - c->looked_ns > LATE_NS;

	if (now < sockeye__watchdog_due_ns(c))
		return;
	c->looked_ns = now;
	for (unsigned i = 0; i < c->server->seats; i++)
		if (sockeye__child_has_process(&c->list[i])) {
			stopped_look(c, &c->list[i], late);
			busy_look(c, &c->list[i], late);
		}
}

uint64_t sockeye__watchdog_due_ns(const struct sockeye__children *c)
{
	return c->looked_ns + LOOK_NS;
}
