/* timers.c: see timers.h. */
#include "serve/timers.h"

#include <errno.h>
#include <stdlib.h>

static void place(struct sockeye__timers *ts, uint32_t i, struct sockeye__timer *t)
{
	ts->heap[i] = t;
	t->place = i;
}

static void sift(struct sockeye__timers *ts, uint32_t i, struct sockeye__timer *t)
{
	while (i > 1 && ts->heap[i / 2]->at_ns > t->at_ns) {
		place(ts, i, ts->heap[i / 2]);
		i /= 2;
	}
	for (uint32_t child; (child = 2 * i) <= ts->count; i = child) {
		if (child < ts->count && ts->heap[child + 1]->at_ns < ts->heap[child]->at_ns)
			child++;
		if (ts->heap[child]->at_ns >= t->at_ns)
			break;
		place(ts, i, ts->heap[child]);
	}
	place(ts, i, t);
}

int sockeye__timers_set(struct sockeye__timers *ts, struct sockeye__timer *t, uint64_t at_ns)
{
	if (t->place == 0) {
		if (ts->count + 1 >= ts->cap) {
			uint32_t cap = ts->cap != 0 ? ts->cap * 2 : 64;
			struct sockeye__timer **grown = reallocarray(ts->heap, cap, sizeof *grown);

			if (grown == NULL)
				return -ENOMEM;
			ts->heap = grown;
			ts->cap = cap;
		}
		t->place = ++ts->count;
	}
	t->at_ns = at_ns;
	sift(ts, t->place, t);
	return 0;
}

void sockeye__timers_clear(struct sockeye__timers *ts, struct sockeye__timer *t)
{
	struct sockeye__timer *last;
	uint32_t i = t->place;

	if (i == 0)
		return;
	t->place = 0;
	last = ts->heap[ts->count--];
	if (last != t)
		sift(ts, i, last);
}

struct sockeye__timer *sockeye__timers_first(const struct sockeye__timers *ts)
{
	return ts->count > 0 ? ts->heap[1] : NULL;
}

void sockeye__timers_fini(struct sockeye__timers *ts)
{
	free(ts->heap);
	*ts = (struct sockeye__timers){0};
}
