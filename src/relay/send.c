/*
 * send.c: packets that pass: at once, straight from where they were
 * received, or later, as copies.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/time.h>

#include "relay/internal.h"

#define HOLD_NS      (20 * SOCKEYE_NS_PER_MS) /* nothing more may come */
#define SEGMENTS_MAX 64                       /* of one UDP_SEGMENT message, udp(7) */
#define SEND_WAIT_MS 10
#define TRIES        4

/* A packet on its way out. */
struct passing {
	struct sockeye__relay_flow *flow;
	struct sockeye__relay_door *door;
	enum sockeye__relay_way way;
	uint64_t more_ns;
	bool twice;
	const uint8_t *data;
	size_t len;
	struct sockeye__relay_packet *copy; /* where data is; NULL: in the inbox */
};

static size_t cost(size_t len)
{
	return sizeof(struct sockeye__relay_packet) + len;
}

static void copy_free(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy)
{
	run->counts->queued_now--;
	run->queued_bytes -= cost(copy->len);
	free(copy);
}

/* --- out --- */

static void count_out(struct sockeye__relay_run *run, enum sockeye__relay_way way, size_t packets,
		      size_t bytes)
{
	run->counts->way[way].out += packets;
	run->counts->way[way].out_bytes += bytes;
}

/* Whether a send that failed is to be tried again: after some time, or because
 * it was told what ICMP had said of earlier packets. */
static bool again(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow, int err,
		  unsigned *tries)
{
	const struct sockeye__relay_outbox *o = &run->outbox;

	if (err == EINTR)
		return true;
	if (++*tries > TRIES)
		return false;
	if (err == EAGAIN)
		return poll(&(struct pollfd){.fd = o->fd, .events = POLLOUT}, 1, SEND_WAIT_MS) > 0;
	if (o->way == SOCKEYE__RELAY_UP)
		return sockeye__relay_errors_take(run, flow);
	return err == ECONNREFUSED;
}

/* Sends the packets of a parcel one by one. */
static void send_apart(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
		       struct msghdr parcel, size_t size)
{
	struct sockeye__relay_outbox *o = &run->outbox;

	for (size_t i = 0; i < parcel.msg_iovlen; i++) {
		struct iovec rest = parcel.msg_iov[i];

		while (rest.iov_len > 0) {
			struct iovec one = {rest.iov_base,
					    rest.iov_len < size ? rest.iov_len : size};
			struct msghdr msg = parcel;
			unsigned tries = 0;
			ssize_t n;

			msg.msg_iov = &one;
			msg.msg_iovlen = 1;
			do
				n = sendmsg(o->fd, &msg, MSG_NOSIGNAL);
			while (n < 0 && again(run, flow, errno, &tries));
			if (n >= 0)
				count_out(run, o->way, 1, one.iov_len);
			else
				run->counts->way[o->way].lost++;
			rest.iov_base = (uint8_t *)rest.iov_base + one.iov_len;
			rest.iov_len -= one.iov_len;
		}
	}
}

/* A message could not be sent. */
static void send_failed(struct sockeye__relay_run *run, unsigned i, int err)
{
	struct sockeye__relay_outbox *o = &run->outbox;
	struct sockeye__relay_parcel *p = &o->parcels[i];
	struct msghdr msg = o->msgs[i].msg_hdr;

	if (p->count == 1 || !sockeye__dgram_cut_refused(-err)) {
		run->counts->way[o->way].lost += p->count;
		return;
	}
	o->apart[o->way] = true;
	if (msg.msg_name != NULL && p->door->port.wildcard)
		sockeye__dgram_source(&msg, o->control[i], &p->flow->client);
	else
		msg.msg_controllen = 0;
	send_apart(run, p->flow, msg, p->size);
}

