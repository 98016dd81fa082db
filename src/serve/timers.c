/* timers.c: see timers.h. */
#include "serve/timers.h"
#include "base/invariant.h"

#include <errno.h>
#include <stdlib.h>

static void put(struct sockeye__timers *ts, uint32_t i, struct sockeye__timer *t)
{
	ts->heap[i] = t;
	t->index = i;
}

void sockeye__timers_check(const struct sockeye__timers *ts, const struct sockeye__timer *t)
{
	uint32_t i = t->index;

	assert(ts->count == 0 || ts->count < ts->cap);
	if (i == 0)
		return;
	assert(i <= ts->count && ts->heap[i] == t);
	assert(i == 1 || ts->heap[i / 2]->at_ns <= t->at_ns);
	for (uint32_t child = 2 * i; child <= 2 * i + 1 && child <= ts->count; child++)
		assert(ts->heap[child]->at_ns >= t->at_ns);
}

/* Puts t into the heap. Starts the search for its position at index i, which is free. */
static void sift(struct sockeye__timers *ts, uint32_t i, struct sockeye__timer *t)
{
	while (i > 1 && ts->heap[i / 2]->at_ns > t->at_ns) {
		put(ts, i, ts->heap[i / 2]);
		i /= 2;
	}
	for (uint32_t child; (child = 2 * i) <= ts->count; i = child) {
		if (child < ts->count && ts->heap[child + 1]->at_ns < ts->heap[child]->at_ns)
			child++;
		if (ts->heap[child]->at_ns >= t->at_ns)
			break;
		put(ts, i, ts->heap[child]);
	}
	put(ts, i, t);
}

int sockeye__timers_set(struct sockeye__timers *ts, struct sockeye__timer *t, uint64_t at_ns)
{
	if (t->index == 0) {
		if (ts->count + 1 >= ts->cap) {
			uint32_t cap = ts->cap != 0 ? ts->cap * 2 : 64;
			struct sockeye__timer **grown = reallocarray(ts->heap, cap, sizeof *grown);

			if (grown == NULL)
				return -ENOMEM;
			ts->heap = grown;
			ts->cap = cap;
		}
		t->index = ++ts->count;
	}
	t->at_ns = at_ns;
	sift(ts, t->index, t);
	sockeye__invariant(sockeye__timers_check(ts, t));
	return 0;
}

void sockeye__timers_clear(struct sockeye__timers *ts, struct sockeye__timer *t)
{
	struct sockeye__timer *last;
	uint32_t i = t->index;

	if (i == 0)
		return;
	t->index = 0;
	last = ts->heap[ts->count--];
	if (last != t)
		sift(ts, i, last);
	sockeye__invariant(sockeye__timers_check(ts, last));
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
