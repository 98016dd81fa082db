/* conn.c: see conn.h. */
#include "serve/conn.h"
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

void sockeye__clocks_init(struct sockeye__clocks *k, const struct sockeye__worker *w)
{
	const struct sockeye_serve_opts *opts = w->server->opts;

	*k = (struct sockeye__clocks){
	    .idle_ns = opts->idle_ms * SOCKEYE_NS_PER_MS,
	    .time_ns = opts->time_ms * SOCKEYE_NS_PER_MS,
	};
	k->needed = k->idle_ns != 0 || k->time_ns != 0;
	for (size_t i = 0; i < w->crew->site_count; i++)
		k->needed |= w->crew->sites[i].service->uses_time;
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

/* Returns the latest time at which the timer must expire, or 0 if it need not. */
static uint64_t due_ns(const struct sockeye__clocks *k, const struct sockeye__conn *c,
		       uint64_t deadline_ns)
{
	uint64_t due = deadline_ns;

	if (k->idle_ns != 0)
		due = sooner(due, c->active_ns + k->idle_ns);
	if (k->time_ns != 0)
		due = sooner(due, c->opened_ns + k->time_ns);
	return due;
}

/* Activity only postpones the idle limit. Moving the timer for each message would cost a
 * heap operation, so the timer is set again only after it has expired too early. */
int sockeye__conn_timer_set(struct sockeye__clocks *k, struct sockeye__conn *c)
{
	uint64_t due = due_ns(k, c, c->deadline_ns);

	if (due == 0 || (c->timer.index != 0 && c->timer.at_ns <= due))
		return 0;
	return sockeye__timers_set(&k->timers, &c->timer, due);
}

enum sockeye__due sockeye__conn_due(struct sockeye__clocks *k, struct sockeye__conn *c)
{
	uint64_t now = k->now.mono_ns;

	sockeye__timers_clear(&k->timers, &c->timer);
	if (k->time_ns != 0 && now >= c->opened_ns + k->time_ns)
		return SOCKEYE__DUE_TIME;
	if (k->idle_ns != 0 && now >= c->active_ns + k->idle_ns)
		return SOCKEYE__DUE_IDLE;
	if (c->deadline_ns != 0 && now >= c->deadline_ns) {
		c->deadline_ns = 0; /* the session may set another in its turn */
		return SOCKEYE__DUE_TURN;
	}
	return SOCKEYE__DUE_NOTHING;
}

static void queue_check(const struct sockeye__queue *q)
{
	assert(q == NULL || (q->at < q->len && q->len <= q->cap));
}

void sockeye__conn_check(const struct sockeye__clocks *k, const struct sockeye__conn *c,
			 bool with_deadline)
{
	uint64_t due = due_ns(k, c, with_deadline ? c->deadline_ns : 0);

	assert(c->visit.fd >= 0);
	queue_check(c->out); /* memory is held only while bytes wait in it */
	queue_check(c->in);
	sockeye__timers_check(&k->timers, &c->timer);
	assert(due == 0 || (c->timer.index != 0 && c->timer.at_ns <= due));
}

bool sockeye__queue_grow(struct sockeye__queue **q, const void *data, size_t len)
{
	size_t have = *q != NULL ? (*q)->len : 0;
	struct sockeye__queue *grown = *q;

	if (grown == NULL || grown->cap - have < len) {
		/* The first capacity is exact, because most queues never grow. Later
		 * capacities have half of the queued bytes to spare. */
		size_t cap = have + len + have / 2;

		grown = realloc(grown, sizeof *grown + cap);
		if (grown == NULL)
			return false;
		if (*q == NULL)
			grown->at = 0;
		grown->cap = cap;
		*q = grown;
	}
	memcpy(grown->data + have, data, len);
	grown->len = have + len;
	return true;
}
