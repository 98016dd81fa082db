/* transfer.c: the life of a run (internal.h). */
#include "tftp/client/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/deadline.h"

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
		sockeye__tftp_run_local_failed(r, "open", err, now_ns);
	else if (!r->file.awaited)
		sockeye__tftp_run_request(r, now_ns);
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
	if (sockeye__tftp_run_knows_port(r) || r->machine.deadline_ns < r->next_ns)
		return sockeye__earlier(r->machine.deadline_ns, sockeye__tftp_run_wait_end(r));
	return sockeye__earlier(r->next_ns, sockeye__tftp_run_wait_end(r));
}

static void output_turn(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	int err = sockeye__tftp_local_file_drain(&r->file);

	if (err < 0)
		sockeye__tftp_run_local_failed(r, "write", err, now_ns);
	else if (r->file.len == 0)
		r->blocked = false;
}

static void timer(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	const struct sockeye__tftp_counters before = r->machine.count;
	uint64_t end_ns;

	if (r->phase == SOCKEYE__RUN_WAITING) {
		if (r->lost_blksize == 0)
			sockeye__tftp_run_ask_again(r, now_ns);
		sockeye__tftp_run_request(r, now_ns);
		return;
	}
	end_ns = sockeye__tftp_run_wait_end(r);
	if (end_ns != 0 && now_ns >= end_ns) {
		sockeye__tftp_run_unreachable(r, now_ns);
		return;
	}
	sockeye__tftp_timer(&r->machine, now_ns);
	if (sockeye__tftp_run_try_next(r, now_ns))
		return;
	if (!sockeye__tftp_run_ended(r))
		sockeye__tftp_run_note_news(r, &before);
	sockeye__tftp_run_send(r, now_ns);
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
		sockeye__tftp_run_request(r, now_ns);
	} else if (fds[SOCKEYE__RUN_LOCAL].revents && sockeye__tftp_run_is_put(r)) {
		sockeye__tftp_run_send(r, now_ns);
	} else if (fds[SOCKEYE__RUN_LOCAL].revents) {
		output_turn(r, now_ns);
	}
	if (sockeye__tftp_run_is_live(r) && !r->blocked &&
	    (fds[SOCKEYE__RUN_NET].revents || was_blocked || timer_due(r, now_ns)))
		sockeye__tftp_run_receive(r);
	if (sockeye__tftp_run_is_over(r) || r->blocked || r->phase == SOCKEYE__RUN_IDLE)
		return;
	if (timer_due(r, now_ns))
		timer(r, now_ns);
	if (r->port_closed && sockeye__tftp_run_is_live(r))
		sockeye__tftp_run_receive(r);
	if (sockeye__tftp_run_is_live(r) && !sockeye__tftp_run_ask_smaller(r, now_ns))
		sockeye__tftp_run_finish(r, now_ns);
}

void sockeye__tftp_run_stop(struct sockeye__tftp_run *r, uint64_t now_ns)
{
	if (sockeye__tftp_run_ended(r)) {
		r->phase = SOCKEYE__RUN_OVER;
		return;
	}
	sockeye__tftp_run_give_up(r, SOCKEYE__TFTP_UNDEFINED, "interrupted", now_ns);
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
