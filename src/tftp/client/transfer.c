/* transfer.c: the packets and bytes of one run (internal.h). */
#include "tftp/client/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sockeye/time.h>

#define RECEIVES_MAX  64 /* receive calls of one run before the others have a turn */
#define STRANGERS_MAX 64 /* packets of other peers that get an ERROR */

/* Whether the server's port is known. */
static bool port_known(const struct sockeye__tftp_run *r)
{
	return r->phase >= SOCKEYE__RUN_TRANSFERRING;
}

static bool is_over(const struct sockeye__tftp_run *r)
{
	return r->phase == SOCKEYE__RUN_OVER;
}

/* Whether a request was sent, and the run is not over. */
static bool is_live(const struct sockeye__tftp_run *r)
{
	return r->phase >= SOCKEYE__RUN_ASKING && !is_over(r);
}

/* --- sending --- */

static void ask(struct sockeye__tftp_run *r, uint64_t now_ns);

/* Ends the transfer with an ERROR to the server, if a request was sent. */
static void give_up(struct sockeye__tftp_run *r, uint16_t code, const char *text, uint64_t now_ns)
{
	bool of_source;

	if (!is_live(r))
		return;
	sockeye__tftp_abort(&r->machine, code, text);
	(void)sockeye__tftp_wire_flush(&r->wire, &r->machine, &r->source, now_ns, r->scratch,
				       &of_source);
}

static void local_failed(struct sockeye__tftp_run *r, const char *op, int err, uint64_t now_ns)
{
	bool full = err == -ENOSPC || err == -EDQUOT || err == -EFBIG;
	const char *path = r->job->path                  ? r->job->path
			   : sockeye__tftp_run_is_put(r) ? "standard input"
							 : "standard output";
	const char *detail = NULL;

	r->end.reader_left = !sockeye__tftp_run_is_put(r) && (err == -EPIPE || err == -ECONNRESET);
	give_up(r, full ? SOCKEYE__TFTP_DISK_FULL : SOCKEYE__TFTP_UNDEFINED,
		full ? "disk full" : "error on the client's file", now_ns);
	if (err == -ENODATA)
		detail = "the file has become shorter";
	else if (err == -ENXIO) /* another type of file, or fifo(7) */
		detail = sockeye__tftp_run_is_put(r) ? "only regular files and FIFOs can be sent"
						     : "no process reads this FIFO";
	err = r->end.reader_left ? 0 : err == -ENODATA ? -EIO : err;
	sockeye__tftp_run_fail(r, op, path, err, detail, now_ns);
}

/* Selects the server's next address. Returns false if there is none. */
static bool next_name(struct sockeye__tftp_run *r, const struct sockeye_fail *fail)
{
	sockeye__tftp_run_address_failed(r, fail);
	if (r->name + 1 >= r->job->name_count)
		return false;
	sockeye__tftp_run_note_next(r, fail->err);
	r->name++;
	return true;
}

static void all_failed(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	const struct sockeye_fail *first = &r->first;

	if (sockeye__tftp_run_wait(r, now_ns))
		return;
	sockeye__tftp_run_fail(r, first->op, first->address, first->err, first->detail, now_ns);
	r->end.fail.explained = first->explained;
}

/* Handles an error of the network. Once the server has answered, only a closed port
 * is final (RFC 1122, section 4.2.3.9). */
static void net_failed(struct sockeye__tftp_run *r, int err, uint64_t now_ns)
{
	struct sockeye_fail fail = {.err = err};

	if (port_known(r)) {
		if (err == -ECONNREFUSED)
			r->port_closed = true;
		else
			r->soft_err = err;
		return;
	}
	if (err == -EACCES) /* udp(7) */
		snprintf(fail.detail, sizeof fail.detail,
			 "a broadcast address, or a route prohibits sending");
	if (next_name(r, &fail))
		ask(r, now_ns);
	else
		all_failed(r, now_ns);
}