void sockeye__relay_flush(struct sockeye__relay_run *run)
{
	struct sockeye__relay_outbox *o = &run->outbox;
	unsigned done = 0, tries = 0;

	for (unsigned i = 0; i < o->count; i++)
		if (o->parcels[i].count > 1)
			sockeye__dgram_cut(&o->msgs[i].msg_hdr, o->control[i],
					   (uint16_t)o->parcels[i].size);
	while (done < o->count) {
		int n = sendmmsg(o->fd, o->msgs + done, o->count - done, MSG_NOSIGNAL);
		int err = errno;

		if (n <= 0 && again(run, o->parcels[done].flow, err, &tries))
			continue;
		if (n <= 0)
			send_failed(run, done++, err);
		for (; n > 0; n--, done++)
			count_out(run, o->way, o->parcels[done].count, o->parcels[done].total);
		tries = 0;
	}
	o->count = o->slice_count = 0;
	while (o->sent != NULL) {
		struct sockeye__relay_packet *copy = o->sent;

		o->sent = copy->next;
		copy_free(run, copy);
	}
}

/* Whether the packet goes into the last parcel. */
static bool joins(const struct sockeye__relay_outbox *o, const struct passing *p)
{
	const struct sockeye__relay_parcel *last;

	if (o->count == 0)
		return false;
	last = &o->parcels[o->count - 1];
	return o->way == p->way && !o->apart[p->way] && last->flow == p->flow &&
	       last->door == p->door && p->len > 0 && p->len <= last->size &&
	       last->total == last->count * last->size && last->count < SEGMENTS_MAX &&
	       last->total + p->len <= SOCKEYE_UDP_PAYLOAD_MAX;
}

static void slice_add(struct sockeye__relay_outbox *o, struct msghdr *msg, const struct passing *p)
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

/* Begins a parcel of the outbox. */
static struct msghdr *parcel_new(struct sockeye__relay_run *run, const struct passing *p)
{
	struct sockeye__relay_outbox *o = &run->outbox;
	bool up = p->way == SOCKEYE__RELAY_UP;
	struct msghdr *msg = &o->msgs[o->count].msg_hdr;

	*msg = (struct msghdr){.msg_iov = &o->slices[o->slice_count]};
	o->parcels[o->count] = (struct sockeye__relay_parcel){p->flow, p->door, p->len, 0, 0};
	if (up || p->door->port.kind == SOCKEYE__RELAY_LISTENER) {
		const struct sockeye_sockaddr *to = up ? &run->target_name : &p->flow->client.peer;
		struct sockeye_sockaddr *name = &o->names[o->count];

		memcpy(&name->u, &to->u, to->len);
		if (up) /* sin_port and sin6_port are in the same place */
			name->u.in.sin_port = htons(p->door->target_port);
		msg->msg_name = &name->u;
		msg->msg_namelen = to->len;
		if (!up && p->door->port.wildcard)
			sockeye__dgram_source(msg, o->control[o->count], &p->flow->client);
	}
	o->count++;
	return msg;
}

static void post(struct sockeye__relay_run *run, const struct passing *p)
{
	struct sockeye__relay_outbox *o = &run->outbox;
	int fd = p->way == SOCKEYE__RELAY_UP ? p->flow->target.fd : p->door->port.fd;
	struct msghdr *msg;

	if (o->slice_count == SOCKEYE__RELAY_SLICES ||
	    (o->count == SOCKEYE__RELAY_BATCH && !joins(o, p)) ||
	    (o->count > 0 && (o->fd != fd || o->way != p->way)))
		sockeye__relay_flush(run);
	o->fd = fd;
	msg = joins(o, p) ? &o->msgs[o->count - 1].msg_hdr : parcel_new(run, p);
	o->way = p->way;
	slice_add(o, msg, p);
	o->parcels[o->count - 1].total += p->len;
	o->parcels[o->count - 1].count++;
}

static void send_now(struct sockeye__relay_run *run, const struct passing *p)
{
	post(run, p);
	if (p->twice)
		post(run, p);
	if (p->copy != NULL) {
		p->copy->next = run->outbox.sent;
		run->outbox.sent = p->copy;
	}
}

/* --- copies --- */

