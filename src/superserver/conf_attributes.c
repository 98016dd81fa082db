/* conf_attributes.c: the table of attributes (conf.h). */
#include "superserver/conf_internal.h"

#include "base/ascii.h"
#include "serve/models.h"

static const char *const types[] = {"RPC",        "INTERNAL", "UNLISTED", "TCPMUX",
				    "TCPMUXPLUS", "SPECIAL",  NULL};
static const char *const flags[] = {"REUSE",   "INTERCEPT", "NORETRY",   "IDONLY", "NAMEINARGS",
				    "NODELAY", "KEEPALIVE", "NOLIBWRAP", "SENSOR", "IPv4",
				    "IPv6",    "LABELED",   NULL};
static const char *const sockets[] = {"stream", "dgram", "raw", "seqpacket", NULL};
static const char *const protocols[] = {"tcp", "udp", "sctp", "dccp", "udplite", "icmp", NULL};
static const char *const successes[] = {"PID",      "HOST",    "USERID", "EXIT",
					"DURATION", "TRAFFIC", NULL};
static const char *const failures[] = {"", "HOST", "USERID", "", "", "", "ATTEMPT", NULL};
static const char *const limits[] = {"delay", "refuse", NULL};
static const char *const proxies[] = {"accept", "send-v1", "send-v2", NULL};
#define MODEL_NAME(name) #name,
static const char *const models[] = {SOCKEYE__MODELS(MODEL_NAME) NULL};

#define S   SOCKEYE__CONF_IN_SERVICE
#define SD  (SOCKEYE__CONF_IN_SERVICE | SOCKEYE__CONF_IN_DEFAULTS)
#define D   SOCKEYE__CONF_IN_DEFAULTS
#define SET SOCKEYE__CONF_IS_SET
#define CPY SOCKEYE__CONF_COPIED
#define NEW SOCKEYE__CONF_NEW
#define BLT SOCKEYE__CONF_OF_BUILTIN

#define ROW(ID, text, kind_, flags_, field) \
	[SOCKEYE__CONF_A_##ID] = {.name = (text), \
				  .kind = SOCKEYE__CONF_K_##kind_, \
				  .flags = (flags_), \
				  .offset = offsetof(struct sockeye__conf_service, field), \
				  .size = sizeof(((struct sockeye__conf_service *)0)->field),
#define HELP(default_, help_) \
	.by_default = (default_), .help = (help_) \
	}