/* Ends the run after the last packet of a server that closed its port. atftpd closes its
 * port as soon as it has acknowledged the last block. */
static void server_gone(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	char detail[64];

	if (sockeye__tftp_run_ended(r)) {
		r->phase = SOCKEYE__RUN_OVER;
		return;
	}
	snprintf(detail, sizeof detail, "the server closed its port after %" PRIu64 " bytes",
		 sockeye__tftp_run_bytes(r));
	sockeye__tftp_run_fail(r, NULL, NULL, -ECONNREFUSED, detail, now_ns);
}

static int source_ready(struct sockeye__tftp_run *r)
{
	int err = 0;

	if (!sockeye__tftp_run_is_put(r) || r->machine.stage != SOCKEYE__TFTP_STAGE_MOVING)
		return 0;
	if (!r->source_open)
		err = sockeye__tftp_source_open(&r->source, r->machine.blksize, r->machine.window);
	r->source_open = err == 0;
	return err == 0 ? sockeye__tftp_source_fill(&r->source, &r->machine) : err;
}

/* Sends all packets that are due. */
static void send_due(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	bool of_source = true;
	int err = source_ready(r);

	if (err == 0)
		err = sockeye__tftp_wire_flush(&r->wire, &r->machine, &r->source, now_ns,
					       r->scratch, &of_source);
	if (err == 0)
		return;
	if (of_source)
		local_failed(r, "read", err, now_ns);
	else
		net_failed(r, err, now_ns);
}

/* Sends a request to the current address or, if that fails, to the next one. */
static void ask(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	struct sockeye_fail fail;
	int err;

	r->requests++;
	sockeye__tftp_run_wait_begin(r, now_ns);
	do {
		sockeye__tftp_run_hang_up(r);
		r->phase = SOCKEYE__RUN_IDLE;
		err = sockeye__tftp_run_ask(r, now_ns, &fail);
	} while (err < 0 && next_name(r, &fail));
	if (err < 0) {
		all_failed(r, now_ns);
		return;
	}
	sockeye__tftp_run_note(r, SOCKEYE__TFTP_NOTE_ASK, &r->wire.to.peer, NULL);
	send_due(r, now_ns);
}

/* Tries the next address if the current one does not reply, or waits after the last one.
 * Returns false if it is too early for that, or if no attempt remains. */
static bool try_next(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	bool timed_out = r->machine.result == SOCKEYE__TFTP_TIMED_OUT;

	if (port_known(r) || (!timed_out && now_ns < r->next_ns))
		return false;
	if (!next_name(r, &(struct sockeye_fail){.err = -ETIMEDOUT}))
		return timed_out && sockeye__tftp_run_wait(r, now_ns);
	ask(r, now_ns);
	return true;
}

/* Whether the file is larger than the user allows, or will be by the server's tsize. */
static bool is_over_limit(const struct sockeye__tftp_run *r)
{
	uint64_t max = r->client->size_max;

	return max > 0 && (r->sink.bytes > max || sockeye__tftp_run_size(r) > max);
}

/* --- receiving --- */

/* Writes received data. A complete file gets its name before the last ACK is sent. Bytes
 * that an output stream has not accepted yet do not delay the ACK. */
static void data_take(struct sockeye__tftp_run *r, const struct sockeye__tftp_got *got,
		      uint64_t now_ns)
{
	int err = sockeye__tftp_sink_put(&r->sink, got);

	if (err == 0 && is_over_limit(r)) {
		r->end.over_limit = true;
		err = -EFBIG;
	}
	if (err == 0 && got->end)
		err = sockeye__tftp_sink_end(&r->sink);
	if (err == 0 && got->end)
		err = sockeye__tftp_local_file_end(&r->file);
	if (err == 0 && got->end)
		err = sockeye__tftp_local_file_commit(&r->file);
	if (err < 0)
		local_failed(r, "write", err, now_ns);
}

