/*
 * uring_conn.c: one connection under io_uring: receive, turns, send.
 *
 * At most one send is in flight. It is first tried without waiting (MSG_DONTWAIT), so
 * it has completed when the call that submits it returns.
 *
 * A send that needs no follow-up is quiet: it posts no completion unless it fails or is
 * short (IOSQE_CQE_SKIP_SUCCESS, with MSG_WAITALL to make a short send a failure), so
 * the loop does not wake for its own sends. Every other send is tracked: its completion
 * decides how the connection continues. If a slow peer accepts only part of the output,
 * a tracked send without MSG_DONTWAIT sends the rest.
 */
#include "serve/uring_internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#define QUEUE_MAX 8 /* ring buffers that may queue for a slow peer before receiving stops */

SOCKEYE__HOT struct io_uring_sqe *send_prepare(struct sockeye__uring *l,
					       struct sockeye__uring_conn *c, const uint8_t *data,
					       uint32_t len, int flags)
{
	struct io_uring_sqe *sqe =
	    sockeye__uring_entry(l, sockeye__uring_conn_tag(c, SOCKEYE__URING_SEND));

	io_uring_prep_send(sqe, c->base.visit.fd, data, len, MSG_NOSIGNAL | MSG_WAITALL | flags);
	c->sent = data;
	c->sent_len = len;
	return sqe;
}

static void send_tracked(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			 const uint8_t *data, uint32_t len, int flags)
{
	send_prepare(l, c, data, len, flags);
	sockeye__uring_request_begins(c, SOCKEYE__URING_SENDING);
}

/* Sends the output from the chunk's buffer. The ring receives the buffer back at the end
 * of the next turn, unless the send has failed by then. */
static void send_quiet(struct sockeye__uring *l, struct sockeye__uring_conn *c, const uint8_t *data,
		       uint32_t len)
{
	send_prepare(l, c, data, len, MSG_DONTWAIT)->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sockeye__invariant(sockeye__uring_buffer_pass(l, c->buffer, SOCKEYE__URING_OF_CHUNK,
						      SOCKEYE__URING_OF_QUIET));
	c->quiet_turn = l->turn_count;
	c->quiet_index = l->quiet->count;
	l->quiet->ids[l->quiet->count++] = c->buffer;
	c->buffer = -1;
}

