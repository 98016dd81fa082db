/*
 * outbox.c: sends packets, several in one call, and frees their copies.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/time.h>

#include "relay/internal.h"

#define SEGMENTS_MAX 64 /* per UDP_SEGMENT message, udp(7) */
#define SEND_WAIT_MS 10
#define TRIES_MAX    4

size_t sockeye__relay_copy_bytes(size_t len)
{
	return sizeof(struct sockeye__relay_packet) + len;
}

void sockeye__relay_copy_free(struct sockeye__relay_run *run, struct sockeye__relay_packet *copy)
{
	run->counts->queued_now--;
	run->queued_bytes -= sockeye__relay_copy_bytes(copy->len);
	free(copy);
}

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
		sockeye__relay_copy_free(run, copy);
	}
}

/* Whether the packet can be added to the last group. */
static bool joins(const struct sockeye__relay_outbox *o, const struct sockeye__relay_outgoing *p)
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

static void slice_add(struct sockeye__relay_outbox *o, struct msghdr *msg,
		      const struct sockeye__relay_outgoing *p)
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
static struct msghdr *group_new(struct sockeye__relay_run *run,
				const struct sockeye__relay_outgoing *p)
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

static void outbox_add(struct sockeye__relay_run *run, const struct sockeye__relay_outgoing *p)
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

void sockeye__relay_send(struct sockeye__relay_run *run, const struct sockeye__relay_outgoing *p)
{
	outbox_add(run, p);
	if (p->duplicate)
		outbox_add(run, p);
	if (p->copy != NULL) {
		p->copy->next = run->outbox.copies;
		run->outbox.copies = p->copy;
	}
}
