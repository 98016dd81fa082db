/* transfer.c: the life of a transfer (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define LONG_BLOCKS   32               /* a transfer with this many blocks is likely to be long */
#define CLAIM_NS      SOCKEYE_NS_PER_S /* how long a silent client keeps its host from the name */
#define ROOM_STEP     (1u << 20)       /* bytes of an upload between two checks of the free space */
#define RECEIVES_MAX  16 /* receive calls of one transfer before the others have a turn */
#define STOP_DALLY_NS SOCKEYE_NS_PER_S /* dallying time while the server stops */

static bool uploads(const struct sockeye__tftp_transfer *t)
{
	return t->upload != NULL;
}

/* --- the end --- */

static void claim_give(const struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	sockeye__tftp_claims_give(w->server->claims, &t->upload->claim);
}

static void claim_renew(const struct sockeye__tftp_worker *w,
			const struct sockeye__tftp_transfer *t, uint64_t until_ns)
{
	sockeye__tftp_claims_renew(w->server->claims, &t->upload->claim, until_ns);
}

static void descriptors_close(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	if (t->file != NULL)
		sockeye__tftp_store_release(&w->server->store, t->file);
	t->file = NULL;
	if (t->upload != NULL) {
		sockeye__atomic_file_discard(&t->upload->file);
		sockeye__tftp_total_give(w, t->upload);
		claim_give(w, t);
	}
	if (t->port != NULL)
		sockeye__tftp_port_close(w, t->port);
	t->port = NULL;
	t->wire.fd = -1;
}

void sockeye__tftp_transfer_free(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	descriptors_close(w, t);
	w->text_bytes -= t->source.cap;
	sockeye__tftp_source_close(&t->source);
	if (t->upload != NULL) {
		w->upload_bytes -= t->upload->memory_len;
		free(t->upload->memory);
		free(t->upload);
	}
	free(t);
}

static bool is_reported(const struct sockeye__tftp_transfer *t)
{
	return t->phase >= SOCKEYE__TFTP_DALLYING;
}

/* Reports and closes the transfer. Its memory is freed later, because callers may still
 * use it. */
static void finish(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
		   const struct sockeye__tftp_got *got)
{
	if (!is_reported(t))
		sockeye__tftp_transfer_report(w, t, got);
	sockeye__tftp_row_leave(t);
	sockeye__timers_clear(&w->timers, &t->timer);
	sockeye__tftp_peers_remove(w, t);
	sockeye__tftp_slot_give(w, &t->wire.to.peer);
	descriptors_close(w, t);
	t->phase = SOCKEYE__TFTP_CLOSED;
	t->next = w->dead;
	w->dead = t;
}

void sockeye__tftp_transfer_drop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
				 const char *text)
{
	if (t->phase == SOCKEYE__TFTP_STORING) {
		t->upload->abandoned = true;
		return;
	}
	if (!is_reported(t))
		t->text = text;
	finish(w, t, NULL);
}

/* Drops the other transfers of the peer. */
static void supersede_others(struct sockeye__tftp_worker *w, const struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_transfer *other = sockeye__tftp_peers_find(w, &t->wire.to.peer);

	while (other != NULL) {
		struct sockeye__tftp_transfer *next = sockeye__tftp_peers_next(other);

		if (other != t)
			sockeye__tftp_transfer_drop(w, other, SOCKEYE__TFTP_SUPERSEDED);
		other = next;
	}
}

/* --- in progress --- */

/* Appends a transfer that is confirmed again to its row. */
static void row_rejoin(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	sockeye__tftp_row_join(t->slow ? &w->slow : &w->moving, t);
}

static void abort_for(struct sockeye__tftp_transfer *t, int err)
{
	const char *text;
	uint16_t code = sockeye__tftp_store_error(err, &text);

	t->text = text;
	t->err = err;
	sockeye__tftp_abort(&t->machine, code, text);
}

static void abort_upload_for(struct sockeye__tftp_transfer *t, int err)
{
	abort_for(t, err);
	if (err == -EOVERFLOW) { /* not an error of the file system */
		t->upload->over_total = true;
		t->err = 0;
	}
}

/* Sets the timer only if it would fire too late. A timer that fires too early is set
 * again, which is cheaper than a heap operation in every turn. Returns 0 or -ENOMEM. */
