/* transfer.c: a transfer's life at the server (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define LONG_BLOCKS   32 /* a transfer of so many goes on for a while, one may think */
#define RECEIVES_MAX  16 /* of one transfer before the others have their turn */
#define STOP_DALLY_NS SOCKEYE_NS_PER_S /* so long a server that stops repeats a last ACK */

static bool uploads(const struct sockeye__tftp_transfer *s)
{
	return s->upload != NULL;
}

/* --- the end --- */

static const char *const ends[] = {
    [SOCKEYE__TFTP_RUNNING] = "ended",
    [SOCKEYE__TFTP_DONE] = "done",
    [SOCKEYE__TFTP_LAST_ACK_MISSING] = "done, but for the last ACK",
    [SOCKEYE__TFTP_TIMED_OUT] = "the client fell silent",
    [SOCKEYE__TFTP_PEER_ERROR] = "the client ended it",
    [SOCKEYE__TFTP_BAD_OACK] = "bad OACK",
    [SOCKEYE__TFTP_BAD_START] = "bad first block",
    [SOCKEYE__TFTP_TOO_LARGE] = "larger than allowed",
    [SOCKEYE__TFTP_WRONG_SIZE] = "not as long as its tsize",
    [SOCKEYE__TFTP_ABORTED] = "aborted",
    [SOCKEYE__TFTP_GONE] = "the client's port is closed",
};

static bool is_done(const struct sockeye__tftp_transfer *s)
{
	return s->text == NULL &&
	       (s->x.result == SOCKEYE__TFTP_DONE || s->x.result == SOCKEYE__TFTP_LAST_ACK_MISSING);
}

/* Bytes of the file the peer has, or we have. */
static uint64_t moved(const struct sockeye__tftp_transfer *s)
{
	uint64_t sent = sockeye__tftp_acknowledged(&s->x);

	if (uploads(s))
		return s->upload->sink.bytes;
	if (is_done(s) && s->source.has_size)
		return s->source.size;
	return sent < s->x.sender.available ? sent : s->x.sender.available;
}

static void count(const struct sockeye__tftp_worker *w, const struct sockeye__tftp_transfer *s,
		  bool probe)
{
	struct sockeye__counters *general = w->w->counters;
	struct sockeye__tftp_server_counters *c = w->counters;

	sockeye__count(is_done(s) ? &c->transfers_done
		       : probe    ? &c->transfers_probed
				  : &c->transfers_failed,
		       1);
	sockeye__count(&c->blocks_resent, s->x.count.resent);
	sockeye__count(&general->datagrams_out, s->wire.sent);
	sockeye__count(uploads(s) ? &general->bytes_in : &general->bytes_out, moved(s));
}

static void report(const struct sockeye__tftp_worker *w, const struct sockeye__tftp_transfer *s,
		   const struct sockeye__tftp_got *got)
{
	const struct sockeye__tftp_server_config *c = &w->server->config;
	bool error = s->x.result == SOCKEYE__TFTP_PEER_ERROR && got != NULL;
	bool probe = error && got->code == SOCKEYE__TFTP_OPTION_REFUSED &&
		     sockeye__tftp_is_unanswered(&s->x);
	struct sockeye__tftp_packet request = {0};
	struct sockeye__tftp_report r = {
	    .peer = &s->wire.to.peer,
	    .upload = uploads(s),
	    .netascii = s->netascii,
	    .name = (const char *)s->bytes + s->name_at,
	    .bytes = moved(s),
	    .elapsed_ns = w->now_ns - s->begun_ns,
	    .options = s->x.options,
	    .count = s->x.count,
	    .blksize = s->x.blksize,
	    .window = s->x.window,
	    .confirmed = s->x.confirmed,
	    .done = is_done(s),
	    .probe = probe,
	    .text = s->text != NULL ? s->text
		    : probe         ? "size probe"
				    : ends[s->x.result],
	    .code = error                     ? got->code
		    : s->x.error_text != NULL ? s->x.error_code
					      : -1,
	    .err = s->err,
	};

	count(w, s, probe);
	if (c->on_transfer == NULL)
		return;
	(void)sockeye__tftp_decode(s->bytes, s->request_len, &request);
	r.asked = request.name;
	if (error)
		r.peer_text = got->text;
	c->on_transfer(c->arg, &r);
}

/* Else the address may be forged, and nobody asks for more from there. */
static bool was_heard(const struct sockeye__tftp_transfer *s)
{
	return s->x.confirmed || s->x.result == SOCKEYE__TFTP_PEER_ERROR;
}

static void descriptors_close(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	if (s->file != NULL)
		sockeye__tftp_store_release(&w->server->store, s->file);
	s->file = NULL;
	if (s->upload != NULL)
		sockeye__atomic_file_discard(&s->upload->file);
	if (s->port != NULL)
		sockeye__tftp_port_leave(w, s->port,
					 was_heard(s) && !s->fragments_allowed &&
					     !s->connect_tried && !s->wire.coalesces);
	s->port = NULL;
	s->wire.fd = -1;
}

