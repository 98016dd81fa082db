/* talk.c: messages between sockets and two local descriptors (talk.h). */
#include "tool/talk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <sockeye/stream.h>
#include <sockeye/time.h>

#include "net/net.h"

#define PAUSE_NS (10 * SOCKEYE_NS_PER_MS) /* a receiver's full queue cannot be polled for */
#define TRIES    8                        /* a send may first report so many earlier errors */
#define AT_ONCE  1                        /* a deadline that has passed */
#define BURST    16                       /* sends before receiving has its turn */

/* So much may be without an answer before an answer is waited for, and so long
 * without one: a live echo then never overflows our receive queue or its own. */
#define WINDOW       64
#define MESSAGE_COST 1024 /* the least a message counts for, in octets */
#define LULL_NS      (20 * SOCKEYE_NS_PER_MS)

enum { SRC, DST, STOP, SOCKS };

struct talk {
	const int *fds;
	size_t fd_count;
	const struct sockeye__talk_opts *o;
	struct sockeye__messages input;
	struct sockeye__local dst;
	struct sockeye__flow in;
	uint8_t *octets;         /* one message received, or one being sent through the filter */
	size_t need;             /* room that showing one message may take */
	int to_fd;               /* where messages leave, -1 not known yet */
	struct sockeye_dgram to; /* and where to; no peer when connected */
	const struct sockeye__switch *next_switch;
	size_t switches_left;
	bool queued_errors; /* errors come by the error queue */
	bool shut, peer_ended, peeked, finished;
	bool broken; /* records: an error is noted, and what came before it is received */
	uint64_t now_ns, moved_ns, pause_until_ns;
	uint64_t unanswered, window; /* messages; of those nobody answers more and more go out */
	struct sockeye__talk_result r;
};

static void finish(struct talk *t, enum sockeye__end end, int err)
{
	t->finished = true;
	t->r.end = end;
	t->r.err = err;
}

static void socket_failed(struct talk *t, const char *op, int err)
{
	finish(t, SOCKEYE__END_SOCKET, err);
	t->r.op = op;
}

/* A connection of records has failed. The error comes before the records that
 * were received earlier: it is told when those are out. */
static void connection_failed(struct talk *t, const char *op, int err)
{
	t->shut = t->broken = true;
	t->r.end = SOCKEYE__END_SOCKET;
	t->r.err = err;
	t->r.op = op;
}

/* --- errors --- */

/* Events between the messages: one that finds no room is counted only, for an
 * output that nobody reads must not stop what is sent. */
static uint8_t *event_room(struct talk *t)
{
	uint8_t *room = sockeye__flow_note_room(&t->in);

	return t->in.cap - t->in.end >= SOCKEYE__NOTE_ROOM ? room : NULL;
}

static void answer_came(struct talk *t)
{
	t->unanswered -= t->unanswered > 0;
	t->window = WINDOW;
	t->moved_ns = t->now_ns;
}

static void error_tell(struct talk *t, struct sockeye_dgram_error *error)
{
	uint8_t *room = event_room(t);

	if (error->peer.len == 0)
		error->peer = t->r.peer;
	if (t->r.errors++ == 0)
		t->r.first_error = error->err;
	answer_came(t);
	if (t->o->on_error && room)
		sockeye__flow_note_added(&t->in, t->o->on_error(t->o->arg, error, room));
}

/* Takes what is in the error queue, which also clears the socket's pending
 * error. Local errors are what a send returned already. */
static size_t errors_take(struct talk *t, int fd)
{
	struct sockeye_dgram_error error;
	size_t n = 0;

	while (t->queued_errors && sockeye_dgram_error_recv(fd, &error) == 0) {
		n++;
		if (error.from_icmp)
			error_tell(t, &error);
	}
	return n;
}

/* --- sending --- */

/* What a listener got first was a question. */
static bool answered(const struct talk *t)
{
	uint64_t asked = t->o->listening ? t->r.sent + 1 : t->r.sent;

	return t->r.received + t->r.errors >= asked;
}

static uint64_t silence_deadline(const struct talk *t)
{
	return t->moved_ns + t->o->wait_ns;
}

static bool silent(const struct talk *t)
{
	return t->now_ns >= silence_deadline(t);
}

static bool switch_due(const struct talk *t)
{
	return t->switches_left > 0 && t->next_switch->after <= t->r.sent;
}

/* Words of the command line are a dialogue, and an association is not changed
 * while an answer from the old peer may come: it would be dropped. */
static bool must_wait(const struct talk *t)
{
	bool dialogue = t->o->word_count > 0 && !t->o->records;

	return (dialogue || switch_due(t)) && !answered(t) && !silent(t);
}

