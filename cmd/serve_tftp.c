/* serve_tftp.c: the service tftp of sockeye serve. */
#include "commands.h"
#include "serve_tftp_log.h"
#include "cli/report.h"
#include "cli/suggest.h"
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/text.h>

#define OFFSET(field) offsetof(struct serve, tftp.field)

static const char *const unique_roots[] = {"ip", NULL};

static const struct cli_option options[] = {
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
     "rules that rewrite or deny names: sockeye-tftp-rules(5)"},
    {"map-test", 0, "NAME", CLI_TEXT, OFFSET(map_test), "show what becomes of NAME, and leave"},
    {"map-client", 0, "ADDRESS", CLI_TEXT, OFFSET(map_client), "--map-test: who asks (192.0.2.1)"},
    {"map-put", 0, NULL, CLI_FLAG, OFFSET(map_put), "--map-test: to write, not to read"},
    {"unique-root", 0, "KIND", CLI_CHOICE, OFFSET(unique_root),
     "ip: each client has the folder called like its address, where there is one",
     .choices = unique_roots},
    {"backslash", 0, NULL, CLI_FLAG, OFFSET(backslash), "\\ in a name is / (Windows boot loaders)"},
    {"fold-case", 0, NULL, CLI_FLAG, OFFSET(fold_case), "names are looked for in lower case"},
    {"strip-high-bytes", 0, NULL, CLI_FLAG, OFFSET(strip_high),
     "drop bytes above 0x7f at the end of a name (PXE ROMs)"},
    {NULL, .help = "TFTP: terms"},
    {"policy", 0, "FILE", CLI_TEXT, OFFSET(policy),
     "terms by client and name: sockeye-tftp-rules(5)"},
    {"blksize-max", 0, "N", CLI_TEXT, OFFSET(blksize_max),
     "the largest block that is granted, or mtu: what needs no fragments on the way"},
    {"window-max", 0, "N", CLI_UINT, OFFSET(window_max), "the largest window that is granted (64)",
     .min = 1, .max = 65535},
    {"refuse", 0, "OPTION", CLI_LIST, OFFSET(refuse), "an option that is never granted"},
    {"timeout", 0, "TIME", CLI_TIME, OFFSET(timeout_ns),
     "what is not answered is sent again after it, while nothing is measured (1s)", .min = 1000000,
     .max = UINT64_C(255000000000)},
    {NULL, .help = "TFTP: network and limits"},
    {"single-port", 0, NULL, CLI_FLAG, OFFSET(single_port),
     "all packets leave from the port that was asked (containers, NAT, load balancers)"},
    {"port-range", 0, "A-B", CLI_TEXT, OFFSET(port_range), "ports of transfers"},
    {"broadcast", 0, NULL, CLI_FLAG, OFFSET(broadcast), "answer broadcast requests, too"},
    {"max-transfers", 0, "N", CLI_UINT, OFFSET(transfers_max), "at once (8192)", .min = 1,
     .max = 1000000},
    {"request-rate", 0, "N", CLI_UINT, OFFSET(request_rate),
     "requests a second of one source that is not confirmed (100; no limit on loopback)", .min = 1,
     .max = 1000000},
    {NULL},
};

static int usage(const struct serve *s, const char *option, const char *value, const char *wanted)
{
	return cli_usage_value(&s->common, &serve_command, option, wanted, value);
}

/* The words of TFTP's options, for who wrote another one. */
static int refuse_usage(const struct serve *s, struct sockeye__slice wrong)
{
	char value[40], known[100];
	size_t len = 0;

	snprintf(value, sizeof value, "%.*s", (int)wrong.len, wrong.at);
	for (enum sockeye__tftp_option i = 0; i < SOCKEYE__TFTP_OPTIONS; i++)
		len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", i > 0 ? ", " : "",
					sockeye__tftp_option_name(i));
	return usage(s, "refuse", value, known);
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
	    .has_umask = t->umask != NULL,
	};
	return t->umask != NULL ? umask_read(s, t->umask, &out->umask) : CLI_GO;
}

int serve_tftp_terms(const struct serve *s, struct sockeye__tftp_terms *out)
{
	const struct serve_tftp *t = &s->tftp;

	out->policy.window_max = (uint16_t)t->window_max;
	for (size_t i = 0; i < t->refuse.count; i++) {
		struct sockeye__slice wrong;
		unsigned refused;

		if (sockeye__tftp_refuse_parse(t->refuse.v[i], strlen(t->refuse.v[i]), &refused,
					       &wrong) < 0)
			return refuse_usage(s, wrong);
		out->policy.refused |= refused;
	}
	if (t->blksize_max != NULL &&
	    sockeye__tftp_blksize_parse(t->blksize_max, strlen(t->blksize_max),
					&out->policy.blksize_max, &out->blksize_mtu) < 0)
		return usage(s, "blksize-max", t->blksize_max, "8 to 65464, or mtu");
	return CLI_GO;
}

