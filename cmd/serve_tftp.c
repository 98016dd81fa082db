/* serve_tftp.c: the service tftp of sockeye serve. */
#include "commands.h"
#include "log_tftp.h"
#include "report.h"
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sockeye/text.h>

#include "tool/tftp_server.h"

#define OFFSET(field) offsetof(struct serve, tftp.field)

static const char *const unique_roots[] = {"ip", NULL};

const struct cli_option serve_tftp_options[] = {
    {NULL, .help = "TFTP: files"},
    {"root", 0, "DIR", CLI_TEXT, OFFSET(root), "the folder that is served, and nothing outside it"},
    {"upload", 0, NULL, CLI_FLAG, OFFSET(upload), "take files that do not exist yet"},
    {"overwrite", 0, NULL, CLI_FLAG, OFFSET(overwrite), "--upload, and files that do"},
    {"create", 0, NULL, CLI_FLAG, OFFSET(create), "--upload, and make folders that are missing"},
    {"max-upload", 0, "SIZE", CLI_SIZE, OFFSET(max_upload), "the longest file that is taken",
     .min = 1},
    {"umask", 0, "MODE", CLI_TEXT, OFFSET(umask), "of files and folders that are made, octal"},
    {NULL, .help = "TFTP: names"},
    {"map", 0, "FILE", CLI_TEXT, OFFSET(map),
     "rules that rewrite or deny names:\nsockeye-tftp-rules(5)"},
    {"map-test", 0, "NAME", CLI_TEXT, OFFSET(map_test), "show what becomes of NAME, and leave"},
    {"map-client", 0, "ADDRESS", CLI_TEXT, OFFSET(map_client), "--map-test: who asks (192.0.2.1)"},
    {"unique-root", 0, "KIND", CLI_CHOICE, OFFSET(unique_root),
     "ip: each client has the folder called like its address,\nwhere there is one",
     .choices = unique_roots},
    {"backslash", 0, NULL, CLI_FLAG, OFFSET(backslash), "\\ in a name is / (Windows boot loaders)"},
    {"fold-case", 0, NULL, CLI_FLAG, OFFSET(fold_case), "names are looked for in lower case"},
    {"strip-high-bytes", 0, NULL, CLI_FLAG, OFFSET(strip_high),
     "drop octets above 0x7f at the end of a name (PXE ROMs)"},
    {NULL, .help = "TFTP: terms"},
    {"policy", 0, "FILE", CLI_TEXT, OFFSET(policy),
     "terms by client and name:\nsockeye-tftp-rules(5)"},
    {"blksize-max", 0, "N", CLI_TEXT, OFFSET(blksize_max),
     "the largest block that is granted, or mtu: what needs\nno fragments on the way"},
    {"window-max", 0, "N", CLI_UINT, OFFSET(window_max), "the largest window that is granted (64)",
     .min = 1, .max = 65535},
    {"refuse", 0, "OPTION", CLI_LIST, OFFSET(refuse), "an option that is never granted"},
    {"timeout", 0, "TIME", CLI_TIME, OFFSET(timeout_ns),
     "what is not answered is sent again after it, while\nnothing is measured (1s)", .min = 1000000,
     .max = UINT64_C(255000000000)},
    {NULL, .help = "TFTP: network and limits"},
    {"single-port", 0, NULL, CLI_FLAG, OFFSET(single_port),
     "all packets leave from the port that was asked\n(containers, NAT, load balancers)"},
    {"port-range", 0, "A-B", CLI_TEXT, OFFSET(port_range), "ports of transfers"},
    {"broadcast", 0, NULL, CLI_FLAG, OFFSET(broadcast), "answer broadcast requests, too"},
    {"max-transfers", 0, "N", CLI_UINT, OFFSET(transfers_max), "at once (8192)", .min = 1,
     .max = 1000000},
    {"request-rate", 0, "N", CLI_UINT, OFFSET(request_rate),
     "requests a second of one source that is not confirmed\n(100; no limit on loopback)", .min = 1,
     .max = 1000000},
    {NULL},
};

