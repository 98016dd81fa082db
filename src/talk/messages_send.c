/* messages_send.c: the messages sent, no faster than they are answered (messages.h). */
#include "talk/messages_internal.h"

#include <errno.h>

#include <sockeye/stream.h>
#include <sockeye/time.h>

#define PAUSE_NS     (10 * SOCKEYE_NS_PER_MS) /* a receiver's full queue cannot be polled for */
#define TRIES        8                        /* a send may first report so many earlier errors */
#define BURST        16                       /* sends before receiving has its turn */
#define MESSAGE_COST 1024                     /* the least a message counts for, in bytes */
#define LULL_NS      (20 * SOCKEYE_NS_PER_MS) /* a full window waits so long for an answer */

/* --- the pace --- */

/* What a listener got first was a question. */
bool sockeye__messages_answered(const struct sockeye__messages *t)
{
	uint64_t asked = t->o->listening ? t->r.sent + 1 : t->r.sent;

	return t->r.received + t->r.errors >= asked;
}

uint64_t sockeye__messages_silence_ns(const struct sockeye__messages *t)
{
	return t->moved_ns + t->o->wait_ns;
}

bool sockeye__messages_silent(const struct sockeye__messages *t)
{
	return t->now_ns >= sockeye__messages_silence_ns(t);
}

static bool switch_due(const struct sockeye__messages *t)
{
	return t->switches_left > 0 && t->next_switch->after <= t->r.sent;
}

/* Words of the command line are a dialogue, and an association is not changed
 * while an answer from the old peer may come: it would be dropped. */
static bool must_wait(const struct sockeye__messages *t)
{
	bool dialogue = t->o->word_count > 0 && !t->o->records;

	return (dialogue || switch_due(t)) && !sockeye__messages_answered(t) &&
	       !sockeye__messages_silent(t);
}

/* Records have flow control, and who listens sends no questions. */
static bool window_full(const struct sockeye__messages *t, size_t len)
{
	size_t cost = len > MESSAGE_COST ? len : MESSAGE_COST;

	return !t->o->records && !t->o->listening && t->unanswered > 0 &&
	       t->unanswered * cost >= t->window * MESSAGE_COST;
}

/* Whether the next message has to wait for answers. When none comes, there may
 * be nobody who answers: then ever more is sent at once. */
static bool must_pace(struct sockeye__messages *t, size_t len)
{
	if (!window_full(t, len))
		return false;
	if (t->now_ns < t->moved_ns + LULL_NS)
		return true;
	t->unanswered = 0;
	t->window *= 2;
	return false;
}

uint64_t sockeye__messages_send_ns(const struct sockeye__messages *t)
{
	const uint8_t *data;
	size_t len;
	uint64_t at = t->pause_until_ns > t->now_ns ? t->pause_until_ns : 0;

	if (sockeye__message_input_next(&t->input, &data, &len) && window_full(t, len))
		at = sockeye__earlier(at, t->moved_ns + LULL_NS);
	if (must_wait(t))
		at = sockeye__earlier(at, sockeye__messages_silence_ns(t));
	return at;
}

/* --- messages --- */

static void socket_failed(struct sockeye__messages *t, const char *op, int err)
{
	sockeye__messages_finish(t, SOCKEYE__TALK_SOCKET, err);
	t->r.op = op;
}

static void switch_peer(struct sockeye__messages *t)
{
	const struct sockeye__peer_switch *to = t->next_switch++;
	struct sockeye_sockaddr peer;
	uint8_t *room;
	int err;

	t->switches_left--;
	if (!to->none)
		t->r.peer = to->peer;
	if (to->none && sockeye_peer_name(t->to_fd, &peer) == 0)
		t->to.peer = peer;
	else if (!to->none)
		t->to.peer.len = 0;
	err = sockeye_dgram_reconnect(t->to_fd, to->none ? NULL : &to->peer);
	if (err < 0)
		socket_failed(t, "connect", err);
	else if (t->o->on_switch && (room = sockeye__messages_event_room(t)) != NULL)
		sockeye__filtered_queue_note_add(&t->in, t->o->on_switch(t->o->arg, to, room));
}

/* The refusal of an earlier datagram is reported by the next send, which then
 * has not sent (udp(7)). */
static int send_message(struct sockeye__messages *t, const uint8_t *data, size_t len)
{
	int err = 0;

	for (int i = 0; i < TRIES; i++) {
		err = sockeye_dgram_send(t->to_fd, data, len, t->o->records ? NULL : &t->to);
		if (err == 0 || err == -EAGAIN || sockeye__messages_errors_take(t, t->to_fd) == 0)
			break;
	}
	return err;
}

static void message_sent(struct sockeye__messages *t, const uint8_t *data, size_t len)
{
	t->r.sent++;
	t->unanswered++;
	t->r.sent_bytes += len;
	t->moved_ns = t->now_ns;
	if (t->o->on_sent)
		t->o->on_sent(t->o->arg, data, len);
}

static void send_failed(struct sockeye__messages *t, int err)
{
	/* a UNIX peer that has gone: refused, and the association is dissolved */
	bool gone = err == -ECONNREFUSED || (err == -ENOTCONN && t->r.errors > 0);

	if (gone && !t->o->records)
		sockeye__messages_error(
		    t, &(struct sockeye_dgram_error){.err = -ECONNREFUSED, .peer = t->to.peer});
	else if (t->o->records && (err == -EPIPE || err == -ECONNRESET))
		sockeye__messages_connection_failed(t, "send", err);
	else
		socket_failed(t, "send", err);
}

static const uint8_t *filtered(struct sockeye__messages *t, const uint8_t *data, size_t *len)
{
	const struct sockeye__filter *f = t->o->to_peer;

	if (!f)
		return data;
	*len = f->encode(f->arg, data, *len, t->bytes);
	return t->bytes;
}

/* Sends one message if there is one and it may be sent now. */
static bool send_next(struct sockeye__messages *t)
{
	const uint8_t *data, *out;
	size_t len, out_len;
	int err;

	if (t->finished || t->shut || t->to_fd < 0 || must_wait(t) || t->now_ns < t->pause_until_ns)
		return false;
	while (!t->finished && switch_due(t))
		switch_peer(t);
	if (t->finished || !sockeye__message_input_next(&t->input, &data, &len) ||
	    must_pace(t, len))
		return false;
	out_len = len;
	out = filtered(t, data, &out_len);
	err = send_message(t, out, out_len);
	if (err == -EAGAIN || err == -ENOBUFS) {
		t->pause_until_ns = t->now_ns + PAUSE_NS;
		return false;
	}
	sockeye__message_input_consume(&t->input, len);
	if (err == 0)
		message_sent(t, out, out_len);
	else
		send_failed(t, err);
	return true;
}

bool sockeye__messages_send(struct sockeye__messages *t)
{
	int n = 0;

	while (n < BURST && send_next(t))
		n++;
	if (t->o->records && !t->shut && sockeye__message_input_done(&t->input)) {
		t->shut = true;
		if (!t->o->no_shutdown)
			sockeye_half_close(t->to_fd);
	}
	return n == BURST;
}