SOCKEYE__HOT void conn_await_input(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (l->clocks.needed && sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
		sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
	else
		sockeye__uring_receive(l, c);
}

/* Called when the session waits for input or for its deadline. Makes sure that at least
 * one of them can occur; otherwise closes the connection. */
static void conn_settle(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	bool full = c->chunk_len >= SOCKEYE_INPUT_MAX;

	if (c->base.deadline_ns == 0 && (full || c->base.visit.in_end))
		sockeye__uring_conn_close(l, c, full ? SOCKEYE__END_ERROR : SOCKEYE__END_DONE);
	else if (!sockeye__uring_chunk_copy(l, c))
		sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
	else
		conn_await_input(l, c);
	if (full)
		sockeye__uring_receive_cancel(l, c);
}

SOCKEYE__HOT void sent_count(struct sockeye__uring *l, struct sockeye__uring_conn *c, uint64_t n)
{
	sockeye__count(&l->counters->bytes_out, n);
	c->base.visit.bytes_out += n;
}

/* Sends the output of a turn. Output in the loop's room is copied, because the
 * room is reused; output in the chunk stays where it is. */
static void conn_output(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			const struct sockeye_turn *t)
{
	const uint8_t *out = t->out;
	bool in_room = out >= l->room && out < l->room + sizeof l->room;
	/* Not 0 if the connection must continue after the send. This is rare, so that "|"
	 * costs less than the branches of "||". */
	uint32_t follows = c->chunk_len | c->waiting_bytes | t->more | t->close |
			   c->base.visit.in_end | in_room |
			   (c->requests ^ (unsigned)SOCKEYE__URING_RECEIVING);

	if (follows == 0 && c->buffer >= 0) {
		send_quiet(l, c, out, (uint32_t)t->out_len);
		sent_count(l, c, t->out_len); /* now: a successful send posts no completion */
		if (l->clocks.needed && sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
			sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
		return;
	}
	if (in_room) {
		if (!sockeye__queue_add(&c->base.out, out, t->out_len)) {
			sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		out = c->base.out->data;
	}
	send_tracked(l, c, out, (uint32_t)t->out_len, MSG_DONTWAIT);
}

/* Gives the session turns until one has output, or until it has to wait. No send
 * may be in flight. */
static void conn_turns(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	struct sockeye_turn *t = &l->turn;

	do {
		if (c->waiting_bytes > 0 && !sockeye__uring_chunk_next(l, c)) {
			sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		t->in = c->chunk;
		t->in_len = c->chunk_len;
		/* The session is offered the end together with the last bytes. */
		t->in_end = c->end_offered = c->base.visit.in_end & (c->waiting_bytes == 0);
		t->in_is_record = c->base.visit.site->keeps_records;
		sockeye__turn(c->base.visit.site, c->state, t);
		c->chunk += t->in_taken;
		c->chunk_len -= (uint32_t)t->in_taken;
		c->base.after_output = sockeye__after_output(t);
		c->base.deadline_ns = t->deadline_ns;
		if (t->out_len > 0) {
			conn_output(l, c, t);
			return;
		}
		if (t->close) {
			sockeye__uring_conn_close(l, c, SOCKEYE__END_DONE);
			return;
		}
	} while (c->waiting_bytes > 0 || (t->in_taken > 0 && c->chunk_len > 0));
	if (t->more) { /* continue in the next turn, after the other connections */
		sockeye__uring_postpone(l, c);
		return;
	}
	if (c->chunk_len == 0)
		sockeye__uring_chunk_drop(l, c);
	conn_settle(l, c);
}

/* All output has been sent: gives the session turns if it has input or more output. */
static void conn_sent_all(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	sockeye__queue_drop(&c->base.out);
	if (c->chunk_len == 0)
		sockeye__uring_chunk_drop(l, c);
	if (c->base.after_output == SOCKEYE__AFTER_CLOSE)
		sockeye__uring_conn_close(l, c, SOCKEYE__END_DONE);
	else if (c->chunk_len > 0 || c->waiting_bytes > 0 ||
		 c->base.after_output == SOCKEYE__AFTER_TURN ||
		 (c->base.visit.in_end && !c->end_offered))
		conn_turns(l, c);
	else
		conn_settle(l, c);
}

/* The peer has accepted only n bytes: sends the rest with a request that waits. If too
 * many ring buffers are stalled already, copies the rest first. */
static void conn_sent_part(struct sockeye__uring *l, struct sockeye__uring_conn *c, uint32_t n)
{
	bool in_ring = c->buffer >= 0 && c->base.out == NULL;
	const uint8_t *rest = c->sent + n;
	uint32_t len = c->sent_len - n;

	if (!sockeye__uring_stall(l, c)) {
		if ((in_ring && !sockeye__queue_add(&c->base.out, rest, len)) ||
		    !sockeye__uring_input_copy(l, c)) {
			sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
			return;
		}
		if (in_ring)
			rest = c->base.out->data;
	}
	send_tracked(l, c, rest, len, 0);
	if (c->queue_count >= QUEUE_MAX || c->base.in != NULL)
		sockeye__uring_receive_cancel(l, c);
}

/* A quiet send has failed or was short: takes its buffer back. */
static void quiet_take_back(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	c->buffer = l->quiet_before->ids[c->quiet_index];
	l->quiet_before->ids[c->quiet_index] = -1;
	sockeye__invariant(sockeye__uring_buffer_pass(l, c->buffer, SOCKEYE__URING_OF_QUIET,
						      SOCKEYE__URING_OF_CHUNK));
}

void sockeye__uring_on_send(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res)
{
	uint32_t n = res > 0 ? (uint32_t)res : 0;

	if (sockeye__uring_is_sending(c)) {
		sockeye__uring_request_ends(c, SOCKEYE__URING_SENDING);
		sockeye__uring_stall_end(l, c);
		sent_count(l, c, n);
	} else {
		quiet_take_back(l, c);
		/* This may lower the counter; hold() in totals.c keeps reports from falling. */
		sent_count(l, c, (uint64_t)n - c->sent_len);
	}
	c->base.active_ns = l->clocks.now.mono_ns;
	if (!sockeye__uring_is_open(c))
		sockeye__uring_release(l, c);
	else if (res < 0 && res != -EAGAIN && res != -EINTR)
		sockeye__uring_conn_close(l, c, sockeye__end_of(res));
	else if (n == c->sent_len)
		conn_sent_all(l, c);
	else
		conn_sent_part(l, c, n);
}

/* Handles n bytes of input: in ring buffer `id`, or at `data` if id is -1. */
SOCKEYE__HOT void conn_input(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			     const uint8_t *data, uint32_t n, int32_t id)
{
	uint32_t busy = c->chunk_len | c->waiting_bytes | (c->requests & SOCKEYE__URING_SENDING) |
			sockeye__uring_is_quiet_pending(l, c);

	c->base.visit.bytes_in += n;
	sockeye__count(&l->counters->bytes_in, n);
	if (l->show_messages)
		sockeye__visit_show(l->worker, &c->base.visit, data, n);
	if (busy == 0 && id >= 0) {
		sockeye__invariant(sockeye__uring_buffer_pass(l, id, SOCKEYE__URING_OF_LOOP,
							      SOCKEYE__URING_OF_CHUNK));
		sockeye__uring_chunk_set(l, c, id, n);
		conn_turns(l, c);
		return;
	}
	if (!sockeye__uring_input_queue(l, c, data, n, id))
		sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
	else if (sockeye__uring_is_quiet_pending(l, c))
		sockeye__uring_postpone(l, c);
	else if (!sockeye__uring_is_sending(c))
		conn_turns(l, c);
	else if (c->queue_count >= QUEUE_MAX || c->base.in != NULL)
		sockeye__uring_receive_cancel(l, c); /* further input waits in the kernel */
}

/* Receives a record of a seqpacket connection, which may be too long for a ring
 * buffer. Returns its length, 0 at the end of input, or -errno. */
static int record_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	uint8_t *record = sockeye__uring_buffer(l, SOCKEYE__URING_BUFFERS); /* after the last */
	ssize_t n = recv(c->base.visit.fd, record, SOCKEYE__RECORD_BYTES, MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0)
		return -errno;
	if (n == 0 && sockeye__record_empty(c->base.visit.site, c->base.visit.fd))
		return -EAGAIN;
	if (n > SOCKEYE__RECORD_BYTES)
		return sockeye__record_cut(l->worker);
	if (n > 0)
		conn_input(l, c, record, (uint32_t)n, -1);
	return (int)n;
}

static void on_receive_end(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res)
{
	if (res == -ENOBUFS) {
		sockeye__uring_starve(l, c);
	} else if (res == 0) {
		c->base.visit.in_end = true;
		if (sockeye__uring_is_quiet_pending(l, c))
			sockeye__uring_postpone(l, c);
		else if (!sockeye__uring_is_sending(c))
			conn_turns(l, c);
	} else if (res < 0 && res != -ECANCELED && res != -EAGAIN && res != -EINTR) {
		sockeye__uring_conn_close(l, c, sockeye__end_of(res));
	} else if (!sockeye__uring_is_sending(
		       c)) { /* if a send is in flight, conn_sent_all() resumes receiving */
		sockeye__uring_receive(l, c);
	}
}

void sockeye__uring_on_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c, int res,
			       uint32_t flags)
{
	bool buffered = (flags & IORING_CQE_F_BUFFER) != 0;
	int32_t id = (int32_t)(flags >> IORING_CQE_BUFFER_SHIFT); /* meaningful if buffered */
	bool more = (flags & IORING_CQE_F_MORE) != 0;

	if (!more)
		sockeye__uring_request_ends(c, SOCKEYE__URING_RECEIVING);
	if (buffered)
		sockeye__invariant(sockeye__uring_buffer_pass(l, id, SOCKEYE__URING_OF_KERNEL,
							      SOCKEYE__URING_OF_LOOP));
	if (!sockeye__uring_is_open(c)) {
		if (buffered)
			sockeye__uring_buffer_give(l, id, SOCKEYE__URING_OF_LOOP);
		sockeye__uring_release(l, c);
		return;
	}
	c->base.active_ns = l->clocks.now.mono_ns;
	if (buffered)
		conn_input(l, c, sockeye__uring_buffer(l, id), (uint32_t)res, id);
	else if (res > 0)
		res = record_receive(l, c);
	if (!more && sockeye__uring_is_open(c))
		on_receive_end(l, c, res);
}

void sockeye__uring_on_cancel(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	sockeye__uring_request_ends(c, SOCKEYE__URING_CANCELLING);
	if (!sockeye__uring_is_open(c))
		sockeye__uring_release(l, c);
}

/* The session's deadline has passed. Re-arms the timer for the idle and time limits,
 * because output may be in flight for any length of time. */
static void conn_deadline(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
		sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
	else if (sockeye__uring_is_quiet_pending(l, c))
		sockeye__uring_postpone(l, c);
	else if (!sockeye__uring_is_sending(c))
		conn_turns(l, c);
	else if (c->base.after_output == SOCKEYE__AFTER_WAIT)
		c->base.after_output = SOCKEYE__AFTER_TURN;
}

void sockeye__uring_conn_expired(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	switch (sockeye__conn_due(&l->clocks, &c->base)) {
	case SOCKEYE__DUE_IDLE:
		sockeye__uring_conn_close(l, c, SOCKEYE__END_IDLE);
		break;
	case SOCKEYE__DUE_TIME:
		sockeye__uring_conn_close(l, c, SOCKEYE__END_TIME);
		break;
	case SOCKEYE__DUE_TURN:
		conn_deadline(l, c);
		break;
	case SOCKEYE__DUE_NOTHING:
		if (sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
			sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
		break;
	}
	sockeye__invariant(sockeye__uring_conn_check(l, c));
}

void sockeye__uring_conn_open(struct sockeye__uring *l, const struct sockeye__visit *v)
{
	struct sockeye__uring_conn *c = calloc(1, sizeof *c + v->site->service->state_size);

	if (c == NULL) {
		sockeye__turn_away(l->worker, v, "no memory for a connection; closed it", -ENOMEM);
		return;
	}
	c->base.visit = *v;
	c->buffer = c->queue_first = -1;
	c->quiet_turn = l->turn_count - 1;
	c->base.opened_ns = c->base.active_ns = l->clocks.now.mono_ns;
	sockeye__uring_receive(l, c);
	/* Set the timer before the first turn, because the output may be in flight for any
	 * length of time. */
	if (l->clocks.needed && sockeye__conn_timer_set(&l->clocks, &c->base) < 0)
		sockeye__uring_conn_close(l, c, SOCKEYE__END_ERROR);
	else if (v->site->service->speaks_first)
		conn_turns(l, c);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the ring refers to it */
	sockeye__invariant(sockeye__uring_conn_check(l, c));
}

static void conn_free(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	sockeye__uring_stall_end(l, c);
	sockeye__uring_input_drop(l, c);
	sockeye__queue_drop(&c->base.out);
	sockeye__dismiss(l->worker, &c->base.visit, (enum sockeye__end)c->end_cause);
	free(c);
}

static void conn_resume(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (sockeye__uring_is_quiet_pending(l, c)) { /* another quiet send was made */
		sockeye__uring_postpone(l, c);
	} else if (!sockeye__uring_is_open(c)) {
		if (c->requests != 0)
			shutdown(c->base.visit.fd, SHUT_RD);
		sockeye__uring_release(l, c);
	} else if (!sockeye__uring_is_sending(c)) {
		conn_turns(l, c);
	}
}

/* Continues the connections that were postponed in the previous turn. Their quiet sends
 * have been submitted, and the completions of failed sends have been handled. */
static void postponed_resume(struct sockeye__uring *l)
{
	struct sockeye__uring_conn *c = l->postponed_before, *next;

	l->postponed_before = NULL;
	for (; c != NULL; c = next) {
		next = c->next_postponed;
		c->lists &= (uint8_t) ~(unsigned)SOCKEYE__URING_POSTPONED;
		conn_resume(l, c);
		sockeye__invariant(sockeye__uring_conn_check(l, c));
	}
	l->postponed_before = l->postponed;
	l->postponed = NULL;
	l->housekeeping |= l->postponed_before != NULL;
}

static void starved_receive(struct sockeye__uring *l)
{
	struct sockeye__uring_conn *c = l->starved, *next;

	l->starved = NULL;
	for (; c != NULL; c = next) {
		next = c->next_starved;
		if (sockeye__uring_is_quiet_pending(l, c) && sockeye__uring_is_open(c)) {
			/* The failure of a quiet send must be handled before new input. */
			sockeye__uring_starve(l, c);
			l->go_on = true;
			continue;
		}
		c->lists &= (uint8_t) ~(unsigned)SOCKEYE__URING_STARVED;
		if (sockeye__uring_is_open(c))
			sockeye__uring_receive(l, c);
		else
			sockeye__uring_release(l, c);
		sockeye__invariant(sockeye__uring_conn_check(l, c));
	}
}

void sockeye__uring_conns_settle(struct sockeye__uring *l)
{
	struct sockeye__uring_conn *c, *next;

	postponed_resume(l);
	starved_receive(l);
	c = l->closed;
	l->closed = NULL;
	for (; c != NULL; c = next) {
		next = c->next_closed;
		conn_free(l, c);
	}
}
