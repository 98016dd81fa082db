/*
 * uring_input.c: input that a session has before it, and input behind that.
 *
 * Multishot receives go on while a session waits for its peer to read, so
 * input can pile up: a bounded share of the ring's buffers may wait where it
 * is; beyond that it is copied to memory of its own, and receiving is called
 * off by uring_conn.c.
 */
#include "serve/uring_internal.h"

static int32_t queue_take(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	int32_t id = c->queue_first;

	c->queue_first = l->queued[id].next;
	c->queue_len--;
	return id;
}

static void queue_add(struct sockeye__uring *l, struct sockeye__uring_conn *c, int32_t id,
		      uint32_t len)
{
	l->queued[id].len = len;
	l->queued[id].next = -1;
	if (c->queue_first < 0)
		c->queue_first = id;
	else
		l->queued[c->queue_last].next = id;
	c->queue_last = id;
	c->queue_len++;
}

/* Moves all that waits in ring buffers to memory of its own. */
static bool queue_own(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	bool kept = true;

	while (c->queue_first >= 0) {
		int32_t id = queue_take(l, c);

		kept = kept && sockeye__queue_add(&c->base.in, sockeye__uring_buffer(l, id),
						  l->queued[id].len);
		sockeye__uring_buffer_give(l, id);
	}
	return kept;
}

void sockeye__uring_chunk_drop(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (c->buffer >= 0)
		sockeye__uring_buffer_give(l, c->buffer);
	c->buffer = -1;
	sockeye__queue_drop(&c->own);
	c->chunk_len = 0;
}

bool sockeye__uring_chunk_own(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	struct sockeye__queue *own = NULL;

	if (c->buffer < 0)
		return true;
	if (!sockeye__queue_add(&own, c->chunk, c->chunk_len))
		return false;
	sockeye__uring_buffer_give(l, c->buffer);
	c->buffer = -1;
	c->own = own;
	c->chunk = own != NULL ? own->data : NULL;
	return true;
}

/* What is left of the chunk and all that waits behind it, as one chunk. */
static bool chunk_join(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	struct sockeye__queue *all = NULL;

	if (!queue_own(l, c) || !sockeye__queue_add(&all, c->chunk, c->chunk_len))
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
		c->own = c->base.in;
		c->base.in = NULL;
		c->chunk = c->own->data;
		c->chunk_len = (uint32_t)c->own->len;
		c->behind = c->queue_first >= 0 ? c->behind - c->chunk_len : 0;
	} else {
		int32_t id = queue_take(l, c);

		sockeye__uring_chunk_set(l, c, id, l->queued[id].len);
		c->behind -= c->chunk_len;
	}
	return true;
}

static bool hold(struct sockeye__uring *l, struct sockeye__uring_conn *c, uint32_t n)
{
	if (l->held + n > SOCKEYE__URING_BUFFERS / 2)
		return false;
	l->held += n;
	c->held += n;
	return true;
}

bool sockeye__uring_hold(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	return hold(l, c, c->queue_len + (c->buffer >= 0));
}

bool sockeye__uring_input_own(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	return sockeye__uring_chunk_own(l, c) && queue_own(l, c);
}

void sockeye__uring_unhold(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	l->held -= c->held;
	c->held = 0;
}

bool sockeye__uring_input_wait(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			       const uint8_t *data, uint32_t n, int32_t id)
{
	bool kept = true;

	c->behind += n;
	/* A send that is tracked may wait for the peer, and all buffers with it. */
	if (id >= 0 && c->base.in == NULL && (!c->sending || hold(l, c, 1))) {
		queue_add(l, c, id, n);
	} else {
		kept = queue_own(l, c) && sockeye__queue_add(&c->base.in, data, n);
		if (id >= 0)
			sockeye__uring_buffer_give(l, id);
	}
	return kept;
}

void sockeye__uring_input_drop(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	while (c->queue_first >= 0)
		sockeye__uring_buffer_give(l, queue_take(l, c));
	sockeye__uring_chunk_drop(l, c);
	sockeye__queue_drop(&c->base.in);
	c->behind = 0;
}
