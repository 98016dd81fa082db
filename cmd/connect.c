/* connect.c: sockeye connect. */
#include "commands.h"
#include "report.h"
#include "session.h"
#include "stop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sockeye/stream.h>
#include <sockeye/time.h>

struct opts {
	struct session_opts s;
	struct cli_list reconnects;
	const char *bind;
	bool dontroute, unconnected;
	uint32_t retries;
	uint64_t pause_ns, connect_ns;
};

static const struct cli_option options[] = {
    {.help = "How it connects:"},
    {"bind", 'b', "HOST[:PORT]", CLI_TEXT, offsetof(struct opts, bind),
     "the local address; of a UNIX socket its path or @name"},
    {"connect-timeout", 0, "TIME", CLI_TIME, offsetof(struct opts, connect_ns),
     "give up when no address answered in so long", .min = 1000000},
    {"retry", 'r', "N", CLI_UINT, offsetof(struct opts, retries),
     "try N more times when connecting fails"},
    {"retry-pause", 0, "TIME", CLI_TIME, offsetof(struct opts, pause_ns), "between two tries (1s)"},
    {"dontroute", 0, NULL, CLI_FLAG, offsetof(struct opts, dontroute),
     "only to directly connected networks"},
    {"unconnected", 'u', NULL, CLI_FLAG, offsetof(struct opts, unconnected),
     "datagrams: take answers from any address, and say from which"},
    {"reconnect", 0, "ADDR@N", CLI_LIST, offsetof(struct opts, reconnects),
     "datagrams: after N messages associate the same socket with ADDR, or with none "
     "(repeatable)"},
    {"count", 'n', "N", CLI_UINT, offsetof(struct opts, s.count),
     "leave after N messages received; on a stream, N lines", .min = 1},
    {NULL},
};

static const char *options_apply(const struct opts *o, struct sockeye_addr *addr)
{
	bool datagrams = session_kind_of(addr) == SESSION_DATAGRAMS;

	if (o->bind && strlen(o->bind) >= sizeof(addr->opts.bind))
		return "--bind is too long";
	if (o->bind)
		snprintf(addr->opts.bind, sizeof(addr->opts.bind), "%s", o->bind);
	if (o->dontroute)
		addr->opts.dontroute = true;
	if (!datagrams && o->unconnected)
		return "--unconnected is for datagrams";
	if (!datagrams && o->reconnects.count)
		return "--reconnect is for datagrams";
	if (o->unconnected && o->reconnects.count)
		return "--unconnected and --reconnect exclude each other";
	return NULL;
}

static void tell_attempt(void *arg, const struct sockeye_sockaddr *name, int err)
{
	const struct cli_common *common = arg;
	char text[512];

	sockeye_sockaddr_print(name, text, sizeof(text));
	report_verbose(common, "tried %s: %s", text,
		       err < 0 ? sockeye_error_text(err) : "connected");
	if (common->json)
		report_json(json_pack("{ss so ss? ss}", "event", "attempt", "address",
				      report_string(text), "error",
				      err < 0 ? sockeye_error_name(err) : NULL, "text",
				      err < 0 ? sockeye_error_text(err) : "connected"));
}

static void pause_ns(uint64_t ns)
{
	struct timespec left = {(time_t)(ns / SOCKEYE_NS_PER_S), (long)(ns % SOCKEYE_NS_PER_S)};

	while (nanosleep(&left, &left) < 0)
		;
}

/* The path that binding is going to make, NULL when there is none or when
 * somebody else's file is there: binding will fail then. */
static const char *own_path(const struct sockeye_addr *addr)
{
	const char *path = addr->opts.bind;
	struct stat st;

	if (!sockeye_scheme_is_unix(addr->scheme) || !path[0] || path[0] == '@')
		return NULL;
	return lstat(path, &st) < 0 && errno == ENOENT ? path : NULL;
}

static void path_remove(const char *path)
{
	if (path)
		unlink(path);
}

/* The descriptor, or a negative code with *fail filled in. */
static int dial(struct opts *o, const struct sockeye_addr *addr, const char *path,
		struct sockeye_fail *fail)
{
	const struct cli_common *common = &o->s.common;
	struct sockeye_connect_opts how = {
	    /* a descriptor we inherited is others', too */
	    .nonblocking = addr->scheme != SOCKEYE_FD,
	    .on_attempt = tell_attempt,
	    .arg = &o->s.common,
	};
	char text[768];

