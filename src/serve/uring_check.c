/* uring_check.c: the invariants of a connection under io_uring. */
#include "serve/uring_internal.h"

/* Asserts that the chunk lies in the one buffer that holds it. */
static void chunk_check(const struct sockeye__uring *l, const struct sockeye__uring_conn *c)
{
	const struct sockeye__queue *memory = c->chunk_memory;

	assert(c->buffer < 0 || memory == NULL);
	if (c->buffer >= 0) {
		const uint8_t *start = sockeye__uring_buffer(l, c->buffer);

		assert(l->owners[c->buffer] == SOCKEYE__URING_OF_CHUNK);
		assert(c->chunk >= start);
		assert(c->chunk + c->chunk_len <= start + SOCKEYE__URING_BUFFER_BYTES);
	} else if (memory != NULL) {
		assert(c->chunk >= memory->data);
		assert(c->chunk + c->chunk_len == memory->data + memory->len);
	} else {
		assert(c->chunk_len == 0);
	}
	/* A connection holds a buffer only while a send or a turn uses the buffer. */
	assert(c->chunk_len > 0 || (c->buffer < 0 && memory == NULL) ||
	       (c->requests & SOCKEYE__URING_SENDING) || (c->lists & SOCKEYE__URING_POSTPONED));
}

static void input_check(const struct sockeye__uring *l, const struct sockeye__uring_conn *c)
{
	size_t bytes = sockeye__queue_left(c->base.in);
	uint32_t count = 0;

	chunk_check(l, c);
	assert(c->base.in == NULL || c->queue_first < 0);
	for (int32_t id = c->queue_first; id >= 0; id = l->queued[id].next) {
		assert(l->owners[id] == SOCKEYE__URING_OF_QUEUE);
		assert(l->queued[id].next >= 0 || id == c->queue_last);
		bytes += l->queued[id].len;
		count++;
		assert(count <= SOCKEYE__URING_BUFFERS);
	}
	assert(count == c->queue_count);
	assert(bytes == c->waiting_bytes);
	/* Buffers are stalled only while a send is in flight, and only those that the
	 * connection has. */
	assert(c->stalled == 0 || (c->requests & SOCKEYE__URING_SENDING));
	assert(c->stalled <= count + (c->buffer >= 0));
	assert(c->stalled <= l->stalled && l->stalled <= SOCKEYE__URING_STALLED_MAX);
}

static void lists_check(const struct sockeye__uring *l, const struct sockeye__uring_conn *c)
{
	const struct sockeye__uring_conn *p;
	uint8_t lists = 0;
	bool closed = false;

	for (p = l->starved; p != NULL; p = p->next_starved)
		lists |= p == c ? SOCKEYE__URING_STARVED : 0;
	for (p = l->postponed; p != NULL; p = p->next_postponed)
		lists |= p == c ? SOCKEYE__URING_POSTPONED : 0;
	for (p = l->postponed_before; p != NULL; p = p->next_postponed)
		lists |= p == c ? SOCKEYE__URING_POSTPONED : 0;
	for (p = l->closed; p != NULL; p = p->next_closed)
		closed |= p == c;
	assert(lists == c->lists);
	assert(closed == (c->life == SOCKEYE__URING_CLOSED));
}

static bool is_within(const uint8_t *data, size_t len, const uint8_t *start, size_t size)
{
	return data >= start && data + len <= start + size;
}

/* Asserts that data being sent is in memory owned by the connection or its quiet send. */
static void send_check(const struct sockeye__uring *l, const struct sockeye__uring_conn *c)
{
	const struct sockeye__queue *out = c->base.out, *memory = c->chunk_memory;
	int32_t id = c->buffer;
	bool owned = (out != NULL && is_within(c->sent, c->sent_len, out->data, out->len)) ||
		     (memory != NULL && is_within(c->sent, c->sent_len, memory->data, memory->len));

	assert(!(sockeye__uring_is_sending(c) && sockeye__uring_is_quiet_pending(l, c)));
	assert(sockeye__uring_is_sending(c) || out == NULL);
	assert(sockeye__uring_is_sending(c) || c->base.after_output != SOCKEYE__AFTER_CLOSE);
	if (sockeye__uring_is_quiet_pending(l, c)) {
		assert(c->quiet_index < l->quiet->count);
		id = l->quiet->ids[c->quiet_index];
		assert(l->owners[id] == SOCKEYE__URING_OF_QUIET);
	} else if (!sockeye__uring_is_sending(c)) {
		return;
	}
	assert(owned || (id >= 0 && is_within(c->sent, c->sent_len, sockeye__uring_buffer(l, id),
					      SOCKEYE__URING_BUFFER_BYTES)));
}

/* Asserts that a request, a list or a deadline will continue the connection. */
static void progress_check(const struct sockeye__uring_conn *c)
{
	bool receiving = (c->requests & SOCKEYE__URING_RECEIVING) != 0;
	bool starved = (c->lists & SOCKEYE__URING_STARVED) != 0;
	bool goes_on = sockeye__uring_is_sending(c) || (c->lists & SOCKEYE__URING_POSTPONED) != 0;
	bool in_end = c->base.visit.in_end;

	assert(c->requests != 0 || c->lists != 0 || c->base.deadline_ns != 0);
	assert(c->waiting_bytes == 0 || goes_on);
	assert(!in_end || c->end_offered || goes_on);
	assert(!receiving || (!in_end && !starved));
	assert(receiving || starved || in_end || goes_on || c->chunk_len >= SOCKEYE_INPUT_MAX);
}

void sockeye__uring_conn_check(const struct sockeye__uring *l, const struct sockeye__uring_conn *c)
{
	bool sending = sockeye__uring_is_sending(c),
	     postponed = (c->lists & SOCKEYE__URING_POSTPONED) != 0;

	lists_check(l, c);
	switch ((enum sockeye__uring_life)c->life) {
	case SOCKEYE__URING_OPEN:
		/* The deadline is checked only when the session can have a turn. */
		sockeye__conn_check(&l->clocks, &c->base, !sending && !postponed);
		input_check(l, c);
		send_check(l, c);
		progress_check(c);
		break;
	case SOCKEYE__URING_CLOSING:
		assert(c->requests != 0 || c->lists != 0);
		assert(c->base.timer.index == 0);
		break;
	case SOCKEYE__URING_CLOSED:
		assert(c->requests == 0 && c->lists == 0);
		assert(c->base.timer.index == 0);
		break;
	}
}
