/* connect.c: sockeye connect. */
#include "commands.h"
#include "cli/report.h"
#include "talk.h"
#include "cli/stop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sockeye/stream.h>
#include <sockeye/time.h>

#define PAUSE_NOT_GIVEN  UINT64_MAX
#define PAUSE_DEFAULT_NS SOCKEYE_NS_PER_S

struct opts {
	struct session_opts s;
	struct cli_list reconnects;
	struct target *targets; /* of reconnects, read */
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
	if (addr->scheme == SOCKEYE_FD && (o->bind || o->dontroute))
		return "fd: is connected: --bind and --dontroute come too late";
	if (sockeye_scheme_is_unix(addr->scheme) && o->dontroute)
		return "--dontroute is for Internet addresses";
	if (!o->retries && o->pause_ns != PAUSE_NOT_GIVEN)
		return "--retry-pause needs --retry";
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

/* Whether trying again cannot help. What lacks now may be there later. */
static bool is_lasting(int err)
{
	switch (sockeye_error_exit(err)) {
	case SOCKEYE_EXIT_USAGE:
	case SOCKEYE_EXIT_UNSUPPORTED:
		return true;
	case SOCKEYE_EXIT_LOCAL:
		return err != -EADDRINUSE && err != -EAGAIN && err != -ENOENT && err != -ENOBUFS &&
		       err != -ENOMEM && err != -ENFILE;
	default:
		return false;
	}
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
		if (fd >= 0 || i == o->retries || is_lasting(fd))
			return fd;
		sockeye_fail_text(fail, text, sizeof(text));
		report_say(common, "%s; trying again", text);
		pause_ns(o->pause_ns == PAUSE_NOT_GIVEN ? PAUSE_DEFAULT_NS : o->pause_ns);
	}
}

/* What --reconnect says, before its address is looked up. */
struct target {
	uint64_t after;
	bool none;
	struct sockeye_addr addr;
};

/* Cuts ADDR@N. 0 or -EINVAL. */
static int target_cut(const char *text, char *name, size_t cap, uint64_t *out_after)
{
	const char *at = strrchr(text, '@');
	char *end;

	if (!at || at[1] < '0' || at[1] > '9' || (size_t)(at - text) >= cap)
		return -EINVAL;
	errno = 0;
	*out_after = strtoull(at + 1, &end, 10);
	if (*end || errno)
		return -EINVAL;
	memcpy(name, text, (size_t)(at - text));
	name[at - text] = '\0';
	return 0;
}