void sockeye__tftp_transfer_free(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	descriptors_close(w, s);
	w->text_bytes -= s->source.cap;
	sockeye__tftp_source_close(&s->source);
	if (s->upload != NULL) {
		w->upload_bytes -= s->upload->memory_len;
		free(s->upload->memory);
		free(s->upload);
	}
	free(s);
}

static bool is_reported(const struct sockeye__tftp_transfer *s)
{
	return s->phase >= SOCKEYE__TFTP_DALLYING;
}

/* Closes all but its memory: whoever called may still look at it. */
static void finish(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s,
		   const struct sockeye__tftp_got *got)
{
	if (!is_reported(s))
		report(w, s, got);
	sockeye__tftp_row_leave(s);
	sockeye__timers_clear(&w->timers, &s->timer);
	sockeye__tftp_peers_remove(w, s);
	sockeye__tftp_slot_give(w, &s->wire.to.peer);
	descriptors_close(w, s);
	s->phase = SOCKEYE__TFTP_CLOSED;
	s->next = w->dead;
	w->dead = s;
}

void sockeye__tftp_transfer_drop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s,
				 const char *text)
{
	if (!is_reported(s))
		s->text = text;
	finish(w, s, NULL);
}

/* Ends the other transfers of its peer. */
static void supersede_others(struct sockeye__tftp_worker *w, const struct sockeye__tftp_transfer *s)
{
	struct sockeye__tftp_transfer *other = sockeye__tftp_peers_find(w, &s->wire.to.peer);

	while (other != NULL) {
		struct sockeye__tftp_transfer *next = sockeye__tftp_peers_next(other);

		if (other != s)
			sockeye__tftp_transfer_drop(w, other, SOCKEYE__TFTP_SUPERSEDED);
		other = next;
	}
}

/* --- on its way --- */

static void abort_for(struct sockeye__tftp_transfer *s, int err)
{
	const char *text;
	uint16_t code = sockeye__tftp_store_error(err, &text);

	s->text = text;
	s->err = err;
	sockeye__tftp_abort(&s->x, code, text);
}

/* Sets the timer anew only when it would fire too late: an early one looks and
 * sets itself again, which is cheaper than a heap in every turn. */
static int timer_keep(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	uint64_t at = s->x.deadline_ns;

	if (at == 0 || (s->timer.index != 0 && s->timer.at_ns <= at))
		return 0;
	return sockeye__timers_set(&w->timers, &s->timer, at);
}

/* What a short transfer can do without: system calls for its socket. The first
 * packet of a path on which something gets lost tells what its links take. */
static void socket_settle(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &s->port->watch_strangers};

	if (!s->fragments_allowed && s->x.count.timeouts > 0) {
		s->fragments_allowed = true;
		sockeye__tftp_wire_allow_fragments(s->wire.fd, &s->wire.to.peer);
	}
	if (s->connect_tried || s->x.count.blocks < LONG_BLOCKS)
		return;
	s->connect_tried = true;
	s->port->strangers = sockeye__tftp_wire_connect(&s->wire);
	if (s->port->strangers >= 0)
		(void)epoll_ctl(w->epoll, EPOLL_CTL_ADD, s->port->strangers, &ev);
}

/* The client's last block is acknowledged: the transfer stays for a while to
 * repeat that ACK (RFC 1350 6). */
static void dally(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s,
		  const struct sockeye__tftp_got *got)
{
	if (s->phase == SOCKEYE__TFTP_CONFIRMED) {
		report(w, s, got);
		sockeye__tftp_row_join(&w->dallying, s);
		s->phase = SOCKEYE__TFTP_DALLYING;
	}
	if (w->stopping && s->x.deadline_ns > w->now_ns + STOP_DALLY_NS)
		s->x.deadline_ns = w->now_ns + STOP_DALLY_NS;
}

/* Sends what is to be sent, and ends what is over. */
static void turn(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s,
		 const struct sockeye__tftp_got *got)
{
	bool from_source = false;
	/* Nothing is converted for whom may not exist: it takes memory. */
	int err = uploads(s) || sockeye__tftp_is_unanswered(&s->x)
		      ? 0
		      : sockeye__tftp_source_fill(&s->source, &s->x);

	if (err < 0)
		abort_for(s, err);
	if (s->phase == SOCKEYE__TFTP_UNCONFIRMED && s->x.confirmed) {
		s->phase = SOCKEYE__TFTP_CONFIRMED;
		sockeye__tftp_rate_give(w, &s->wire.to.peer);
		sockeye__tftp_row_leave(s);
		supersede_others(w, s);
	}
	if (s->port != NULL)
		socket_settle(w, s);
	err =
	    sockeye__tftp_wire_flush(&s->wire, &s->x, &s->source, w->now_ns, w->out, &from_source);
	if (err < 0 && from_source) {
		abort_for(s, err);
		err = sockeye__tftp_wire_flush(&s->wire, &s->x, &s->source, w->now_ns, w->out,
					       &from_source);
	}
	if (err < 0 && !sockeye__tftp_is_over(&s->x)) {
		sockeye__tftp_transfer_refused(w, s, err);
		return;
	}
	if (s->x.stage == SOCKEYE__TFTP_STAGE_DALLYING)
		dally(w, s, got);
	if (sockeye__tftp_is_over(&s->x))
		finish(w, s, got);
	else if (timer_keep(w, s) < 0)
		sockeye__tftp_transfer_drop(w, s, "out of memory");
}

