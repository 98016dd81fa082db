/* messages_send.c: sends messages at the pace of the replies (messages.h). */
#include "talk/messages_internal.h"

#include <errno.h>

#include <sockeye/stream.h>
#include <sockeye/time.h>

#define PAUSE_NS     (10 * SOCKEYE_NS_PER_MS) /* after a send that found the receiver's queue full */
#define TRIES        8    /* a send may return the error of an earlier message */
#define BURST        16   /* sends between two receives */
#define MESSAGE_COST 1024 /* bytes; a shorter message counts as this many */
#define LULL_NS      (20 * SOCKEYE_NS_PER_MS) /* a full window waits this long for a reply */

/* --- the pace --- */

bool sockeye__messages_answered(const struct sockeye__messages *m)
{
	/* The first message to a listener is a request, not a reply. */
	uint64_t expected = m->o->listening ? m->r.sent + 1 : m->r.sent;

	return m->r.received + m->r.errors >= expected;
}

uint64_t sockeye__messages_silence_ns(const struct sockeye__messages *m)
{
	return m->moved_ns + m->o->wait_ns;
}

bool sockeye__messages_silent(const struct sockeye__messages *m)
{
	return m->now_ns >= sockeye__messages_silence_ns(m);
}

static bool switch_due(const struct sockeye__messages *m)
{
	return m->switches_left > 0 && m->next_switch->after <= m->r.sent;
}

/* Whether sending has to wait until all messages so far have replies: before each message
 * of the command line, and before a switch to another peer, because the kernel drops
 * replies from the old peer after the switch. */
static bool must_wait(const struct sockeye__messages *m)
{
	bool dialogue = m->o->word_count > 0 && !m->o->records && m->to_index == 0;

	return (dialogue || switch_due(m)) && !sockeye__messages_answered(m) &&
	       !sockeye__messages_silent(m);
}

/* Records need no window, because they have flow control; nor does a listener, because
 * it sends replies. */
static bool window_full(const struct sockeye__messages *m, size_t len)
{
	size_t cost = len > MESSAGE_COST ? len : MESSAGE_COST;

	return !m->o->records && !m->o->listening && m->unanswered > 0 &&
	       m->unanswered * cost >= m->window * MESSAGE_COST;
}

/* Whether the next message has to wait for room in the window. Doubles the window after
 * LULL_NS without a reply, because the peer may not reply at all. */
static bool must_pace(struct sockeye__messages *m, size_t len)
{
	if (!window_full(m, len))
		return false;
	if (m->now_ns < m->moved_ns + LULL_NS)
		return true;
	m->unanswered = 0;
	m->window *= 2;
	return false;
}

uint64_t sockeye__messages_send_ns(const struct sockeye__messages *m)
{
	const uint8_t *data;
	size_t len;
	uint64_t at = m->pause_until_ns > m->now_ns ? m->pause_until_ns : 0;

	if (sockeye__message_input_next(&m->input, &data, &len) && window_full(m, len))
		at = sockeye__earlier(at, m->moved_ns + LULL_NS);
	if (must_wait(m))
		at = sockeye__earlier(at, sockeye__messages_silence_ns(m));
	return at;
}

/* --- messages --- */

static void socket_failed(struct sockeye__messages *m, const char *op, int err)
{
	sockeye__messages_finish(m, SOCKEYE__TALK_SOCKET, err);
	m->r.op = op;
}

static void switch_peer(struct sockeye__messages *m)
{
	const struct sockeye__peer_switch *to = m->next_switch++;
	struct sockeye_sockaddr peer;
	uint8_t *room;
	int err;

	m->switches_left--;
	if (!to->none)
		m->r.peer = to->peer;
	if (to->none && sockeye_peer_name(m->to_fd, &peer) == 0)
		m->to.peer = peer;
	else if (!to->none)
		m->to.peer.len = 0;
	err = sockeye_dgram_reconnect(m->to_fd, to->none ? NULL : &to->peer);
	if (err < 0)
		socket_failed(m, "connect", err);
	else if (m->o->on_switch && (room = sockeye__messages_event_room(m)) != NULL)
		sockeye__filtered_queue_note_add(&m->recvq, m->o->on_switch(m->o->arg, to, room));
}

