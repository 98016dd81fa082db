/*
 * uring.c: many connections in one process, by io_uring(7).
 *
 * A message costs less than one system call: connections and input arrive from
 * multishot requests, input in buffers that the ring provides, output leaves
 * from those same buffers, and all requests of a turn are submitted by the call
 * that waits for the next.
 *
 * Two rules keep it from hanging where well-known examples do:
 *  - A send is first tried without waiting (MSG_DONTWAIT), so it is over when
 *    the call that submits it returns. Only then may a slow peer make a ring
 *    buffer wait, and never more than half of all: beyond that what it does not
 *    take is copied to memory of its own. So no peer starves the others.
 *  - Such a send posts a completion only when it fails or comes up short
 *    (CQE_SKIP_SUCCESS, with MSG_WAITALL to make short a failure): so the loop
 *    does not wake for what it has itself just sent, and yet for every other
 *    thing that must go on.
 */
#include "serve/conn.h"
#include "net/net.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SQ_ENTRIES 1024
#define CQ_ENTRIES 8192
#define BUFFERS 512              /* a power of two */
#define BUFFER_BYTES (64 * 1024) /* pages are touched only when used */
#define BUFFER_STRIDE (BUFFER_BYTES + 4160) /* a power of two would share few cache sets */
#define BUFFER_GROUP 0
#define QUEUE_MAX 8 /* ring buffers that may wait behind a slow peer before receiving stops */
#define RECORD_BYTES (256 * 1024) /* > the largest seqpacket record, whose size SO_SNDBUF bounds */
#define INPUT_MAX (256 * 1024)   /* what a session may leave over before it is given up */
#define ANSWER_BATCHES 4

/* What a completion is for: the low bits of its user_data, above them a
 * connection or the number of a site. */
enum op { OP_RECEIVE, OP_SEND, OP_SEND_WAIT, OP_CANCEL, OP_ACCEPT, OP_POLL, OP_STOP };
#define OP_BITS 3
#define OP_MASK ((UINT64_C(1) << OP_BITS) - 1)

struct conn {
	struct sockeye__conn c; /* c.in: input behind the chunk; c.out: output that waits */
	struct conn *next_starved, *next_sent;

	/* The chunk of input that the session has before it, and that output in
	 * flight may point into: in a ring buffer or in memory of its own. */
	uint8_t *chunk;
	uint32_t chunk_len;
	int32_t buffer; /* -1: none */
	struct sockeye__bytes *own;
	int32_t queue_first, queue_last; /* ring buffers behind it and behind c.in; -1 none */
	uint32_t queue_len;
	uint32_t held; /* ring buffers that this connection lets wait for its peer */

	const uint8_t *sent; /* the send in flight ... */
	uint32_t sent_len;
	int32_t sent_res;    /* ... and how a quick one ended: well, unless a completion says not */
	uint8_t ops;      /* requests the kernel has */
	bool receiving;   /* one of them receives */
	bool cancelling;  /* one of them calls that off */
	bool sending;     /* one of them sends ... */
	bool quick;       /* ... without waiting: it is over in the next turn */
	bool starved;     /* in that list */
	bool ending;      /* closed as soon as ops is 0 */
	uint8_t end;      /* why: enum sockeye__end */
	_Alignas(8) uint8_t state[];
};

struct loop {
	struct sockeye__worker *w;
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	uint8_t *memory;      /* of the buffers */
	uint32_t held;        /* buffers that wait for slow peers */
	struct queued {
		uint32_t len;
		int32_t next;
	} queued[BUFFERS];    /* input that waits in a ring buffer, by its id */
	struct conn *sent;    /* quick sends: over when they have been submitted */
	bool hurry;           /* one of them has more behind it: do not wait */
	bool stopping;
	bool *accepting;      /* by site: an accept or poll is armed */
	bool unarmed;         /* for one of them it is not */
	uint64_t resume_ns;   /* no accepting before; 0 no pause */
	struct conn *starved; /* found no buffer: receive again when some are back */
	struct sockeye__clocks clocks;
	struct sockeye__answerer *answerer;
	struct sockeye_turn turn;
	uint8_t room[SOCKEYE__ROOM_BYTES];
};