/* The copy of what is in the inbox; NULL when there is no room. */
static struct sockeye__relay_packet *keep(struct sockeye__relay_run *run, const struct passing *p)
{
	struct sockeye__relay_packet *copy = p->copy;

	if (copy != NULL)
		return copy;
	if (run->counts->queued_now < SOCKEYE__RELAY_PACKETS_MAX &&
	    run->queued_bytes + cost(p->len) <= run->opts.queue_max)
		copy = malloc(cost(p->len));
	if (copy == NULL) {
		run->counts->way[p->way].lost += 1u + p->twice;
		return NULL;
	}
	*copy = (struct sockeye__relay_packet){
	    .flow = p->flow,
	    .flow_number = p->flow->number,
	    .door = p->door,
	    .target_port = p->door->target_port,
	    .way = p->way,
	    .more_ns = p->more_ns,
	    .twice = p->twice,
	    .len = p->len,
	};
	memcpy(copy->data, p->data, p->len);
	run->counts->queued_now++;
	run->queued_bytes += cost(p->len);
	return copy;
}

static void lose(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy)
{
	run->counts->way[copy->way].lost += 1u + copy->twice;
	copy_free(run, copy);
}

/* Whether the flow and the door are still those it was for. */
static bool is_current(const struct sockeye__relay_packet *copy)
{
	return copy->flow->number == copy->flow_number &&
	       copy->door->target_port == copy->target_port;
}

static struct passing passing_of(struct sockeye__relay_packet *copy)
{
	return (struct passing){
	    .flow = copy->flow,
	    .door = copy->door,
	    .way = copy->way,
	    .more_ns = copy->more_ns,
	    .twice = copy->twice,
	    .data = copy->data,
	    .len = copy->len,
	    .copy = copy,
	};
}

/* --- by when they are due --- */

static bool before(const struct sockeye__relay_packet *a, const struct sockeye__relay_packet *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

static void heap_push(struct sockeye__relay_heap *heap, struct sockeye__relay_packet *p)
{
	size_t i = heap->count++;

	for (; i > 0 && before(p, heap->v[(i - 1) / 2]); i = (i - 1) / 2)
		heap->v[i] = heap->v[(i - 1) / 2];
	heap->v[i] = p;
}

static struct sockeye__relay_packet *heap_pop(struct sockeye__relay_heap *heap)
{
	struct sockeye__relay_packet *first = heap->v[0], *last = heap->v[--heap->count];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < heap->count; i = child) {
		if (child + 1 < heap->count && before(heap->v[child + 1], heap->v[child]))
			child++;
		if (!before(heap->v[child], last))
			break;
		heap->v[i] = heap->v[child];
	}
	heap->v[i] = last;
	return first;
}

static void forward(struct sockeye__relay_run *run, struct passing *p)
{
	const struct sockeye__relay_rules *rules = &run->opts.rules[p->way];
	struct sockeye__relay_packet *copy;
	struct sockeye__relay_stream *stream = &p->flow->streams[p->way];
	uint64_t *link_ns = &run->link_ns[p->way], link_before_ns = *link_ns;
	uint64_t due_before_ns = stream->last_due_ns, due_ns;

	if (!sockeye__relay_delays(rules)) {
		send_now(run, p);
		return;
	}
	due_ns = sockeye__relay_due(rules, stream, link_ns, run->now_ns, p->more_ns,
				    p->len * (1u + p->twice));
	if (due_ns <= run->now_ns && p->flow->queued[p->way] == 0) {
		send_now(run, p);
		return;
	}
	copy = keep(run, p);
	if (copy == NULL) { /* what is lost takes no time of the line */
		*link_ns = link_before_ns;
		stream->last_due_ns = due_before_ns;
		return;
	}
	copy->due_ns = due_ns;
	copy->order = ++run->order;
	p->flow->queued[p->way]++;
	heap_push(&run->heap, copy);
}

/* --- held back --- */

