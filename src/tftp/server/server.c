/* server.c: open and close a TFTP server (server.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/net.h"
#include "tftp/server/internal.h"
#include "tftp/server/root.h"

#define PER_SOURCE 2048

static const struct sockeye__counter_row counter_rows[] = {
    SOCKEYE__TFTP_SERVER_COUNTERS(SOCKEYE__COUNTER_ROW)};

static const struct sockeye__counter_table counters_table = {
    .rows = counter_rows,
    .count = sizeof counter_rows / sizeof counter_rows[0],
};

static void say(const struct sockeye_serve_opts *opts, enum sockeye_event_kind kind,
		const char *text)
{
	sockeye__event(opts,
		       &(struct sockeye_event){.kind = kind, .service = "tftp", .text = text});
}

static bool rules_reload(void *context, const struct sockeye_serve_opts *opts)
{
	static const char keeping[] = "keeping the old rules: ";
	const struct sockeye__tftp_server *s = context;
	struct sockeye_fail fail;
	char text[640];
	size_t map, policy;

	if (sockeye__tftp_rules_read(context, &fail) < 0) {
		memcpy(text, keeping, sizeof keeping);
		sockeye_fail_text(&fail, text + sizeof keeping - 1, sizeof text - sizeof keeping);
		say(opts, SOCKEYE_EVENT_WARNING, text);
		return false;
	}
	map = sockeye__tftp_map_count(s->map);
	policy = sockeye__tftp_policy_count(s->policy);
	snprintf(text, sizeof text, "reloaded %zu map rule%s and %zu policy rule%s", map,
		 &"s"[map == 1], policy, &"s"[policy == 1]);
	say(opts, SOCKEYE_EVENT_NOTICE, text);
	return true;
}

static int root_check(const void *context)
{
	const struct sockeye__tftp_server *s = context;

	return sockeye__tftp_root_check(&s->store);
}

static void root_explain(const void *context, const char *user, int err, struct sockeye_fail *fail)
{
	const struct sockeye__tftp_server *s = context;

	sockeye__tftp_root_explain(&s->store, user, err, fail);
}

static bool root_renew(void *context, const struct sockeye__server *server,
		       const struct sockeye__crew *crew, bool again)
{
	return sockeye__tftp_root_renew(context, server, crew, again);
}

static void root_renewed(const void *context, const struct sockeye__server *server)
{
	sockeye__tftp_root_renewed(context, server);
}

static void worker_died(void *context, unsigned seat, void *spec_counters)
{
	const struct sockeye__tftp_server *s = context;
	struct sockeye__tftp_server_counters *counters = spec_counters;

	__atomic_store_n(&s->shared->of_seat[seat], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->shared->received_bytes[seat], 0, __ATOMIC_RELAXED);
	sockeye__tftp_room_forget(s->shared, seat);
	sockeye__sources_forget(s->sources, seat);
	if (s->claims != NULL)
		sockeye__tftp_claims_forget(s->claims, seat);
	counters->transfers_failed += counters->transfers_open;
}

static void run(struct sockeye__worker *worker)
{
	sockeye__tftp_worker_run(worker, worker->context);
}

/* Creates the limits, locks and event descriptor that all workers share. Returns 0, or -ENOMEM,
 * after which the caller closes the server. */
static int shared_open(struct sockeye__tftp_server *s)
{
	const struct sockeye__tftp_server_config *config = &s->config;
	void *shared = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	s->shared = shared == MAP_FAILED ? NULL : shared;
	s->sources =
	    sockeye__sources_new(config->per_source_max != 0 ? config->per_source_max : PER_SOURCE);
	s->rates = sockeye__rates_new();
	s->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (config->store.upload)
		s->claims = sockeye__tftp_claims_new();
	if (s->shared == NULL || s->sources == NULL || s->rates == NULL || s->room_fd < 0 ||
	    (config->store.upload && s->claims == NULL))
		return -ENOMEM;
	return 0;
}

int sockeye__tftp_server_open(struct sockeye__tftp_server **out,
			      const struct sockeye__tftp_server_config *config,
			      struct sockeye_fail *fail)
{
	struct sockeye__tftp_server *s = calloc(1, sizeof *s);
	int err;

	if (s == NULL)
		return sockeye__fail_set(fail, "serve", "tftp", -ENOMEM);
	s->config = *config;
	s->room_fd = -1;
	s->crew = (struct sockeye__crew_spec){
	    .run = run,
	    .reload = rules_reload,
	    .renew = root_renew,
	    .renewed = root_renewed,
	    .check = root_check,
	    .explain = root_explain,
	    .on_death = worker_died,
	    .counters = &counters_table,
	    .calls = SOCKEYE__CALLS_DATAGRAM | SOCKEYE__CALLS_READ |
		     (config->store.upload ? SOCKEYE__CALLS_WRITE | SOCKEYE__CALLS_THREADS : 0),
	    .context = s,
	};
	err = sockeye__tftp_store_open(&s->store, &config->store, fail);
	if (err < 0 && fail != NULL)
		fail->op = "open root directory";
	if (err == 0 && sockeye__tftp_rules_open(s) < 0)
		err = sockeye__fail_set(fail, "serve", "tftp", -ENOMEM);
	if (err == 0)
		err = sockeye__tftp_rules_read(s, fail);
	if (err == 0 && shared_open(s) < 0)
		err = sockeye__fail_set(fail, "serve", "tftp", -ENOMEM);
	if (err < 0) {
		sockeye__tftp_server_close(s);
		return err;
	}
	*out = s;
	return 0;
}

const struct sockeye__crew_spec *sockeye__tftp_server_crew(const struct sockeye__tftp_server *s)
{
	return &s->crew;
}

void sockeye__tftp_server_close(struct sockeye__tftp_server *s)
{
	if (s == NULL)
		return;
	sockeye__tftp_store_close(&s->store);
	sockeye__tftp_rules_close(s);
	sockeye__sources_free(s->sources);
	sockeye__rates_free(s->rates);
	sockeye__tftp_claims_free(s->claims);
	if (s->shared != NULL)
		munmap(s->shared, sizeof *s->shared);
	if (s->room_fd >= 0)
		close(s->room_fd);
	free(s);
}

const struct sockeye_service sockeye__tftp_service = {
    .name = "tftp",
    .summary = "sends and receives files (RFC 1350)",
    .port = 69,
};