static uint64_t tag(const struct conn *c, enum op op)
{
	return (uint64_t)(uintptr_t)c | op;
}

static uint64_t site_tag(size_t i, enum op op)
{
	return (uint64_t)i << OP_BITS | op;
}

/* A free submission entry; when all are used, what there is goes to the
 * kernel first. */
static struct io_uring_sqe *entry(struct loop *l, uint64_t user_data)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&l->ring)) == NULL)
		(void)io_uring_submit(&l->ring);
	sqe->user_data = user_data; /* the prep functions leave it alone */
	return sqe;
}

static uint8_t *buffer_at(const struct loop *l, int32_t id)
{
	return l->memory + (size_t)id * BUFFER_STRIDE;
}

static void buffer_give(struct loop *l, int32_t id)
{
	io_uring_buf_ring_add(l->buffers, buffer_at(l, id), BUFFER_BYTES, (unsigned short)id,
	    io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(l->buffers, 1);
}

/* --- the chunk before the session --- */

static void chunk_drop(struct loop *l, struct conn *c)
{
	if (c->buffer >= 0)
		buffer_give(l, c->buffer);
	c->buffer = -1;
	sockeye__bytes_drop(&c->own);
	c->chunk_len = 0;
}

/* Moves what is left of a ring buffer to memory of its own: the peer or the
 * session makes it wait, and the buffer belongs to all. */
static bool chunk_own(struct loop *l, struct conn *c)
{
	struct sockeye__bytes *own = NULL;

	if (c->buffer < 0)
		return true;
	if (!sockeye__bytes_add(&own, c->chunk, c->chunk_len))
		return false;
	buffer_give(l, c->buffer);
	c->buffer = -1;
	c->own = own;
	c->chunk = own != NULL ? own->data : NULL;
	return true;
}

static int32_t queue_take(struct loop *l, struct conn *c)
{
	int32_t id = c->queue_first;

	c->queue_first = l->queued[id].next;
	c->queue_len--;
	return id;
}

static void queue_add(struct loop *l, struct conn *c, int32_t id, uint32_t len)
{
	l->queued[id] = (struct queued){.len = len, .next = -1};
	if (c->queue_first < 0)
		c->queue_first = id;
	else
		l->queued[c->queue_last].next = id;
	c->queue_last = id;
	c->queue_len++;
}

/* Moves all that waits in ring buffers to memory of its own. */
static bool queue_own(struct loop *l, struct conn *c)
{
	bool kept = true;

	while (c->queue_first >= 0) {
		int32_t id = queue_take(l, c);

		kept = kept && sockeye__bytes_add(&c->c.in, buffer_at(l, id), l->queued[id].len);
		buffer_give(l, id);
	}
	return kept;
}

static bool input_waits(const struct conn *c)
{
	return c->c.in != NULL || c->queue_first >= 0;
}

static void chunk_set(struct loop *l, struct conn *c, int32_t id, uint32_t len)
{
	chunk_drop(l, c);
	c->buffer = id;
	c->chunk = buffer_at(l, id);
	c->chunk_len = len;
}

/* Lets n ring buffers more wait for a slow peer, if there may be so many. */
static bool hold(struct loop *l, struct conn *c, uint32_t n)
{
	if (l->held + n > BUFFERS / 2)
		return false;
	l->held += n;
	c->held += n;
	return true;
}

static void unhold(struct loop *l, struct conn *c)
{
	l->held -= c->held;
	c->held = 0;
}

/* Puts the input that waits behind the chunk before the session. When the
 * session has left some of the chunk it wants to see both in one piece. */
static bool chunk_next(struct loop *l, struct conn *c)
{
	struct sockeye__bytes *all;

	if (c->chunk_len == 0 && c->c.in == NULL && c->queue_first >= 0) {
		int32_t id = queue_take(l, c);

		chunk_set(l, c, id, l->queued[id].len);
		return true;
	}
	if (c->chunk_len > 0 && !queue_own(l, c))
		return false;
	all = c->c.in;
	if (all == NULL)
		return true;
	if (c->chunk_len > 0) {
		all = NULL;
		if (!sockeye__bytes_add(&all, c->chunk, c->chunk_len) ||
		    !sockeye__bytes_add(&all, c->c.in->data, c->c.in->len)) {
			sockeye__bytes_drop(&all);
			return false;
		}
		sockeye__bytes_drop(&c->c.in);
	}
	chunk_drop(l, c);
	c->c.in = NULL;
	c->own = all;
	c->chunk = all->data;
	c->chunk_len = (uint32_t)all->len;
	return true;
}

/* --- one connection --- */

static void conn_free(struct loop *l, struct conn *c)
{
	(void)queue_own(l, c);
	chunk_drop(l, c);
	sockeye__bytes_drop(&c->c.in);
	sockeye__bytes_drop(&c->c.out);
	sockeye__dismiss(l->w, &c->c.v, (enum sockeye__end)c->end);
	free(c);
}

/* Closing does not end requests that hold the file. Shutting down does, and
 * their completions then let the connection go. */
static void conn_close(struct loop *l, struct conn *c, enum sockeye__end end)
{
	if (!c->ending) {
		c->ending = true;
		c->end = (uint8_t)end;
		sockeye__timers_clear(&l->clocks.timers, &c->c.timer);
		if (c->ops > 0) /* output that has left must still arrive: no more than is needed */
			shutdown(c->c.v.fd, c->sending ? SHUT_RDWR : SHUT_RD);
	}
	if (c->ops == 0 && !c->starved)
		conn_free(l, c);
}

static void conn_receive(struct loop *l, struct conn *c)
{
	struct io_uring_sqe *sqe;

	if (c->receiving || c->starved || c->ending || c->c.v.in_end)
		return;
	sqe = entry(l, tag(c, OP_RECEIVE));
	if (c->c.v.site->whole) { /* a record may be longer than a buffer of the ring */
		io_uring_prep_poll_add(sqe, c->c.v.fd, POLLIN);
	} else {
		io_uring_prep_recv_multishot(sqe, c->c.v.fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = BUFFER_GROUP;
	}
	c->receiving = true;
	c->ops++;
}

static void conn_receive_stop(struct loop *l, struct conn *c)
{
	if (!c->receiving || c->cancelling)
		return;
	io_uring_prep_cancel64(entry(l, tag(c, OP_CANCEL)), tag(c, OP_RECEIVE), 0);
	c->cancelling = true;
	c->ops++;
}

/* Sends what the peer takes now, within the call that submits it. */
static void conn_send(struct loop *l, struct conn *c, const uint8_t *data, size_t len)
{
	struct io_uring_sqe *sqe = entry(l, tag(c, OP_SEND));

	io_uring_prep_send(
	    sqe, c->c.v.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	c->sent = data;
	c->sent_len = (uint32_t)len;
	c->sent_res = (int32_t)len;
	c->sending = c->quick = true;
	c->ops++;
	c->next_sent = l->sent;
	l->sent = c;
	if (c->c.more || c->c.close || c->c.v.in_end || c->chunk_len > 0 || input_waits(c))
		l->hurry = true;
}

/* Sends as slowly as the peer takes it. */
static void conn_send_wait(struct loop *l, struct conn *c, const uint8_t *data, size_t len)
{
	c->sent = data;
	c->sent_len = (uint32_t)len;
	io_uring_prep_send(entry(l, tag(c, OP_SEND_WAIT)), c->c.v.fd, c->sent, c->sent_len,
	    MSG_NOSIGNAL | MSG_WAITALL);
	c->sending = true;
	c->ops++;
}

/* Sends the output of a turn. What was written to the loop's room needs
 * memory that stays; what points into the chunk stays with it. */
static bool conn_say(struct loop *l, struct conn *c, const struct sockeye_turn *t)
{
	const uint8_t *out = t->out;

	if (out >= l->room && out < l->room + sizeof l->room) {
		if (!sockeye__bytes_add(&c->c.out, out, t->out_len))
			return false;
		out = c->c.out->data;
	}
	conn_send(l, c, out, t->out_len);
	return true;
}

/* The session has done what it can: see to what it needs next. */
static void conn_rest(struct loop *l, struct conn *c)
{
	if (c->c.v.in_end && c->c.deadline_ns == 0)
		conn_close(l, c, SOCKEYE__END_DONE); /* nothing can ever happen again */
	else if (c->chunk_len >= INPUT_MAX || (c->buffer >= 0 && !chunk_own(l, c)))
		conn_close(l, c, SOCKEYE__END_ERROR); /* it will never take it */
	else if (l->clocks.needed && sockeye__conn_time(&l->clocks, &c->c) < 0)
		conn_close(l, c, SOCKEYE__END_ERROR);
	else
		conn_receive(l, c);
}

/* Turns of the session until one has output, or it needs something that is
 * not there. Only while no send is in flight. */
static void conn_turns(struct loop *l, struct conn *c)
{
	struct sockeye_turn *t = &l->turn;

	do {
		if (input_waits(c) && !chunk_next(l, c)) {
			conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		t->in = c->chunk;
		t->in_len = c->chunk_len;
		t->in_end = c->c.v.in_end && !input_waits(c); /* with the last bytes */
		t->whole = c->c.v.site->whole;
		sockeye__turn(c->c.v.site, c->state, t);
		c->chunk += t->in_taken;
		c->chunk_len -= (uint32_t)t->in_taken;
		c->c.more = t->more;
		c->c.close = t->close;
		c->c.deadline_ns = t->deadline_ns;
		if (t->out_len > 0) {
			if (!conn_say(l, c, t))
				conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		if (t->close) {
			conn_close(l, c, SOCKEYE__END_DONE);
			return;
		}
	} while (input_waits(c) || (t->in_taken > 0 && c->chunk_len > 0));
	if (c->chunk_len == 0)
		chunk_drop(l, c);
	conn_rest(l, c);
}

/* All output has left: turns for what came meanwhile. */
static void conn_sent_all(struct loop *l, struct conn *c)
{
	sockeye__bytes_drop(&c->c.out);
	if (c->chunk_len == 0)
		chunk_drop(l, c);
	if (c->c.close)
		conn_close(l, c, SOCKEYE__END_DONE);
	else if (c->chunk_len > 0 || input_waits(c) || c->c.v.in_end || c->c.more)
		conn_turns(l, c);
	else
		conn_rest(l, c);
}

/* Makes room in the ring: all that this connection holds of it is copied. */
static bool conn_own(struct loop *l, struct conn *c, const uint8_t *out, size_t len)
{
	bool kept = c->buffer < 0 || c->c.out != NULL || sockeye__bytes_add(&c->c.out, out, len);

	return kept && chunk_own(l, c) && queue_own(l, c);
}

/* The peer takes no more now: wait for it. */
static void conn_sent_some(struct loop *l, struct conn *c, uint32_t n)
{
	const uint8_t *rest = c->sent + n;
	size_t len = c->sent_len - n;
	bool in_ring = c->buffer >= 0 && c->c.out == NULL;

	if (!hold(l, c, c->queue_len + (c->buffer >= 0))) {
		if (!conn_own(l, c, rest, len)) {
			conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		if (in_ring)
			rest = c->c.out->data;
	}
	conn_send_wait(l, c, rest, len);
	if (c->queue_len >= QUEUE_MAX || c->c.in != NULL)
		conn_receive_stop(l, c);
}

static void on_send(struct loop *l, struct conn *c, int res)
{
	uint32_t n = res > 0 ? (uint32_t)res : 0;

	c->sending = c->quick = false;
	c->ops--;
	unhold(l, c);
	c->c.v.bytes_out += n;
	sockeye__count(&l->w->counters->bytes_out, n);
	c->c.active_ns = l->clocks.now.mono_ns;
	if (res < 0 && res != -EAGAIN && res != -EINTR)
		conn_close(l, c, sockeye__end_of(res));
	else if (c->ending)
		conn_close(l, c, SOCKEYE__END_DONE);
	else if (n == c->sent_len)
		conn_sent_all(l, c);
	else
		conn_sent_some(l, c, n);
}

/* Input of n octets, in ring buffer `id` or (-1) at data. */
static void conn_input(struct loop *l, struct conn *c, const uint8_t *data, uint32_t n, int32_t id)
{

	c->c.v.bytes_in += n;
	sockeye__count(&l->w->counters->bytes_in, n);
	if (l->w->server->opts->show_messages)
		sockeye__visit_show(l->w, &c->c.v, data, n);
	if (id >= 0 && c->sending && c->c.in == NULL && (c->quick || hold(l, c, 1))) {
		queue_add(l, c, id, n);
	} else if (id >= 0 && !c->sending && c->chunk_len == 0 && !input_waits(c)) {
		chunk_set(l, c, id, n);
	} else {
		bool kept = sockeye__bytes_add(&c->c.in, data, n);

		if (id >= 0)
			buffer_give(l, id);
		if (!kept) {
			conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
	}
	if (!c->sending)
		conn_turns(l, c);
	else
		l->hurry |= c->quick; /* its end must be seen to */
	if (c->sending && !c->quick && (c->queue_len >= QUEUE_MAX || c->c.in != NULL))
		conn_receive_stop(l, c); /* better that input waits in the kernel */
}

/* A record of a seqpacket connection: too long, perhaps, for a ring buffer. */
static int record_receive(struct loop *l, struct conn *c)
{
	uint8_t *record = l->memory; /* behind the ring's buffers */
	ssize_t n;

	record += (size_t)BUFFERS * BUFFER_STRIDE;
	n = recv(c->c.v.fd, record, RECORD_BYTES, MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if (n > 0)
		conn_input(l, c, record, (uint32_t)n, -1);
	return (int)n;
}

static void on_receive_end(struct loop *l, struct conn *c, int res)
{
	if (res == -ENOBUFS) {
		c->starved = true;
		c->next_starved = l->starved;
		l->starved = c;
	} else if (res == 0) {
		c->c.v.in_end = true;
		l->hurry |= c->quick;
		if (!c->sending)
			conn_turns(l, c);
	} else if (res < 0 && res != -ECANCELED && res != -EAGAIN && res != -EINTR) {
		conn_close(l, c, sockeye__end_of(res));
	} else if (!c->sending || c->quick) {
		conn_receive(l, c);
	}
}

static void on_receive(struct loop *l, struct conn *c, const struct io_uring_cqe *cqe)
{
	int32_t id = (cqe->flags & IORING_CQE_F_BUFFER) != 0
	    ? (int32_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT)
	    : -1;
	bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
	int res = cqe->res;

	if (!more)
		c->receiving = false;
	if (c->ending) {
		if (id >= 0)
			buffer_give(l, id);
		conn_close(l, c, SOCKEYE__END_DONE);
		return;
	}
	c->c.active_ns = l->clocks.now.mono_ns;
	c->ops++; /* what follows must not free it under our hands */
	if (c->c.v.site->whole && res > 0)
		res = record_receive(l, c);
	else if (res > 0 && id >= 0)
		conn_input(l, c, buffer_at(l, id), (uint32_t)res, id);
	if (!more && !c->ending)
		on_receive_end(l, c, res);
	c->ops--;
	if (c->ending)
		conn_close(l, c, SOCKEYE__END_DONE);
}

static void conn_expired(struct loop *l, struct conn *c)
{
	switch (sockeye__conn_due(&l->clocks, &c->c)) {
	case SOCKEYE__DUE_IDLE:
		conn_close(l, c, SOCKEYE__END_IDLE);
		break;
	case SOCKEYE__DUE_TIME:
		conn_close(l, c, SOCKEYE__END_TIME);
		break;
	case SOCKEYE__DUE_TURN:
		if (!c->sending)
			conn_turns(l, c);
		break;
	case SOCKEYE__DUE_LATER:
		if (sockeye__conn_time(&l->clocks, &c->c) < 0)
			conn_close(l, c, SOCKEYE__END_ERROR);
		break;
	}
}

static void conn_open(struct loop *l, const struct sockeye__visit *v)
{
	struct conn *c = calloc(1, sizeof *c + v->site->service->state_size);

	if (c == NULL) {
		sockeye__turn_away(l->w, v, "no memory for a connection; it was closed", -ENOMEM);
		return;
	}
	c->c.v = *v;
	c->buffer = c->queue_first = -1;
	c->c.born_ns = c->c.active_ns = l->clocks.now.mono_ns;
	conn_receive(l, c);
	if (v->site->service->speaks_first)
		conn_turns(l, c);
	else if (l->clocks.needed && sockeye__conn_time(&l->clocks, &c->c) < 0)
		conn_close(l, c, SOCKEYE__END_ERROR);
}

/* --- clients and datagrams --- */

/* A multishot accept cannot be told how many to take: with a limit on
 * connections the listener is polled instead. */
static bool limited(const struct loop *l)
{
	return l->w->conns_max != UINT32_MAX;
}

static bool may_accept(const struct loop *l)
{
	return !l->stopping && l->resume_ns == 0 && l->w->conns < l->w->conns_max;
}

static void site_arm(struct loop *l, size_t i)
{
	const struct sockeye__site *site = &l->w->server->sites[i];
	int fd = sockeye__site_fd(l->w, i);

	if (l->accepting[i] || l->stopping)
		return;
	if (site->stream && !may_accept(l)) {
		l->unarmed = true;
		return;
	}
	if (site->stream && !limited(l))
		io_uring_prep_multishot_accept(
		    entry(l, site_tag(i, OP_ACCEPT)), fd, NULL, NULL, SOCK_CLOEXEC);
	else
		io_uring_prep_poll_add(entry(l, site_tag(i, OP_POLL)), fd, POLLIN);
	l->accepting[i] = true;
}

static void sites_settle(struct loop *l)
{
	if (l->resume_ns != 0 && sockeye_now().mono_ns >= l->resume_ns)
		l->resume_ns = 0;
	l->unarmed = false;
	for (size_t i = 0; i < l->w->server->site_count; i++)
		site_arm(l, i);
}

static void accept_failed(struct loop *l, int err)
{
	if (!sockeye__accept_starved(err))
		return;
	sockeye__count(&l->w->counters->accept_failures, 1);
	sockeye__warn_rarely(l->w, "accept failed; clients wait in the backlog", err);
	l->resume_ns = sockeye_now().mono_ns + SOCKEYE__PAUSE_NS;
}

static void client_admit(struct loop *l, size_t i, int fd, const struct sockeye_sockaddr *peer)
{
	struct sockeye__visit v;

	if (sockeye__admit(l->w, &l->w->server->sites[i], fd, peer, &v))
		conn_open(l, &v);
}

static void clients_take(struct loop *l, size_t i)
{
	while (l->w->conns < l->w->conns_max) {
		struct sockeye_sockaddr peer;
		int fd = sockeye_accept(sockeye__site_fd(l->w, i), true, 0, &peer);

		if (fd < 0) {
			accept_failed(l, fd);
			break;
		}
		client_admit(l, i, fd, &peer);
	}
}

static void on_accept(struct loop *l, size_t i, const struct io_uring_cqe *cqe)
{
	const struct sockeye_serve_opts *opts = l->w->server->opts;
	struct sockeye_sockaddr peer = {0};

	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		l->accepting[i] = false;
		l->unarmed = true;
	}
	if (cqe->res < 0) {
		accept_failed(l, cqe->res);
		return;
	}
	if (opts->verbose || opts->show_messages || opts->per_source_max > 0)
		(void)sockeye_peer_name(cqe->res, &peer);
	client_admit(l, i, cqe->res, &peer);
}

static void on_poll(struct loop *l, size_t i)
{
	l->accepting[i] = false;
	l->unarmed = true;
	if (l->w->server->sites[i].stream)
		clients_take(l, i);
	else
		for (int n = 0; n < ANSWER_BATCHES && sockeye__answer(l->answerer, i); n++)
			;
}

/* Those who connected before the stop are still served; then the listeners
 * refuse, which also ends the requests that accept. */
static void stop(struct loop *l)
{
	l->stopping = true;
	for (size_t i = 0; i < l->w->server->site_count; i++) {
		if (l->w->server->sites[i].stream) {
			clients_take(l, i);
			shutdown(sockeye__site_fd(l->w, i), SHUT_RD);
		} else {
			while (sockeye__answer(l->answerer, i))
				;
		}
	}
}

/* --- the loop --- */

static void dispatch(struct loop *l, const struct io_uring_cqe *cqe)
{
	enum op op = (enum op)(cqe->user_data & OP_MASK);
	struct conn *c = (struct conn *)(uintptr_t)(cqe->user_data & ~OP_MASK);

	switch (op) {
	case OP_RECEIVE:
		if (!(cqe->flags & IORING_CQE_F_MORE))
			c->ops--;
		on_receive(l, c, cqe);
		break;
	case OP_SEND:
		c->sent_res = cqe->res;
		break;
	case OP_SEND_WAIT:
		on_send(l, c, cqe->res);
		break;
	case OP_CANCEL:
		c->ops--;
		c->cancelling = false;
		if (c->ending)
			conn_close(l, c, SOCKEYE__END_DONE);
		break;
	case OP_ACCEPT:
		on_accept(l, cqe->user_data >> OP_BITS, cqe);
		break;
	case OP_POLL:
		on_poll(l, cqe->user_data >> OP_BITS);
		break;
	case OP_STOP:
		stop(l);
		break;
	}
}

static void starved_feed(struct loop *l)
{
	struct conn *c = l->starved, *next;

	l->starved = NULL;
	for (; c != NULL; c = next) {
		next = c->next_starved;
		c->starved = false;
		if (c->ending)
			conn_close(l, c, SOCKEYE__END_DONE);
		else
			conn_receive(l, c);
	}
}

static void wait_submitted(struct loop *l)
{
	bool timed = l->clocks.needed || l->resume_ns != 0;
	int ms = timed ? sockeye__clocks_wait_ms(&l->clocks, l->resume_ns) : -1;
	struct __kernel_timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	struct io_uring_cqe *cqe;

	if (l->hurry)
		(void)io_uring_submit_and_get_events(&l->ring);
	else if (ms < 0)
		(void)io_uring_submit_and_wait(&l->ring, 1);
	else
		(void)io_uring_submit_and_wait_timeout(&l->ring, &cqe, 1, &ts, NULL);
	l->hurry = false;
}

/* The quick sends that have been submitted are over. Those that did not go
 * well have said so; the number of completions looked at for that is returned. */
static unsigned sent_settle(struct loop *l)
{
	struct conn *c = l->sent, *next;
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe (&l->ring, head, cqe) {
		if ((cqe->user_data & OP_MASK) == OP_SEND)
			dispatch(l, cqe);
		n++;
	}
	l->sent = NULL;
	for (; c != NULL; c = next) {
		next = c->next_sent;
		on_send(l, c, c->sent_res);
	}
	return n;
}

static void loop_turn(struct loop *l)
{
	struct io_uring_cqe *cqe;
	struct sockeye__conn *c;
	unsigned head, settled, n = 0;

	wait_submitted(l);
	if (l->clocks.needed)
		l->turn.now = l->clocks.now = sockeye_now();
	settled = sent_settle(l);
	io_uring_for_each_cqe (&l->ring, head, cqe) {
		if (n >= settled || (cqe->user_data & OP_MASK) != OP_SEND)
			dispatch(l, cqe);
		n++;
	}
	io_uring_cq_advance(&l->ring, n);
	for (unsigned i = 0; l->clocks.needed && i < CQ_ENTRIES; i++) {
		c = sockeye__clocks_expired(&l->clocks);
		if (c == NULL)
			break;
		conn_expired(l, (struct conn *)c);
	}
	starved_feed(l);
	if (l->unarmed)
		sites_settle(l);
}

static int ring_open(struct io_uring *ring, unsigned sq, unsigned cq)
{
	struct io_uring_params p = {
	    .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
	        IORING_SETUP_SUBMIT_ALL,
	    .cq_entries = cq,
	};

	return io_uring_queue_init_params(sq, ring, &p);
}

static int buffers_register(struct io_uring *ring, unsigned count, struct io_uring_buf_ring **out)
{
	struct io_uring_buf_reg reg = {.ring_entries = count, .bgid = BUFFER_GROUP};
	void *mem = NULL;
	int err = posix_memalign(&mem, 4096, count * sizeof(struct io_uring_buf));

	if (err != 0)
		return -err;
	reg.ring_addr = (uint64_t)(uintptr_t)mem;
	err = io_uring_register_buf_ring(ring, &reg, 0);
	if (err < 0) {
		free(mem);
		return err;
	}
	io_uring_buf_ring_init(mem);
	*out = mem;
	return 0;
}

static bool loop_open(struct loop *l)
{
	const struct sockeye__server *server = l->w->server;
	int err = ring_open(&l->ring, SQ_ENTRIES, CQ_ENTRIES);

	if (err < 0)
		return false;
	(void)io_uring_register_ring_fd(&l->ring); /* saves a look-up at each call; 5.18 */
	if (buffers_register(&l->ring, BUFFERS, &l->buffers) < 0)
		return false;
	l->memory = aligned_alloc(64, (size_t)BUFFERS * BUFFER_STRIDE + RECORD_BYTES);
	l->accepting = calloc(server->site_count, sizeof *l->accepting);
	l->answerer = sockeye__answerer_new(l->w);
	if (l->memory == NULL || l->accepting == NULL || l->answerer == NULL)
		return false;
	for (int32_t i = 0; i < BUFFERS; i++)
		buffer_give(l, i);
	sockeye__clocks_init(&l->clocks, server);
	l->turn.room = l->room;
	l->turn.room_len = sizeof l->room;
	io_uring_prep_poll_add(entry(l, OP_STOP), server->stop_rd, POLLIN);
	sites_settle(l);
	return true;
}

/* The kernel takes a ring down after the process has gone; what it still polls
 * would keep its port until then, and a restart would find it in use. */
static void requests_end(struct loop *l)
{
	struct io_uring_sync_cancel_reg all = {
	    .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
	    .timeout = {.tv_sec = 1},
	};

	(void)io_uring_register_sync_cancel(&l->ring, &all);
	(void)io_uring_submit_and_get_events(&l->ring);
}

static void run(struct sockeye__worker *w)
{
	struct loop *l = calloc(1, sizeof *l);

	if (l == NULL)
		return;
	l->w = w;
	if (loop_open(l))
		while (!l->stopping || w->conns > 0)
			loop_turn(l);
	requests_end(l);
	io_uring_queue_exit(&l->ring);
	sockeye__answerer_free(l->answerer);
	sockeye__timers_fini(&l->clocks.timers);
	free(l->buffers);
	free(l->accepting);
	free(l->memory);
	free(l);
}

/* Whether this machine can: containers and sysctls forbid io_uring, and old
 * kernels lack parts. So do what the loop does, once, over a pair of sockets. */
static int try_receive(struct io_uring *ring, struct io_uring_buf_ring *buffers, int pair[2])
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts = {.tv_sec = 1};
	uint8_t byte;
	int err;

	io_uring_buf_ring_add(buffers, &byte, 1, 0, io_uring_buf_ring_mask(1), 0);
	io_uring_buf_ring_advance(buffers, 1);
	io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	if (send(pair[1], "x", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	err = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &ts, NULL);
	if (err < 0)
		return err;
	return cqe->res == 1 ? 0 : cqe->res < 0 ? cqe->res : -EOPNOTSUPP;
}

static int probe(void)
{
	struct io_uring ring;
	struct io_uring_buf_ring *buffers = NULL;
	int pair[2], err = ring_open(&ring, 4, 8);

	if (err < 0)
		return err;
	err = buffers_register(&ring, 1, &buffers);
	if (err == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		err = -errno;
	if (err == 0) {
		err = try_receive(&ring, buffers, pair);
		close(pair[0]);
		close(pair[1]);
	}
	io_uring_queue_exit(&ring);
	free(buffers);
	return err;
}

const struct sockeye__model sockeye__model_uring = {
    .name = "uring",
    .summary = "many connections in each of a few processes, by io_uring",
    .own_sockets = true,
    .probe = probe,
    .run = run,
};