const struct sockeye_service *serve_service_find(const char *name)
{
	return strcmp(name, sockeye__tftp_service.name) == 0 ? &sockeye__tftp_service
							     : sockeye_builtin_find(name);
}

static int usage(const struct serve *s, const char *option, const char *value, const char *wanted)
{
	return cli_usage(&s->common, &serve_command, "--%s takes %s, not '%.40s'", option, wanted,
			 value);
}

static int umask_read(const struct serve *s, const char *text, mode_t *out)
{
	unsigned long mask = strtoul(text, NULL, 8);

	if (*text == '\0' || text[strspn(text, "01234567")] != '\0' || mask > ACCESSPERMS)
		return usage(s, "umask", text, "an octal number up to 777");
	*out = (mode_t)mask;
	return CLI_GO;
}

static int store_config(const struct serve *s, struct sockeye__tftp_store_config *out)
{
	const struct serve_tftp *t = &s->tftp;

	*out = (struct sockeye__tftp_store_config){
	    .root = t->root,
	    .upload = t->upload || t->overwrite || t->create,
	    .overwrite = t->overwrite,
	    .create = t->create,
	    .upload_max = t->max_upload,
	    .umask_given = t->umask != NULL,
	};
	return t->umask != NULL ? umask_read(s, t->umask, &out->umask) : CLI_GO;
}

static int terms(const struct serve *s, struct sockeye__tftp_terms *out)
{
	const struct serve_tftp *t = &s->tftp;

	out->policy.window_max = (uint16_t)t->window_max;
	for (size_t i = 0; i < t->refuse.count; i++) {
		struct sockeye__rules_word wrong;
		unsigned refused;

		if (sockeye__tftp_refuse_parse(t->refuse.v[i], strlen(t->refuse.v[i]), &refused,
					       &wrong) < 0)
			return cli_usage(&s->common, &serve_command,
					 "--refuse: no option of TFTP: '%.*s'", (int)wrong.len,
					 wrong.at);
		out->policy.refused |= refused;
	}
	if (t->blksize_max != NULL &&
	    sockeye__tftp_blksize_parse(t->blksize_max, strlen(t->blksize_max),
					&out->policy.blksize_max, &out->blksize_mtu) < 0)
		return usage(s, "blksize-max", t->blksize_max, "8 to 65464, or mtu");
	return CLI_GO;
}

static struct sockeye__tftp_name_rules name_rules(const struct serve_tftp *t)
{
	return (struct sockeye__tftp_name_rules){
	    .backslash = t->backslash,
	    .fold_case = t->fold_case,
	    .strip_high = t->strip_high,
	};
}

static int config_read(const struct serve *s, struct sockeye__tftp_server_config *out)
{
	const struct serve_tftp *t = &s->tftp;
	int code;

	*out = (struct sockeye__tftp_server_config){
	    .names = name_rules(t),
	    .map_path = t->map,
	    .policy_path = t->policy,
	    .single_port = t->single_port,
	    .unique_root = t->unique_root != UINT32_MAX,
	    .broadcast = t->broadcast,
	    .transfers_max = t->transfers_max,
	    .per_source_max = s->per_source_max,
	    .requests_per_s = t->request_rate,
	    .rto_first_ns = t->timeout_ns,
	    .on_transfer = log_transfer,
	    .arg = (void *)(uintptr_t)&s->log,
	};
	code = store_config(s, &out->store);
	if (code == CLI_GO)
		code = terms(s, &out->terms);
	if (code != CLI_GO)
		return code;
	if (t->port_range != NULL && sockeye__port_range_parse(t->port_range, &out->ports) < 0)
		return usage(s, "port-range", t->port_range, "FIRST-LAST");
	return CLI_GO;
}