static void held_unlink(struct sockeye__relay_run *run, struct sockeye__relay_packet *p)
{
	struct sockeye__relay_packet **held = p->flow->held[p->way];
	unsigned *count = &p->flow->held_count[p->way], i = 0;

	while (held[i] != p)
		i++;
	memmove(&held[i], &held[i + 1], (--*count - i) * sizeof(struct sockeye__relay_packet *));
	*(p->prev != NULL ? &p->prev->next : &run->held_first) = p->next;
	*(p->next != NULL ? &p->next->prev : &run->held_last) = p->prev;
	assert(run->held_first != p && run->held_last != p);
}

static void let_go(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy)
{
	struct passing p = passing_of(copy);

	held_unlink(run, copy);
	if (is_current(copy))
		forward(run, &p);
	else
		lose(run, copy);
}

/* Another packet of the same stream has come: those that this was the last to
 * overtake may go. */
static void overtaken(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
		      enum sockeye__relay_way way)
{
	unsigned i = 0;

	while (i < flow->held_count[way]) {
		struct sockeye__relay_packet *p = flow->held[way][i];

		if (--p->overtakers == 0)
			let_go(run, p);
		else
			i++;
	}
}

static void hold(struct sockeye__relay_run *run, struct passing *p, unsigned overtakers)
{
	struct sockeye__relay_flow *flow = p->flow;
	struct sockeye__relay_packet *copy = keep(run, p);

	if (copy == NULL)
		return;
	assert(flow->held_count[p->way] < SOCKEYE__RELAY_HOLD_MAX);
	flow->held[p->way][flow->held_count[p->way]++] = copy;
	copy->overtakers = overtakers;
	copy->due_ns = run->now_ns + HOLD_NS;
	copy->next = NULL;
	copy->prev = run->held_last;
	*(run->held_last != NULL ? &run->held_last->next : &run->held_first) = copy;
	run->held_last = copy;
}

void sockeye__relay_unhold(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	for (unsigned way = 0; way < SOCKEYE__RELAY_WAYS; way++)
		while (flow->held_count[way] > 0) {
			struct sockeye__relay_packet *p =
			    flow->held[way][flow->held_count[way] - 1];

			held_unlink(run, p);
			lose(run, p);
		}
}

/* --- the whole way --- */

void sockeye__relay_pass(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
			 struct sockeye__relay_door *door, enum sockeye__relay_way way,
			 const struct sockeye__relay_verdict *verdict, const uint8_t *data,
			 size_t len)
{
	struct passing p = {
	    .flow = flow,
	    .door = door,
	    .way = way,
	    .more_ns = verdict->more_ns,
	    .twice = verdict->twice,
	    .data = data,
	    .len = len,
	};

	run->counts->way[way].duplicated += verdict->twice;
	run->counts->way[way].reordered += verdict->hold > 0;
	if (verdict->hold == 0)
		forward(run, &p);
	overtaken(run, flow, way);
	if (verdict->hold > 0)
		hold(run, &p, verdict->hold);
}

void sockeye__relay_release(struct sockeye__relay_run *run)
{
	struct sockeye__relay_heap *heap = &run->heap;

	while (run->held_first != NULL && run->held_first->due_ns <= run->now_ns)
		let_go(run, run->held_first);
	while (heap->count > 0 && heap->v[0]->due_ns <= run->now_ns) {
		struct sockeye__relay_packet *copy = heap_pop(heap);
		struct passing p = passing_of(copy);

		if (p.flow->number == copy->flow_number)
			p.flow->queued[p.way]--;
		if (is_current(copy))
			send_now(run, &p);
		else
			lose(run, copy);
	}
	sockeye__relay_flush(run);
}

uint64_t sockeye__relay_next_ns(const struct sockeye__relay_run *run)
{
	uint64_t next = run->heap.count > 0 ? run->heap.v[0]->due_ns : UINT64_MAX;

	if (run->held_first != NULL && run->held_first->due_ns < next)
		next = run->held_first->due_ns;
	return next;
}

void sockeye__relay_queue_fini(struct sockeye__relay_run *run)
{
	while (run->heap.count > 0)
		lose(run, heap_pop(&run->heap));
}