	for (uint32_t i = 0;; i++) {
		int fd;

		how.deadline_ns = o->connect_ns ? sockeye_now().mono_ns + o->connect_ns : 0;
		fd = sockeye_connect(addr, &how, fail);
		if (fd < 0)
			path_remove(path);
		if (fd >= 0 || i == o->retries || sockeye_error_exit(fd) == SOCKEYE_EXIT_USAGE)
			return fd;
		sockeye_fail_text(fail, text, sizeof(text));
		report_say(common, "%s; trying again", text);
		pause_ns(o->pause_ns);
	}
}

/* Reads ADDR@N of --reconnect. CLI_GO or an exit code. */
static int switch_read(const struct opts *o, const char *text, int fd, struct sockeye__switch *out)
{
	const char *at = strrchr(text, '@');
	struct sockeye_sockaddr local;
	struct sockeye_fail fail;
	struct sockeye_addr addr;
	char name[SOCKEYE_ADDR_TEXT_MAX];
	unsigned long long after;
	int n = 0;

	if (!at || at[1] < '0' || at[1] > '9' || sscanf(at + 1, "%9llu%n", &after, &n) != 1 ||
	    at[1 + n] || (size_t)(at - text) >= sizeof(name))
		return cli_usage(&o->s.common, &connect_command,
				 "--reconnect takes ADDRESS@N or none@N, not '%s'", text);
	snprintf(name, sizeof(name), "%.*s", (int)(at - text), text);
	*out = (struct sockeye__switch){.after = after, .none = strcmp(name, "none") == 0};
	if (out->none)
		return CLI_GO;
	if (sockeye_addr_parse(name, &addr, &fail) < 0)
		return report_fail(&o->s.common, &fail);
	if (session_kind_of(&addr) != SESSION_DATAGRAMS)
		return cli_usage(&o->s.common, &connect_command, "--reconnect %s: not datagrams",
				 name);
	if (!addr.family && sockeye_local_name(fd, &local) == 0)
		addr.family = local.u.sa.sa_family == AF_INET    ? 4
			      : local.u.sa.sa_family == AF_INET6 ? 6
								 : 0;
	if (sockeye_resolve(&addr, false, &out->peer, 1, &fail) < 0)
		return report_fail(&o->s.common, &fail);
	return CLI_GO;
}

static int talk(const struct opts *o, const struct sockeye_addr *addr, const char *address, int fd)
{
	struct sockeye__switch switches[CLI_LIST_MAX];
	struct session s = {
	    .o = &o->s,
	    .address = address,
	    .kind = session_kind_of(addr),
	    .in_fd = STDIN_FILENO,
	    .stop_fd = stop_open(),
	    .count_max = o->s.count,
	    .unconnected = o->unconnected,
	    .switches = switches,
	    .switch_count = o->reconnects.count,
	};

	for (size_t i = 0; i < o->reconnects.count; i++) {
		int code = switch_read(o, o->reconnects.v[i], fd, &switches[i]);

		if (code != CLI_GO)
			return code;
	}
	session_tell_names(&o->s, "connected", fd);
	return session_run(&s, &fd, 1);
}

static int cmd_connect(int argc, char **argv)
{
	struct opts o = {.s = SESSION_DEFAULTS, .pause_ns = SOCKEYE_NS_PER_S};
	char address[SOCKEYE_ADDR_TEXT_MAX];
	struct cli_operands operands;
	struct sockeye_addr addr;
	struct sockeye_fail fail;
	const char *wrong, *path;
	int code = cli_parse(&connect_command, argc, argv, &o, &operands), fd;

	if (code != CLI_GO)
		return code;
	if (sockeye_addr_parse(operands.v[0], &addr, &fail) < 0)
		return report_fail(&o.s.common, &fail);
	wrong = options_apply(&o, &addr);
	if (wrong)
		return cli_usage(&o.s.common, &connect_command, "%s", wrong);
	code = session_check(&o.s, &connect_command, &addr);
	if (code != CLI_GO)
		return code;
	sockeye_addr_print(&addr, address, sizeof(address));
	path = own_path(&addr);
	stop_catch(&o.s.common, "connect", address, path);
	fd = dial(&o, &addr, path, &fail);
	if (fd < 0)
		return report_fail(&o.s.common, &fail);
	code = talk(&o, &addr, address, fd);
	session_close(&o.s, fd);
	path_remove(path);
	return code;
}

const struct cli_command connect_command = {
    .name = "connect",
    .summary = "connect to an address: standard input out, what comes to standard output",
    .operands = "ADDRESS",
    .operands_min = 1,
    .operands_max = 1,
    .options = options,
    .more_options = session_options,
    .run = cmd_connect,
    .about = "A bare host:port is tcp. No octet of the input is ever a command.\n"
	     "Exit: 0 done, 3 not found, 4 refused, 5 timed out or no answer, 6 network,\n"
	     "7 reset or closed early, 9 local, 130 interrupted.",
};