static void error_keep(struct sockeye__tftp_run *r, const struct sockeye__tftp_got *got)
{
	struct sockeye__tftp_end *end = &r->end;

	end->peer_error = true;
	end->code = got->code;
	end->text_len = got->text.len < sizeof end->text ? got->text.len : sizeof end->text;
	for (size_t i = 0; i < end->text_len; i++)
		end->text[i] = got->text.at[i];
}

/* Repeats the request without options if the server may have refused them (RFC 2347).
 * Returns false if it sent no request. */
static bool ask_without_options(struct sockeye__tftp_run *r, uint16_t code, uint64_t now_ns)
{
	if (r->asked.has == 0 || !sockeye__tftp_is_unanswered(&r->machine) ||
	    r->job->way == SOCKEYE__TFTP_PROBE)
		return false;
	if (code != SOCKEYE__TFTP_OPTION_REFUSED && code != SOCKEYE__TFTP_UNDEFINED &&
	    code != SOCKEYE__TFTP_ILLEGAL)
		return false;
	r->without_options = true;
	ask(r, now_ns);
	return true;
}

/* Takes the server's port from its first valid packet (RFC 1350, section 4). */
static void port_learn(struct sockeye__tftp_run *r, const struct sockeye_dgram *d,
		       const struct sockeye__tftp_got *got)
{
	if (port_known(r) || r->machine.stage == SOCKEYE__TFTP_STAGE_OFFERING)
		return;
	r->phase = SOCKEYE__RUN_TRANSFERRING;
	r->wire.to.peer = d->peer;
	r->end.answered = true;
	r->end.peer = d->peer;
	sockeye__tftp_run_note(r, SOCKEYE__TFTP_NOTE_ANSWER, &d->peer, got);
}

static void packet(struct sockeye__tftp_run *r, const struct sockeye_dgram *d, const uint8_t *at,
		   size_t len, uint64_t now_ns)
{
	const struct sockeye__tftp_counters before = r->machine.count;
	struct sockeye__tftp_got got;

	sockeye__tftp_datagram(&r->machine, now_ns, at, len, &got);
	port_learn(r, d, &got);
	sockeye__tftp_run_note_news(r, &before);
	if (r->machine.result == SOCKEYE__TFTP_PEER_ERROR) {
		if (ask_without_options(r, got.code, now_ns))
			return;
		error_keep(r, &got);
	}
	if (r->job->way == SOCKEYE__TFTP_PROBE && port_known(r)) {
		/* like UEFI after its size probe */
		give_up(r,
			r->machine.options.has ? SOCKEYE__TFTP_OPTION_REFUSED
					       : SOCKEYE__TFTP_UNDEFINED,
			"size query only", now_ns);
		return;
	}
	data_take(r, &got, now_ns);
}

/* Copies the parts of the server's address that its first reply determines: the port,
 * and the zone if the user gave none. */
static void answer_decides(struct sockeye_sockaddr *asked, const struct sockeye_sockaddr *peer)
{
	if (asked->u.sa.sa_family != AF_INET6) {
		asked->u.in.sin_port = peer->u.in.sin_port;
		return;
	}
	asked->u.in6.sin6_port = peer->u.in6.sin6_port;
	if (asked->u.in6.sin6_scope_id == 0)
		asked->u.in6.sin6_scope_id = peer->u.in6.sin6_scope_id;
}

static bool is_server(const struct sockeye__tftp_run *r, const struct sockeye_sockaddr *peer)
{
	struct sockeye_sockaddr asked = r->wire.to.peer;

	if (!port_known(r) && r->client->any_source)
		return true;
	if (!port_known(r) && asked.u.sa.sa_family == peer->u.sa.sa_family)
		answer_decides(&asked, peer);
	return sockeye_sockaddr_equal(&asked, peer);
}