/* Records have flow control, and who listens sends no questions. */
static bool window_full(const struct talk *t, size_t len)
{
	size_t cost = len > MESSAGE_COST ? len : MESSAGE_COST;

	return !t->o->records && !t->o->listening && t->unanswered > 0 &&
	       t->unanswered * cost >= t->window * MESSAGE_COST;
}

/* Whether the next message has to wait for answers. When none comes, there may
 * be nobody who answers: then ever more is sent at once. */
static bool must_pace(struct talk *t, size_t len)
{
	if (!window_full(t, len))
		return false;
	if (t->now_ns < t->moved_ns + LULL_NS)
		return true;
	t->unanswered = 0;
	t->window *= 2;
	return false;
}

static void switch_peer(struct talk *t)
{
	const struct sockeye__switch *to = t->next_switch++;
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
	else if (t->o->on_switch && (room = event_room(t)) != NULL)
		sockeye__flow_note_added(&t->in, t->o->on_switch(t->o->arg, to, room));
}

/* The refusal of an earlier datagram is reported by the next send, which then
 * has not sent (udp(7)). */
static int send_message(struct talk *t, const uint8_t *data, size_t len)
{
	int err = 0;

	for (int i = 0; i < TRIES; i++) {
		err = sockeye_dgram_send(t->to_fd, data, len, t->o->records ? NULL : &t->to);
		if (err == 0 || err == -EAGAIN || errors_take(t, t->to_fd) == 0)
			break;
	}
	return err;
}

static void message_sent(struct talk *t, const uint8_t *data, size_t len)
{
	t->r.sent++;
	t->unanswered++;
	t->r.sent_octets += len;
	t->moved_ns = t->now_ns;
	if (t->o->on_sent)
		t->o->on_sent(t->o->arg, data, len);
}

static void send_failed(struct talk *t, int err)
{
	/* a UNIX peer that has gone: refused, and the association is dissolved */
	bool gone = err == -ECONNREFUSED || (err == -ENOTCONN && t->r.errors > 0);

	if (gone && !t->o->records)
		error_tell(t,
			   &(struct sockeye_dgram_error){.err = -ECONNREFUSED, .peer = t->to.peer});
	else if (t->o->records && (err == -EPIPE || err == -ECONNRESET))
		connection_failed(t, "send", err);
	else
		socket_failed(t, "send", err);
}

static const uint8_t *filtered(struct talk *t, const uint8_t *data, size_t *len)
{
	const struct sockeye__filter *f = t->o->to_peer;

	if (!f)
		return data;
	*len = f->encode(f->arg, data, *len, t->octets);
	return t->octets;
}

/* Sends one message if there is one and it may be sent now. */
static bool send_next(struct talk *t)
{
	const uint8_t *data, *out;
	size_t len, out_len;
	int err;

	if (t->finished || t->shut || t->to_fd < 0 || must_wait(t) || t->now_ns < t->pause_until_ns)
		return false;
	while (!t->finished && switch_due(t))
		switch_peer(t);
	if (t->finished || !sockeye__messages_next(&t->input, &data, &len) || must_pace(t, len))
		return false;
	out_len = len;
	out = filtered(t, data, &out_len);
	err = send_message(t, out, out_len);
	if (err == -EAGAIN || err == -ENOBUFS) {
		t->pause_until_ns = t->now_ns + PAUSE_NS;
		return false;
	}
	sockeye__messages_took(&t->input, len);
	if (err == 0)
		message_sent(t, out, out_len);
	else
		send_failed(t, err);
	return true;
}

/* Sends what may be sent now; true when there may be more. */
static bool send_some(struct talk *t)
{
	int n = 0;

	while (n < BURST && send_next(t))
		n++;
	if (t->o->records && !t->shut && sockeye__messages_done(&t->input)) {
		t->shut = true;
		if (!t->o->no_shutdown)
			sockeye_half_close(t->to_fd);
	}
	return n == BURST;
}

static void read_input(struct talk *t)
{
	int err = sockeye__messages_read(&t->input);

	if (err < 0 && err != -EAGAIN)
		finish(t, SOCKEYE__END_INPUT, err);
}

/* --- receiving --- */

static void note(struct talk *t, enum sockeye__note_kind kind, size_t len)
{
	struct sockeye__note n = {kind, t->r.received_octets, t->octets, len};

	if (t->o->on_note)
		sockeye__flow_note_added(
		    &t->in, t->o->on_note(t->o->arg, &n, sockeye__flow_note_room(&t->in)));
}