static int timer_keep(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	uint64_t at = t->machine.deadline_ns;

	if (at == 0 || (t->timer.index != 0 && t->timer.at_ns <= at))
		return 0;
	return sockeye__timers_set(&w->timers, &t->timer, at);
}

/* Connects the socket of a long transfer; a short transfer saves these system calls. Allows
 * IP fragments after a timeout, because blocks may exceed the path's MTU. */
static void socket_prepare(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &t->port->watch_strangers};

	if (!t->fragments_allowed && t->machine.count.timeouts > 0) {
		t->fragments_allowed = true;
		sockeye__tftp_wire_allow_fragments(t->wire.fd, &t->wire.to.peer);
	}
	if (t->connect_tried || t->machine.count.blocks < LONG_BLOCKS)
		return;
	t->connect_tried = true;
	t->port->strangers = sockeye__tftp_wire_connect(&t->wire);
	if (t->port->strangers >= 0)
		(void)epoll_ctl(w->epoll, EPOLL_CTL_ADD, t->port->strangers, &ev);
}

/* Keeps an upload for a while after its last ACK, to repeat that ACK (RFC 1350,
 * section 6). */
static void dally(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
		  const struct sockeye__tftp_got *got)
{
	if (t->phase == SOCKEYE__TFTP_CONFIRMED) {
		sockeye__tftp_transfer_report(w, t, got);
		sockeye__tftp_row_join(&w->dallying, t);
		t->phase = SOCKEYE__TFTP_DALLYING;
	}
	if (w->stopping && t->machine.deadline_ns > w->now_ns + STOP_DALLY_NS)
		t->machine.deadline_ns = w->now_ns + STOP_DALLY_NS;
}

static void commit_end(const struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
		       int err)
{
	if (err < 0)
		abort_for(t, err);
	else
		t->upload->state = SOCKEYE__TFTP_COMMITTED;
	if (err == 0)
		sockeye__tftp_total_committed(w, t->upload);
	else
		sockeye__tftp_total_give(w, t->upload);
	claim_give(w, t);
}

/* Gives a complete upload its name, before the last ACK is sent. If the file must be written
 * to the disk first, the committer does this, and the transfer waits. The client may repeat
 * its last block meanwhile. These repeats get no reply: an ACK of the block before would
 * only make the client send more, and clients retransmit at least five times. */
static void commit_begin(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_upload *u = t->upload;

	sockeye__tftp_total_commit(w, u);
	if (!w->commits_aside) {
		commit_end(w, t, sockeye__atomic_file_commit(&u->file));
		return;
	}
	t->phase = SOCKEYE__TFTP_STORING;
	sockeye__tftp_row_leave(t);
	sockeye__timers_clear(&w->timers, &t->timer);
	claim_renew(w, t, UINT64_MAX);
	u->transfer = t;
	u->commit_ns = w->now_ns;
	u->commit.file = &u->file;
	sockeye__tftp_committer_submit(&w->committer, &u->commit);
}

/* Whether the file is to be committed. */
static bool is_to_commit(const struct sockeye__tftp_transfer *t)
{
	return uploads(t) && t->upload->state == SOCKEYE__TFTP_COMPLETE &&
	       t->machine.result == SOCKEYE__TFTP_DONE;
}

static void confirm(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	t->phase = SOCKEYE__TFTP_CONFIRMED;
	/* an answer that may be forged returns no token */
	if (t->token && !t->machine.config.forgeable)
		sockeye__tftp_rate_give(w, &t->wire.to.peer);
	t->minute_ns = w->now_ns;
	sockeye__tftp_row_join(&w->moving, t);
	supersede_others(w, t);
}