static void stranger(struct sockeye__tftp_run *r, const struct sockeye_sockaddr *peer,
		     const uint8_t *at, size_t len)
{
	if (r->strangers++ == 0) {
		r->stranger = *peer;
		sockeye__tftp_run_note(r, SOCKEYE__TFTP_NOTE_STRANGER, peer, NULL);
	}
	if (r->strangers <= STRANGERS_MAX)
		sockeye__tftp_wire_reject(r->wire.fd, peer, at, len);
}

static void datagrams(struct sockeye__tftp_run *r, const struct sockeye_dgram *d, size_t len,
		      size_t segment, uint64_t now_ns)
{
	const struct sockeye__tftp *machine = &r->machine;
	unsigned requests = r->requests;

	for (size_t at = 0; at < len || at == 0; at += segment) {
		size_t piece = len - at < segment ? len - at : segment;

		if (!is_server(r, &d->peer))
			stranger(r, &d->peer, r->buf + at, piece);
		else
			packet(r, d, r->buf + at, piece, now_ns);
		if (is_over(r) || sockeye__tftp_is_over(machine) || r->blocked ||
		    r->requests != requests || segment == 0)
			break;
	}
}

/* Writes received data before its memory is used again, but after the ACK was sent,
 * so that the next window is in flight meanwhile. */
static void bytes_write(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	int err = is_over(r) ? 0 : sockeye__tftp_sink_flush(&r->sink);

	if (err < 0)
		local_failed(r, "write", err, now_ns);
	if (r->file.len > SOCKEYE__TFTP_LOCAL_FILE_FULL &&
	    r->machine.result == SOCKEYE__TFTP_RUNNING)
		r->blocked = true;
}

static void receive(struct sockeye__tftp_run *r)
{
	for (int i = 0; i < RECEIVES_MAX && is_live(r) && !r->blocked; i++) {
		struct sockeye_dgram d;
		size_t segment;
		ssize_t n = sockeye__tftp_wire_recv(r->wire.fd, r->buf, &d, &segment);
		uint64_t now_ns = sockeye_now().mono_ns;
		int err;

		if (n == -EAGAIN && r->port_closed)
			server_gone(r, now_ns);
		if (n == -EAGAIN)
			return;
		if (n < 0) {
			err = sockeye__tftp_wire_error(r->wire.fd, &r->wire.to.peer);
			if (err < 0)
				net_failed(r, err, now_ns);
			continue;
		}
		datagrams(r, &d, (size_t)n, segment, now_ns);
		if (is_live(r) && !r->blocked)
			send_due(r, now_ns);
		bytes_write(r, now_ns);
		if (is_live(r) && !r->blocked)
			sockeye__tftp_run_finish(r, now_ns);
	}
}

/* --- turns --- */

void sockeye__tftp_run_begin(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	const struct sockeye__tftp_job *job = r->job;
	int err = 0;

	r->begun_ns = now_ns;
	r->wire.fd = -1;
	r->file.fd = -1;
	if (sockeye__tftp_run_is_put(r) && job->path)
		err = sockeye__tftp_local_file_open(&r->file, job->path, &r->source);
	else if (sockeye__tftp_run_is_put(r))
		sockeye__tftp_local_file_open_at(&r->file, job->fd, &r->source);
	else if (job->way == SOCKEYE__TFTP_GET && job->path)
		err = sockeye__tftp_local_file_create(&r->file, job->path, &r->sink);
	else if (job->way == SOCKEYE__TFTP_GET)
		sockeye__tftp_local_file_create_at(&r->file, job->fd, &r->sink);
	r->source.netascii = r->sink.netascii = job->addr->netascii;
	if (err < 0)
		local_failed(r, "open", err, now_ns);
	else if (!r->file.awaited)
		ask(r, now_ns);
}