/* The upload is whole: under its name, before the peer is told so. */
static void commit(struct sockeye__tftp_transfer *s)
{
	struct sockeye__tftp_upload *u = s->upload;
	int err = sockeye__tftp_sink_end(&u->sink);

	if (err == 0)
		err = sockeye__atomic_file_commit(&u->file);
	if (err < 0)
		abort_for(s, err);
	else
		u->committed = true;
}

static void take(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s,
		 const uint8_t *bytes, size_t len, struct sockeye__tftp_got *got)
{
	int err;

	sockeye__count(&w->w->counters->datagrams_in, 1);
	sockeye__tftp_datagram(&s->x, w->now_ns, bytes, len, got);
	if (!uploads(s) || s->upload->committed || s->text != NULL)
		return;
	err = sockeye__tftp_sink_put(&s->upload->sink, got);
	if (err < 0)
		abort_for(s, err);
	else if (got->end)
		commit(s);
}

void sockeye__tftp_transfer_datagram(struct sockeye__tftp_worker *w,
				     struct sockeye__tftp_transfer *s, const uint8_t *bytes,
				     size_t len, size_t segment)
{
	struct sockeye__tftp_got got = {0};
	size_t at = 0;

	do {
		size_t piece = len - at < segment ? len - at : segment;

		take(w, s, bytes + at, piece, &got);
		at += piece;
	} while (at < len && !sockeye__tftp_is_over(&s->x));
	if (uploads(s) && s->text == NULL) {
		int err = sockeye__tftp_sink_flush(&s->upload->sink);

		if (err < 0)
			abort_for(s, err);
	}
	turn(w, s, &got);
}

void sockeye__tftp_transfer_ready(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	int rounds = uploads(s) ? RECEIVES_MAX : 1;

	for (int i = 0; i < rounds && s->phase != SOCKEYE__TFTP_CLOSED; i++) {
		struct sockeye_sockaddr from;
		size_t segment;
		ssize_t n = sockeye__tftp_wire_recv_own(&s->wire, w->in, &from, &segment);

		if (n == -EAGAIN && i > 0)
			return;
		if (n < 0) { /* the error queue knows whom it was about */
			int err = sockeye__tftp_wire_error(s->wire.fd, &s->wire.to.peer);

			if (err == 0 && s->wire.connected && n != -EAGAIN && n != -EMSGSIZE)
				err = (int)n;
			if (err < 0)
				sockeye__tftp_transfer_refused(w, s, err);
			return;
		}
		if (sockeye_sockaddr_equal(&from, &s->wire.to.peer))
			sockeye__tftp_transfer_datagram(w, s, w->in, (size_t)n, segment);
		else
			sockeye__tftp_wire_reject(s->wire.fd, &from, w->in, (size_t)n);
	}
}

void sockeye__tftp_transfer_timer(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	if (s->x.deadline_ns != 0 && s->x.deadline_ns <= w->now_ns)
		sockeye__tftp_timer(&s->x, w->now_ns);
	turn(w, s, NULL);
}

void sockeye__tftp_transfer_stop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	if (!is_reported(s))
		s->text = "the server stops";
	sockeye__tftp_abort(&s->x, SOCKEYE__TFTP_UNDEFINED, "the server stops");
	turn(w, s, NULL);
}

void sockeye__tftp_transfer_refused(struct sockeye__tftp_worker *w,
				    struct sockeye__tftp_transfer *s, int err)
{
	/* A route that is away for a moment may come back. */
	if (err == -EHOSTUNREACH || err == -ENETUNREACH || err == -ENETDOWN) {
		if (timer_keep(w, s) < 0)
			sockeye__tftp_transfer_drop(w, s, "out of memory");
		return;
	}
	if (err != -ECONNREFUSED) {
		s->text = "sending failed";
		s->err = err;
	}
	sockeye__tftp_gone(&s->x);
	finish(w, s, NULL);
}

void sockeye__tftp_transfer_begin(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s,
				  const struct sockeye__tftp_config *config)
{
	s->begun_ns = w->now_ns;
	sockeye__tftp_init(&s->x, config, w->now_ns);
	sockeye__tftp_peers_add(w, s);
	sockeye__tftp_row_join(&w->unconfirmed, s);
	sockeye__count(&w->counters->transfers, 1);
	turn(w, s, NULL);
}