/* Sends the packets that are due and handles changes of phase. */
static void turn(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
		 const struct sockeye__tftp_got *got)
{
	bool from_source = false;
	/* Do not fill the ring for an unconfirmed peer. */
	int err = uploads(t) || sockeye__tftp_is_unanswered(&t->machine)
		      ? 0
		      : sockeye__tftp_source_fill(&t->source, &t->machine);

	if (err < 0)
		abort_for(t, err);
	if (t->phase == SOCKEYE__TFTP_UNCONFIRMED && t->machine.confirmed)
		confirm(w, t);
	if (is_to_commit(t))
		commit_begin(w, t);
	if (t->phase == SOCKEYE__TFTP_STORING)
		return;
	if (t->phase == SOCKEYE__TFTP_CONFIRMED) {
		sockeye__tftp_rank(w, t);
		if (uploads(t) && t->row_ns == w->now_ns)
			claim_renew(w, t, w->now_ns + CLAIM_NS);
	}
	if (t->port != NULL)
		socket_prepare(w, t);
	err = sockeye__tftp_wire_flush(&t->wire, &t->machine, &t->source, w->now_ns, w->out,
				       &from_source);
	if (err < 0 && from_source) {
		abort_for(t, err);
		err = sockeye__tftp_wire_flush(&t->wire, &t->machine, &t->source, w->now_ns, w->out,
					       &from_source);
	}
	if (err < 0 && !sockeye__tftp_is_over(&t->machine)) {
		sockeye__tftp_transfer_refused(w, t, err);
		return;
	}
	if (t->machine.stage == SOCKEYE__TFTP_STAGE_DALLYING)
		dally(w, t, got);
	if (sockeye__tftp_is_over(&t->machine))
		finish(w, t, got);
	else if (timer_keep(w, t) < 0)
		sockeye__tftp_transfer_drop(w, t, "out of memory");
}

static void committed(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	t->phase = SOCKEYE__TFTP_CONFIRMED;
	row_rejoin(w, t);
	t->machine.progress_ns = w->now_ns; /* the client was not silent: it got no reply */
	t->upload->commit_ns = w->now_ns - t->upload->commit_ns;
	commit_end(w, t, t->upload->commit.err);
	if (t->upload->abandoned)
		finish(w, t, NULL);
	else
		turn(w, t, NULL);
}

void sockeye__tftp_transfers_committed(struct sockeye__tftp_worker *w)
{
	struct sockeye__tftp_commit *commit = sockeye__tftp_committer_take(&w->committer);

	while (commit != NULL) {
		struct sockeye__tftp_upload *u =
		    (void *)((char *)commit - offsetof(struct sockeye__tftp_upload, commit));

		commit = commit->next;
		committed(w, u->transfer);
	}
}

/* Writes the last bytes of an upload to its file. */
static int complete(struct sockeye__tftp_upload *u)
{
	int err = sockeye__tftp_sink_end(&u->sink);

	u->file.len = (off_t)u->sink.bytes;
	if (err == 0)
		u->state = SOCKEYE__TFTP_COMPLETE;
	return err;
}

/* Checks, once in ROOM_STEP bytes, that an upload leaves the reserve of the file system
 * free. */
static int room_check(const struct sockeye__tftp_worker *w, struct sockeye__tftp_upload *u)
{
	if (w->server->config.store.reserve == 0 || u->sink.bytes < u->room_at)
		return 0;
	u->room_at = u->sink.bytes + ROOM_STEP;
	return sockeye__tftp_store_room(&w->server->store, u->file.fd, ROOM_STEP);
}

static void take(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
		 const uint8_t *bytes, size_t len, struct sockeye__tftp_got *got)
{
	int err = 0;

	sockeye__count(&w->base->counters->datagrams_in, 1);
	sockeye__tftp_datagram(&t->machine, w->now_ns, bytes, len, got);
	if (t->machine.progress_ns == w->now_ns)
		t->wire.trouble.err = 0;
	if (!uploads(t) || t->upload->state != SOCKEYE__TFTP_RECEIVING || t->text != NULL)
		return;
	if (!t->upload->claimed && t->machine.confirmed && !sockeye__tftp_is_over(&t->machine))
		err = sockeye__tftp_upload_claim(w, t);
	if (err == 0)
		err = sockeye__tftp_sink_put(&t->upload->sink, got);
	if (err == 0)
		err = room_check(w, t->upload);
	if (err == 0)
		err = sockeye__tftp_total_take(w, t->upload);
	if (err == 0 && got->end)
		err = complete(t->upload);
	if (err < 0)
		abort_upload_for(t, err);
}

