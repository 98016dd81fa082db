/* messages_receive.c: receives messages, and errors about those sent (messages.h). */
#include "talk/messages_internal.h"

#include <errno.h>
#include <sys/socket.h>

#include "net/net.h"

/* --- errors --- */

static void count_reply(struct sockeye__messages *m)
{
	m->unanswered -= m->unanswered > 0;
	m->window = SOCKEYE__MESSAGES_WINDOW;
	m->moved_ns = m->now_ns;
}

void sockeye__messages_error(struct sockeye__messages *m, struct sockeye_dgram_error *error)
{
	uint8_t *room = sockeye__messages_event_room(m);

	if (error->peer.len == 0)
		error->peer = m->r.peer;
	if (m->r.errors++ == 0)
		m->r.first_error = error->err;
	count_reply(m);
	if (m->o->on_error && room)
		sockeye__filtered_queue_note_add(&m->recvq, m->o->on_error(m->o->arg, error, room));
}

size_t sockeye__messages_errors_take(struct sockeye__messages *m, int fd)
{
	struct sockeye_dgram_error error;
	size_t n = 0;

	while (m->error_queue && sockeye_dgram_error_recv(fd, &error) == 0) {
		n++;
		if (error.from_icmp)
			sockeye__messages_error(m, &error);
	}
	return n;
}

/* --- messages --- */

static void note(struct sockeye__messages *m, enum sockeye__talk_note_kind kind, size_t len)
{
	struct sockeye__talk_note n = {kind, m->r.received_bytes, m->buf, len, !m->input.ended};

	if (m->o->on_note)
		sockeye__filtered_queue_note_add(
		    &m->recvq,
		    m->o->on_note(m->o->arg, &n, sockeye__filtered_queue_note_room(&m->recvq)));
}

static void peek(struct sockeye__messages *m, int fd)
{
	ssize_t n = recv(fd, m->buf, m->peek_max, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return;
	m->peek_max = 0;
	note(m, SOCKEYE__TALK_NOTE_PEEK, (size_t)n);
}

static void message_received(struct sockeye__messages *m, int fd, const struct sockeye_dgram *d)
{
	m->r.received++;
	m->r.received_bytes += d->true_len;
	count_reply(m);
	if (m->o->on_message)
		sockeye__filtered_queue_note_add(
		    &m->recvq, m->o->on_message(m->o->arg, d, m->buf,
						sockeye__filtered_queue_note_room(&m->recvq)));
	if (m->o->listening && d->peer.len > 0) {
		m->to_fd = fd;
		m->to = *d;
	}
	if (m->o->count_max && m->r.received >= m->o->count_max)
		m->r.end = SOCKEYE__TALK_COUNT;
}

static int receive_next(struct sockeye__messages *m, int fd, struct sockeye_dgram *out)
{
	if (m->o->records)
		return sockeye__record_recv(fd, m->buf, m->o->bytes_max, SOCKEYE__MESSAGES_AT_ONCE,
					    out);
	return sockeye_dgram_recv(fd, m->buf, m->o->bytes_max, SOCKEYE__MESSAGES_AT_ONCE, out);
}

static void peer_ended(struct sockeye__messages *m)
{
	m->peer_ended = true;
	if (m->o->until_peer_ends)
		m->input.ended = true; /* messages read so far are still sent */
	if (m->phase == SOCKEYE__MESSAGES_RUNNING)
		note(m, SOCKEYE__TALK_NOTE_END, 0);
}

static void receive_failed(struct sockeye__messages *m, int err)
{
	if (err == SOCKEYE_E_EOF) {
		peer_ended(m);
	} else if (m->phase == SOCKEYE__MESSAGES_BROKEN) {
		m->peer_ended = true;
	} else if (m->o->records) {
		sockeye__messages_connection_failed(m, "receive", err);
	} else if (!m->error_queue) {
		sockeye__messages_error(m, &(struct sockeye_dgram_error){.err = err});
	}
}

bool sockeye__messages_has_room(const struct sockeye__messages *m)
{
	return m->recvq.cap - sockeye__filtered_queue_waiting(&m->recvq) >= 2 * m->message_room;
}

void sockeye__messages_receive(struct sockeye__messages *m, int fd)
{
	struct sockeye_dgram d;
	int err;

	if (m->peek_max > 0)
		peek(m, fd);
	while (!m->peer_ended && m->r.end != SOCKEYE__TALK_COUNT && sockeye__messages_has_room(m)) {
		err = receive_next(m, fd, &d);
		if (err == -ETIMEDOUT || err == -EAGAIN)
			return;
		if (err < 0) {
			receive_failed(m, err);
			if (m->phase != SOCKEYE__MESSAGES_BROKEN)
				return;
			continue;
		}
		message_received(m, fd, &d);
	}
}
