/* send.c: the packets that a run sends, and which address it requests the file from
 * (internal.h). */
#include "tftp/client/internal.h"

#include <errno.h>

#include <sockeye/time.h>

/* A server may receive an ERROR and a new request on two sockets, in any order, and refuse a
 * second upload of the same file. */
#define SMALLER_PAUSE_NS (250 * SOCKEYE_NS_PER_MS)

void sockeye__tftp_run_give_up(struct sockeye__tftp_run *r, uint16_t code, const char *text,
			       uint64_t now_ns)
{
	bool of_source;

	if (!sockeye__tftp_run_is_live(r))
		return;
	sockeye__tftp_abort(&r->machine, code, text);
	(void)sockeye__tftp_wire_flush(&r->wire, &r->machine, &r->source, now_ns, r->scratch,
				       &of_source);
}

void sockeye__tftp_run_local_failed(struct sockeye__tftp_run *r, const char *op, int err,
				    uint64_t now_ns)
{
	bool full = err == -ENOSPC || err == -EDQUOT || err == -EFBIG;
	const char *path = r->job->path                  ? r->job->path
			   : sockeye__tftp_run_is_put(r) ? "standard input"
							 : "standard output";
	const char *detail = NULL;

	r->end.reader_left = !sockeye__tftp_run_is_put(r) && (err == -EPIPE || err == -ECONNRESET);
	sockeye__tftp_run_give_up(r, full ? SOCKEYE__TFTP_DISK_FULL : SOCKEYE__TFTP_UNDEFINED,
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

static bool may_ask_smaller(const struct sockeye__tftp_run *r)
{
	return r->phase == SOCKEYE__RUN_TRANSFERRING && r->lost_blksize == 0 &&
	       r->job->way != SOCKEYE__TFTP_PROBE;
}

/* Begins again with blocks of 512 bytes. No byte was written to the file or discarded from
 * the input. */
static void ask_smaller(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	r->lost_blksize = r->machine.blksize;
	sockeye__tftp_run_note_smaller(r);
	sockeye__tftp_run_give_up(r, SOCKEYE__TFTP_UNDEFINED, "the path drops large blocks",
				  now_ns);
	sockeye__tftp_run_hang_up(r);
	r->source_open = false;
	r->phase = SOCKEYE__RUN_WAITING;
	r->next_ns = now_ns + SMALLER_PAUSE_NS;
}

bool sockeye__tftp_run_ask_smaller(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	if (!may_ask_smaller(r) || !sockeye__tftp_loses_blocks(&r->machine, now_ns))
		return false;
	ask_smaller(r, now_ns);
	return true;
}

void sockeye__tftp_run_net_failed(struct sockeye__tftp_run *r, int err, uint64_t now_ns)
{
	struct sockeye_fail fail = {.err = err};

	if (sockeye__tftp_run_knows_port(r)) {
		r->port_closed = r->port_closed || err == -ECONNREFUSED;
		if (err == -EMSGSIZE && may_ask_smaller(r) && sockeye__tftp_is_stuck(&r->machine))
			ask_smaller(r, now_ns);
		return;
	}
	if (r->wire.trouble.err == err && err != -ECONNREFUSED)
		sockeye__tftp_run_trouble(r, &fail);
	if (next_name(r, &fail))
		sockeye__tftp_run_request(r, now_ns);
	else
		all_failed(r, now_ns);
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

void sockeye__tftp_run_send(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	bool of_source = true;
	int err = source_ready(r);

	if (err == 0)
		err = sockeye__tftp_wire_flush(&r->wire, &r->machine, &r->source, now_ns,
					       r->scratch, &of_source);
	/* A firewall that drops the request will hardly change before the next retransmission. */
	if (err == 0 && r->wire.trouble.err == -EPERM && !sockeye__tftp_run_knows_port(r))
		sockeye__tftp_run_net_failed(r, -EPERM, now_ns);
	else if (err < 0 && of_source)
		sockeye__tftp_run_local_failed(r, "read", err, now_ns);
	else if (err < 0)
		sockeye__tftp_run_net_failed(r, err, now_ns);
}

void sockeye__tftp_run_request(struct sockeye__tftp_run *r, uint64_t now_ns)
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
	sockeye__tftp_run_send(r, now_ns);
}

bool sockeye__tftp_run_try_next(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	bool timed_out = r->machine.result == SOCKEYE__TFTP_TIMED_OUT;
	struct sockeye_fail fail = {.err = -ETIMEDOUT};

	if (sockeye__tftp_run_knows_port(r) || (!timed_out && now_ns < r->next_ns))
		return false;
	if (r->wire.trouble.err < 0)
		sockeye__tftp_run_trouble(r, &fail);
	if (!next_name(r, &fail))
		return timed_out && sockeye__tftp_run_wait(r, now_ns);
	sockeye__tftp_run_request(r, now_ns);
	return true;
}
