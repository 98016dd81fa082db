/*
 * uring_conn.c: one connection under io_uring: receive, turns, send.
 *
 * At most one send is in flight. It is first tried without waiting
 * (MSG_DONTWAIT), so it is over when the call that submits it returns. A light
 * send is one after which nothing is to be done: it posts no completion unless
 * it fails or comes up short (CQE_SKIP_SUCCESS, with MSG_WAITALL to make short
 * a failure), so the loop does not wake for what it has just sent itself. All
 * others are tracked: their completion says how the session goes on. What a
 * slow peer has not taken is sent again, waiting.
 */
#include "serve/uring_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define QUEUE_MAX 8 /* ring buffers that may wait behind a slow peer before receiving stops */

/* A light send is still to be submitted. */
static bool light(const struct sockeye__uring *l, const struct sockeye__uring_conn *c)
{
	return c->light_turn == l->turn_count;
}

/* Puts it off until the requests of this turn have been submitted. */
static void conn_later(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (c->later)
		return;
	c->later = true;
	c->next_later = l->later;
	l->later = c;
	l->hurry = l->chores = true;
}

/* Puts it on the list of those to be freed, once nothing refers to it. */
static void conn_done(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (c->ops > 0 || c->starved || c->later || c->dead)
		return;
	c->dead = true;
	c->next_dead = l->dead;
	l->dead = c;
	l->chores = true;
}

/* Closing does not end requests that hold the file. Shutting down does, and
 * their completions then let the connection go. */
static void conn_close(struct sockeye__uring *l, struct sockeye__uring_conn *c,
		       enum sockeye__end end)
{
	if (c->ending)
		return;
	c->ending = true;
	c->end = (uint8_t)end;
	sockeye__timers_clear(&l->clocks.timers, &c->base.timer);
	if (light(l, c)) /* its output must leave first */
		conn_later(l, c);
	else if (c->ops > 0)
		shutdown(c->base.visit.fd, c->sending ? SHUT_RDWR : SHUT_RD);
	conn_done(l, c);
}

static void conn_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	struct io_uring_sqe *sqe;

	if (c->receiving || c->starved || c->ending || c->base.visit.in_end ||
	    c->chunk_len + c->behind >= SOCKEYE_INPUT_MAX)
		return;
	sqe = sockeye__uring_entry(l, sockeye__uring_conn_tag(c, SOCKEYE__URING_RECEIVE));
	if (c->base.visit.site->whole) { /* a record may be longer than a buffer of the ring */
		io_uring_prep_poll_add(sqe, c->base.visit.fd, POLLIN);
	} else {
		io_uring_prep_recv_multishot(sqe, c->base.visit.fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = SOCKEYE__URING_GROUP;
	}
	c->receiving = true;
	c->ops++;
}

static void conn_receive_stop(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (!c->receiving || c->cancelling)
		return;
	io_uring_prep_cancel64(
	    sockeye__uring_entry(l, sockeye__uring_conn_tag(c, SOCKEYE__URING_CANCEL)),
	    sockeye__uring_conn_tag(c, SOCKEYE__URING_RECEIVE), 0);
	c->cancelling = true;
	c->ops++;
}

SOCKEYE__HOT struct io_uring_sqe *conn_send(struct sockeye__uring *l, struct sockeye__uring_conn *c,
					    const uint8_t *data, uint32_t len, int flags)
{
	struct io_uring_sqe *sqe =
	    sockeye__uring_entry(l, sockeye__uring_conn_tag(c, SOCKEYE__URING_SEND));

	io_uring_prep_send(sqe, c->base.visit.fd, data, len, MSG_NOSIGNAL | MSG_WAITALL | flags);
	c->sent = data;
	c->sent_len = len;
	return sqe;
}

static void conn_send_tracked(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			      const uint8_t *data, uint32_t len, int flags)
{
	conn_send(l, c, data, len, flags);
	c->sending = true;
	c->ops++;
}

/* The buffer goes back to the ring at the end of the next turn, unless the send
 * fails before. */
static void conn_send_light(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			    const uint8_t *data, uint32_t len)
{
	conn_send(l, c, data, len, MSG_DONTWAIT)->flags |= IOSQE_CQE_SKIP_SUCCESS;
	c->light_turn = l->turn_count;
	c->light_at = l->lent->count;
	l->lent->ids[l->lent->count++] = c->buffer;
	c->buffer = -1;
}

