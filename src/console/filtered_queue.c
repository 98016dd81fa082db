/* filtered_queue.c: the bounded buffer of one direction (filtered_queue.h). */
#include "console/filtered_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sockeye__filtered_queue_init(struct sockeye__filtered_queue *flow, size_t cap,
				 const struct sockeye__filter *filter)
{
	*flow = (struct sockeye__filtered_queue){.cap = cap + SOCKEYE__NOTE_ROOM, .filter = filter};
	flow->buf = malloc(flow->cap);
	if (filter)
		flow->raw = malloc(SOCKEYE__FILTERED_QUEUE_READ_MAX);
	if (flow->buf && (flow->raw || !filter))
		return 0;
	sockeye__filtered_queue_fini(flow);
	return -ENOMEM;
}

void sockeye__filtered_queue_fini(struct sockeye__filtered_queue *flow)
{
	free(flow->buf);
	free(flow->raw);
	*flow = (struct sockeye__filtered_queue){0};
}

size_t sockeye__filtered_queue_waiting(const struct sockeye__filtered_queue *flow)
{
	return flow->end - flow->start;
}

void sockeye__filtered_queue_consume(struct sockeye__filtered_queue *flow, size_t len)
{
	assert(len <= sockeye__filtered_queue_waiting(flow));
	flow->start += len;
	if (flow->start == flow->end)
		flow->start = flow->end = 0;
}

/* Moves what waits to the front once the back has become short: nobody but the
 * caller of flow_waiting holds a pointer into the buffer, and only until then. */
static void compact(struct sockeye__filtered_queue *flow)
{
	if (flow->start == 0 || flow->cap - flow->end > flow->cap / 2)
		return;
	memmove(flow->buf, flow->buf + flow->start, flow->end - flow->start);
	flow->end -= flow->start;
	flow->start = 0;
}

size_t sockeye__filtered_queue_room(struct sockeye__filtered_queue *flow, uint8_t **out_where)
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
	return room < SOCKEYE__FILTERED_QUEUE_READ_MAX ? room : SOCKEYE__FILTERED_QUEUE_READ_MAX;
}

void sockeye__filtered_queue_add(struct sockeye__filtered_queue *flow, size_t len)
{
	const struct sockeye__filter *f = flow->filter;

	if (len > 0)
		flow->end += f ? f->encode(f->arg, flow->raw, len, flow->buf + flow->end) : len;
	assert(flow->end <= flow->cap);
}

void sockeye__filtered_queue_end(struct sockeye__filtered_queue *flow)
{
	const struct sockeye__filter *f = flow->filter;

	compact(flow);
	if (f && f->end)
		flow->end += f->end(f->arg, flow->buf + flow->end);
	assert(flow->end <= flow->cap);
}

uint8_t *sockeye__filtered_queue_note_room(struct sockeye__filtered_queue *flow)
{
	compact(flow);
	return flow->buf + flow->end;
}

void sockeye__filtered_queue_note_add(struct sockeye__filtered_queue *flow, size_t len)
{
	flow->end += len;
	assert(flow->end <= flow->cap);
}
