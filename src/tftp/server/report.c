/* report.c: counts and reports the transfers that have ended (internal.h). */
#include "tftp/server/internal.h"

/* The usual timeout of clients. If the disk takes longer, they repeat their last block, and may
 * give up. */
#define SLOW_DISK_NS (5 * SOCKEYE_NS_PER_S)

static bool uploads(const struct sockeye__tftp_transfer *t)
{
	return t->upload != NULL;
}

static const char *const ends[] = {
    [SOCKEYE__TFTP_RUNNING] = "ended",
    [SOCKEYE__TFTP_DONE] = "done",
    [SOCKEYE__TFTP_LAST_ACK_MISSING] = "done, but the last ACK is missing",
    [SOCKEYE__TFTP_TIMED_OUT] = "the client stopped answering",
    [SOCKEYE__TFTP_PEER_ERROR] = "ended by the client",
    [SOCKEYE__TFTP_BAD_OACK] = "bad OACK",
    [SOCKEYE__TFTP_BAD_START] = "bad first block",
    [SOCKEYE__TFTP_TOO_LARGE] = "file larger than allowed",
    [SOCKEYE__TFTP_WRONG_SIZE] = "size differs from tsize",
    [SOCKEYE__TFTP_ABORTED] = "aborted",
    [SOCKEYE__TFTP_GONE] = "the client's port is closed",
};

static bool is_done(const struct sockeye__tftp_transfer *t)
{
	return t->text == NULL && (t->machine.result == SOCKEYE__TFTP_DONE ||
				   (t->machine.result == SOCKEYE__TFTP_LAST_ACK_MISSING &&
				    !sockeye__tftp_undelivered(t)));
}

/* Returns how the transfer ended, unless t->text does. */
static const char *end_of(const struct sockeye__tftp_transfer *t)
{
	if (t->machine.result == SOCKEYE__TFTP_LAST_ACK_MISSING && !is_done(t))
		return sockeye__tftp_cannot_send(t) ? "the last blocks could not be sent"
						    : ends[SOCKEYE__TFTP_TIMED_OUT];
	if (uploads(t) && t->upload->in_place && is_done(t))
		return "done, but not atomically: the directory is not writable";
	if (uploads(t) && t->upload->commit_ns >= SLOW_DISK_NS && is_done(t))
		return "done, but the disk was slow (--no-sync does not wait for it)";
	return ends[t->machine.result];
}

uint64_t sockeye__tftp_transfer_moved(const struct sockeye__tftp_transfer *t)
{
	uint64_t sent = sockeye__tftp_acknowledged(&t->machine);

	if (uploads(t))
		return t->upload->sink.bytes;
	if (is_done(t) && t->source.has_size)
		return t->source.size;
	return sent < t->machine.sender.available ? sent : t->machine.sender.available;
}

static void count(const struct sockeye__tftp_worker *w, const struct sockeye__tftp_transfer *t,
		  bool probe)
{
	struct sockeye__counters *general = w->base->counters;
	struct sockeye__tftp_server_counters *c = w->counters;

	sockeye__count(is_done(t) ? &c->transfers_done
		       : probe    ? &c->transfers_probed
				  : &c->transfers_failed,
		       1);
	sockeye__count(&c->blocks_resent, t->machine.count.resent);
	sockeye__count(&general->datagrams_out, t->wire.sent);
	sockeye__count(uploads(t) ? &general->bytes_in : &general->bytes_out,
		       sockeye__tftp_transfer_moved(t));
}

void sockeye__tftp_transfer_report(const struct sockeye__tftp_worker *w,
				   const struct sockeye__tftp_transfer *t,
				   const struct sockeye__tftp_got *got)
{
	const struct sockeye__tftp_server_config *c = &w->server->config;
	bool error = t->machine.result == SOCKEYE__TFTP_PEER_ERROR && got != NULL;
	bool probe = error && got->code == SOCKEYE__TFTP_OPTION_REFUSED &&
		     sockeye__tftp_is_unanswered(&t->machine);
	struct sockeye__tftp_packet request = {0};
	char detail[SOCKEYE__TFTP_TROUBLE_TEXT_MAX];
	struct sockeye__tftp_report r = {
	    .peer = &t->wire.to.peer,
	    .upload = uploads(t),
	    .netascii = t->netascii,
	    .name = (const char *)t->bytes + t->name_at,
	    .bytes = sockeye__tftp_transfer_moved(t),
	    .elapsed_ns = w->now_ns - t->begun_ns,
	    .options = t->machine.options,
	    .count = t->machine.count,
	    .blksize = t->machine.blksize,
	    .window = t->machine.window,
	    .confirmed = t->machine.confirmed && (!t->machine.config.forgeable || is_done(t)),
	    .done = is_done(t),
	    .probe = probe,
	    .text = t->text != NULL ? t->text
		    : probe         ? "size probe"
				    : end_of(t),
	    .code = error                           ? got->code
		    : t->machine.error_text != NULL ? t->machine.error_code
						    : -1,
	    .err = t->err,
	    .limit = uploads(t) && t->upload->over_total ? SOCKEYE__TFTP_LIMIT_TOTAL
							 : SOCKEYE__TFTP_LIMIT_NONE,
	};

	count(w, t, probe);
	if (c->on_transfer == NULL)
		return;
	(void)sockeye__tftp_decode(t->bytes, t->request_len, &request);
	r.asked = request.name;
	if (error)
		r.peer_text = got->text;
	sockeye__tftp_explain(t, &r, detail);
	c->on_transfer(c->arg, &r);
}
