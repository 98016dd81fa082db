/* messages_receive.c: the messages received, and errors told of those sent (messages.h). */
#include "talk/messages_internal.h"

#include <errno.h>
#include <sys/socket.h>

#include "net/net.h"

/* --- errors --- */

static void answer_came(struct sockeye__messages *t)
{
	t->unanswered -= t->unanswered > 0;
	t->window = SOCKEYE__MESSAGES_WINDOW;
	t->moved_ns = t->now_ns;
}

void sockeye__messages_error(struct sockeye__messages *t, struct sockeye_dgram_error *error)
{
	uint8_t *room = sockeye__messages_event_room(t);

	if (error->peer.len == 0)
		error->peer = t->r.peer;
	if (t->r.errors++ == 0)
		t->r.first_error = error->err;
	answer_came(t);
	if (t->o->on_error && room)
		sockeye__filtered_queue_note_add(&t->in, t->o->on_error(t->o->arg, error, room));
}

size_t sockeye__messages_errors_take(struct sockeye__messages *t, int fd)
{
	struct sockeye_dgram_error error;
	size_t n = 0;

	while (t->queued_errors && sockeye_dgram_error_recv(fd, &error) == 0) {
		n++;
		if (error.from_icmp)
			sockeye__messages_error(t, &error);
	}
	return n;
}

/* --- messages --- */

static void note(struct sockeye__messages *t, enum sockeye__talk_note_kind kind, size_t len)
{
	struct sockeye__talk_note n = {kind, t->r.received_bytes, t->bytes, len};

	if (t->o->on_note)
		sockeye__filtered_queue_note_add(
		    &t->in,
		    t->o->on_note(t->o->arg, &n, sockeye__filtered_queue_note_room(&t->in)));
}

static void take_peek(struct sockeye__messages *t, int fd)
{
	ssize_t n = recv(fd, t->bytes, t->o->peek_max, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return;
	t->peeked = true;
	note(t, SOCKEYE__TALK_NOTE_PEEK, (size_t)n);
}

static void message_came(struct sockeye__messages *t, int fd, const struct sockeye_dgram *d)
{
	t->r.received++;
	t->r.received_bytes += d->true_len;
	answer_came(t);
	if (t->o->on_message)
		sockeye__filtered_queue_note_add(
		    &t->in, t->o->on_message(t->o->arg, d, t->bytes,
					     sockeye__filtered_queue_note_room(&t->in)));
	if (t->o->listening && d->peer.len > 0) {
		t->to_fd = fd;
		t->to = *d;
	}
	if (t->o->count_max && t->r.received >= t->o->count_max)
		t->r.end = SOCKEYE__TALK_COUNT;
}

static int receive_next(struct sockeye__messages *t, int fd, struct sockeye_dgram *out)
{
	if (t->o->records)
		return sockeye__record_recv(fd, t->bytes, t->o->bytes_max,
					    SOCKEYE__MESSAGES_AT_ONCE, out);
	return sockeye_dgram_recv(fd, t->bytes, t->o->bytes_max, SOCKEYE__MESSAGES_AT_ONCE, out);
}

static void peer_ended(struct sockeye__messages *t)
{
	t->peer_ended = true;
	if (t->o->until_peer_ends)
		t->input.ended = true; /* what was read for it is still sent */
	if (!t->broken)
		note(t, SOCKEYE__TALK_NOTE_END, 0);
}

static void receive_failed(struct sockeye__messages *t, int err)
{
	if (err == SOCKEYE_E_EOF) {
		peer_ended(t);
	} else if (t->broken) {
		t->peer_ended = true;
	} else if (t->o->records) {
		sockeye__messages_connection_failed(t, "receive", err);
	} else if (!t->queued_errors) {
		sockeye__messages_error(t, &(struct sockeye_dgram_error){.err = err});
	}
}

bool sockeye__messages_has_room(const struct sockeye__messages *t)
{
	return t->in.cap - sockeye__filtered_queue_waiting(&t->in) >= 2 * t->need;
}

void sockeye__messages_receive(struct sockeye__messages *t, int fd)
{
	struct sockeye_dgram d;
	int err;

	if (t->o->peek_max && !t->peeked)
		take_peek(t, fd);
	while (!t->peer_ended && t->r.end != SOCKEYE__TALK_COUNT && sockeye__messages_has_room(t)) {
		err = receive_next(t, fd, &d);
		if (err == -ETIMEDOUT || err == -EAGAIN)
			return;
		if (err < 0) {
			receive_failed(t, err);
			if (!t->broken)
				return;
			continue;
		}
		message_came(t, fd, &d);
	}
}
