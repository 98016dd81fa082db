/* receive.c: the packets that a run receives (internal.h). */
#include "tftp/client/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <sockeye/time.h>

#define RECEIVES_MAX  64 /* receive calls of one run before the others have a turn */
#define STRANGERS_MAX 64 /* packets of other peers that get an ERROR */

/* Whether the file is larger than the user allows, or will be by the server's tsize. */
static bool is_over_limit(const struct sockeye__tftp_run *r)
{
	uint64_t max = r->client->size_max;

	return max > 0 && (r->sink.bytes > max || sockeye__tftp_run_size(r) > max);
}

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
		sockeye__tftp_run_local_failed(r, "write", err, now_ns);
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
	sockeye__tftp_run_request(r, now_ns);
	return true;
}

/* Takes the server's port from its first valid packet (RFC 1350, section 4). */
static void port_learn(struct sockeye__tftp_run *r, const struct sockeye_dgram *d,
		       const struct sockeye__tftp_got *got)
{
	if (sockeye__tftp_run_knows_port(r) || r->machine.stage == SOCKEYE__TFTP_STAGE_OFFERING)
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
	if (r->machine.progress_ns == now_ns)
		r->wire.trouble.err = 0;
	port_learn(r, d, &got);
	sockeye__tftp_run_note_news(r, &before);
	if (r->machine.result == SOCKEYE__TFTP_PEER_ERROR) {
		if (ask_without_options(r, got.code, now_ns))
			return;
		error_keep(r, &got);
	}
	if (r->job->way == SOCKEYE__TFTP_PROBE && sockeye__tftp_run_knows_port(r)) {
		/* like UEFI after its size probe */
		sockeye__tftp_run_give_up(r,
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

	if (!sockeye__tftp_run_knows_port(r) && r->client->any_source)
		return true;
	if (!sockeye__tftp_run_knows_port(r) && asked.u.sa.sa_family == peer->u.sa.sa_family)
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
		if (sockeye__tftp_run_is_over(r) || sockeye__tftp_is_over(machine) || r->blocked ||
		    r->requests != requests || segment == 0)
			break;
	}
}

/* Writes received data before its memory is used again, but after the ACK was sent,
 * so that the next window is in flight meanwhile. */
static void bytes_write(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	int err = sockeye__tftp_run_is_over(r) ? 0 : sockeye__tftp_sink_flush(&r->sink);

	if (err < 0)
		sockeye__tftp_run_local_failed(r, "write", err, now_ns);
	if (r->file.len > SOCKEYE__TFTP_LOCAL_FILE_FULL &&
	    r->machine.result == SOCKEYE__TFTP_RUNNING)
		r->blocked = true;
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
	if (r->machine.result == SOCKEYE__TFTP_DONE) { /* only local data has to be written */
		r->port_closed = false;
		return;
	}
	snprintf(detail, sizeof detail, "the server closed its port after %" PRIu64 " bytes",
		 sockeye__tftp_run_bytes(r));
	sockeye__tftp_run_fail(r, NULL, NULL, -ECONNREFUSED, detail, now_ns);
}

void sockeye__tftp_run_receive(struct sockeye__tftp_run *r)
{
	for (int i = 0; i < RECEIVES_MAX && sockeye__tftp_run_is_live(r) && !r->blocked; i++) {
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
			err = sockeye__tftp_wire_error(&r->wire, (int)n);
			if (err < 0)
				sockeye__tftp_run_net_failed(r, err, now_ns);
			continue;
		}
		datagrams(r, &d, (size_t)n, segment, now_ns);
		if (sockeye__tftp_run_is_live(r) && !r->blocked)
			sockeye__tftp_run_send(r, now_ns);
		bytes_write(r, now_ns);
		if (sockeye__tftp_run_is_live(r) && !r->blocked)
			sockeye__tftp_run_finish(r, now_ns);
	}
}