void sockeye__tftp_transfer_datagram(struct sockeye__tftp_worker *w,
				     struct sockeye__tftp_transfer *t, const uint8_t *bytes,
				     size_t len, size_t segment)
{
	struct sockeye__tftp_got got = {0};
	size_t at = 0;

	if (t->phase == SOCKEYE__TFTP_STORING) {
		sockeye__count(&w->base->counters->datagrams_in, 1);
		return;
	}
	do {
		size_t piece = len - at < segment ? len - at : segment;

		take(w, t, bytes + at, piece, &got);
		at += piece;
	} while (at < len && !sockeye__tftp_is_over(&t->machine));
	if (uploads(t) && t->text == NULL) {
		int err = sockeye__tftp_sink_flush(&t->upload->sink);

		if (err < 0)
			abort_for(t, err);
	}
	turn(w, t, &got);
}

void sockeye__tftp_transfer_ready(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	int rounds = uploads(t) ? RECEIVES_MAX : 1;

	for (int i = 0; i < rounds && t->phase != SOCKEYE__TFTP_CLOSED; i++) {
		struct sockeye_sockaddr from;
		size_t segment;
		ssize_t n = sockeye__tftp_wire_recv_own(&t->wire, w->in, &from, &segment);

		if (n == -EAGAIN && i > 0)
			return;
		if (n < 0) { /* the error queue has the peer's address */
			int err = sockeye__tftp_wire_error(&t->wire, (int)n);

			if (err == 0 && t->wire.connected && n != -EAGAIN && n != -EMSGSIZE)
				err = (int)n;
			if (err < 0)
				sockeye__tftp_transfer_refused(w, t, err);
			return;
		}
		if (sockeye_sockaddr_equal(&from, &t->wire.to.peer))
			sockeye__tftp_transfer_datagram(w, t, w->in, (size_t)n, segment);
		else
			sockeye__tftp_wire_reject(t->wire.fd, &from, w->in, (size_t)n);
	}
}

static bool timer_due(const struct sockeye__tftp_worker *w, const struct sockeye__tftp_transfer *t)
{
	return t->machine.deadline_ns != 0 && t->machine.deadline_ns <= w->now_ns;
}

void sockeye__tftp_transfer_timer(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	/* The answer may have arrived while this process waited for a CPU. */
	if (timer_due(w, t) && t->port != NULL)
		sockeye__tftp_transfer_ready(w, t);
	if (t->phase == SOCKEYE__TFTP_CLOSED)
		return;
	if (timer_due(w, t))
		sockeye__tftp_timer(&t->machine, w->now_ns);
	turn(w, t, NULL);
}

void sockeye__tftp_transfer_stop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	if (t->phase == SOCKEYE__TFTP_STORING) {
		if (!sockeye__tftp_committer_cancel(&w->committer, &t->upload->commit))
			return;
		t->phase = SOCKEYE__TFTP_CONFIRMED;
		row_rejoin(w, t);
	}
	if (!is_reported(t))
		t->text = "the server is stopping";
	sockeye__tftp_abort(&t->machine, SOCKEYE__TFTP_UNDEFINED, "server is stopping");
	turn(w, t, NULL);
}

void sockeye__tftp_transfer_refused(struct sockeye__tftp_worker *w,
				    struct sockeye__tftp_transfer *t, int err)
{
	if (t->phase == SOCKEYE__TFTP_STORING) /* the upload is complete, with or without client */
		return;
	/* A missing route may be temporary. Blocks larger than the MTU are sent in fragments after
	 * the first timeout, and a client may request smaller ones. */
	if (err == -EHOSTUNREACH || err == -ENETUNREACH || err == -ENETDOWN || err == -EMSGSIZE) {
		if (timer_keep(w, t) < 0)
			sockeye__tftp_transfer_drop(w, t, "out of memory");
		return;
	}
	if (err != -ECONNREFUSED) {
		t->text = "sending failed";
		t->err = err;
	}
	sockeye__tftp_gone(&t->machine);
	finish(w, t, NULL);
}

void sockeye__tftp_transfer_begin(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
				  const struct sockeye__tftp_config *config)
{
	t->begun_ns = w->now_ns;
	sockeye__tftp_init(&t->machine, config, w->now_ns);
	sockeye__tftp_peers_add(w, t);
	sockeye__tftp_row_join(&w->unconfirmed, t);
	sockeye__tftp_room_publish(w);
	sockeye__count(&w->counters->transfers, 1);
	turn(w, t, NULL);
}