/* Waits for input. */
SOCKEYE__HOT void conn_await(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (l->clocks.needed && sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
		conn_close(l, c, SOCKEYE__END_ERROR);
	else if (!c->receiving)
		conn_receive(l, c);
}

/* The session has done what it can: see to what it needs next. */
static void conn_rest(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	bool full = c->chunk_len >= SOCKEYE_INPUT_MAX;

	if (c->base.deadline_ns == 0 &&
	    (full || c->base.visit.in_end)) /* nothing can ever happen again */
		conn_close(l, c, full ? SOCKEYE__END_ERROR : SOCKEYE__END_DONE);
	else if (!sockeye__uring_chunk_own(l, c))
		conn_close(l, c, SOCKEYE__END_ERROR);
	else
		conn_await(l, c);
	if (full)
		conn_receive_stop(l, c);
}

SOCKEYE__HOT void sent_count(struct sockeye__uring *l, struct sockeye__uring_conn *c, uint64_t n)
{
	sockeye__count(&l->counters->bytes_out, n);
	c->base.visit.bytes_out += n;
}

/* Sends the output of a turn. What was written to the loop's room needs memory
 * that stays; what points into the chunk stays with it. */
static void conn_say(struct sockeye__uring *l, struct sockeye__uring_conn *c,
		     const struct sockeye_turn *t)
{
	const uint8_t *out = t->out;
	bool fresh = out >= l->room && out < l->room + sizeof l->room;
	/* What there is to do afterwards; "or" without branches, for there is none. */
	uint32_t follows = c->chunk_len | c->behind | t->more | t->close | c->base.visit.in_end |
			   fresh | !c->receiving;

	if (follows == 0 && c->buffer >= 0) {
		conn_send_light(l, c, out, (uint32_t)t->out_len);
		sent_count(l, c, t->out_len); /* its success posts no completion */
		if (l->clocks.needed && sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
			conn_close(l, c, SOCKEYE__END_ERROR);
		return;
	}
	if (fresh) {
		if (!sockeye__queue_add(&c->base.out, out, t->out_len)) {
			conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		out = c->base.out->data;
	}
	conn_send_tracked(l, c, out, (uint32_t)t->out_len, MSG_DONTWAIT);
}

/* Turns of the session until one has output, or it needs something that is
 * not there. Only while no send is in flight. */
static void conn_turns(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	struct sockeye_turn *t = &l->turn;

	do {
		if (c->behind > 0 && !sockeye__uring_chunk_next(l, c)) {
			conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		t->in = c->chunk;
		t->in_len = c->chunk_len;
		t->in_end = c->end_told =
		    c->base.visit.in_end & (c->behind == 0); /* with the last bytes */
		t->whole = c->base.visit.site->whole;
		sockeye__turn(c->base.visit.site, c->state, t);
		c->chunk += t->in_taken;
		c->chunk_len -= (uint32_t)t->in_taken;
		c->base.after_output = sockeye__after_output(t);
		c->base.deadline_ns = t->deadline_ns;
		if (t->out_len > 0) {
			conn_say(l, c, t);
			return;
		}
		if (t->close) {
			conn_close(l, c, SOCKEYE__END_DONE);
			return;
		}
	} while (c->behind > 0 || (t->in_taken > 0 && c->chunk_len > 0));
	if (t->more) { /* but says it only in the next turn: the others first */
		conn_later(l, c);
		return;
	}
	if (c->chunk_len == 0)
		sockeye__uring_chunk_drop(l, c);
	conn_rest(l, c);
}

/* All output has left: turns for what came meanwhile. */
static void conn_sent_all(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	sockeye__queue_drop(&c->base.out);
	if (c->chunk_len == 0)
		sockeye__uring_chunk_drop(l, c);
	if (c->base.after_output == SOCKEYE__AFTER_CLOSE)
		conn_close(l, c, SOCKEYE__END_DONE);
	else if (c->chunk_len > 0 || c->behind > 0 || c->base.after_output == SOCKEYE__AFTER_TURN ||
		 (c->base.visit.in_end && !c->end_told))
		conn_turns(l, c);
	else
		conn_rest(l, c);
}

/* The peer takes no more now: wait for it, with what it has not taken where it
 * is or, when too many ring buffers wait already, in a copy. */
static void conn_sent_some(struct sockeye__uring *l, struct sockeye__uring_conn *c, uint32_t n)
{
	bool in_ring = c->buffer >= 0 && c->base.out == NULL;
	const uint8_t *rest = c->sent + n;
	uint32_t len = c->sent_len - n;

	if (!sockeye__uring_hold(l, c)) {
		if ((in_ring && !sockeye__queue_add(&c->base.out, rest, len)) ||
		    !sockeye__uring_input_own(l, c)) {
			conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		if (in_ring)
			rest = c->base.out->data;
	}
	conn_send_tracked(l, c, rest, len, 0);
	if (c->queue_len >= QUEUE_MAX || c->base.in != NULL)
		conn_receive_stop(l, c);
}

void sockeye__uring_on_send(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res)
{
	uint32_t n = res > 0 ? (uint32_t)res : 0;

	if (c->sending) {
		c->sending = false;
		c->ops--;
		sockeye__uring_unhold(l, c);
		sent_count(l, c, n);
	} else { /* a light one came up short: its buffer is still needed */
		c->buffer = l->lent_before->ids[c->light_at];
		l->lent_before->ids[c->light_at] = -1;
		/* No report shows that the counter falls: see rows_hold() in supervise.c. */
		sent_count(l, c, (uint64_t)n - c->sent_len);
	}
	c->base.active_ns = l->clocks.now.mono_ns;
	if (c->ending)
		conn_done(l, c);
	else if (res < 0 && res != -EAGAIN && res != -EINTR)
		conn_close(l, c, sockeye__end_of(res));
	else if (n == c->sent_len)
		conn_sent_all(l, c);
	else
		conn_sent_some(l, c, n);
}

/* Input of n bytes, in ring buffer `id` or (-1) at data. */
SOCKEYE__HOT void conn_input(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			     const uint8_t *data, uint32_t n, int32_t id)
{
	uint32_t busy = c->chunk_len | c->behind | c->sending | light(l, c);

	c->base.visit.bytes_in += n;
	sockeye__count(&l->counters->bytes_in, n);
	if (l->shows)
		sockeye__visit_show(l->w, &c->base.visit, data, n);
	if (busy == 0 && id >= 0) {
		sockeye__uring_chunk_set(l, c, id, n);
		conn_turns(l, c);
		return;
	}
	if (!sockeye__uring_input_wait(l, c, data, n, id))
		conn_close(l, c, SOCKEYE__END_ERROR);
	else if (light(l, c))
		conn_later(l, c);
	else if (!c->sending)
		conn_turns(l, c);
	else if (c->queue_len >= QUEUE_MAX || c->base.in != NULL)
		conn_receive_stop(l, c); /* better that input waits in the kernel */
}

/* A record of a seqpacket connection: too long, perhaps, for a ring buffer. */
static int record_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	uint8_t *record = sockeye__uring_buffer(l, SOCKEYE__URING_BUFFERS); /* behind the last */
	ssize_t n = recv(c->base.visit.fd, record, SOCKEYE__RECORD_BYTES, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return -errno;
	if (n == 0 && sockeye__record_empty(c->base.visit.site, c->base.visit.fd))
		return -EAGAIN;
	if (n > SOCKEYE__RECORD_BYTES)
		return sockeye__record_cut(l->w);
	if (n > 0)
		conn_input(l, c, record, (uint32_t)n, -1);
	return (int)n;
}

static void on_receive_end(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res)
{
	if (res == -ENOBUFS) {
		c->starved = true;
		c->next_starved = l->starved;
		l->starved = c;
		l->chores = true;
	} else if (res == 0) {
		c->base.visit.in_end = true;
		if (light(l, c))
			conn_later(l, c);
		else if (!c->sending)
			conn_turns(l, c);
	} else if (res < 0 && res != -ECANCELED && res != -EAGAIN && res != -EINTR) {
		conn_close(l, c, sockeye__end_of(res));
	} else if (!c->sending) { /* else when all has left: receiving was called off */
		conn_receive(l, c);
	}
}

void sockeye__uring_on_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res,
			       uint32_t flags)
{
	bool buffered = (flags & IORING_CQE_F_BUFFER) != 0;
	int32_t id = (int32_t)(flags >> IORING_CQE_BUFFER_SHIFT); /* if so, of which */
	bool more = (flags & IORING_CQE_F_MORE) != 0;

	if (!more) {
		c->receiving = false;
		c->ops--;
	}
	if (c->ending) {
		if (buffered)
			sockeye__uring_buffer_give(l, id);
		conn_done(l, c);
		return;
	}
	c->base.active_ns = l->clocks.now.mono_ns;
	if (buffered)
		conn_input(l, c, sockeye__uring_buffer(l, id), (uint32_t)res, id);
	else if (res > 0)
		res = record_receive(l, c);
	if (!more && !c->ending)
		on_receive_end(l, c, res);
}

void sockeye__uring_on_cancel(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	c->cancelling = false;
	c->ops--;
	if (c->ending)
		conn_done(l, c);
}

/* The session has asked for a turn by now. Its limits go on meanwhile, for what
 * it says may be in flight for ever. */
static void conn_due(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
		conn_close(l, c, SOCKEYE__END_ERROR);
	else if (light(l, c))
		conn_later(l, c);
	else if (c->sending)
		c->base.after_output = SOCKEYE__AFTER_TURN; /* once that has left */
	else
		conn_turns(l, c);
}

void sockeye__uring_conn_expired(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	switch (sockeye__conn_due(&l->clocks, &c->base)) {
	case SOCKEYE__DUE_IDLE:
		conn_close(l, c, SOCKEYE__END_IDLE);
		break;
	case SOCKEYE__DUE_TIME:
		conn_close(l, c, SOCKEYE__END_TIME);
		break;
	case SOCKEYE__DUE_TURN:
		conn_due(l, c);
		break;
	case SOCKEYE__DUE_NOTHING:
		if (sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
			conn_close(l, c, SOCKEYE__END_ERROR);
		break;
	}
}

void sockeye__uring_conn_open(struct sockeye__uring *l, const struct sockeye__visit *v)
{
	struct sockeye__uring_conn *c = calloc(1, sizeof *c + v->site->service->state_size);

	if (c == NULL) {
		sockeye__turn_away(l->w, v, "no memory for a connection; it was closed", -ENOMEM);
		return;
	}
	c->base.visit = *v;
	c->buffer = c->queue_first = -1;
	c->light_turn = l->turn_count - 1;
	c->base.opened_ns = c->base.active_ns = l->clocks.now.mono_ns;
	conn_receive(l, c);
	/* At once, for its first output may be in flight for ever. */
	if (l->clocks.needed && sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
		conn_close(l, c, SOCKEYE__END_ERROR);
	else if (v->site->service->speaks_first)
		conn_turns(l, c);
} /* NOLINT(clang-analyzer-unix.Malloc): the ring has it now */

static void conn_free(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	sockeye__uring_unhold(l, c);
	sockeye__uring_input_drop(l, c);
	sockeye__queue_drop(&c->base.out);
	sockeye__dismiss(l->w, &c->base.visit, (enum sockeye__end)c->end);
	free(c);
}

/* Those that got input, an end or their deadline in the turn before, while a
 * light send was still to be submitted. It has been now, and if it failed that
 * has been seen. */
static void conns_resume(struct sockeye__uring *l)
{
	struct sockeye__uring_conn *c = l->resume, *next;

	for (; c != NULL; c = next) {
		next = c->next_later;
		c->later = false;
		if (light(l, c)) { /* one more since */
			conn_later(l, c);
		} else if (c->ending) {
			if (c->ops > 0)
				shutdown(c->base.visit.fd, SHUT_RD);
			conn_done(l, c);
		} else if (!c->sending) {
			conn_turns(l, c);
		}
	}
	l->resume = l->later;
	l->later = NULL;
	l->chores |= l->resume != NULL;
}

void sockeye__uring_conns_settle(struct sockeye__uring *l)
{
	struct sockeye__uring_conn *c, *next;

	conns_resume(l);
	c = l->starved;
	l->starved = NULL;
	for (; c != NULL; c = next) {
		next = c->next_starved;
		if (light(l, c) && !c->ending) { /* its failure must come before new input */
			c->next_starved = l->starved;
			l->starved = c;
			l->hurry = l->chores = true;
			continue;
		}
		c->starved = false;
		if (c->ending)
			conn_done(l, c);
		else
			conn_receive(l, c);
	}
	c = l->dead;
	l->dead = NULL;
	for (; c != NULL; c = next) {
		next = c->next_dead;
		conn_free(l, c);
	}
}
