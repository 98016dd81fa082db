/* serve.c: sockeye serve. */
#include "commands.h"
#include "cli/address.h"
#include "cli/report.h"
#include "serve.h"
#include "serve_log_output.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/serve.h>

/* The user of workers if root starts the program. */
#define USER_DEFAULT "nobody"

static const char *const log_forms[] = {"text", "json", NULL};
static const char *const sandboxes[] = {"on", "off", "require", NULL};

const struct cli_option serve_options[] = {
    {NULL, .help = "Serving:"},
    {"model", 'm', "MODEL", CLI_CHOICE, offsetof(struct serve, model),
     "use the server model MODEL (default event); --list prints the models",
     .choices = sockeye_models},
    {"workers", 'w', "N", CLI_UINT, offsetof(struct serve, workers),
     "run N worker processes (default: prefork 8; event, uring, tftp one per CPU)", .min = 1,
     .max = 256},
    {"max-connections", 'c', "N", CLI_UINT, offsetof(struct serve, connections_max),
     "serve up to N connections at a time; further clients wait in the backlog "
     "(default no limit)",
     .min = 1, .max = 1000000},
    {"max-per-source", 0, "N", CLI_UINT, offsetof(struct serve, per_source_max),
     "serve up to N connections or transfers at a time from one source (default no "
     "limit; tftp 2048)",
     .min = 1, .max = 65535},
    {"source-ipv4-prefix", 0, "N", CLI_UINT, offsetof(struct serve, source_ipv4_prefix),
     "count IPv4 addresses with the same first N bits as one source (default 32)", .min = 1,
     .max = 32},
    {"source-ipv6-prefix", 0, "N", CLI_UINT, offsetof(struct serve, source_ipv6_prefix),
     "count IPv6 addresses with the same first N bits as one source (default 64)", .min = 1,
     .max = 128},
    {"idle-timeout", 0, "TIME", CLI_TIME, offsetof(struct serve, idle_ns),
     "close connections that transfer no data for TIME (default never)", .min = 1000000},
    {"max-time", 0, "TIME", CLI_TIME, offsetof(struct serve, time_ns),
     "close every connection after TIME (default never)", .min = 1000000},
    {"grace", 0, "TIME", CLI_TIME, offsetof(struct serve, grace_ns),
     "after SIGTERM or SIGINT, let sessions continue for up to TIME (default 10s)", .min = 1000000},
    {"backlog", 'b', "N", CLI_UINT, offsetof(struct serve, backlog),
     "let up to N connections wait to be accepted (default 4096)", .min = 1, .max = 65535},
    {"rate", 0, "N", CLI_UINT, offsetof(struct serve, answers_per_s),
     "per source, send at most N datagram replies per second that are longer than "
     "their request (default 20)",
     .min = 1, .max = 1000000},
    {"repeat-rate", 0, "N", CLI_UINT, offsetof(struct serve, repeats_per_s),
     "send at most N datagrams per second to each source that may be a server "
     "(default 200; 0: no limit)",
     .max = 1000000},
    {"user", 'u', "NAME", CLI_TEXT, offsetof(struct serve, user),
     "after binding, switch permanently to user NAME and its groups (default if "
     "root starts the server: only the workers switch, to nobody)"},
    {"sandbox", 0, "MODE", CLI_CHOICE, offsetof(struct serve, sandbox),
     "limit workers to the files and system calls that they need: on (default): as far as "
     "the system allows; require: fail if the system lacks a part; off: no limit",
     .choices = sandboxes},
    {"foreground", 'f', NULL, CLI_FLAG, offsetof(struct serve, foreground),
     "run in the foreground (always the case)"},
    {NULL, .help = "Output:"},
    {"list", 'l', NULL, CLI_FLAG, offsetof(struct serve, list),
     "list the services and models, and exit"},
    {"check-sandbox", 0, NULL, CLI_FLAG, offsetof(struct serve, check_sandbox),
     "start workers with the given options, print what they can do in their sandbox, and exit"},
    {"ready-fd", 0, "N", CLI_UINT, offsetof(struct serve, ready_number),
     "when all sockets are listening, write the addresses to file descriptor N, one "
     "per line, and close it",
     .min = 1, .max = 1048576},
    {"log", 0, "FORM", CLI_CHOICE, offsetof(struct serve, log_form),
     "log to standard error as text (default) or json", .choices = log_forms},
    {"show-messages", 's', NULL, CLI_FLAG, offsetof(struct serve, show_messages),
     "log all data received, escaped, with the sender"},
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

/* --- serving --- */

static void ready_print(const struct serve *s, const struct sockeye_ready *ready,
			const struct sockeye_ready_site *site, const char *address)
{
	if (s->common.json)
		report_json(json_pack("{s:s, s:s, s:o, s:i, s:s*}", "event", "ready", "service",
				      site->service, "address", report_string(address), "pid",
				      ready->pid, "model", site->model));
	else if (!s->common.quiet)
		printf("%s %s pid %d%s%s\n", site->service, address, ready->pid,
		       site->model != NULL ? " model " : "",
		       site->model != NULL ? site->model : "");
}

static void nothing(int sig)
{
	(void)sig;
}

/* While the server runs, it reads signals from a file descriptor. A signal that arrives after
 * the stop, such as the second one of timeout(1), must not change the exit code. An ignored
 * signal stays ignored. */
static void late_signals_catch(void)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	const struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		struct sigaction old;

		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

static int on_ready(void *arg, const struct sockeye_ready *ready)
{
	const struct serve *s = arg;
	char lines[SERVE_SITES_MAX * (SOCKEYE_ADDR_TEXT_MAX + 1)];
	size_t len = 0;

	late_signals_catch();
	lines[0] = '\0';
	for (size_t i = 0; i < ready->count; i++) {
		const struct sockeye_ready_site *site = &ready->sites[i];
		char address[SOCKEYE_ADDR_TEXT_MAX];

		sockeye_sockaddr_print_url(&site->name, site->scheme, address, sizeof address);
		ready_print(s, ready, site, address);
		if (len < sizeof lines)
			len += (size_t)snprintf(lines + len, sizeof lines - len, "%s\n", address);
	}
	fflush(stdout);
	return cli_ready_write(s->ready_fd, lines);
}

static void on_event(void *arg, const struct sockeye_event *event)
{
	struct serve *s = arg;

	log_event(&s->log, event);
}

static uint32_t repeats_per_s(const struct serve *s)
{
	if (s->repeats_per_s == SERVE_UNSET)
		return 0; /* the default */
	return s->repeats_per_s != 0 ? s->repeats_per_s : UINT32_MAX;
}

static int serve(struct serve *s)
{
	/* In the order of `sandboxes`. */
	static const enum sockeye_sandbox sandbox_modes[] = {
	    SOCKEYE_SANDBOX_ON, SOCKEYE_SANDBOX_OFF, SOCKEYE_SANDBOX_REQUIRE};
	struct sockeye_serve_opts opts = {
	    .model = s->model != SERVE_UNSET ? sockeye_models[s->model] : NULL,
	    .workers = s->workers,
	    .connections_max = s->connections_max,
	    .per_source_max = s->per_source_max,
	    .source_ipv4_prefix = s->source_ipv4_prefix,
	    .source_ipv6_prefix = s->source_ipv6_prefix,
	    .idle_ms = s->idle_ns / SOCKEYE_NS_PER_MS,
	    .time_ms = s->time_ns / SOCKEYE_NS_PER_MS,
	    .grace_ms = s->grace_ns / SOCKEYE_NS_PER_MS,
	    .backlog = s->backlog,
	    .answers_per_s = s->answers_per_s,
	    .repeats_per_s = repeats_per_s(s),
	    .user = s->user,
	    .sandbox = sandbox_modes[s->sandbox],
	    .show_messages = s->show_messages,
	    .verbose = s->common.verbose > 0,
	    .on_ready = on_ready,
	    .on_event = on_event,
	    .arg = s,
	};
	struct sockeye_fail fail = {.op = "serve"};
	int err;

	/* The supervisor stays root: it reads rules again and removes UNIX-domain sockets. */
	for (size_t i = 0; s->user == NULL && geteuid() == 0 && i < s->site_count; i++) {
		s->sites[i].user = USER_DEFAULT;
		s->sites[i].user_optional = true;
	}
	if (s->check_sandbox)
		return serve_check(s, &opts);
	err = sockeye__serve_crews(s->sites, s->site_count, &opts, &fail);

	return err < 0 ? cli_address_fail(&s->common, &fail) : SOCKEYE_EXIT_DONE;
}

static int cmd_serve(int argc, char **argv)
{
	static struct serve s; /* too large for the stack */
	struct cli_operands operands;
	int code;

	s.model = s.repeats_per_s = s.tftp.unique_root = SERVE_UNSET;
	code = cli_parse(&serve_command, argc, argv, &s, &operands);
	if (code != CLI_GO)
		return code;
	serve_service_times(&s);
	if (s.list)
		return list(&s);
	for (size_t i = 0; serve_features[i] != NULL && code == CLI_GO; i++)
		code = serve_features[i]->query(&s);
	if (code != CLI_GO)
		return code;
	code = cli_ready_fd(&s.common, &serve_command, s.ready_number, &s.ready_fd);
	if (code != CLI_GO)
		return code;
	log_output_open();
	s.log = (struct log){.json = s.log_form == 1 || s.common.json,
			     .quiet = s.common.quiet,
			     .verbose = s.common.verbose > 0};
	if (s.log.json)
		json_object_seed(0); /* reads /dev/urandom, which workers cannot open */
	code = serve_sites_read(&s, &operands);
	if (code != CLI_GO)
		return code;
	code = serve_effects_check(&s);
	for (size_t i = 0; serve_features[i] != NULL && code == CLI_GO; i++)
		if (serve_has(&s, serve_features[i]->service))
			code = serve_features[i]->open(&s);
	return code == CLI_GO ? serve(&s) : code;
}

/* Options of tftpd-hpa and atftpd. */
static const struct cli_alias aliases[] = {
    {"-B", "--blksize-max"},
    {"--blocksize", "--blksize-max"},
    {"--windowsize", "--window-max"},
    {"--max-window", "--window-max"},
    {"-R", "--port-range", CLI_ALIAS_RANGE},
    {"-T", "--timeout", CLI_ALIAS_US},
    {"--retransmit", "--timeout", CLI_ALIAS_US},
    {"--retry-timeout", "--timeout"},
    {"--maxthread", "--max-transfers"},
    {"-L", NULL},
    {"--foreground", NULL},
    {"--no-fork", NULL},
    {NULL},
};

const struct cli_command serve_command = {
    .name = "serve",
    .aliases = aliases,
    .alias_operand = "tftp",
    .summary = "serve echo, daytime, TFTP and other services on any number of sockets",
    .operands = "[SERVICE [ADDRESS]...]...",
    .operands_max = -1,
    .operand = serve_operand,
    .options = serve_options,
    .table = serve_service_table,
    .translate = serve_translate,
    .run = cmd_serve,
    .about = "A service without an address is served over TCP and UDP on 127.0.0.1 and ::1, on\n"
	     "port 7000 + its default port. Without operands, all services except tftp are\n"
	     "served that way. SIGTERM or SIGINT stops the server; a second signal, at\n"
	     "least 0.5 s later, ends it immediately. SIGUSR1 logs the counters.",
};