/* clang-format off */
const struct sockeye__conf_info sockeye__conf_infos[SOCKEYE__CONF_ATTRIBUTES] = {
	ROW(DISABLE, "disable", YES_NO, S, disable)
		HELP("no", "do not start this service"),
	ROW(ID, "id", WORD, S, id)
		HELP("the name of the service", "name this entry in logs and in enabled"),
	ROW(TYPE, "type", BITS, S, type) .words = types,
		HELP("none", "serve a built-in service, an unlisted port, RPC or TCPMUX"),
	ROW(FLAGS, "flags", BITS, S, flags) .words = flags,
		HELP("none", "change details of sockets, arguments and access"),
	ROW(SOCKET_TYPE, "socket_type", CHOICE, S, socket_type) .words = sockets,
		HELP("derived from protocol", "use this type of socket"),
	ROW(PROTOCOL, "protocol", CHOICE, S, protocol) .words = protocols,
		HELP("derived from socket_type", "use this transport protocol"),
	ROW(PORT, "port", NUMBER, S, port) .min = 0, .max = 65535,
		HELP("the port of the service in services(5)", "listen on this port"),
	ROW(BIND, "bind", WORD, SD, bind)
		HELP("all addresses", "listen on this address"),
	ROW(V6ONLY, "v6only", YES_NO, SD, v6only)
		HELP("no", "do not accept IPv4 clients on an IPv6 socket"),
	ROW(WAIT, "wait", YES_NO, S, wait)
		HELP("none: required", "hand the listening socket to one program"),
	ROW(USER, "user", WORD, S, user)
		HELP("none: required for programs", "run the program as this user"),
	ROW(GROUP, "group", WORD, S, group)
		HELP("the group of user", "run the program with this group"),
	ROW(GROUPS, "groups", YES_NO, SD, groups)
		HELP("no", "give the program all groups of its user"),
	ROW(SERVER, "server", PATH, S, server)
		HELP("none: required for programs", "run this program"),
	ROW(SERVER_ARGS, "server_args", WORDS, S, server_args)
		HELP("none", "pass these arguments to the program"),
	ROW(ENV, "env", ENV, S | SET | SOCKEYE__CONF_NO_REMOVE, env)
		HELP("none", "set these environment variables, NAME=VALUE"),
	ROW(PASSENV, "passenv", WORDS, SD | SET | CPY, passenv)
		HELP("all", "pass only these variables of the server's environment"),
	ROW(STDERR, "stderr", STDERR, SD | NEW, stderr_to)
		HELP("client", "send the program's errors to client, log, null or a file"),
	ROW(UMASK, "umask", OCTAL, SD, umask) .min = 0, .max = 0777,
		HELP("that of the server, and 022", "set the file mode creation mask"),
	ROW(NICE, "nice", NUMBER, S, nice) .min = -20, .max = 19,
		HELP("0", "change the priority of the program"),
	ROW(RLIMIT_AS, "rlimit_as", BYTES, S, rlimit_as) .unit = "bytes",
		HELP("that of the server", "limit the address space of the program"),
	ROW(RLIMIT_CPU, "rlimit_cpu", LIMIT, S, rlimit_cpu) .unit = "seconds",
		HELP("that of the server", "limit the CPU time of the program"),
	ROW(RLIMIT_DATA, "rlimit_data", BYTES, S, rlimit_data) .unit = "bytes",
		HELP("that of the server", "limit the data segment of the program"),
	ROW(RLIMIT_FILES, "rlimit_files", BYTES, S, rlimit_files) .unit = "files",
		HELP("that of the server", "limit the open files of the program"),
	ROW(RLIMIT_RSS, "rlimit_rss", BYTES, S, rlimit_rss) .unit = "bytes",
		HELP("that of the server", "limit the resident set of the program"),
	ROW(RLIMIT_STACK, "rlimit_stack", BYTES, S, rlimit_stack) .unit = "bytes",
		HELP("that of the server", "limit the stack of the program"),
	ROW(REDIRECT, "redirect", TARGETS, S, redirect)
		HELP("none", "connect clients to this host and port instead of a program"),
	ROW(RPC_VERSION, "rpc_version", RANGE, S, rpc_version) .min = 0, .max = INT32_MAX,
		HELP("none: required for RPC", "register these versions, N or N-M"),
	ROW(RPC_NUMBER, "rpc_number", NUMBER, S, rpc_number) .min = 0, .max = UINT32_MAX,
		HELP("from rpc(5)", "register this program number"),
	ROW(MODEL, "model", CHOICE, SD | NEW | BLT, model) .words = models,
		HELP("event", "serve with this server model"),
	ROW(WORKERS, "workers", NUMBER, SD | NEW | BLT, workers) .min = 1, .max = 256,
		HELP("prefork 8; event, uring and tftp one per CPU", "run this number of workers"),
	ROW(SANDBOX, "sandbox", YES_NO, SD | NEW | BLT, sandbox)
		HELP("yes", "restrict the workers of a built-in service"),
	ROW(ROOT, "root", PATH, S | NEW | BLT, root)
		HELP("none: required for tftp", "serve the files below this directory"),
	ROW(UPLOAD, "upload", YES_NO, S | NEW | BLT, upload)
		HELP("no", "accept uploads of new files"),
	ROW(INSTANCES, "instances", LIMIT, SD, instances)
		HELP("UNLIMITED", "serve up to this number of connections at a time"),
	ROW(PER_SOURCE, "per_source", LIMIT, SD, per_source)
		HELP("UNLIMITED", "serve up to this number of connections from one source"),
	ROW(PER_SOURCE_PREFIX, "per_source_prefix", PAIR, SD | NEW, per_source_prefix)
		.min = 1, .max = 128, .unit = "bits",
		HELP("32 64", "count IPv4 and IPv6 addresses with the same first bits as one source"),
	ROW(CPS, "cps", PAIR, SD, cps) .min = 0, .max = INT32_MAX,
		HELP("50 10", "above N connections per second, pause for M seconds"),
	ROW(RATE, "rate", RATE, SD | NEW, rate) .min = 1, .max = INT32_MAX,
		HELP("no limit", "serve up to N/s, N/m or N/h connections, and a burst of N"),
	ROW(MAX_LOAD, "max_load", THOUSANDTHS, SD, max_load)
		HELP("no limit", "serve no client while the load average is higher"),
	ROW(OVER_LIMIT, "over_limit", CHOICE, SD | NEW, over_limit) .words = limits,
		HELP("delay", "let clients over a limit wait in the backlog, or refuse them"),
	ROW(IDLE_TIMEOUT, "idle_timeout", TIME, SD | NEW, idle_timeout_ns)
		HELP("never", "close connections that transfer no data for this time"),
	ROW(MAX_TIME, "max_time", TIME, SD | NEW, max_time_ns)
		HELP("never", "close every connection after this time"),
	ROW(ONLY_FROM, "only_from", ADDRESSES, SD | SET | CPY, only_from)
		HELP("all clients", "serve only these clients"),
	ROW(NO_ACCESS, "no_access", ADDRESSES, SD | SET | CPY, no_access)
		HELP("none", "serve none of these clients"),
	ROW(ACCESS_TIMES, "access_times", SPANS, S, access_times)
		HELP("always", "serve clients only at these times, H:MM-H:MM"),
	ROW(DENY_TIME, "deny_time", MINUTES, S, deny_time) .unit = "minutes",
		HELP("NEVER", "deny a source for this time after the sensor has seen it"),
	ROW(LIBWRAP, "libwrap", WORD, S, libwrap)
		HELP("the name of the program", "look this name up in hosts_access(5)"),
	ROW(PROXY_PROTOCOL, "proxy_protocol", BITS, SD | NEW, proxy_protocol) .words = proxies,
		HELP("none", "accept or send the client's address as a PROXY header"),
	ROW(BANNER, "banner", PATH, SD | CPY, banner)
		HELP("none", "send this file to every client"),
	ROW(BANNER_SUCCESS, "banner_success", PATH, SD | CPY, banner_success)
		HELP("none", "send this file to each client that is served"),
	ROW(BANNER_FAIL, "banner_fail", PATH, SD | CPY, banner_fail)
		HELP("none", "send this file to each client that is denied"),
	ROW(LOG_TYPE, "log_type", LOG, SD, log_type)
		HELP("none", "log to SYSLOG facility [level] or to FILE path [soft [hard]]"),
	ROW(LOG_ON_SUCCESS, "log_on_success", BITS, SD | SET | CPY, log_on_success)
		.words = successes, HELP("none", "log this about each client that is served"),
	ROW(LOG_ON_FAILURE, "log_on_failure", BITS, SD | SET | CPY, log_on_failure)
		.words = failures, HELP("none", "log this about each client that is denied"),
	ROW(ENABLED, "enabled", WORDS, D | SET, enabled)
		HELP("all", "start only the services with these ids"),
	ROW(DISABLED, "disabled", WORDS, D | SET, disabled)
		HELP("none", "do not start the services with these ids"),
	ROW(CONTROL, "control", PATH, D | NEW, control)
		HELP("/run/sockeye/control.sock", "accept sockeye status on this socket"),
	ROW(METRICS, "metrics", WORD, D | NEW, metrics)
		HELP("none", "serve counters over HTTP on this address"),
};
/* clang-format on */