/* CLI_GO or the exit code. */
static int target_read(const struct cli_common *common, const char *text, struct target *out)
{
	char name[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_fail fail;

	if (target_cut(text, name, sizeof(name), &out->after) < 0)
		return cli_usage(common, &connect_command,
				 "--reconnect takes ADDRESS@N or none@N, not '%s'", text);
	out->none = strcmp(name, "none") == 0;
	if (out->none)
		return CLI_GO;
	if (sockeye_addr_parse(name, &out->addr, &fail) < 0)
		return report_fail(common, &fail);
	if (out->addr.scheme == SOCKEYE_FD || session_kind_of(&out->addr) != SESSION_DATAGRAMS)
		return cli_usage(common, &connect_command, "--reconnect %s: no datagrams", name);
	return CLI_GO;
}

/* The family that an address names, AF_UNSPEC when a lookup decides. */
static int family_of(const struct sockeye_addr *addr)
{
	struct in_addr ipv4;

	if (sockeye_scheme_is_unix(addr->scheme))
		return AF_UNIX;
	if (addr->family == 6 || strchr(addr->host, ':'))
		return AF_INET6;
	return addr->family == 4 || inet_pton(AF_INET, addr->host, &ipv4) == 1 ? AF_INET
									       : AF_UNSPEC;
}

/* Looks the target up, in the family that the socket has: CLI_GO or the exit
 * code. */
static int target_resolve(const struct cli_common *common, struct target *t, int fd,
			  struct sockeye__switch *out)
{
	int family = family_of(&t->addr), has;
	char name[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_sockaddr local;
	struct sockeye_fail fail;

	*out = (struct sockeye__switch){.after = t->after, .none = t->none};
	if (t->none)
		return CLI_GO;
	has = sockeye_local_name(fd, &local) == 0 ? local.u.sa.sa_family : family;
	sockeye_addr_print(&t->addr, name, sizeof(name));
	if (family == AF_UNSPEC && has != AF_UNIX)
		t->addr.family = has == AF_INET6 ? 6 : 4;
	else if (family != has)
		return cli_usage(common, &connect_command, "--reconnect %s: the socket is %s", name,
				 has == AF_UNIX    ? "a UNIX one"
				 : has == AF_INET6 ? "an IPv6 one"
						   : "an IPv4 one");
	return sockeye_resolve(&t->addr, false, &out->peer, 1, &fail) < 0
		   ? report_fail(common, &fail)
		   : CLI_GO;
}

static int talk(struct opts *o, const struct sockeye_addr *addr, const char *address, int fd)
{
	struct sockeye__switch switches[CLI_LIST_MAX];
	int code = CLI_GO;
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

	for (size_t i = 0; i < o->reconnects.count && code == CLI_GO; i++)
		code = target_resolve(&o->s.common, &o->targets[i], fd, &switches[i]);
	if (code != CLI_GO)
		return code;
	session_tell_names(&o->s, "connected", fd);
	return session_run(&s, &fd, 1);
}

/* Reads what stands on the command line: CLI_GO or the exit code. */
static int opts_read(struct opts *o, int argc, char **argv, struct sockeye_addr *out_addr)
{
	struct cli_operands operands;
	struct sockeye_fail fail;
	const char *wrong;
	int code = cli_parse(&connect_command, argc, argv, o, &operands);

	if (code != CLI_GO)
		return code;
	if (sockeye_addr_parse(operands.v[0], out_addr, &fail) < 0)
		return report_fail(&o->s.common, &fail);
	wrong = options_apply(o, out_addr);
	if (wrong)
		return cli_usage(&o->s.common, &connect_command, "%s", wrong);
	for (size_t i = 0; i < o->reconnects.count && code == CLI_GO; i++)
		code = target_read(&o->s.common, o->reconnects.v[i], &o->targets[i]);
	for (size_t i = 1; i < o->reconnects.count && code == CLI_GO; i++)
		if (o->targets[i].after < o->targets[i - 1].after)
			code = cli_usage(&o->s.common, &connect_command,
					 "--reconnect %s comes after one with a greater number",
					 o->reconnects.v[i]);
	return code == CLI_GO ? session_check(&o->s, &connect_command, out_addr) : code;
}

static int cmd_connect(int argc, char **argv)
{
	static struct target targets[CLI_LIST_MAX];
	struct opts o = {.s = SESSION_DEFAULTS, .targets = targets, .pause_ns = PAUSE_NOT_GIVEN};
	char address[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;
	struct sockeye_fail fail;
	const char *path;
	int code = opts_read(&o, argc, argv, &addr), fd;

	if (code != CLI_GO)
		return code;
	sockeye_addr_print(&addr, address, sizeof(address));
	path = own_path(&addr);
	/* Answers may come faster than they are shown; more than the kernel
	 * allows does no harm. */
	if (session_kind_of(&addr) == SESSION_DATAGRAMS && addr.opts.rcvbuf == 0)
		addr.opts.rcvbuf = 1 << 20;
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
    .about = "A bare host:port is tcp. No byte of the input is ever a command.\n"
	     "Exit: 0 done, 3 not found, 4 refused, 5 timed out or no answer, 6 network,\n"
	     "7 reset or closed early, 9 local, 130 interrupted.",
};
