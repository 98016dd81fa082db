/* get_probe.c: shows which options a TFTP server grants (get_probe.h). */
#include "get_probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/report.h"
#include "cli/stop.h"

#define WINDOW_ASKED  256 /* some servers allocate memory for a larger window */
#define TIMEOUT_ASKED 1   /* second; RFC 2349: granted as requested, or not at all */

struct probe {
	struct transfers *t;
	const struct transfer *file;
	struct sockeye__tftp_client client;
	struct sockeye__tftp_options asked, granted;
	struct sockeye__tftp_end end; /* of the last request */
	bool together;                /* the server accepted all options in one request */
};

/* Returns all options except blksize2, because a server grants only one block size. */
static struct sockeye__tftp_options everything(const struct transfers *t)
{
	const struct sockeye__tftp_client *c = &t->client;
	struct sockeye__tftp_options o = {0};

	sockeye__tftp_set(&o, SOCKEYE__TFTP_BLKSIZE,
			  c->blksize ? c->blksize : SOCKEYE__TFTP_BLKSIZE_MAX);
	sockeye__tftp_set(&o, SOCKEYE__TFTP_TIMEOUT, TIMEOUT_ASKED);
	sockeye__tftp_set(&o, SOCKEYE__TFTP_UTIMEOUT, TIMEOUT_ASKED * 1000000);
	sockeye__tftp_set(&o, SOCKEYE__TFTP_TSIZE, 0);
	sockeye__tftp_set(&o, SOCKEYE__TFTP_WINDOWSIZE, c->window ? c->window : WINDOW_ASKED);
	sockeye__tftp_set(&o, SOCKEYE__TFTP_ROLLOVER, 0);
	return o;
}

static void on_end(void *arg, const struct sockeye__tftp_end *end)
{
	struct probe *p = arg;

	p->end = *end;
}

static void on_note(void *arg, const struct sockeye__tftp_note *note)
{
	struct probe *p = arg;

	transfers_note(p->t, p->file, note);
}

/* Sends a request with the options in `has` and stores the outcome in p->end. Returns 0,
 * -EINTR or -ENOMEM. */
static int ask(struct probe *p, const struct sockeye__tftp_job *job, unsigned has)
{
	struct sockeye__tftp_job one = *job;
	int err;

	one.ask = p->asked;
	one.ask.has = has;
	err = sockeye__tftp_client_run(&p->client, &one, 1);
	for (enum sockeye__tftp_option i = 0; err == 0 && i < SOCKEYE__TFTP_OPTIONS; i++)
		if (sockeye__tftp_has(&p->end.options, i))
			sockeye__tftp_set(&p->granted, i, p->end.options.value[i]);
	return err;
}

/* Whether the server rejected the request because of its options (RFC 2347). */
static bool is_about_options(const struct sockeye__tftp_end *end)
{
	return end->fail.err == -EPROTO ||
	       (end->peer_error &&
		(end->code == SOCKEYE__TFTP_OPTION_REFUSED || end->code == SOCKEYE__TFTP_ILLEGAL ||
		 end->code == SOCKEYE__TFTP_UNDEFINED));
}

/* Requests every option alone. */
static int ask_each(struct probe *p, const struct sockeye__tftp_job *job)
{
	int err = 0;

	for (enum sockeye__tftp_option i = 0; err == 0 && i < SOCKEYE__TFTP_OPTIONS; i++) {
		if (!sockeye__tftp_has(&p->asked, i))
			continue;
		err = ask(p, job, SOCKEYE__TFTP_BIT(i));
		if (p->end.fail.err < 0 && !is_about_options(&p->end))
			break;
	}
	/* An option that the server rejects is not granted; that is not a failure. */
	if (is_about_options(&p->end))
		p->end.fail.err = 0;
	return err;
}

/* Requests all options together, or one by one if the server rejects the combination. */
static int ask_all(struct probe *p, const struct sockeye__tftp_job *job)
{
	int err = ask(p, job, p->asked.has);

	p->together = err == 0 && p->end.fail.err == 0;
	return err == 0 && is_about_options(&p->end) ? ask_each(p, job) : err;
}

static void print_json(const struct probe *p, const struct sockeye__tftp_job *job, const char *peer)
{
	bool sized = sockeye__tftp_has(&p->granted, SOCKEYE__TFTP_TSIZE);
	json_t *options = json_object(), *event;

	for (enum sockeye__tftp_option option = 0; options && option < SOCKEYE__TFTP_OPTIONS;
	     option++) {
		bool has = sockeye__tftp_has(&p->granted, option);

		if (!sockeye__tftp_has(&p->asked, option))
			continue;
		json_object_set_new(
		    options, sockeye__tftp_option_name(option),
		    json_pack("{sI so}", "asked", (json_int_t)p->asked.value[option], "granted",
			      has ? json_integer((json_int_t)p->granted.value[option])
				  : json_null()));
	}
	event = json_pack("{ss so so so so sb si}", "event", "probe", "address",
			  report_string(job->address), "peer", report_string(peer), "size",
			  sized ? json_integer((json_int_t)p->granted.value[SOCKEYE__TFTP_TSIZE])
				: json_null(),
			  "options", options, "together", p->together, "exit", SOCKEYE_EXIT_DONE);
	report_json(event);
}

static void print_table(const struct probe *p, const struct sockeye__tftp_job *job,
			const char *peer)
{
	char size[SOCKEYE__QUANTITY_MAX];

	printf("%s answers from %s\n%-12s%10s  %s\n", job->address, peer, "option", "asked",
	       "granted");
	for (enum sockeye__tftp_option option = 0; option < SOCKEYE__TFTP_OPTIONS; option++) {
		uint64_t value = p->granted.value[option];

		if (!sockeye__tftp_has(&p->asked, option))
			continue;
		printf("%-12s%10" PRIu64 "  ", sockeye__tftp_option_name(option),
		       p->asked.value[option]);
		if (!sockeye__tftp_has(&p->granted, option))
			printf("no\n");
		else if (option == SOCKEYE__TFTP_TSIZE)
			printf("%" PRIu64 " (%s)\n", value, sockeye__bytes_print(value, size));
		else
			printf("%" PRIu64 "\n", value);
	}
	if (!p->together)
		printf("The server rejects all options together; each was requested alone.\n");
	fflush(stdout);
}

static int print_result(const struct transfers *t, const struct probe *p,
			const struct sockeye__tftp_job *job)
{
	struct sockeye_fail fail = transfers_fail(&p->end);
	char peer[128];

	if (fail.err < 0)
		return report_fail(&t->o->common, &fail);
	sockeye_sockaddr_print(&p->end.peer, peer, sizeof peer);
	if (t->o->common.json)
		print_json(p, job, peer);
	else
		print_table(p, job, peer);
	return SOCKEYE_EXIT_DONE;
}

int probe_run(struct transfers *t)
{
	transfers_resolve(t);
	for (size_t i = 0; i < t->job_count; i++) {
		struct probe p = {.t = t,
				  .file = &t->list[t->job_of[i]],
				  .client = t->client,
				  .asked = everything(t)};
		int err, code;

		p.client.on_end = on_end;
		p.client.on_note = on_note;
		p.client.arg = &p;
		err = ask_all(&p, &t->jobs[i]);
		if (err == -EINTR)
			return stop_report(&t->o->common, "get", t->jobs[i].address);
		code = err < 0 ? report_error(&t->o->common, "probe", t->jobs[i].address, err, NULL)
			       : print_result(t, &p, &t->jobs[i]);
		if (t->code == SOCKEYE_EXIT_DONE)
			t->code = code;
	}
	return t->code;
}
