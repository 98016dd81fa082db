/*
 * send.c: sends the packets that the rules let pass. A packet that is sent immediately
 * is sent from the inbox; one that is delayed or held is copied first.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/time.h>

#include "relay/internal.h"

#define HOLD_NS      (20 * SOCKEYE_NS_PER_MS) /* a packet is held no longer than this */
#define SEGMENTS_MAX 64                       /* per UDP_SEGMENT message, udp(7) */
#define SEND_WAIT_MS 10
#define TRIES_MAX    4

/* A packet to be sent, now or later. */
struct outgoing {
	struct sockeye__relay_flow *flow;
	struct sockeye__relay_mapping *mapping;
	enum sockeye__fault_direction direction;
	uint64_t jitter_ns;
	bool duplicate;
	const uint8_t *data;
	size_t len;
	struct sockeye__relay_packet *copy; /* the copy that holds `data`; NULL: the inbox */
};

static size_t copy_bytes(size_t len)
{
	return sizeof(struct sockeye__relay_packet) + len;
}

static void copy_free(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy)
{
	run->counts->queued_now--;
	run->queued_bytes -= copy_bytes(copy->len);
	free(copy);
}

/* --- the outbox --- */

static void count_out(struct sockeye__relay_run *run, enum sockeye__fault_direction direction,
		      size_t packets, size_t bytes)
{
	run->counts->direction[direction].out += packets;
	run->counts->direction[direction].out_bytes += bytes;
}

/* Prepares to retry a failed send: waits until the socket is writable, or takes the ICMP
 * error for an earlier packet from the socket. Returns false if a retry is useless. */
static bool retry_prepare(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow, int err,
			  unsigned *tries)
{
	const struct sockeye__relay_outbox *o = &run->outbox;

	if (err == EINTR)
		return true;
	if (++*tries > TRIES_MAX)
		return false;
	if (err == EAGAIN)
		return poll(&(struct pollfd){.fd = o->fd, .events = POLLOUT}, 1, SEND_WAIT_MS) > 0;
	if (o->direction == SOCKEYE__FAULT_UP)
		return sockeye__relay_errors_take(run, flow);
	return err == ECONNREFUSED;
}

/* Counts packets that could not be sent, and reports the error, except a full queue or a closed
 * port. */
static void lose(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow, unsigned count,
		 int err)
{
	enum sockeye__fault_direction direction = run->outbox.direction;

	run->counts->direction[direction].lost += count;
	if (err == EAGAIN || err == ECONNREFUSED || flow->loss_reported[direction] ||
	    run->opts.on_lost == NULL)
		return;
	flow->loss_reported[direction] = true;
	run->opts.on_lost(run->opts.arg, flow->number, direction, -err);
}

/* Sends the packets of a group one by one. */
static void send_singly(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
			struct msghdr group, size_t size)
{
	struct sockeye__relay_outbox *o = &run->outbox;

	for (size_t i = 0; i < group.msg_iovlen; i++) {
		struct iovec rest = group.msg_iov[i];

		while (rest.iov_len > 0) {
			struct iovec one = {rest.iov_base,
					    rest.iov_len < size ? rest.iov_len : size};
			struct msghdr msg = group;
			unsigned tries = 0;
			ssize_t n;
			int err;

			msg.msg_iov = &one;
			msg.msg_iovlen = 1;
			do {
				n = sendmsg(o->fd, &msg, MSG_NOSIGNAL);
				err = errno;
			} while (n < 0 && retry_prepare(run, flow, err, &tries));
			if (n >= 0)
				count_out(run, o->direction, 1, one.iov_len);
			else
				lose(run, flow, 1, err);
			rest.iov_base = (uint8_t *)rest.iov_base + one.iov_len;
			rest.iov_len -= one.iov_len;
		}
	}
}

/* Handles message i of the outbox, which could not be sent: sends its packets singly if
 * that can help, otherwise counts them as lost. */
