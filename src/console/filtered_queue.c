/* filtered_queue.c: the bounded buffer of one direction (filtered_queue.h). */
#include "console/filtered_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sockeye__flow_init(struct sockeye__flow *flow, size_t cap, const struct sockeye__filter *filter)
{
	*flow = (struct sockeye__flow){.cap = cap + SOCKEYE__NOTE_ROOM, .filter = filter};
	flow->buf = malloc(flow->cap);
	if (filter)
		flow->raw = malloc(SOCKEYE__FLOW_READ_MAX);
	if (flow->buf && (flow->raw || !filter))
		return 0;
	sockeye__flow_fini(flow);
	return -ENOMEM;
}

void sockeye__flow_fini(struct sockeye__flow *flow)
{
	free(flow->buf);
	free(flow->raw);
	*flow = (struct sockeye__flow){0};
}

size_t sockeye__flow_waiting(const struct sockeye__flow *flow)
{
	return flow->end - flow->start;
}

void sockeye__flow_took(struct sockeye__flow *flow, size_t len)
{
	assert(len <= sockeye__flow_waiting(flow));
	flow->start += len;
	if (flow->start == flow->end)
		flow->start = flow->end = 0;
}

/* Moves what waits to the front once the back has become short: nobody but the
 * caller of flow_waiting holds a pointer into the buffer, and only until then. */
static void compact(struct sockeye__flow *flow)
{
	if (flow->start == 0 || flow->cap - flow->end > flow->cap / 2)
		return;
	memmove(flow->buf, flow->buf + flow->start, flow->end - flow->start);
	flow->end -= flow->start;
	flow->start = 0;
}

size_t sockeye__flow_room(struct sockeye__flow *flow, uint8_t **out_where)
{
	size_t free_bytes, room;

	compact(flow);
	free_bytes = flow->cap - flow->end;
	room = free_bytes > SOCKEYE__NOTE_ROOM ? free_bytes - SOCKEYE__NOTE_ROOM : 0;
	*out_where = flow->buf + flow->end;
	if (!flow->filter)
		return room;
	*out_where = flow->raw;
	room /= flow->filter->factor;
	return room < SOCKEYE__FLOW_READ_MAX ? room : SOCKEYE__FLOW_READ_MAX;
}

void sockeye__flow_added(struct sockeye__flow *flow, size_t len)
{
	const struct sockeye__filter *f = flow->filter;

	if (len > 0)
		flow->end += f ? f->encode(f->arg, flow->raw, len, flow->buf + flow->end) : len;
	assert(flow->end <= flow->cap);
}

void sockeye__flow_end(struct sockeye__flow *flow)
{
	const struct sockeye__filter *f = flow->filter;

	compact(flow);
	if (f && f->end)
		flow->end += f->end(f->arg, flow->buf + flow->end);
	assert(flow->end <= flow->cap);
}

uint8_t *sockeye__flow_note_room(struct sockeye__flow *flow)
{
	compact(flow);
	return flow->buf + flow->end;
}

void sockeye__flow_note_added(struct sockeye__flow *flow, size_t len)
{
	flow->end += len;
	assert(flow->end <= flow->cap);
}
