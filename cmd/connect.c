/* connect.c: the connect subcommand. */
#include "commands.h"
#include "cli/address.h"
#include "cli/translate.h"
#include "cli/report.h"
#include "cli/words.h"
#include "talk.h"
#include "cli/stop.h"
#include "connect_check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
	struct talk_opts talk;
	struct cli_list reconnects;
	struct target *targets; /* the parsed values of reconnects, or the additional addresses */
	size_t also_count;      /* of --unconnected: addresses after the first */
	const char *bind;
	bool dontroute, unconnected;
	uint32_t retries;
	uint64_t pause_ns, connect_ns;
	bool check;
	char address[SOCKEYE_ADDR_TEXT_MAX]; /* as the user wrote it */
};

static const struct cli_option options[] = {
    {.help = "Connecting:"},
    {"bind", 'b', "HOST[:PORT]", CLI_TEXT, offsetof(struct opts, bind),
     "bind the socket to this local address; for a UNIX-domain socket, a path or @NAME"},
    {"connect-timeout", 0, "TIME", CLI_TIME, offsetof(struct opts, connect_ns),
     "give up if no address accepts the connection within TIME (default: the "
     "kernel's limit)",
     .min = 1000000},
    {"check", 0, NULL, CLI_FLAG, offsetof(struct opts, check),
     "send nothing; print whether each port accepts connections, as in HOST:20-25,80"},
    {"retry", 'r', "N", CLI_UINT, offsetof(struct opts, retries),
     "if connecting fails, try up to N more times (default 0)"},
    {"retry-pause", 0, "TIME", CLI_TIME, offsetof(struct opts, pause_ns),
     "wait TIME before each retry (default 1s)"},
    {"dontroute", 0, NULL, CLI_FLAG, offsetof(struct opts, dontroute),
     "connect only to hosts on directly connected networks"},
    {"unconnected", 'u', NULL, CLI_FLAG, offsetof(struct opts, unconnected),
     "receive datagrams from any address, and print the sender of each"},
    {"reconnect", 0, "ADDR@N", CLI_LIST, offsetof(struct opts, reconnects),
     "after sending N datagrams, connect the same socket to ADDR, or disconnect it "
     "if ADDR is none (repeatable)"},
    {"count", 'n', "N", CLI_UINT, offsetof(struct opts, talk.count),
     "exit after receiving N datagrams or records or, on a stream, N lines "
     "(default: no limit)",
     .min = 1},
    {NULL},
};

/* Copies the options that belong to the address into it. Returns NULL, or the
 * reason why the options do not fit the address or each other. */
static const char *options_apply(const struct opts *o, struct sockeye_addr *addr)
{
	bool datagrams = talk_kind_of(addr) == TALK_DATAGRAMS;

	if (o->bind && strlen(o->bind) >= sizeof addr->opts.bind)
		return "--bind is too long";
	if (o->bind)
		snprintf(addr->opts.bind, sizeof addr->opts.bind, "%s", o->bind);
	if (o->dontroute)
		addr->opts.dontroute = true;
	if (addr->scheme == SOCKEYE_FD && (o->bind || o->dontroute))
		return "--bind and --dontroute have no effect on fd:, which is connected already";
	if (sockeye_scheme_is_unix(addr->scheme) && o->dontroute)
		return "--dontroute is for IP addresses";
	if (!o->retries && o->pause_ns != PAUSE_NOT_GIVEN)
		return "--retry-pause needs --retry";
	if (o->talk.send_only && o->talk.count)
		return "--send-only discards what arrives; --count has no effect";
	if (!datagrams && o->unconnected)
		return "--unconnected is for datagrams";
	if (!datagrams && o->reconnects.count)
		return "--reconnect is for datagrams";
	if (o->unconnected && o->reconnects.count)
		return "--unconnected and --reconnect cannot be combined";
	return NULL;
}