struct sockeye__tftp_name_rules serve_tftp_names(const struct serve_tftp *t)
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
	    .names = serve_tftp_names(t),
	    .map_path = t->map,
	    .policy_path = t->policy,
	    .single_port = t->single_port,
	    .unique_root = t->unique_root != SERVE_NOT_GIVEN,
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
		code = serve_tftp_terms(s, &out->terms);
	if (code != CLI_GO)
		return code;
	if (t->port_range != NULL && sockeye__port_range_parse(t->port_range, &out->ports) < 0)
		return usage(s, "port-range", t->port_range,
			     "two ports, the smaller first, such as 50000-50100");
	return CLI_GO;
}

static int tftp_open(struct serve *s)
{
	struct suggestion line;
	struct sockeye__tftp_server_config config;
	struct sockeye__tftp_server *server;
	struct sockeye_fail fail;
	int code;

	if (s->tftp.root == NULL)
		return cli_usage_try(&s->common, &serve_command,
				     suggest_append(&line, "--root", "."),
				     "tftp needs the folder to serve, --root DIR");
	code = config_read(s, &config);
	if (code != CLI_GO)
		return code;
	if (sockeye__tftp_server_open(&server, &config, &fail) < 0)
		return report_fail(&s->common, &fail);
	for (size_t i = 0; i < s->site_count; i++)
		if (s->sites[i].site.service == &sockeye__tftp_service)
			s->sites[i].spec = sockeye__tftp_server_crew(server);
	return CLI_GO;
}

/* An address without a scheme is TCP's. */
static int scheme_check(const struct serve *s, const char *operand)
{
	char given[96], wanted[SOCKEYE_ADDR_TEXT_MAX];
	struct suggestion line;
	struct sockeye_addr addr;

	if (sockeye_addr_parse(operand, &addr, NULL) < 0 || addr.scheme == SOCKEYE_UDP ||
	    addr.scheme == SOCKEYE_FD)
		return CLI_GO;
	sockeye_addr_print(&addr, given, sizeof given);
	if (addr.has_port || addr.service[0] != '\0') {
		addr.scheme = SOCKEYE_UDP;
		addr.file[0] = '\0';
		sockeye_addr_print(&addr, wanted, sizeof wanted);
	} else {
		snprintf(wanted, sizeof wanted, "udp://:6969");
	}
	return cli_usage_try(&s->common, &serve_command, suggest_replace(&line, operand, wanted),
			     "tftp is served over UDP, not on %s", given);
}

/* in.tftpd takes the folder as an operand. */
static int address_check(const struct serve *s, const char *operand)
{
	char shown[96];
	struct suggestion line;

	if (*operand != '/' && *operand != '.')
		return scheme_check(s, operand);
	sockeye_escape(operand, strlen(operand), shown, sizeof shown);
	return cli_usage_try(&s->common, &serve_command, suggest_insert(&line, "--root", operand),
			     "'%s' is a folder, and no address", shown);
}

static int query(const struct serve *s)
{
	return s->tftp.map_test != NULL ? serve_tftp_map_test(s) : CLI_GO;
}

enum {
	UPLOAD = 1 << 0,
	PORTS = 1 << 1, /* transfers have their own */
};

static const struct serve_effect effects[] = {
    {"max-upload", UPLOAD, "it needs --upload, --overwrite or --create"},
    {"umask", UPLOAD, "it needs --upload, --overwrite or --create"},
    {"port-range", PORTS, "with --single-port transfers have no ports of their own"},
    {"map-client", 0, "it needs --map-test"},
    {"map-put", 0, "it needs --map-test"},
    {NULL},
};

static unsigned has(const struct serve *s)
{
	const struct serve_tftp *t = &s->tftp;

	return (t->upload || t->overwrite || t->create ? UPLOAD : 0) |
	       (!t->single_port ? PORTS : 0);
}

const struct serve_feature serve_tftp = {
    .service = &sockeye__tftp_service,
    .options = options,
    .effects = effects,
    .has = has,
    .query = query,
    .address_check = address_check,
    .open = tftp_open,
};
