/* client.c: the loop that runs all jobs of the client (client.h). */
#include "tftp/client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <sockeye/time.h>

#include "base/deadline.h"
#include "tftp/client/internal.h"

#define STATUS_NS (100 * SOCKEYE_NS_PER_MS)
#define LIVE_MAX  1024 /* runs, including those that only repeat their last ACK */

struct loop {
	const struct sockeye__tftp_client *client;
	const struct sockeye__tftp_job *jobs;
	size_t count;
	size_t next;    /* the next job to begin */
	size_t ended;   /* jobs whose outcome was reported */
	uint64_t bytes; /* that the ended jobs transferred */
	/* The last job that gave up waiting for its server; later jobs for the same server do
	 * not wait. */
	const struct sockeye__tftp_job *absent;
	struct sockeye__tftp_run *runs[LIVE_MAX];
	size_t live;
	struct pollfd fds[1 + SOCKEYE__RUN_FDS * LIVE_MAX];
	uint64_t status_ns; /* when the next status is due */
	bool stopped;
	uint8_t buf[SOCKEYE__TFTP_WIRE_BYTES], scratch[SOCKEYE__TFTP_WIRE_BYTES];
};

/* Reports the outcome of a run that has ended since `was_ended` was read. */
static void end_report(struct loop *l, struct sockeye__tftp_run *r, bool was_ended)
{
	if (was_ended || !sockeye__tftp_run_ended(r))
		return;
	l->ended++;
	l->bytes += r->end.bytes;
	if (r->end.waited_for < 0 && !r->end.answered)
		l->absent = r->job;
	if (l->client->on_end)
		l->client->on_end(l->client->arg, &r->end);
}

static int begin(struct loop *l, uint64_t now_ns)
{
	struct sockeye__tftp_run *r = calloc(1, sizeof *r);

	if (r == NULL)
		return -ENOMEM;
	r->client = l->client;
	r->job = &l->jobs[l->next];
	r->buf = l->buf;
	r->scratch = l->scratch;
	r->end.job = l->next++;
	r->no_wait =
	    l->absent != NULL && sockeye_sockaddr_equal(&l->absent->names[0], &r->job->names[0]);
	l->runs[l->live++] = r;
	sockeye__tftp_run_begin(r, now_ns);
	end_report(l, r, false);
	return 0;
}

static void reap(struct loop *l)
{
	for (size_t i = 0; i < l->live;) {
		struct sockeye__tftp_run *r = l->runs[i];

		if (r->phase != SOCKEYE__RUN_OVER) {
			i++;
			continue;
		}
		sockeye__tftp_run_close(r);
		free(r);
		l->live--;
		for (size_t k = i; k < l->live; k++) /* keeps their order */
			l->runs[k] = l->runs[k + 1];
	}
}

/* Returns the maximum number of runs while this job is one of them. Each run needs its
 * own port until it stops repeating its last ACK. */
static size_t live_max(const struct sockeye__tftp_client *c, const struct sockeye__tftp_job *job)
{
	size_t ports = (size_t)c->ports.last - c->ports.first + 1;

	if (job->local_count > 0 && sockeye_sockaddr_port(&job->locals[0]) != 0)
		return 1;
	return c->ports.first != 0 && ports < LIVE_MAX ? ports : LIVE_MAX;
}

static int begin_more(struct loop *l, uint64_t now_ns)
{
	unsigned parallel = l->client->parallel ? l->client->parallel : 1;
	int err = 0;

	/* Runs that only repeat their last ACK do not count. */
	while (err == 0 && l->next < l->count && l->next - l->ended < parallel &&
	       l->live < live_max(l->client, &l->jobs[l->next])) {
		err = begin(l, now_ns);
		reap(l);
	}
	return err;
}

static void status_report(struct loop *l, uint64_t now_ns)
{
	struct sockeye__tftp_status s = {
	    .ended = l->ended, .bytes = l->bytes, .size = l->bytes, .now_ns = now_ns};
	bool unsized = false;

	if (!l->client->on_status || now_ns < l->status_ns)
		return;
	l->status_ns = now_ns + STATUS_NS;
	for (size_t i = 0; i < l->live; i++) {
		const struct sockeye__tftp_run *r = l->runs[i];
		uint64_t size = sockeye__tftp_run_size(r);

		if (sockeye__tftp_run_ended(r))
			continue;
		if (s.running++ == 0)
			s.first = r->end.job;
		s.bytes += sockeye__tftp_run_bytes(r);
		s.size += size;
		unsized = unsized || size == 0;
	}
	/* The sizes of the files of jobs that have not begun are unknown. */
	if (unsized || l->next < l->count)
		s.size = 0;
	l->client->on_status(l->client->arg, &s);
}

static int wait(struct loop *l, uint64_t now_ns)
{
	uint64_t deadline = l->client->on_status ? l->status_ns : 0, ns;
	nfds_t count = 1;
	struct timespec left;

	l->fds[0] = (struct pollfd){l->client->stop_fd, POLLIN, 0};
	for (size_t i = 0; i < l->live; i++, count += SOCKEYE__RUN_FDS) {
		sockeye__tftp_run_watch(l->runs[i], &l->fds[count]);
		deadline = sockeye__earlier(deadline, sockeye__tftp_run_deadline(l->runs[i]));
	}
	ns = deadline > now_ns ? deadline - now_ns : 0;
	left = (struct timespec){(time_t)(ns / SOCKEYE_NS_PER_S), (long)(ns % SOCKEYE_NS_PER_S)};
	/* Not poll(2), which counts milliseconds: one is long on a local network. */
	if (ppoll(l->fds, count, deadline ? &left : NULL, NULL) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

static void stop(struct loop *l, uint64_t now_ns)
{
	/* Report an interruption only if a job has not ended. Runs that only repeat their
	 * last ACK end without an error. */
	l->stopped = l->ended < l->count;
	l->count = l->next;
	for (size_t i = 0; i < l->live; i++) {
		bool was_ended = sockeye__tftp_run_ended(l->runs[i]);

		sockeye__tftp_run_stop(l->runs[i], now_ns);
		end_report(l, l->runs[i], was_ended);
	}
	reap(l);
}

static int turn(struct loop *l)
{
	uint64_t now_ns;
	int err = wait(l, sockeye_now().mono_ns);

	if (err < 0)
		return err;
	now_ns = sockeye_now().mono_ns;
	if (l->fds[0].revents) {
		stop(l, now_ns);
		return 0;
	}
	for (size_t i = 0; i < l->live; i++) {
		struct sockeye__tftp_run *r = l->runs[i];
		bool was_ended = sockeye__tftp_run_ended(r);

		sockeye__tftp_run_turn(r, &l->fds[1 + SOCKEYE__RUN_FDS * i], now_ns);
		end_report(l, r, was_ended);
	}
	reap(l);
	status_report(l, now_ns);
	return begin_more(l, now_ns);
}

int sockeye__tftp_client_run(const struct sockeye__tftp_client *client,
			     const struct sockeye__tftp_job *jobs, size_t count)
{
	struct loop *l = calloc(1, sizeof *l);
	uint64_t now_ns = sockeye_now().mono_ns;
	int err;

	if (l == NULL)
		return -ENOMEM;
	l->client = client;
	l->jobs = jobs;
	l->count = count;
	l->status_ns = now_ns + STATUS_NS;
	err = begin_more(l, now_ns);
	while (err == 0 && l->live > 0)
		err = turn(l);
	if (err == 0 && l->stopped)
		err = -EINTR;
	stop(l, sockeye_now().mono_ns);
	free(l);
	return err;
}