int serve_tftp_open(struct serve *s)
{
	struct sockeye__tftp_server_config config;
	struct sockeye__tftp_server *server = NULL;
	struct sockeye_fail fail;
	int code;

	for (size_t i = 0; i < s->site_count; i++) {
		if (s->sites[i].service != &sockeye__tftp_service)
			continue;
		if (s->sites[i].addr.scheme != SOCKEYE_UDP && s->sites[i].addr.scheme != SOCKEYE_FD)
			return cli_usage(&s->common, &serve_command,
					 "tftp is served over UDP, as in udp://127.0.0.1:6969");
		if (s->tftp.root == NULL)
			return cli_usage(&s->common, &serve_command,
					 "tftp needs --root DIR, the folder it serves");
		if (server == NULL) {
			code = config_read(s, &config);
			if (code != CLI_GO)
				return code;
			if (sockeye__tftp_server_open(&server, &config, &fail) < 0)
				return report_fail(&s->common, &fail);
		}
		s->sites[i].config = server;
	}
	return CLI_GO;
}

/* --- --map-test --- */

static void show_step(void *arg, const struct sockeye__tftp_map_step *step)
{
	static const char *const fates[] = {
	    [SOCKEYE__TFTP_MAP_OTHERS] = "for others",     [SOCKEYE__TFTP_MAP_NO] = "no match",
	    [SOCKEYE__TFTP_MAP_GOES_ON] = "goes on",       [SOCKEYE__TFTP_MAP_STOPS] = "stops",
	    [SOCKEYE__TFTP_MAP_RESTARTS] = "starts again", [SOCKEYE__TFTP_MAP_DENIES] = "denies",
	};
	const struct serve *s = arg;
	char rule[256], name[1024];

	sockeye_escape(step->rule, step->rule_len, rule, sizeof rule);
	sockeye_escape(step->name, strlen(step->name), name, sizeof name);
	if (s->common.json)
		report_json(json_pack("{s:s, s:i, s:s, s:s, s:s}", "event", "rule", "line",
				      (int)step->line, "rule", rule, "fate", fates[step->fate],
				      "name", name));
	else
		printf("line %u: %s: %s: %s\n", step->line, rule, fates[step->fate], name);
}

static int client_read(const struct serve *s, struct sockeye_sockaddr *out)
{
	const char *text = s->tftp.map_client != NULL ? s->tftp.map_client : "192.0.2.1";
	struct sockeye_addr addr = {.scheme = SOCKEYE_UDP, .has_port = true, .port = 1};
	struct sockeye_fail fail;

	snprintf(addr.host, sizeof addr.host, "%s", text);
	return sockeye_resolve(&addr, false, out, 1, &fail) < 0 ? report_fail(&s->common, &fail)
								: CLI_GO;
}

int serve_tftp_map_test(const struct serve *s)
{
	const struct serve_tftp *t = &s->tftp;
	const struct sockeye__tftp_name_rules names = name_rules(t);
	const struct sockeye__tftp_map_watch watch = {show_step, (void *)(uintptr_t)s};
	const struct sockeye__octets asked = {(const uint8_t *)t->map_test, strlen(t->map_test)};
	struct sockeye__tftp_mapped mapped = {0};
	struct sockeye_sockaddr client;
	struct sockeye__tftp_map *map;
	struct sockeye_fail fail;
	char name[1024];
	int err, code = client_read(s, &client);

	if (code != CLI_GO)
		return code;
	if (sockeye__tftp_map_open(t->map, &map, &fail) < 0)
		return report_fail(&s->common, &fail);
	err = sockeye__tftp_map_request(map, &names, &client, t->upload, asked, &watch, &mapped);
	sockeye__tftp_map_free(map);
	if (err < 0)
		return report_error(&s->common, "map", t->map_test, err, mapped.text);
	sockeye_escape(mapped.name, strlen(mapped.name), name, sizeof name);
	if (s->common.json)
		report_json(json_pack("{s:s, s:s, s:b, s:s, s:i}", "event", "mapped", "name", name,
				      "denied", mapped.denied, "text", mapped.text, "line",
				      (int)mapped.rule));
	else if (mapped.denied)
		printf("denied%s%s\n", mapped.text[0] != '\0' ? ": " : "", mapped.text);
	else
		printf("%s\n", name);
	return SOCKEYE_EXIT_DONE;
}