static void send_failed(struct sockeye__relay_run *run, unsigned i, int err)
{
	struct sockeye__relay_outbox *o = &run->outbox;
	struct sockeye__relay_group *p = &o->groups[i];
	struct msghdr msg = o->msgs[i].msg_hdr;

	if (p->count == 1 || !sockeye__dgram_cut_refused(-err)) {
		lose(run, p->flow, p->count, err);
		return;
	}
	o->no_segments[o->direction] = true;
	if (msg.msg_name != NULL && p->mapping->port.wildcard)
		sockeye__dgram_source(&msg, o->control[i], &p->flow->client);
	else
		msg.msg_controllen = 0;
	send_singly(run, p->flow, msg, p->size);
}

void sockeye__relay_flush(struct sockeye__relay_run *run)
{
	struct sockeye__relay_outbox *o = &run->outbox;
	unsigned done = 0, tries = 0;

	for (unsigned i = 0; i < o->count; i++)
		if (o->groups[i].count > 1)
			sockeye__dgram_cut(&o->msgs[i].msg_hdr, o->control[i],
					   (uint16_t)o->groups[i].size);
	while (done < o->count) {
		int n = sendmmsg(o->fd, o->msgs + done, o->count - done, MSG_NOSIGNAL);
		int err = errno;

		if (n <= 0 && retry_prepare(run, o->groups[done].flow, err, &tries))
			continue;
		if (n <= 0)
			send_failed(run, done++, err);
		for (; n > 0; n--, done++)
			count_out(run, o->direction, o->groups[done].count, o->groups[done].total);
		tries = 0;
	}
	o->count = o->slice_count = 0;
	while (o->copies != NULL) {
		struct sockeye__relay_packet *copy = o->copies;

		o->copies = copy->next;
		copy_free(run, copy);
	}
}

/* Whether the packet can be added to the last group. */
static bool joins(const struct sockeye__relay_outbox *o, const struct outgoing *p)
{
	const struct sockeye__relay_group *last;

	if (o->count == 0)
		return false;
	last = &o->groups[o->count - 1];
	return o->direction == p->direction && !o->no_segments[p->direction] &&
	       last->flow == p->flow && last->mapping == p->mapping && p->len > 0 &&
	       p->len <= last->size && last->total == last->count * last->size &&
	       last->count < SEGMENTS_MAX && last->total + p->len <= SOCKEYE_UDP_PAYLOAD_MAX;
}

static void slice_add(struct sockeye__relay_outbox *o, struct msghdr *msg, const struct outgoing *p)
{
	if (msg->msg_iovlen > 0) {
		struct iovec *last = &msg->msg_iov[msg->msg_iovlen - 1];

		if ((uint8_t *)last->iov_base + last->iov_len == p->data) {
			last->iov_len += p->len;
			return;
		}
	}
	o->slices[o->slice_count++] = (struct iovec){(void *)(uintptr_t)p->data, p->len};
	msg->msg_iovlen++;
}

/* Begins a group and returns its message. */
static struct msghdr *group_new(struct sockeye__relay_run *run, const struct outgoing *p)
{
	struct sockeye__relay_outbox *o = &run->outbox;
	bool up = p->direction == SOCKEYE__FAULT_UP;
	struct msghdr *msg = &o->msgs[o->count].msg_hdr;

	*msg = (struct msghdr){.msg_iov = &o->slices[o->slice_count]};
	o->groups[o->count] = (struct sockeye__relay_group){
	    .flow = p->flow,
	    .mapping = p->mapping,
	    .size = p->len,
	};
	if (up || p->mapping->port.kind == SOCKEYE__RELAY_LISTENER) {
		const struct sockeye_sockaddr *to = up ? &run->target_name : &p->flow->client.peer;
		struct sockeye_sockaddr *name = &o->names[o->count];

		memcpy(&name->u, &to->u, to->len);
		if (up) /* sin6_port is at the same offset */
			name->u.in.sin_port = htons(p->mapping->target_port);
		msg->msg_name = &name->u;
		msg->msg_namelen = to->len;
		if (!up && p->mapping->port.wildcard)
			sockeye__dgram_source(msg, o->control[o->count], &p->flow->client);
	}
	o->count++;
	return msg;
}