static void report_attempt(void *arg, const struct sockeye_sockaddr *name, int err)
{
	const struct cli_common *common = arg;
	char text[512];

	sockeye_sockaddr_print(name, text, sizeof text);
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

/* Returns the socket file that bind(2) will create and that sockeye must remove at the
 * end. Returns NULL if the address has no local path, or if a file exists there already:
 * then bind(2) will fail, and the file must not be removed. */
static const char *path_to_create(const struct sockeye_addr *addr)
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

/* Whether every retry would fail with the same error. A missing file or a full table may
 * be a temporary condition. */
static bool is_permanent(int err)
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

/* The mode for the socket. An inherited socket keeps its mode, which it shares with the process
 * that passed it; a session works in both modes. */
static bool is_nonblocking(const struct sockeye_addr *addr)
{
	return addr->scheme != SOCKEYE_FD || (fcntl(addr->fd, F_GETFL) & O_NONBLOCK);
}

/* Connects, with retries. Returns the file descriptor, or a negative code with *fail
 * filled in. */
static int dial(struct opts *o, const struct sockeye_addr *addr, const char *path,
		struct sockeye_fail *fail)
{
	const struct cli_common *common = &o->talk.common;
	struct sockeye_connect_opts how = {
	    .nonblocking = is_nonblocking(addr),
	    .on_attempt = report_attempt,
	    .arg = &o->talk.common,
	};
	char text[768];

	for (uint32_t i = 0;; i++) {
		int fd;

		how.deadline_ns = o->connect_ns ? sockeye_now().mono_ns + o->connect_ns : 0;
		fd = sockeye_connect(addr, &how, fail);
		if (fd < 0)
			path_remove(path);
		if (fd >= 0 || i == o->retries || is_permanent(fd))
			return fd;
		sockeye_fail_text(fail, text, sizeof text);
		report_info(common, "%s; trying again", text);
		pause_ns(o->pause_ns == PAUSE_NOT_GIVEN ? PAUSE_DEFAULT_NS : o->pause_ns);
	}
}

/* One value of --reconnect, before its address is resolved. */
struct target {
	uint64_t after;
	bool none;
	struct sockeye_addr addr;
};

/* Splits ADDR@N. Returns 0, or -EINVAL if there is no @N or ADDR does not fit. */
static int target_split(const char *text, char *name, size_t cap, uint64_t *out_after)
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

/* Parses one value of --reconnect. Returns CLI_GO, or the exit code after
 * reporting what is wrong. */
static int target_parse(const struct cli_common *common, const char *text, struct target *out)
{
	char name[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_fail fail;

	if (target_split(text, name, sizeof name, &out->after) < 0)
		return cli_usage(common, &connect_command,
				 "--reconnect takes ADDRESS@N or none@N, not '%s'", text);
	out->none = strcmp(name, "none") == 0;
	if (out->none)
		return CLI_GO;
	if (sockeye_addr_parse(name, &out->addr, &fail) < 0)
		return report_fail(common, &fail);
	if (out->addr.scheme == SOCKEYE_FD || talk_kind_of(&out->addr) != TALK_DATAGRAMS)
		return cli_usage(common, &connect_command, "--reconnect %s: not a datagram address",
				 name);
	return CLI_GO;
}

/* Returns the address family, or AF_UNSPEC if it depends on name resolution. */
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

/* Resolves the target to an address of the socket's family. `option` names it in
 * messages. Returns CLI_GO, or the exit code after reporting what is wrong. */
static int target_resolve(const struct cli_common *common, const char *option, struct target *t,
			  int fd, struct sockeye_sockaddr *out)
{
	int family = family_of(&t->addr), socket_family;
	char name[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_sockaddr local;
	struct sockeye_fail fail;
	int err;

	socket_family = sockeye_local_name(fd, &local) == 0 ? local.u.sa.sa_family : family;
	sockeye_addr_print(&t->addr, name, sizeof name);
	if (family == AF_UNSPEC && socket_family != AF_UNIX)
		t->addr.family = socket_family == AF_INET6 ? 6 : 4;
	else if (family != socket_family)
		return cli_usage(common, &connect_command, "%s%s: the socket uses %s addresses",
				 option, name,
				 socket_family == AF_UNIX    ? "UNIX"
				 : socket_family == AF_INET6 ? "IPv6"
							     : "IPv4");
	t->addr.shown = name;
	err = sockeye_resolve(&t->addr, false, out, 1, &fail);
	t->addr.shown = NULL;
	return err < 0 ? report_fail(common, &fail) : CLI_GO;
}

/* Resolves the addresses of --reconnect, or the additional addresses of --unconnected. */
static int targets_resolve(struct opts *o, int fd, struct sockeye__peer_switch *switches,
			   struct sockeye_sockaddr *also)
{
	const struct cli_common *common = &o->talk.common;
	int code = CLI_GO;

	for (size_t i = 0; i < o->also_count && code == CLI_GO; i++)
		code = target_resolve(common, "", &o->targets[i], fd, &also[i]);
	for (size_t i = 0; i < o->reconnects.count && code == CLI_GO; i++) {
		struct target *t = &o->targets[i];

		switches[i] = (struct sockeye__peer_switch){.after = t->after, .none = t->none};
		if (!t->none)
			code = target_resolve(common, "--reconnect ", t, fd, &switches[i].peer);
	}
	return code;
}

/* Runs the session over the connected socket. Returns the exit code. */
static int session_run(struct opts *o, const struct sockeye_addr *addr, int fd)
{
	struct sockeye__peer_switch switches[CLI_LIST_MAX];
	struct sockeye_sockaddr also[CLI_LIST_MAX];
	char several[SOCKEYE_ADDR_TEXT_MAX + 32];
	int code;
	struct talk talk = {
	    .o = &o->talk,
	    .address = o->address,
	    .kind = talk_kind_of(addr),
	    .connects = true,
	    .in_fd = STDIN_FILENO,
	    .count_max = o->talk.count,
	    .unconnected = o->unconnected,
	    .also = also,
	    .also_count = o->also_count,
	    .switches = switches,
	    .switch_count = o->reconnects.count,
	};

	if (o->also_count > 0) {
		snprintf(several, sizeof several, "%s and %zu more", o->address, o->also_count);
		talk.address = several;
	}
	code = targets_resolve(o, fd, switches, also);
	if (code != CLI_GO)
		return code;
	talk.stop_fd = stop_open(); /* a look-up would not notice it */
	talk_report_names(&o->talk, "connected", fd);
	return talk_run(&talk, &fd, 1);
}

/* Parses the operands after the first if there are several addresses. Returns CLI_GO, or
 * the exit code. */
static int also_parse(struct opts *o, struct cli_operands *operands)
{
	const struct cli_common *common = &o->talk.common;
	int code = CLI_GO;

	for (int i = 0; i < operands->count; i++)
		if (!cli_has_scheme(operands->v[i]))
			return CLI_GO; /* HOST PORT, or an error */
	if (operands->count > CLI_LIST_MAX)
		return cli_usage(common, &connect_command, "at most %d addresses", CLI_LIST_MAX);
	for (; operands->count > 1 && code == CLI_GO; operands->count--) {
		struct target *t = &o->targets[o->also_count];
		const char *word = operands->v[o->also_count + 1];

		*t = (struct target){0};
		code = cli_address(common, &connect_command, word, CLI_CONNECTS, &t->addr);
		if (code == CLI_GO && talk_kind_of(&t->addr) != TALK_DATAGRAMS)
			code = cli_usage(common, &connect_command, "%s is not a datagram address",
					 word);
		o->also_count++;
	}
	return code;
}

/* Runs --check. Returns the exit code. */
static int check(const struct opts *o, const struct cli_operands *operands)
{
	static const char *const allowed[] = {
	    "check", "connect-timeout", "deadline", "bind", "dontroute", "ipv4", "ipv6",
	    "json",  "quiet",           "verbose",  "color"};
	const struct cli_common *common = &o->talk.common;
	struct check_opts opts = {
	    .common = common,
	    .bind = o->bind,
	    .dontroute = o->dontroute,
	    .family = o->talk.ipv4   ? 4
		      : o->talk.ipv6 ? 6
				     : 0,
	    .timeout_ns = o->connect_ns,
	    .deadline_ns = o->talk.deadline_ns,
	};

	for (size_t i = 0; i < common->present_count; i++) {
		bool fits = false;

		for (size_t k = 0; k < sizeof allowed / sizeof allowed[0]; k++)
			fits = fits || strcmp(common->present[i]->name, allowed[k]) == 0;
		if (!fits)
			return cli_usage(common, &connect_command,
					 "--check sends no data; it cannot be combined with --%s",
					 common->present[i]->name);
	}
	return check_run(&opts, operands);
}

/* Parses the command line and checks the options against each other. Returns
 * CLI_GO, or the exit code after reporting what is wrong. */
static int opts_parse(struct opts *o, int argc, char **argv, struct sockeye_addr *out_addr)
{
	struct cli_operands operands;
	const char *wrong;
	int code = cli_parse(&connect_command, argc, argv, o, &operands);

	if (code == CLI_GO && o->check)
		return check(o, &operands);
	if (code == CLI_GO && o->unconnected)
		code = also_parse(o, &operands);
	if (code != CLI_GO)
		return code;
	code = cli_address_only(&o->talk.common, &connect_command, &operands, CLI_CONNECTS,
				o->unconnected ? "udp" : "tcp", out_addr);
	if (code != CLI_GO)
		return code;
	sockeye_addr_print(out_addr, o->address, sizeof o->address);
	out_addr->shown = o->address;
	wrong = options_apply(o, out_addr);
	if (wrong)
		return cli_usage(&o->talk.common, &connect_command, "%s", wrong);
	for (size_t i = 0; i < o->reconnects.count && code == CLI_GO; i++)
		code = target_parse(&o->talk.common, o->reconnects.v[i], &o->targets[i]);
	for (size_t i = 1; i < o->reconnects.count && code == CLI_GO; i++)
		if (o->targets[i].after < o->targets[i - 1].after)
			code = cli_usage(
			    &o->talk.common, &connect_command,
			    "--reconnect %s: N is smaller than in the previous --reconnect; "
			    "give them in ascending order",
			    o->reconnects.v[i]);
	return code == CLI_GO ? talk_check(&o->talk, &connect_command, out_addr) : code;
}

static int cmd_connect(int argc, char **argv)
{
	static struct target targets[CLI_LIST_MAX];
	struct opts o = {.talk = TALK_DEFAULTS, .targets = targets, .pause_ns = PAUSE_NOT_GIVEN};
	struct sockeye_addr addr = {0};
	struct sockeye_fail fail;
	const char *path;
	int code = opts_parse(&o, argc, argv, &addr), fd;

	if (code != CLI_GO)
		return code;
	path = path_to_create(&addr);
	/* Enlarge the receive buffer: replies may arrive faster than they are printed. The
	 * kernel silently limits the size. */
	if (talk_kind_of(&addr) == TALK_DATAGRAMS && addr.opts.rcvbuf == 0)
		addr.opts.rcvbuf = 1 << 20;
	stop_catch(&o.talk.common, "connect", o.address, path);
	stop_deadline(&o.talk.common, "connect", o.address, o.talk.deadline_ns);
	fd = dial(&o, &addr, path, &fail);
	if (fd < 0)
		return cli_address_fail(&o.talk.common, &fail);
	code = session_run(&o, &addr, fd);
	talk_close(&o.talk, fd);
	path_remove(path);
	return code;
}

const struct cli_command connect_command = {
    .name = "connect",
    .summary = "connect to an address and exchange data with it, like nc",
    .operands = "ADDRESS | HOST PORT",
    .operands_min = 1,
    .operands_max = -1,
    .operand = cli_scheme_word,
    .example = "localhost 7007",
    .translate = translate_line,
    .options = options,
    .more_options = talk_options,
    .run = cmd_connect,
    .about = "An address without a scheme is a TCP address, or a UDP address with\n"
	     "--unconnected. The input is sent unchanged except with --crlf. No character in\n"
	     "it is special.\n"
	     "Exit status: 0 done, 3 name not found, 4 connection refused, 5 timeout or no\n"
	     "reply, 6 network error, 7 reset or closed early, 9 local error,\n"
	     "130 interrupted.",
};
