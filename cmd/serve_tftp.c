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

static const char *const unique_roots[] = {"ip", "mac", NULL}; /* 1 less than the enum */
/* In the order of enum sockeye__links. */
static const char *const links[] = {"inside", "none", "any", NULL};

static const struct cli_option options[] = {
    {NULL, .help = "TFTP files:"},
    {"root", 0, "DIR", CLI_TEXT, OFFSET(root),
     "serve the files below DIR; no other file is accessible unless --links any is given"},
    {"upload", 0, NULL, CLI_FLAG, OFFSET(upload), "accept uploads of new files"},
    {"overwrite", 0, NULL, CLI_FLAG, OFFSET(overwrite),
     "accept uploads of new files, and replace existing files"},
    {"create", 0, NULL, CLI_FLAG, OFFSET(create),
     "accept uploads of new files and create missing directories"},
    {"max-upload", 0, "SIZE", CLI_SIZE, OFFSET(max_upload),
     "accept uploads of at most SIZE bytes (default no limit)", .min = 1},
    {"upload-total", 0, "SIZE", CLI_SIZE, OFFSET(upload_total),
     "reject uploads once all uploads together have added SIZE bytes to the directory "
     "(default 0: no limit)"},
    {"reserve", 0, "SIZE", CLI_SIZE, OFFSET(reserve),
     "reject uploads that would leave less than SIZE bytes free on the file system "
     "(default: uploads may fill it)",
     .min = 1},
    {"no-sync", 0, NULL, CLI_FLAG, OFFSET(no_sync),
     "acknowledge an upload before the disk has stored it: faster, but a power failure may "
     "lose the file"},
    {"umask", 0, "MODE", CLI_TEXT, OFFSET(umask),
     "create files and directories with this file mode creation mask, octal "
     "(default: the mask of the process)"},
    {NULL, .help = "TFTP names:"},
    {"map", 0, "FILE", CLI_TEXT, OFFSET(map),
     "rewrite or deny names according to the rules in FILE; see sockeye-tftp-rules(5)"},
    {"map-test", 0, "NAME", CLI_TEXT, OFFSET(map_test), "show how NAME is looked up, and exit"},
    {"map-client", 0, "ADDRESS", CLI_TEXT, OFFSET(map_client),
     "with --map-test, assume a client at ADDRESS (default 192.0.2.1)"},
    {"map-put", 0, NULL, CLI_FLAG, OFFSET(map_put), "with --map-test, assume a write request"},
    {"links", 0, "WHICH", CLI_CHOICE, OFFSET(links),
     "follow symbolic links to files in the root (inside, default), no links (none) "
     "or all links (any)",
     .choices = links},
    {"unique-root", 0, "KIND", CLI_CHOICE, OFFSET(unique_root),
     "serve each client from the directory in the root that is named after its address "
     "(ip), or after the MAC address of its network card (mac), if that directory exists",
     .choices = unique_roots},
    {"backslash", 0, NULL, CLI_FLAG, OFFSET(backslash),
     "treat \\ in names as / (Windows boot loaders)"},
    {"fold-case", 0, NULL, CLI_FLAG, OFFSET(fold_case),
     "look up a name in lower case if no file has the requested name"},
    {"strip-high-bytes", 0, NULL, CLI_FLAG, OFFSET(strip_high),
     "remove bytes above 0x7f from the end of names (PXE ROMs)"},
    {NULL, .help = "TFTP options and timing:"},
    {"policy", 0, "FILE", CLI_TEXT, OFFSET(policy),
     "limit blocks, windows and options by client and name as FILE specifies; see "
     "sockeye-tftp-rules(5)"},
    {"blksize-max", 0, "N", CLI_TEXT, OFFSET(blksize_max),
     "grant blocks of up to N bytes, 8 to 65464; mtu: blocks that need no "
     "fragmentation (default: the size that the client requests)"},
    {"window-max", 0, "N", CLI_UINT, OFFSET(window_max),
     "grant windows of up to N blocks (default 64)", .min = 1, .max = 65535},
    {"refuse", 0, "OPTION", CLI_LIST, OFFSET(refuse),
     "never grant the TFTP option OPTION (repeatable)"},
    {"timeout", 0, "TIME", CLI_TIME, OFFSET(timeout_ns),
     "use TIME as the retransmission timeout until the round-trip time is measured "
     "(default 1s)",
     .min = 1000000, .max = UINT64_C(255000000000)},
    {"give-up", 0, "TIME", CLI_TIME, OFFSET(give_up_ns),
     "end a transfer whose client has been silent for TIME, 1s to 1h (default 30s, "
     "or five times the timeout that the client requests if that is longer)",
     .min = UINT64_C(1000000000), .max = UINT64_C(3600000000000)},
    {NULL, .help = "TFTP network and limits:"},
    {"single-port", 0, NULL, CLI_FLAG, OFFSET(single_port),
     "send all packets from the port of the request (containers, NAT, load balancers)"},
    {"port-range", 0, "A-B", CLI_TEXT, OFFSET(port_range),
     "use ports A to B for transfers (default: any free port)"},
    {"broadcast", 0, NULL, CLI_FLAG, OFFSET(broadcast),
     "reply to requests sent to a broadcast or multicast address"},
    {"max-transfers", 0, "N", CLI_UINT, OFFSET(transfers_max),
     "serve up to N transfers at a time (default 8192)", .min = 1, .max = 1000000},
    {"request-rate", 0, "N", CLI_UINT, OFFSET(request_rate),
     "per source, accept at most N unconfirmed requests per second (default 100; no "
     "limit on loopback)",
     .min = 1, .max = 1000000},
    {NULL},
};