static void take_peek(struct talk *t, int fd)
{
	ssize_t n = recv(fd, t->octets, t->o->peek_max, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return;
	t->peeked = true;
	note(t, SOCKEYE__NOTE_PEEK, (size_t)n);
}

static void message_came(struct talk *t, int fd, const struct sockeye_dgram *d)
{
	t->r.received++;
	t->r.received_octets += d->true_len;
	answer_came(t);
	if (t->o->on_message)
		sockeye__flow_note_added(&t->in, t->o->on_message(t->o->arg, d, t->octets,
								  sockeye__flow_note_room(&t->in)));
	if (t->o->listening && d->peer.len > 0) {
		t->to_fd = fd;
		t->to = *d;
	}
	if (t->o->count_max && t->r.received >= t->o->count_max)
		t->r.end = SOCKEYE__END_COUNT;
}

static int receive_next(struct talk *t, int fd, struct sockeye_dgram *out)
{
	if (t->o->records)
		return sockeye__record_recv(fd, t->octets, t->o->octets_max, AT_ONCE, out);
	return sockeye_dgram_recv(fd, t->octets, t->o->octets_max, AT_ONCE, out);
}

static void peer_ended(struct talk *t)
{
	t->peer_ended = true;
	if (t->o->until_peer_ends)
		t->input.ended = true; /* what was read for it is still sent */
	if (!t->broken)
		note(t, SOCKEYE__NOTE_END, 0);
}

static void receive_failed(struct talk *t, int err)
{
	if (err == SOCKEYE_E_EOF) {
		peer_ended(t);
	} else if (t->broken) {
		t->peer_ended = true;
	} else if (t->o->records) {
		connection_failed(t, "receive", err);
	} else if (!t->queued_errors) {
		error_tell(t, &(struct sockeye_dgram_error){.err = err});
	}
}

static bool has_room(const struct talk *t)
{
	return t->in.cap - sockeye__flow_waiting(&t->in) >= 2 * t->need;
}

static void receive(struct talk *t, int fd)
{
	struct sockeye_dgram d;
	int err;

	if (t->o->peek_max && !t->peeked)
		take_peek(t, fd);
	while (!t->peer_ended && t->r.end != SOCKEYE__END_COUNT && has_room(t)) {
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

static void to_out(struct talk *t)
{
	size_t waiting;

	if (t->dst.kind == SOCKEYE__LOCAL_NONE)
		sockeye__flow_took(&t->in, sockeye__flow_waiting(&t->in));
	while ((waiting = sockeye__flow_waiting(&t->in)) > 0) {
		ssize_t n = sockeye__local_write(&t->dst, t->in.buf + t->in.start, waiting);

		if (n == -EAGAIN)
			return;
		if (n == -EPIPE || n == -ECONNRESET)
			finish(t, SOCKEYE__END_READER, 0);
		else if (n < 0)
			finish(t, SOCKEYE__END_OUTPUT, (int)n);
		if (n < 0)
			return;
		sockeye__flow_took(&t->in, (size_t)n);
	}
}

/* --- when it is over --- */

static bool conversation_over(const struct talk *t)
{
	if (t->o->listening || !sockeye__messages_done(&t->input))
		return false;
	if (t->o->wait_all || t->o->records)
		return t->o->wait_all && silent(t);
	return answered(t) || silent(t);
}

static bool is_over(const struct talk *t)
{
	if (t->finished)
		return true;
	if (sockeye__flow_waiting(&t->in) > 0)
		return false;
	if (t->r.end == SOCKEYE__END_COUNT || (t->peer_ended && t->shut))
		return true;
	return conversation_over(t);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static uint64_t deadline(const struct talk *t)
{
	const uint8_t *data;
	size_t len;
	uint64_t at = t->o->idle_ns ? t->moved_ns + t->o->idle_ns : 0;
	bool done = sockeye__messages_done(&t->input) && !t->o->listening &&
		    (!t->o->records || t->o->wait_all);

	if (t->pause_until_ns > t->now_ns)
		at = earlier(at, t->pause_until_ns);
	if (sockeye__messages_next(&t->input, &data, &len) && window_full(t, len))
		at = earlier(at, t->moved_ns + LULL_NS);
	if ((done || must_wait(t)) && !silent(t))
		at = earlier(at, silence_deadline(t));
	return at;
}

static void prepare(const struct talk *t, struct pollfd *fds)
{
	const uint8_t *data;
	size_t len;
	bool receiving = !t->peer_ended && has_room(t);
	bool showing = sockeye__flow_waiting(&t->in) > 0;
	bool reading = t->to_fd >= 0 && !t->input.ended && !t->shut &&
		       !sockeye__messages_next(&t->input, &data, &len);

	fds[SRC] = (struct pollfd){.fd = reading ? t->input.src.fd : -1, .events = POLLIN};
	/* A listener has no other end than that its reader has gone. */
	fds[DST] = (struct pollfd){.fd = showing || t->o->listening ? t->dst.fd : -1,
				   .events = showing ? POLLOUT : 0};
	fds[STOP] = (struct pollfd){.fd = t->o->stop_fd, .events = POLLIN};
	/* A peer that has ended is watched for having gone altogether. */
	for (size_t i = 0; i < t->fd_count; i++)
		fds[SOCKS + i] = (struct pollfd){
		    .fd = receiving || (t->peer_ended && !t->shut) ? t->fds[i] : -1,
		    .events = receiving ? POLLIN : 0,
		};
}

static void turn(struct talk *t, const struct pollfd *fds)
{
	if (fds[STOP].revents) {
		finish(t, SOCKEYE__END_STOPPED, 0);
		return;
	}
	if (fds[DST].revents & (POLLERR | POLLHUP)) {
		finish(t, SOCKEYE__END_READER, 0);
		return;
	}
	if (fds[SRC].revents)
		read_input(t);
	for (size_t i = 0; i < t->fd_count; i++) {
		if (fds[SOCKS + i].revents & POLLERR)
			errors_take(t, t->fds[i]);
		if (fds[SOCKS + i].revents & (POLLHUP | POLLERR) && t->peer_ended)
			t->shut = true;
		else if (fds[SOCKS + i].revents)
			receive(t, t->fds[i]);
	}
	to_out(t);
}

static void run(struct talk *t)
{
	struct pollfd fds[SOCKS + SOCKEYE__TALK_SOCKETS_MAX];

	for (;;) {
		bool more = send_some(t);
		uint64_t until = more ? AT_ONCE : deadline(t);
		int n;

		if (is_over(t))
			return;
		prepare(t, fds);
		n = poll(fds, SOCKS + t->fd_count, sockeye__poll_ms(until, t->now_ns));
		t->now_ns = sockeye_now().mono_ns;
		if (n > 0)
			turn(t, fds);
		else if (t->o->idle_ns && t->now_ns >= t->moved_ns + t->o->idle_ns && !is_over(t))
			finish(t, SOCKEYE__END_IDLE, -ETIME);
	}
}

/* --- beginning --- */

static int prepare_sockets(struct talk *t)
{
	if (t->o->records)
		return sockeye__records_stamp(t->to_fd);
	for (size_t i = 0; i < t->fd_count; i++)
		t->queued_errors |= sockeye_dgram_want_errors(t->fds[i]) == 0;
	if (t->o->listening)
		for (size_t i = 0; i < t->fd_count; i++)
			sockeye_dgram_want_local(t->fds[i]);
	if (!t->o->unconnected)
		return 0;
	if (sockeye_peer_name(t->to_fd, &t->to.peer) < 0)
		return -ENOTCONN;
	return sockeye_dgram_reconnect(t->to_fd, NULL);
}

/* The buffer serves both ways, one message at a time. */
static int allocate(struct talk *t)
{
	size_t octets = t->o->octets_max > SOCKEYE__PEEK_MAX ? t->o->octets_max : SOCKEYE__PEEK_MAX;
	int err;

	if (t->o->to_peer && octets < t->o->to_peer->factor * (size_t)SOCKEYE__MESSAGE_MAX)
		octets = t->o->to_peer->factor * (size_t)SOCKEYE__MESSAGE_MAX;
	t->octets = malloc(octets);
	if (!t->octets)
		return -ENOMEM;
	t->need = SOCKEYE__TALK_FACTOR * t->o->octets_max + SOCKEYE__NOTE_ROOM;
	err = sockeye__flow_init(&t->in, 4 * t->need, NULL);
	if (err < 0)
		return err;
	return sockeye__messages_init(&t->input, t->o->words, t->o->word_count, t->o->in_fd,
				      t->o->per, t->o->per_size);
}

int sockeye__talk(const int *fds, size_t count, const struct sockeye__talk_opts *opts,
		  struct sockeye__talk_result *out)
{
	struct talk t = {
	    .fds = fds,
	    .fd_count = count,
	    .o = opts,
	    .to_fd = opts->listening ? -1 : fds[0],
	    .next_switch = opts->switches,
	    .switches_left = opts->switch_count,
	    .window = WINDOW,
	    .now_ns = sockeye_now().mono_ns,
	};
	int err = allocate(&t);

	if (err == 0)
		err = prepare_sockets(&t);
	if (err == 0) {
		t.moved_ns = t.now_ns;
		sockeye__local_open(&t.dst, opts->out_fd, true);
		run(&t);
		if (opts->out_lines)
			sockeye__local_end_line(&t.dst, t.in.buf + t.in.start,
						sockeye__flow_waiting(&t.in));
		sockeye__local_close(&t.dst, false);
		*out = t.r;
	}
	sockeye__messages_fini(&t.input);
	sockeye__flow_fini(&t.in);
	free(t.octets);
	return err;
}
