/*
 * uring_life.c: the life of a connection under io_uring: its receive request, the
 * lists of the loop that it is in, and its end.
 */
#include "serve/uring_internal.h"

#include <poll.h>
#include <sys/socket.h>

void sockeye__uring_postpone(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (c->lists & SOCKEYE__URING_POSTPONED)
		return;
	c->lists |= SOCKEYE__URING_POSTPONED;
	c->next_postponed = l->postponed;
	l->postponed = c;
	l->go_on = l->housekeeping = true;
}

void sockeye__uring_starve(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	c->lists |= SOCKEYE__URING_STARVED;
	c->next_starved = l->starved;
	l->starved = c;
	l->housekeeping = true;
}

void sockeye__uring_release(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if (c->requests != 0 || c->lists != 0 || c->life == SOCKEYE__URING_CLOSED)
		return;
	c->life = SOCKEYE__URING_CLOSED;
	c->next_closed = l->closed;
	l->closed = c;
	l->housekeeping = true;
}

void sockeye__uring_conn_close(struct sockeye__uring *l, struct sockeye__uring_conn *c,
			       enum sockeye__end end)
{
	if (!sockeye__uring_is_open(c))
		return;
	c->life = SOCKEYE__URING_CLOSING;
	c->end_cause = (uint8_t)end;
	sockeye__timers_clear(&l->clocks.timers, &c->base.timer);
	if (sockeye__uring_is_quiet_pending(l, c)) /* its output must be sent first */
		sockeye__uring_postpone(l, c);
	else if (c->requests != 0) /* closing the file descriptor would not end the requests */
		shutdown(c->base.visit.fd, sockeye__uring_is_sending(c) ? SHUT_RDWR : SHUT_RD);
	sockeye__uring_release(l, c);
}

void sockeye__uring_receive(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	struct io_uring_sqe *sqe;

	if ((c->requests & SOCKEYE__URING_RECEIVING) || (c->lists & SOCKEYE__URING_STARVED) ||
	    !sockeye__uring_is_open(c) || c->base.visit.in_end ||
	    c->chunk_len + c->waiting_bytes >= SOCKEYE_INPUT_MAX)
		return;
	sqe = sockeye__uring_entry(l, sockeye__uring_conn_tag(c, SOCKEYE__URING_RECEIVE));
	if (c->base.visit.site->keeps_records) { /* a record may be longer than a ring buffer */
		io_uring_prep_poll_add(sqe, c->base.visit.fd, POLLIN);
	} else {
		io_uring_prep_recv_multishot(sqe, c->base.visit.fd, NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = SOCKEYE__URING_GROUP;
	}
	sockeye__uring_request_begins(c, SOCKEYE__URING_RECEIVING);
}

void sockeye__uring_receive_cancel(struct sockeye__uring *l, struct sockeye__uring_conn *c)
{
	if ((c->requests & (SOCKEYE__URING_RECEIVING | SOCKEYE__URING_CANCELLING)) !=
	    SOCKEYE__URING_RECEIVING)
		return;
	io_uring_prep_cancel64(
	    sockeye__uring_entry(l, sockeye__uring_conn_tag(c, SOCKEYE__URING_CANCEL)),
	    sockeye__uring_conn_tag(c, SOCKEYE__URING_RECEIVE), 0);
	sockeye__uring_request_begins(c, SOCKEYE__URING_CANCELLING);
}
