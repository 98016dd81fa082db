/*
 * send.c: sends the packets that the rules let pass. A packet that is sent immediately
 * is sent from the inbox; one that is delayed or held is copied first.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/time.h>

#include "relay/internal.h"

#define HOLD_NS (20 * SOCKEYE_NS_PER_MS) /* a packet is held no longer than this */

/* --- copies --- */

/* Returns a copy of the packet, or NULL if the queue is full or memory is short; the
 * packet is then counted as lost. */
static struct sockeye__relay_packet *copy_make(struct sockeye__relay_run *run,
					       const struct sockeye__relay_outgoing *p)
{
	struct sockeye__relay_packet *copy = p->copy;

	if (copy != NULL)
		return copy;
	if (run->counts->queued_now < SOCKEYE__RELAY_PACKETS_MAX &&
	    run->queued_bytes + sockeye__relay_copy_bytes(p->len) <= run->opts.queue_max)
		copy = malloc(sockeye__relay_copy_bytes(p->len));
	if (copy == NULL) {
		run->counts->direction[p->direction].lost += 1u + p->duplicate;
		return NULL;
	}
	*copy = (struct sockeye__relay_packet){
	    .flow = p->flow,
	    .flow_number = p->flow->number,
	    .mapping = p->mapping,
	    .target_port = p->mapping->target_port,
	    .direction = p->direction,
	    .jitter_ns = p->jitter_ns,
	    .duplicate = p->duplicate,
	    .len = p->len,
	};
	memcpy(copy->data, p->data, p->len);
	run->counts->queued_now++;
	run->queued_bytes += sockeye__relay_copy_bytes(p->len);
	return copy;
}

static void copy_lose(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy)
{
	run->counts->direction[copy->direction].lost += 1u + copy->duplicate;
	sockeye__relay_copy_free(run, copy);
}

/* Whether the packet's flow and mapping still exist. */
static bool is_current(const struct sockeye__relay_packet *copy)
{
	return copy->flow->number == copy->flow_number &&
	       copy->mapping->target_port == copy->target_port;
}

static struct sockeye__relay_outgoing outgoing_of(struct sockeye__relay_packet *copy)
{
	return (struct sockeye__relay_outgoing){
	    .flow = copy->flow,
	    .mapping = copy->mapping,
	    .direction = copy->direction,
	    .jitter_ns = copy->jitter_ns,
	    .duplicate = copy->duplicate,
	    .data = copy->data,
	    .len = copy->len,
	    .copy = copy,
	};
}

/* --- delayed packets --- */

static bool before(const struct sockeye__relay_packet *a, const struct sockeye__relay_packet *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

static void heap_push(struct sockeye__relay_heap *heap, struct sockeye__relay_packet *p)
{
	size_t i = heap->count++;

	for (; i > 0 && before(p, heap->packets[(i - 1) / 2]); i = (i - 1) / 2)
		heap->packets[i] = heap->packets[(i - 1) / 2];
	heap->packets[i] = p;
}

static struct sockeye__relay_packet *heap_pop(struct sockeye__relay_heap *heap)
{
	struct sockeye__relay_packet *first = heap->packets[0],
				     *last = heap->packets[--heap->count];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < heap->count; i = child) {
		if (child + 1 < heap->count &&
		    before(heap->packets[child + 1], heap->packets[child]))
			child++;
		if (!before(heap->packets[child], last))
			break;
		heap->packets[i] = heap->packets[child];
	}
	heap->packets[i] = last;
	return first;
}

static void forward(struct sockeye__relay_run *run, struct sockeye__relay_outgoing *p)
{
	const struct sockeye__fault_rules *rules = &run->opts.rules[p->direction];
	struct sockeye__relay_packet *copy;
	struct sockeye__fault_stream *stream = &p->flow->streams[p->direction];
	uint64_t *link_ns = &run->link_ns[p->direction], link_before_ns = *link_ns;
	uint64_t due_before_ns = stream->last_due_ns, due_ns;

	if (!sockeye__fault_delays(rules)) {
		sockeye__relay_send(run, p);
		return;
	}
	due_ns = sockeye__fault_due(rules, stream, link_ns, run->now_ns, p->jitter_ns,
				    p->len * (1u + p->duplicate));
	if (due_ns <= run->now_ns && p->flow->queued[p->direction] == 0) {
		sockeye__relay_send(run, p);
		return;
	}
	copy = copy_make(run, p);
	if (copy == NULL) { /* a lost packet takes no time on the link */
		*link_ns = link_before_ns;
		stream->last_due_ns = due_before_ns;
		return;
	}
	copy->due_ns = due_ns;
	copy->order = ++run->order;
	p->flow->queued[p->direction]++;
	heap_push(&run->heap, copy);
}