void sockeye__tftp_run_watch(const struct sockeye__tftp_run *r, struct pollfd *fds)
{
	bool wants_input =
	    r->file.awaited ||
	    (r->source_open && sockeye__tftp_source_wants_input(&r->source, &r->machine));

	fds[SOCKEYE__RUN_NET] = (struct pollfd){r->blocked ? -1 : r->wire.fd, POLLIN, 0};
	fds[SOCKEYE__RUN_LOCAL] = (struct pollfd){-1, wants_input ? POLLIN : POLLOUT, 0};
	if (r->file.stream.kind != SOCKEYE__STANDARD_IO_NONE && (wants_input || r->file.len > 0))
		fds[SOCKEYE__RUN_LOCAL].fd = r->file.stream.fd;
}

uint64_t sockeye__tftp_run_deadline(const struct sockeye__tftp_run *r)
{
	if (r->blocked || r->phase == SOCKEYE__RUN_IDLE)
		return 0;
	if (r->phase == SOCKEYE__RUN_WAITING)
		return r->next_ns;
	return port_known(r) || r->machine.deadline_ns < r->next_ns ? r->machine.deadline_ns
								    : r->next_ns;
}

static void output_turn(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	int err = sockeye__tftp_local_file_drain(&r->file);

	if (err < 0)
		local_failed(r, "write", err, now_ns);
	else if (r->file.len == 0)
		r->blocked = false;
}

static void timer(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	const struct sockeye__tftp_counters before = r->machine.count;

	if (r->phase == SOCKEYE__RUN_WAITING) {
		sockeye__tftp_run_ask_again(r, now_ns);
		ask(r, now_ns);
		return;
	}
	sockeye__tftp_timer(&r->machine, now_ns);
	if (try_next(r, now_ns))
		return;
	if (!sockeye__tftp_run_ended(r))
		sockeye__tftp_run_note_news(r, &before);
	send_due(r, now_ns);
}

static bool timer_due(const struct sockeye__tftp_run *r, uint64_t now_ns)
{
	uint64_t at_ns = sockeye__tftp_run_deadline(r);

	return at_ns != 0 && now_ns >= at_ns;
}

/* Handles events. Packets in the socket's queue are handled before the timer: nothing was
 * received while an output stream was full, or while this process waited for a CPU. */
void sockeye__tftp_run_turn(struct sockeye__tftp_run *r, const struct pollfd *fds, uint64_t now_ns)
{
	bool was_blocked = r->blocked;

	if (fds[SOCKEYE__RUN_LOCAL].revents && r->file.awaited) {
		r->file.awaited = false;
		ask(r, now_ns);
	} else if (fds[SOCKEYE__RUN_LOCAL].revents && sockeye__tftp_run_is_put(r)) {
		send_due(r, now_ns);
	} else if (fds[SOCKEYE__RUN_LOCAL].revents) {
		output_turn(r, now_ns);
	}
	if (is_live(r) && !r->blocked &&
	    (fds[SOCKEYE__RUN_NET].revents || was_blocked || timer_due(r, now_ns)))
		receive(r);
	if (is_over(r) || r->blocked || r->phase == SOCKEYE__RUN_IDLE)
		return;
	if (timer_due(r, now_ns))
		timer(r, now_ns);
	if (r->port_closed && is_live(r))
		receive(r);
	if (is_live(r))
		sockeye__tftp_run_finish(r, now_ns);
}

void sockeye__tftp_run_stop(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	if (sockeye__tftp_run_ended(r)) {
		r->phase = SOCKEYE__RUN_OVER;
		return;
	}
	give_up(r, SOCKEYE__TFTP_UNDEFINED, "interrupted", now_ns);
	sockeye__tftp_run_fail(r, NULL, NULL, -EINTR, NULL, now_ns);
}

void sockeye__tftp_run_close(struct sockeye__tftp_run *r)
{
	sockeye__tftp_run_hang_up(r);
	sockeye__tftp_source_close(&r->source);
	sockeye__tftp_local_file_close(&r->file);
	free(r->memory);
	r->memory = NULL;
}
