/* filtered_queue.c: the bounded byte queue of one direction (filtered_queue.h). */
#include "console/filtered_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sockeye__filtered_queue_init(struct sockeye__filtered_queue *q, size_t cap,
				 const struct sockeye__filter *filter)
{
	*q = (struct sockeye__filtered_queue){.cap = cap + SOCKEYE__FILTERED_QUEUE_NOTE_ROOM,
					      .filter = filter};
	q->buf = malloc(q->cap);
	if (filter)
		q->raw = malloc(SOCKEYE__FILTERED_QUEUE_READ_MAX);
	if (q->buf && (q->raw || !filter))
		return 0;
	sockeye__filtered_queue_fini(q);
	return -ENOMEM;
}

void sockeye__filtered_queue_fini(struct sockeye__filtered_queue *q)
{
	free(q->buf);
	free(q->raw);
	*q = (struct sockeye__filtered_queue){0};
}

size_t sockeye__filtered_queue_waiting(const struct sockeye__filtered_queue *q)
{
	return q->end - q->start;
}

void sockeye__filtered_queue_consume(struct sockeye__filtered_queue *q, size_t len)
{
	assert(len <= sockeye__filtered_queue_waiting(q));
	q->start += len;
	if (q->start == q->end)
		q->start = q->end = 0;
}

/* Moves the queued bytes to the front once at most half of the buffer is free at
 * the back. Callers keep no pointer into the buffer across calls. */
static void compact(struct sockeye__filtered_queue *q)
{
	if (q->start == 0 || q->cap - q->end > q->cap / 2)
		return;
	memmove(q->buf, q->buf + q->start, q->end - q->start);
	q->end -= q->start;
	q->start = 0;
}

size_t sockeye__filtered_queue_room(struct sockeye__filtered_queue *q, uint8_t **out_where)
{
	size_t free_bytes, room;

	compact(q);
	free_bytes = q->cap - q->end;
	room = free_bytes > SOCKEYE__FILTERED_QUEUE_NOTE_ROOM
		   ? free_bytes - SOCKEYE__FILTERED_QUEUE_NOTE_ROOM
		   : 0;
	*out_where = q->buf + q->end;
	if (!q->filter)
		return room;
	*out_where = q->raw;
	room /= q->filter->factor;
	return room < SOCKEYE__FILTERED_QUEUE_READ_MAX ? room : SOCKEYE__FILTERED_QUEUE_READ_MAX;
}

void sockeye__filtered_queue_add(struct sockeye__filtered_queue *q, size_t len)
{
	const struct sockeye__filter *f = q->filter;

	if (len > 0)
		q->end += f ? f->encode(f->arg, q->raw, len, q->buf + q->end) : len;
	assert(q->end <= q->cap);
}

void sockeye__filtered_queue_end(struct sockeye__filtered_queue *q)
{
	const struct sockeye__filter *f = q->filter;

	compact(q);
	if (f && f->end)
		q->end += f->end(f->arg, q->buf + q->end);
	assert(q->end <= q->cap);
}

uint8_t *sockeye__filtered_queue_note_room(struct sockeye__filtered_queue *q)
{
	compact(q);
	return q->buf + q->end;
}

void sockeye__filtered_queue_note_add(struct sockeye__filtered_queue *q, size_t len)
{
	q->end += len;
	assert(q->end <= q->cap);
}