/* --- held packets, which others overtake --- */

static void held_unlink(struct sockeye__relay_run *run, struct sockeye__relay_packet *p)
{
	struct sockeye__relay_packet **held = p->flow->held[p->direction];
	unsigned *count = &p->flow->held_count[p->direction], i = 0;

	while (held[i] != p)
		i++;
	memmove(&held[i], &held[i + 1], (--*count - i) * sizeof(struct sockeye__relay_packet *));
	*(p->prev != NULL ? &p->prev->next : &run->held_first) = p->next;
	*(p->next != NULL ? &p->next->prev : &run->held_last) = p->prev;
	assert(run->held_first != p && run->held_last != p);
}

static void held_forward(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy)
{
	struct sockeye__relay_outgoing p = outgoing_of(copy);

	held_unlink(run, copy);
	if (is_current(copy))
		forward(run, &p);
	else
		copy_lose(run, copy);
}

/* Called after a packet of the stream has passed. Forwards the held packets that have
 * now been overtaken often enough. */
static void held_overtaken(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
			   enum sockeye__fault_direction direction)
{
	unsigned i = 0;

	while (i < flow->held_count[direction]) {
		struct sockeye__relay_packet *p = flow->held[direction][i];

		if (--p->overtakers == 0)
			held_forward(run, p);
		else
			i++;
	}
}

static void hold(struct sockeye__relay_run *run, struct sockeye__relay_outgoing *p,
		 unsigned overtakers)
{
	struct sockeye__relay_flow *flow = p->flow;
	struct sockeye__relay_packet *copy = copy_make(run, p);

	if (copy == NULL)
		return;
	assert(flow->held_count[p->direction] < SOCKEYE__FAULT_HOLD_MAX);
	flow->held[p->direction][flow->held_count[p->direction]++] = copy;
	copy->overtakers = overtakers;
	copy->due_ns = run->now_ns + HOLD_NS;
	copy->next = NULL;
	copy->prev = run->held_last;
	*(run->held_last != NULL ? &run->held_last->next : &run->held_first) = copy;
	run->held_last = copy;
}

void sockeye__relay_held_drop(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	for (unsigned direction = 0; direction < SOCKEYE__FAULT_DIRECTIONS; direction++)
		while (flow->held_count[direction] > 0) {
			struct sockeye__relay_packet *p =
			    flow->held[direction][flow->held_count[direction] - 1];

			held_unlink(run, p);
			copy_lose(run, p);
		}
}

/* --- the interface --- */

void sockeye__relay_pass(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
			 struct sockeye__relay_mapping *mapping,
			 enum sockeye__fault_direction direction,
			 const struct sockeye__fault_verdict *verdict, const uint8_t *data,
			 size_t len)
{
	struct sockeye__relay_outgoing p = {
	    .flow = flow,
	    .mapping = mapping,
	    .direction = direction,
	    .jitter_ns = verdict->jitter_ns,
	    .duplicate = verdict->duplicate,
	    .data = data,
	    .len = len,
	};

	run->counts->direction[direction].duplicated += verdict->duplicate;
	run->counts->direction[direction].reordered += verdict->hold > 0;
	if (verdict->hold == 0)
		forward(run, &p);
	held_overtaken(run, flow, direction);
	if (verdict->hold > 0)
		hold(run, &p, verdict->hold);
}

void sockeye__relay_release(struct sockeye__relay_run *run)
{
	struct sockeye__relay_heap *heap = &run->heap;

	while (run->held_first != NULL && run->held_first->due_ns <= run->now_ns)
		held_forward(run, run->held_first);
	while (heap->count > 0 && heap->packets[0]->due_ns <= run->now_ns) {
		struct sockeye__relay_packet *copy = heap_pop(heap);
		struct sockeye__relay_outgoing p = outgoing_of(copy);

		if (p.flow->number == copy->flow_number)
			p.flow->queued[p.direction]--;
		if (is_current(copy))
			sockeye__relay_send(run, &p);
		else
			copy_lose(run, copy);
	}
	sockeye__relay_flush(run);
}

uint64_t sockeye__relay_next_ns(const struct sockeye__relay_run *run)
{
	uint64_t next = run->heap.count > 0 ? run->heap.packets[0]->due_ns : UINT64_MAX;

	if (run->held_first != NULL && run->held_first->due_ns < next)
		next = run->held_first->due_ns;
	return next;
}

void sockeye__relay_queue_fini(struct sockeye__relay_run *run)
{
	while (run->heap.count > 0)
		copy_lose(run, heap_pop(&run->heap));
}
