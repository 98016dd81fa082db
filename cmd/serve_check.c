/* serve_check.c: --check-sandbox of sockeye serve: starts workers as usual, which try what an
 * attacker could, and prints the results. */
#include "commands.h"
#include "cli/address.h"
#include "cli/report.h"
#include "serve.h"
#include "serve_try.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WORKERS_MAX (2 * SERVE_SITES_MAX) /* one per crew */

/* What a worker found. */
struct checked {
	bool done;
	char service[32], model[16]; /* model: empty for a service with its own event loop */
	struct sockeye__sandbox needs;
	bool dumpable;
	char status[4096];            /* of /proc/self/status, or empty */
	int results[SERVE_TRIES_MAX]; /* 0 or -errno */
};

/* Shared with the workers, which can write to no file. */
static struct checked *all;
static int done_fd; /* a pipe; when it is readable, the server stops */

/* Whether it makes sense to try this in such a worker. */
static bool applies(const struct serve_try *t, const struct sockeye__sandbox *needs)
{
	return !(t->needed & SERVE_TRY_ROOT) || (needs->calls & SOCKEYE__CALLS_READ);
}

/* Whether the worker needs this to serve. A sanitizer needs almost everything. */
static bool needed(const struct serve_try *t, const struct sockeye__sandbox *needs)
{
	return (t->needed & needs->calls) != 0 ||
	       ((t->needed & SERVE_TRY_READS_ALL) && needs->reads_all) ||
	       (needs->calls & SOCKEYE__CALLS_SANITIZER) != 0;
}

/* Runs in a worker, in its sandbox. */
static void worker_check(const struct sockeye__worker *w, const struct sockeye__sandbox *needs,
			 int status_fd)
{
	struct checked *c = &all[w->index];
	ssize_t n = status_fd >= 0 ? read(status_fd, c->status, sizeof c->status - 1) : 0;

	c->status[n > 0 ? n : 0] = '\0';
	snprintf(c->service, sizeof c->service, "%s", sockeye__worker_service(w));
	snprintf(c->model, sizeof c->model, "%s", sockeye__worker_model(w));
	c->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0;
	c->needs = *needs;
	for (size_t i = 0; i < serve_tries_count; i++)
		c->results[i] = applies(&serve_tries[i], needs) ? serve_tries[i].run(needs) : 0;
	c->done = true;
	(void)!write(done_fd, "", 1);
	_exit(0);
}

/* --- output --- */

/* Copies the value of a field of /proc/PID/status, with single blanks. */
static void field(const struct checked *c, const char *name, char *value, size_t cap)
{
	const char *at = strstr(c->status, name);
	size_t len = 0;

	for (at += at != NULL ? strlen(name) : 0; at != NULL && *at != '\n' && *at != '\0'; at++) {
		bool blank = *at == '\t' || *at == ' ';

		if (len + 1 < cap && !(blank && (len == 0 || value[len - 1] == ' ')))
			value[len++] = blank ? ' ' : *at;
	}
	value[len > 0 && value[len - 1] == ' ' ? len - 1 : len] = '\0';
}

/* The fields of /proc/PID/status that describe rights. */
static const struct {
	const char *key, *field;
	bool is_number;
} fields[] = {
    {"uids", "\nUid:", false},
    {"gids", "\nGid:", false},
    {"groups", "\nGroups:", false},
    {"capabilities", "\nCapEff:", false},
    {"bounding_set", "\nCapBnd:", false},
    {"no_new_privs", "\nNoNewPrivs:", true},
    {"seccomp", "\nSeccomp:", true},
};

#define FIELDS (sizeof fields / sizeof fields[0])

static void worker_json(const struct checked *c)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:b}", "event", "worker", "service", c->service,
				 "model", c->model, "dumpable", c->dumpable);
	char value[256];

	for (size_t i = 0; i < FIELDS; i++) {
		field(c, fields[i].field, value, sizeof value);
		json_object_set_new(json, fields[i].key,
				    fields[i].is_number ? json_integer(strtol(value, NULL, 10))
							: json_string(value));
	}
	report_json(json);
}

static void worker_text(const struct checked *c)
{
	char value[256];

	printf("worker of %s%s%s\n", c->service, c->model[0] != '\0' ? ", model " : "", c->model);
	for (size_t i = 0; i < FIELDS; i++) {
		field(c, fields[i].field, value, sizeof value);
		printf("  %-12s  %s\n", fields[i].key, value);
	}
	printf("  %-12s  %d\n", "dumpable", c->dumpable);
}

/* Prints a result. Returns whether it is as it should be. */
static bool result_print(const struct serve *s, const struct checked *c, size_t i)
{
	const struct serve_try *t = &serve_tries[i];
	const int err = c->results[i];
	const bool allowed = err == 0, wanted = needed(t, &c->needs);

	if (s->common.json)
		report_json(json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:s*}", "event", "try",
				      "service", c->service, "model", c->model, "what", t->text,
				      "allowed", allowed, "needed", wanted, "error",
				      allowed ? NULL : sockeye_error_name(err)));
	else if (allowed)
		printf("  allowed  %s%s\n", t->text, wanted ? " (needed)" : " (NOT NEEDED)");
	else
		printf("  denied   %s: %s\n", t->text, sockeye_error_text(err));
	return !allowed || wanted;
}

/* Prints what the workers found. Returns the exit code. */
static int print(const struct serve *s)
{
	size_t workers = 0, wrong = 0;

	for (size_t w = 0; w < WORKERS_MAX; w++) {
		const struct checked *c = &all[w];

		if (!c->done)
			continue;
		workers++;
		if (s->common.json)
			worker_json(c);
		else
			worker_text(c);
		for (size_t i = 0; i < serve_tries_count; i++)
			if (applies(&serve_tries[i], &c->needs))
				wrong += !result_print(s, c, i);
	}
	fflush(stdout);
	if (workers > 0 && wrong == 0)
		return SOCKEYE_EXIT_DONE;
	if (workers == 0)
		report_info(&s->common, "no worker reported what its sandbox allows");
	else
		report_info(&s->common,
			    "the sandbox is incomplete: it allows %zu operation%s that "
			    "serving does not need",
			    wrong, &"s"[wrong == 1]);
	return SOCKEYE_EXIT_UNSUPPORTED;
}

int serve_check(struct serve *s, struct sockeye_serve_opts *opts)
{
	struct sockeye_fail fail = {.op = "serve"};
	int pipe_fds[2], err;

	all = mmap(NULL, WORKERS_MAX * sizeof *all, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED || pipe2(pipe_fds, O_CLOEXEC) < 0) {
		fail.err = -errno;
		return report_fail(&s->common, &fail);
	}
	done_fd = pipe_fds[1];
	opts->workers = 1;
	opts->stop_fd = pipe_fds[0];
	opts->on_ready = NULL;
	opts->on_event = NULL;
	for (size_t i = 0; i < s->site_count; i++)
		s->sites[i].instead = worker_check;
	err = sockeye__serve_crews(s->sites, s->site_count, opts, &fail);
	return err < 0 ? cli_address_fail(&s->common, &fail) : print(s);
}