static void outbox_add(struct sockeye__relay_run *run, const struct outgoing *p)
{
	struct sockeye__relay_outbox *o = &run->outbox;
	int fd = p->direction == SOCKEYE__FAULT_UP ? p->flow->target.fd : p->mapping->port.fd;
	struct msghdr *msg;

	if (o->slice_count == SOCKEYE__RELAY_SLICES ||
	    (o->count == SOCKEYE__RELAY_BATCH && !joins(o, p)) ||
	    (o->count > 0 && (o->fd != fd || o->direction != p->direction)))
		sockeye__relay_flush(run);
	o->fd = fd;
	msg = joins(o, p) ? &o->msgs[o->count - 1].msg_hdr : group_new(run, p);
	o->direction = p->direction;
	slice_add(o, msg, p);
	o->groups[o->count - 1].total += p->len;
	o->groups[o->count - 1].count++;
}

static void send_now(struct sockeye__relay_run *run, const struct outgoing *p)
{
	outbox_add(run, p);
	if (p->duplicate)
		outbox_add(run, p);
	if (p->copy != NULL) {
		p->copy->next = run->outbox.copies;
		run->outbox.copies = p->copy;
	}
}

/* --- copies --- */

/* Returns a copy of the packet, or NULL if the queue is full or memory is short; the
 * packet is then counted as lost. */
static struct sockeye__relay_packet *copy_make(struct sockeye__relay_run *run,
					       const struct outgoing *p)
{
	struct sockeye__relay_packet *copy = p->copy;

	if (copy != NULL)
		return copy;
	if (run->counts->queued_now < SOCKEYE__RELAY_PACKETS_MAX &&
	    run->queued_bytes + copy_bytes(p->len) <= run->opts.queue_max)
		copy = malloc(copy_bytes(p->len));
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
	run->queued_bytes += copy_bytes(p->len);
	return copy;
}

static void copy_lose(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy)
{
	run->counts->direction[copy->direction].lost += 1u + copy->duplicate;
	copy_free(run, copy);
}

/* Whether the packet's flow and mapping still exist. */
static bool is_current(const struct sockeye__relay_packet *copy)
{
	return copy->flow->number == copy->flow_number &&
	       copy->mapping->target_port == copy->target_port;
}

static struct outgoing outgoing_of(struct sockeye__relay_packet *copy)
{
	return (struct outgoing){
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

static void forward(struct sockeye__relay_run *run, struct outgoing *p)
{
	const struct sockeye__fault_rules *rules = &run->opts.rules[p->direction];
	struct sockeye__relay_packet *copy;
	struct sockeye__fault_stream *stream = &p->flow->streams[p->direction];
	uint64_t *link_ns = &run->link_ns[p->direction], link_before_ns = *link_ns;
	uint64_t due_before_ns = stream->last_due_ns, due_ns;

	if (!sockeye__fault_delays(rules)) {
		send_now(run, p);
		return;
	}
	due_ns = sockeye__fault_due(rules, stream, link_ns, run->now_ns, p->jitter_ns,
				    p->len * (1u + p->duplicate));
	if (due_ns <= run->now_ns && p->flow->queued[p->direction] == 0) {
		send_now(run, p);
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
	struct outgoing p = outgoing_of(copy);

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

static void hold(struct sockeye__relay_run *run, struct outgoing *p, unsigned overtakers)
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
	struct outgoing p = {
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
		struct outgoing p = outgoing_of(copy);

		if (p.flow->number == copy->flow_number)
			p.flow->queued[p.direction]--;
		if (is_current(copy))
			send_now(run, &p);
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