enum sockeye__conf_attribute sockeye__conf_attribute_find(struct sockeye__slice name)
{
	unsigned i = 0;

	if (sockeye__conf_word_is(name, "interface"))
		return SOCKEYE__CONF_A_BIND;
	while (i < SOCKEYE__CONF_ATTRIBUTES &&
	       !sockeye__conf_word_is(name, sockeye__conf_infos[i].name))
		i++;
	return (enum sockeye__conf_attribute)i;
}

/* Whether two names differ in one character that is added, missing, wrong or exchanged
 * with the next. */
static bool is_like(struct sockeye__slice a, const char *name)
{
	struct sockeye__slice b = {name, strlen(name)};

	while (a.len > 0 && b.len > 0 && sockeye__ascii_lower(*a.at) == *b.at) {
		a = (struct sockeye__slice){a.at + 1, a.len - 1};
		b = (struct sockeye__slice){b.at + 1, b.len - 1};
	}
	while (a.len > 0 && b.len > 0 && sockeye__ascii_lower(a.at[a.len - 1]) == b.at[b.len - 1]) {
		a.len--;
		b.len--;
	}
	return (a.len <= 1 && b.len <= 1) ||
	       (a.len == 2 && b.len == 2 && sockeye__ascii_lower(a.at[0]) == b.at[1] &&
		sockeye__ascii_lower(a.at[1]) == b.at[0]);
}

const char *sockeye__conf_attribute_like(struct sockeye__slice name)
{
	for (unsigned i = 0; i < SOCKEYE__CONF_ATTRIBUTES; i++)
		if (is_like(name, sockeye__conf_infos[i].name))
			return sockeye__conf_infos[i].name;
	return NULL;
}
