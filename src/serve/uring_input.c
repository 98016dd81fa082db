/*
 * uring_input.c: the input of a connection: the chunk that its session is
 * offered, and the input that waits for the session.
 *
 * Multishot receives continue while a session waits for its peer to read, so input can
 * accumulate. The input may stay in ring buffers, up to a limit on the buffers of slow
 * peers; beyond that limit, input is copied to memory and uring_conn.c cancels the receive.
 */
#include "serve/uring_internal.h"

static int32_t queue_take(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	int32_t id = c->queue_first;

	c->queue_first = l->queued[id].next;
	c->queue_count--;
	return id;
}

static void queue_add(struct sockeye__uring *l, struct sockeye__uring_conn *c, int32_t id,
		      uint32_t len)
{
	sockeye__invariant(
	    sockeye__uring_buffer_pass(l, id, SOCKEYE__URING_OF_LOOP, SOCKEYE__URING_OF_QUEUE));
	l->queued[id].len = len;
	l->queued[id].next = -1;
	if (c->queue_first < 0)
		c->queue_first = id;
	else
		l->queued[c->queue_last].next = id;
	c->queue_last = id;
	c->queue_count++;
}

/* Moves all input that waits in ring buffers to memory. Afterwards only the chunk's buffer
 * can still be stalled. Returns false if memory is short. */
static bool queue_copy(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	uint32_t stalled = c->buffer >= 0 && c->stalled > 0;
	bool copied = true;

	while (c->queue_first >= 0) {
		int32_t id = queue_take(l, c);

		copied = copied && sockeye__queue_add(&c->base.in, sockeye__uring_buffer(l, id),
						      l->queued[id].len);
		sockeye__uring_buffer_give(l, id, SOCKEYE__URING_OF_QUEUE);
	}
	l->stalled -= c->stalled - stalled;
	c->stalled = stalled;
	return copied;
}

void sockeye__uring_chunk_drop(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (c->buffer >= 0)
		sockeye__uring_buffer_give(l, c->buffer, SOCKEYE__URING_OF_CHUNK);
	c->buffer = -1;
	sockeye__queue_drop(&c->chunk_memory);
	c->chunk_len = 0;
}

bool sockeye__uring_chunk_copy(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	struct sockeye__queue *copy = NULL;

	if (c->buffer < 0)
		return true;
	if (!sockeye__queue_add(&copy, c->chunk, c->chunk_len))
		return false;
	sockeye__uring_buffer_give(l, c->buffer, SOCKEYE__URING_OF_CHUNK);
	c->buffer = -1;
	c->chunk_memory = copy;
	c->chunk = copy != NULL ? copy->data : NULL;
	return true;
}

/* Copies the rest of the chunk, followed by all waiting input, to memory. */
static bool chunk_join(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	struct sockeye__queue *all = NULL;

	if (!queue_copy(l, c) || !sockeye__queue_add(&all, c->chunk, c->chunk_len))
		return false;
	if (!sockeye__queue_add(&all, c->base.in->data, c->base.in->len)) {
		sockeye__queue_drop(&all);
		return false;
	}
	sockeye__queue_drop(&c->base.in);
	sockeye__uring_chunk_drop(l, c);
	c->base.in = all;
	return true;
}

bool sockeye__uring_chunk_next(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (c->chunk_len > 0 && !chunk_join(l, c))
		return false;
	sockeye__uring_chunk_drop(l, c);
	if (c->base.in != NULL) {
		c->chunk_memory = c->base.in;
		c->base.in = NULL;
		c->chunk = c->chunk_memory->data;
		c->chunk_len = (uint32_t)c->chunk_memory->len;
		c->waiting_bytes = 0;
	} else {
		int32_t id = queue_take(l, c);

		sockeye__invariant(sockeye__uring_buffer_pass(l, id, SOCKEYE__URING_OF_QUEUE,
							      SOCKEYE__URING_OF_CHUNK));
		sockeye__uring_chunk_set(l, c, id, l->queued[id].len);
		c->waiting_bytes -= c->chunk_len;
	}
	return true;
}

static bool stall(struct sockeye__uring *l, struct sockeye__uring_conn *c, uint32_t n)
{
	if (l->stalled + n > SOCKEYE__URING_STALLED_MAX)
		return false;
	l->stalled += n;
	c->stalled += n;
	return true;
}

bool sockeye__uring_stall(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	return stall(l, c, c->queue_count + (c->buffer >= 0));
}

void sockeye__uring_stall_end(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	l->stalled -= c->stalled;
	c->stalled = 0;
}

bool sockeye__uring_input_copy(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	return sockeye__uring_chunk_copy(l, c) && queue_copy(l, c);
}

bool sockeye__uring_input_queue(struct sockeye__uring *l, struct sockeye__uring_conn *c,
				const uint8_t *data, uint32_t n, int32_t id)
{
	bool sending = sockeye__uring_is_sending(c);
	bool copied;

	c->waiting_bytes += n;
	/* While a tracked send waits for the peer to read, these buffers cannot be used again:
	 * they count as stalled. */
	if (id >= 0 && c->base.in == NULL && (!sending || stall(l, c, 1))) {
		queue_add(l, c, id, n);
		return true;
	}
	copied = queue_copy(l, c) && sockeye__queue_add(&c->base.in, data, n);
	if (id >= 0)
		sockeye__uring_buffer_give(l, id, SOCKEYE__URING_OF_LOOP);
	return copied;
}

void sockeye__uring_input_drop(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	while (c->queue_first >= 0)
		sockeye__uring_buffer_give(l, queue_take(l, c), SOCKEYE__URING_OF_QUEUE);
	sockeye__uring_chunk_drop(l, c);
	sockeye__queue_drop(&c->base.in);
	c->waiting_bytes = 0;
}