/* Retries if a send returned the error of an earlier datagram, because such a send does
 * not send its own datagram (udp(7)). Returns 0 or -errno. */
static int send_message(struct sockeye__messages *m, const uint8_t *data, size_t len)
{
	int err = 0;

	for (int i = 0; i < TRIES; i++) {
		err = sockeye_dgram_send(m->to_fd, data, len, m->o->records ? NULL : &m->to);
		if (err == 0 || err == -EAGAIN || sockeye__messages_errors_take(m, m->to_fd) == 0)
			break;
	}
	return err;
}

static void message_sent(struct sockeye__messages *m, const uint8_t *data, size_t len)
{
	m->r.sent++;
	m->unanswered++;
	m->r.sent_bytes += len;
	m->moved_ns = m->now_ns;
	if (m->o->on_sent)
		m->o->on_sent(m->o->arg, data, len);
}

static void send_failed(struct sockeye__messages *m, int err)
{
	/* After a UNIX-domain peer has closed its socket, the first send fails with
	 * ECONNREFUSED and disconnects the socket. */
	bool gone = err == -ECONNREFUSED || (err == -ENOTCONN && m->r.errors > 0);

	if (gone && !m->o->records)
		sockeye__messages_error(
		    m, &(struct sockeye_dgram_error){.err = -ECONNREFUSED, .peer = m->to.peer});
	else if (m->o->records && (err == -EPIPE || err == -ECONNRESET))
		sockeye__messages_connection_failed(m, "send", err);
	else
		socket_failed(m, "send", err);
}

static const uint8_t *filtered(struct sockeye__messages *m, const uint8_t *data, size_t *len)
{
	const struct sockeye__filter *f = m->o->to_peer;

	if (!f)
		return data;
	*len = f->encode(f->arg, data, *len, m->buf);
	return m->buf;
}

/* Selects the next of several peers. Returns true when the message was sent to each. */
static bool next_peer(struct sockeye__messages *m)
{
	if (m->o->also_count == 0)
		return true;
	m->to_index = (m->to_index + 1) % (m->o->also_count + 1);
	m->to.peer = m->to_index == 0 ? m->first : m->o->also[m->to_index - 1];
	return m->to_index == 0;
}

/* Sends one message if there is one and it may be sent now. Returns whether to try the
 * next message. */
static bool send_next(struct sockeye__messages *m)
{
	const uint8_t *data, *out;
	size_t len, out_len;
	int err;

	if (m->phase == SOCKEYE__MESSAGES_OVER || m->sending_done || m->to_fd < 0 || must_wait(m) ||
	    m->now_ns < m->pause_until_ns)
		return false;
	while (m->phase != SOCKEYE__MESSAGES_OVER && switch_due(m))
		switch_peer(m);
	if (m->phase == SOCKEYE__MESSAGES_OVER ||
	    !sockeye__message_input_next(&m->input, &data, &len) || must_pace(m, len))
		return false;
	out_len = len;
	out = filtered(m, data, &out_len);
	err = send_message(m, out, out_len);
	if (err == -EAGAIN || err == -ENOBUFS) {
		m->pause_until_ns = m->now_ns + PAUSE_NS;
		return false;
	}
	if (err == 0)
		message_sent(m, out, out_len);
	else
		send_failed(m, err);
	if (next_peer(m))
		sockeye__message_input_consume(&m->input, len);
	return true;
}

bool sockeye__messages_send(struct sockeye__messages *m)
{
	int n = 0;

	while (n < BURST && send_next(m))
		n++;
	if (m->o->records && !m->sending_done && sockeye__message_input_done(&m->input)) {
		m->sending_done = true;
		if (!m->o->no_shutdown)
			sockeye_half_close(m->to_fd);
	}
	return n == BURST;
}
