/* serve.c: sockeye serve. */
#include "commands.h"
#include "cli/address.h"
#include "cli/report.h"
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/serve.h>

static const char *const log_forms[] = {"text", "json", NULL};

const struct cli_option serve_options[] = {
    {NULL, .help = "How connections are served"},
    {"model", 'm', "MODEL", CLI_CHOICE, offsetof(struct serve, model),
     "how connections are served (event): see --list", .choices = sockeye_models},
    {"workers", 'w', "N", CLI_UINT, offsetof(struct serve, workers),
     "processes of prefork (8), event, uring and tftp (one per processor)", .min = 1, .max = 256},
    {"max-connections", 'c', "N", CLI_UINT, offsetof(struct serve, connections_max),
     "at once; more wait in the backlog", .min = 1, .max = 1000000},
    {"max-per-source", 0, "N", CLI_UINT, offsetof(struct serve, per_source_max),
     "at once from one source; more are closed", .min = 1, .max = 65535},
    {"source-ipv4-prefix", 0, "N", CLI_UINT, offsetof(struct serve, source_ipv4_prefix),
     "count IPv4 addresses that share N leading bits as one source (32)", .min = 1, .max = 32},
    {"source-ipv6-prefix", 0, "N", CLI_UINT, offsetof(struct serve, source_ipv6_prefix),
     "count IPv6 addresses that share N leading bits as one source (64)", .min = 1, .max = 128},
    {"idle-timeout", 0, "TIME", CLI_TIME, offsetof(struct serve, idle_ns),
     "close a connection that moves no byte so long", .min = 1000000},
    {"max-time", 0, "TIME", CLI_TIME, offsetof(struct serve, time_ns),
     "the longest a connection may last", .min = 1000000},
    {"grace", 0, "TIME", CLI_TIME, offsetof(struct serve, grace_ns),
     "after SIGTERM, how long sessions may go on (10s)", .min = 1000000},
    {"backlog", 'b', "N", CLI_UINT, offsetof(struct serve, backlog),
     "connections that may wait to be accepted (4096)", .min = 1, .max = 65535},
    {"rate", 0, "N", CLI_UINT, offsetof(struct serve, answers_per_s),
     "datagram answers a second to one source that are longer than its question (20)", .min = 1,
     .max = 1000000},
    {"user", 'u', "NAME", CLI_TEXT, offsetof(struct serve, user),
     "become this user once everything is bound"},
    {"foreground", 'f', NULL, CLI_FLAG, offsetof(struct serve, foreground),
     "stay in the foreground: the only mode there is"},
    {NULL, .help = "What is told"},
    {"list", 'l', NULL, CLI_FLAG, offsetof(struct serve, list),
     "list the services and models, and leave"},
    {"ready-fd", 0, "N", CLI_UINT, offsetof(struct serve, ready_given),
     "write the addresses to descriptor N, a line each, when every socket listens", .min = 1,
     .max = 1048576},
    {"log", 0, "FORM", CLI_CHOICE, offsetof(struct serve, log_form), "text or json, on stderr",
     .choices = log_forms},
    {"show-messages", 's', NULL, CLI_FLAG, offsetof(struct serve, show_messages),
     "log what is received, escaped, with its sender"},
    {NULL},
};

static void list_service(const struct serve *s, const struct sockeye_service *service)
{
	if (s->common.json)
		report_json(json_pack("{s:s, s:s, s:i, s:s}", "event", "service", "name",
				      service->name, "port", (int)service->port, "summary",
				      service->summary));
	else
		printf("service  %-10s %5u  %s\n", service->name, service->port, service->summary);
}

static void list_model(const struct serve *s, const struct sockeye_model *model)
{
	if (s->common.json)
		report_json(json_pack("{s:s, s:s, s:s, s:i, s:b, s:b}", "event", "model", "name",
				      model->name, "summary", model->summary, "workers",
				      (int)model->workers, "one_session", model->one_session,
				      "own_sockets", model->own_sockets));
	else
		printf("model    %-10s        %s\n", model->name, model->summary);
}

static int list(const struct serve *s)
{
	serve_services_each(s, list_service);
	for (size_t i = 0; sockeye_models[i] != NULL; i++)
		list_model(s, sockeye_model_find(sockeye_models[i]));
	return SOCKEYE_EXIT_DONE;
}

/* --- running it --- */

