/* conn.c: see conn.h. */
#include "serve/conn.h"
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

void sockeye__clocks_init(struct sockeye__clocks *k, const struct sockeye__server *server)
{
	*k = (struct sockeye__clocks){
	    .idle_ns = server->opts->idle_ms * SOCKEYE_NS_PER_MS,
	    .time_ns = server->opts->time_ms * SOCKEYE_NS_PER_MS,
	};
	k->needed = k->idle_ns != 0 || k->time_ns != 0;
	for (size_t i = 0; i < server->site_count; i++)
		k->needed |= server->sites[i].service->uses_time;
	k->now = sockeye_now();
}

int sockeye__clocks_wait_ms(const struct sockeye__clocks *k, uint64_t also_ns)
{
	uint64_t due = k->timers.count > 0 ? sockeye__timers_first(&k->timers)->at_ns : 0;

	if (also_ns != 0 && (due == 0 || also_ns < due))
		due = also_ns;
	return due == 0 ? -1 : sockeye__poll_ms(due, sockeye_now().mono_ns);
}

struct sockeye__conn *sockeye__clocks_expired(const struct sockeye__clocks *k)
{
	struct sockeye__timer *first = sockeye__timers_first(&k->timers);

	return first != NULL && first->at_ns <= k->now.mono_ns ? (struct sockeye__conn *)first
							       : NULL;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a == 0 || b < a ? b : a;
}

/* Activity moves a deadline only back, so the timer stays where it is and is
 * set again when it goes off too early: no heap work on the way of a message. */
int sockeye__conn_time(struct sockeye__clocks *k, struct sockeye__conn *c)
{
	uint64_t due = c->deadline_ns;

	if (k->idle_ns != 0)
		due = sooner(due, c->active_ns + k->idle_ns);
	if (k->time_ns != 0)
		due = sooner(due, c->born_ns + k->time_ns);
	if (due == 0 || (c->timer.index != 0 && c->timer.at_ns <= due))
		return 0;
	return sockeye__timers_set(&k->timers, &c->timer, due);
}

enum sockeye__due sockeye__conn_due(struct sockeye__clocks *k, struct sockeye__conn *c)
{
	uint64_t now = k->now.mono_ns;

	sockeye__timers_clear(&k->timers, &c->timer);
	if (k->time_ns != 0 && now >= c->born_ns + k->time_ns)
		return SOCKEYE__DUE_TIME;
	if (k->idle_ns != 0 && now >= c->active_ns + k->idle_ns)
		return SOCKEYE__DUE_IDLE;
	if (c->deadline_ns != 0 && now >= c->deadline_ns) {
		c->deadline_ns = 0; /* it says again if it wants another */
		return SOCKEYE__DUE_TURN;
	}
	return SOCKEYE__DUE_LATER;
}

bool sockeye__queue_grow(struct sockeye__queue **b, const void *data, size_t len)
{
	size_t have = *b != NULL ? (*b)->len : 0;
	struct sockeye__queue *grown = *b;

	if (grown == NULL || grown->cap - have < len) {
		/* Exact at first: most of it is never added to. Then by half. */
		size_t cap = have + len + have / 2;

		grown = realloc(grown, sizeof *grown + cap);
		if (grown == NULL)
			return false;
		if (*b == NULL)
			grown->at = 0;
		grown->cap = cap;
		*b = grown;
	}
	memcpy(grown->data + have, data, len);
	grown->len = have + len;
	return true;
}