static int usage(const struct serve *s, const char *option, const char *value, const char *wanted)
{
	return cli_usage_value(&s->common, &serve_command, option, wanted, value);
}

/* Reports an unknown TFTP option and lists the known ones. Returns 2. */
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
	    .links = (enum sockeye__links)t->links,
	    .upload = t->upload || t->overwrite || t->create,
	    .overwrite = t->overwrite,
	    .create = t->create,
	    .upload_max = t->max_upload,
	    .reserve = t->reserve,
	    .no_sync = t->no_sync,
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
	    .strip_high = t->strip_high,
	};
}

enum sockeye__tftp_unique_root serve_tftp_unique_root(const struct serve_tftp *t)
{
	return t->unique_root == SERVE_UNSET ? SOCKEYE__TFTP_UNIQUE_NONE
					     : SOCKEYE__TFTP_UNIQUE_IP + t->unique_root;
}

static int config_read(struct serve *s, struct sockeye__tftp_server_config *out)
{
	const struct serve_tftp *t = &s->tftp;
	int code;

	*out = (struct sockeye__tftp_server_config){
	    .names = serve_tftp_names(t),
	    .map_path = t->map,
	    .policy_path = t->policy,
	    .single_port = t->single_port,
	    .fold_case = t->fold_case,
	    .unique_root = serve_tftp_unique_root(t),
	    .broadcast = t->broadcast,
	    .transfers_max = t->transfers_max,
	    .per_source_max = s->per_source_max,
	    .requests_per_s = t->request_rate,
	    .upload_total = t->upload_total,
	    .rto_first_ns = t->timeout_ns,
	    .give_up_ns = t->give_up_ns,
	    .on_transfer = log_transfer,
	    .arg = &s->log,
	};
	code = store_config(s, &out->store);
	if (out->store.links == SOCKEYE__LINKS_ANY)
		report_info(&s->common, "warning: --links any also serves files outside the root");
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
				     "tftp needs --root DIR, the directory to serve");
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

/* Rejects an inherited socket that is not UDP. Returns CLI_GO or 2. */
static int fd_check(const struct serve *s, int fd)
{
	char given[256];

	/* The listener reports a file descriptor that is not a socket. */
	if (cli_fd_scheme(fd) < 0 || cli_fd_scheme(fd) == SOCKEYE_UDP)
		return CLI_GO;
	cli_fd_text(fd, given, sizeof given);
	return cli_usage(&s->common, &serve_command, "tftp is served over UDP, not on %s", given);
}

/* Rejects addresses that are not UDP, such as host:port, which is TCP. Returns CLI_GO or
 * 2. */
static int scheme_check(const struct serve *s, const char *operand)
{
	char given[96], wanted[SOCKEYE_ADDR_TEXT_MAX];
	struct suggestion line;
	struct sockeye_addr addr;

	if (sockeye_addr_parse(operand, &addr, NULL) < 0 || addr.scheme == SOCKEYE_UDP)
		return CLI_GO;
	if (addr.scheme == SOCKEYE_FD)
		return fd_check(s, addr.fd);
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

/* Rejects a directory, which in.tftpd takes as an operand. Returns CLI_GO or 2. */
static int address_check(const struct serve *s, const char *operand)
{
	char shown[96];
	struct suggestion line;

	if (*operand != '/' && *operand != '.')
		return scheme_check(s, operand);
	sockeye_escape(operand, strlen(operand), shown, sizeof shown);
	return cli_usage_try(&s->common, &serve_command, suggest_insert(&line, "--root", operand),
			     "'%s' is a directory, not an address", shown);
}

static int query(struct serve *s)
{
	return s->tftp.map_test != NULL ? serve_tftp_map_test(s) : CLI_GO;
}

enum {
	UPLOAD = 1 << 0,
	PORTS = 1 << 1, /* transfers have their own ports */
};

static const struct serve_effect effects[] = {
    {"max-upload", UPLOAD, "it needs --upload, --overwrite or --create"},
    {"upload-total", UPLOAD, "it needs --upload, --overwrite or --create"},
    {"reserve", UPLOAD, "it needs --upload, --overwrite or --create"},
    {"no-sync", UPLOAD, "it needs --upload, --overwrite or --create"},
    {"umask", UPLOAD, "it needs --upload, --overwrite or --create"},
    {"port-range", PORTS, "with --single-port, transfers do not have their own ports"},
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
