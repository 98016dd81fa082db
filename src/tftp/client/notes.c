/* notes.c: report the events of a run (internal.h). */
#include "tftp/client/internal.h"

uint64_t sockeye__tftp_run_bytes(const struct sockeye__tftp_run *r)
{
	uint64_t sent;

	if (!sockeye__tftp_run_is_put(r))
		return r->sink.bytes;
	if (!r->source_open)
		return 0;
	if (!r->source.has_size || r->source.netascii)
		return r->source.taken;
	sent = sockeye__tftp_acknowledged(&r->machine);
	return sent < r->source.size ? sent : r->source.size;
}

uint64_t sockeye__tftp_run_size(const struct sockeye__tftp_run *r)
{
	if (sockeye__tftp_run_is_put(r))
		return r->source.has_size ? r->source.size : 0;
	return r->machine.options.value[SOCKEYE__TFTP_TSIZE];
}

static void notify(const struct sockeye__tftp_run *r, const struct sockeye__tftp_note *n)
{
	if (r->client->on_note)
		r->client->on_note(r->client->arg, n);
}

void sockeye__tftp_run_note(const struct sockeye__tftp_run *r, enum sockeye__tftp_note_kind kind,
			    const struct sockeye_sockaddr *peer,
			    const struct sockeye__tftp_got *got)
{
	struct sockeye__tftp_note n = {
	    .kind = kind,
	    .job = r->end.job,
	    .peer = peer,
	    .options = kind == SOCKEYE__TFTP_NOTE_ASK ? &r->asked : &r->machine.options,
	    .code = -1,
	    .bytes = sockeye__tftp_run_bytes(r),
	};

	if (got != NULL && r->machine.result == SOCKEYE__TFTP_PEER_ERROR) {
		n.code = got->code;
		n.text = got->text;
	}
	notify(r, &n);
}

void sockeye__tftp_run_note_next(const struct sockeye__tftp_run *r, int err)
{
	notify(r, &(struct sockeye__tftp_note){
		      .kind = SOCKEYE__TFTP_NOTE_NEXT,
		      .job = r->end.job,
		      .peer = &r->job->names[r->name],
		      .code = err,
		  });
}

void sockeye__tftp_run_note_wait(const struct sockeye__tftp_run *r, uint64_t wait_ns)
{
	notify(r, &(struct sockeye__tftp_note){
		      .kind = SOCKEYE__TFTP_NOTE_WAIT,
		      .job = r->end.job,
		      .peer = &r->job->names[r->name],
		      .code = r->first.err,
		      .wait_ns = wait_ns,
		  });
}

void sockeye__tftp_run_note_smaller(const struct sockeye__tftp_run *r)
{
	notify(r, &(struct sockeye__tftp_note){
		      .kind = SOCKEYE__TFTP_NOTE_SMALLER,
		      .job = r->end.job,
		      .peer = &r->wire.to.peer,
		      .blksize = r->lost_blksize,
		  });
}

void sockeye__tftp_run_note_news(const struct sockeye__tftp_run *r,
				 const struct sockeye__tftp_counters *before)
{
	const struct sockeye__tftp_counters *now = &r->machine.count;

	if (now->timeouts > before->timeouts)
		sockeye__tftp_run_note(r, SOCKEYE__TFTP_NOTE_TIMEOUT, &r->wire.to.peer, NULL);
	else if (now->gaps > before->gaps)
		sockeye__tftp_run_note(r, SOCKEYE__TFTP_NOTE_GAP, &r->wire.to.peer, NULL);
}