static int ready_fd_write(int fd, const struct sockeye_ready *ready)
{
	char lines[SERVE_SITES_MAX * 128];
	size_t len = 0;

	for (size_t i = 0; i < ready->count && len + SOCKEYE_ADDR_TEXT_MAX < sizeof lines; i++) {
		len += sockeye_sockaddr_print_url(&ready->sites[i].name, ready->sites[i].scheme,
						  lines + len, sizeof lines - len);
		lines[len++] = '\n';
	}
	if (write(fd, lines, len) != (ssize_t)len)
		return -errno;
	return close(fd) < 0 ? -errno : 0; /* whoever reads to the end knows there is no more */
}

static void ready_print(const struct serve *s, const struct sockeye_ready *ready, size_t i)
{
	const struct sockeye_ready_site *site = &ready->sites[i];
	char address[SOCKEYE_ADDR_TEXT_MAX];

	sockeye_sockaddr_print_url(&site->name, site->scheme, address, sizeof address);
	if (s->common.json)
		report_json(json_pack("{s:s, s:s, s:o, s:i, s:s*}", "event", "ready", "service",
				      site->service, "address", report_string(address), "pid",
				      ready->pid, "model", site->model));
	else if (!s->common.quiet)
		printf("%s %s pid %d%s%s\n", site->service, address, ready->pid,
		       site->model != NULL ? " model " : "",
		       site->model != NULL ? site->model : "");
}

static int on_ready(void *arg, const struct sockeye_ready *ready)
{
	const struct serve *s = arg;

	for (size_t i = 0; i < ready->count; i++)
		ready_print(s, ready, i);
	fflush(stdout);
	return s->ready_fd < 0 ? 0 : ready_fd_write(s->ready_fd, ready);
}

static void on_event(void *arg, const struct sockeye_event *event)
{
	struct serve *s = arg;

	log_event(&s->log, event);
}

static int serve(struct serve *s)
{
	const struct sockeye_serve_opts opts = {
	    .model = s->model != SERVE_NOT_GIVEN ? sockeye_models[s->model] : NULL,
	    .workers = s->workers,
	    .connections_max = s->connections_max,
	    .per_source_max = s->per_source_max,
	    .source_ipv4_prefix = s->source_ipv4_prefix,
	    .source_ipv6_prefix = s->source_ipv6_prefix,
	    .idle_ms = s->idle_ns / 1000000,
	    .time_ms = s->time_ns / 1000000,
	    .grace_ms = s->grace_ns / 1000000,
	    .backlog = s->backlog,
	    .answers_per_s = s->answers_per_s,
	    .user = s->user,
	    .show_messages = s->show_messages,
	    .verbose = s->common.verbose > 0,
	    .on_ready = on_ready,
	    .on_event = on_event,
	    .arg = s,
	};
	struct sockeye_fail fail = {.op = "serve"};
	int err = sockeye__serve_crews(s->sites, s->site_count, &opts, &fail);

	return err < 0 ? cli_address_fail(&s->common, &fail) : SOCKEYE_EXIT_DONE;
}

static int cmd_serve(int argc, char **argv)
{
	static struct serve s; /* its sites are large for a stack */
	struct cli_operands operands;
	int code;

	s.model = s.tftp.unique_root = SERVE_NOT_GIVEN;
	code = cli_parse(&serve_command, argc, argv, &s, &operands);
	if (code != CLI_GO)
		return code;
	if (s.list)
		return list(&s);
	for (size_t i = 0; serve_features[i] != NULL && code == CLI_GO; i++)
		code = serve_features[i]->query(&s);
	if (code != CLI_GO)
		return code;
	code = cli_ready_fd(&s.common, &serve_command, s.ready_given, &s.ready_fd);
	if (code != CLI_GO)
		return code;
	s.log = (struct log){.json = s.log_form == 1 || s.common.json,
			     .quiet = s.common.quiet,
			     .verbose = s.common.verbose > 0};
	code = serve_sites_read(&s, &operands);
	if (code != CLI_GO)
		return code;
	code = serve_effects_check(&s);
	for (size_t i = 0; serve_features[i] != NULL && code == CLI_GO; i++)
		if (serve_has(&s, serve_features[i]->service))
			code = serve_features[i]->open(&s);
	return code == CLI_GO ? serve(&s) : code;
}

const struct cli_command serve_command = {
    .name = "serve",
    .summary = "serve echo, daytime, TFTP and other services on any number of sockets",
    .operands = "[SERVICE [ADDRESS]...]...",
    .operands_max = -1,
    .operand = serve_operand,
    .options = serve_options,
    .table = serve_service_table,
    .translate = serve_translate,
    .run = cmd_serve,
    .about = "Without operands: every service, TCP and UDP, on 127.0.0.1 and ::1 at 7000 + its\n"
	     "well-known port. --list shows the services and models.\n"
	     "SIGTERM or SIGINT stops, a second one at once; SIGUSR1 logs counters.",
};
