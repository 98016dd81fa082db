/* relay.c: sockeye relay. */
#include "commands.h"
#include "relay_log.h"
#include "cli/address.h"
#include "cli/inherited.h"
#include "cli/report.h"
#include "cli/suggest.h"
#include "cli/stop.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <sockeye/sockaddr.h>
#include <sockeye/stream.h>
#include <sockeye/time.h>

#include "relay/relay.h"

#define DELAY_MAX (3600 * SOCKEYE_NS_PER_S)
#define UNSET     UINT64_MAX

/* Indexes of an option for one direction or for both. */
enum { UP = SOCKEYE__FAULT_UP, DOWN = SOCKEYE__FAULT_DOWN, BOTH, FORMS };

struct opts {
	struct cli_common common;
	const char *drop[FORMS], *duplicate[FORMS], *reorder[FORMS], *corrupt[FORMS];
	uint64_t delay_ns[FORMS], jitter_ns[FORMS], rate[FORMS];
	struct cli_list drop_nth[FORMS], drop_block, drop_ack;
	const char *seed;
	bool no_follow;
	uint32_t flows_max, ready_fd;
	uint64_t idle_ns, queue_max, time_ns, deadline_ns;
};

#define THREE(name, value, kind, field, help_, ...) \
	{name, 0, value, kind, offsetof(struct opts, field[BOTH]), .help = help_, ##__VA_ARGS__}, \
	    {name "-up", \
	     0, \
	     value, \
	     kind, \
	     offsetof(struct opts, field[UP]), \
	     .help = "the same, only toward the target", \
	     ##__VA_ARGS__}, \
	{ \
		name "-down", 0, value, kind, offsetof(struct opts, field[DOWN]), \
		    .help = "the same, only toward clients", ##__VA_ARGS__ \
	}

static const struct cli_option options[] = {
    {.help = "Faults (CHANCE: 1%, 0.5% or 0.01):"},
    THREE("drop", "CHANCE", CLI_TEXT, drop, "drop each packet with probability CHANCE"),
    THREE("duplicate", "CHANCE", CLI_TEXT, duplicate,
	  "send each packet twice with probability CHANCE"),
    THREE("reorder", "CHANCE", CLI_TEXT, reorder,
	  "with probability CHANCE, hold a packet until 1 to 4 later packets have passed "
	  "it, for at most 20 ms"),
    THREE("corrupt", "CHANCE", CLI_TEXT, corrupt,
	  "with probability CHANCE, flip one bit of a packet"),
    THREE("delay", "TIME", CLI_TIME, delay_ns, "delay every packet by TIME (default 0)",
	  .max = DELAY_MAX),
    THREE("jitter", "TIME", CLI_TIME, jitter_ns,
	  "delay packets by up to TIME more, at random, without reordering (default 0)",
	  .max = DELAY_MAX),
    THREE("rate", "SIZE", CLI_SIZE, rate,
	  "forward at most SIZE bytes of payload per second in each direction, over all "
	  "flows (default no limit)",
	  .min = 1),
    {.help = "Packets to drop (LIST: 3,7-9):"},
    THREE("drop-nth", "LIST", CLI_LIST, drop_nth,
	  "drop the packets with these numbers, counted from 1 in each flow and direction"),
    {"drop-block", 0, "LIST", CLI_LIST, offsetof(struct opts, drop_block),
     .help = "drop the TFTP DATA packets of these blocks when they first appear in a flow"},
    {"drop-ack", 0, "LIST", CLI_LIST, offsetof(struct opts, drop_ack),
     .help = "drop the TFTP ACK packets of these blocks when they first appear in a flow"},
    {"seed", 0, "N", CLI_TEXT, offsetof(struct opts, seed),
     .help = "make the same random choices as an earlier run with seed N (default: a random seed)"},
    {.help = "Relay:"},
    {"no-follow", 0, NULL, CLI_FLAG, offsetof(struct opts, no_follow),
     .help = "do not forward replies from other ports of the target"},
    {"max-flows", 0, "N", CLI_UINT, offsetof(struct opts, flows_max), .min = 1, .max = 65536,
     .help = "keep up to N client addresses; at the limit, forget the least recently used "
	     "(default 1024)"},
    {"idle", 0, "TIME", CLI_TIME, offsetof(struct opts, idle_ns), .min = SOCKEYE_NS_PER_MS,
     .help = "forget a client after TIME without packets (default 60s)"},
    {"queue", 0, "SIZE", CLI_SIZE, offsetof(struct opts, queue_max), .min = 1,
     .help = "queue up to SIZE bytes of delayed packets, and drop the rest (default 64Mi)"},
    {"time", 't', "TIME", CLI_TIME, offsetof(struct opts, time_ns), .min = 1,
     .help = "exit after TIME (default: run until stopped)"},
    {"deadline", 0, "TIME", CLI_TIME, offsetof(struct opts, deadline_ns), .min = 1000000,
     .help = STOP_DEADLINE_HELP},
    {"ready-fd", 0, "N", CLI_UINT, offsetof(struct opts, ready_fd), .min = 1, .max = 1 << 20,
     .help = "when all sockets are listening, write the addresses to file descriptor N, one "
	     "per line, and close it"},
    {NULL},
};

/* --- the rules --- */

/* Reports a bad value of an option for one or both directions, and returns 2. */
static int bad_value(const struct opts *o, const char *name, int form, const char *wanted,
		     const char *text)
{
	static const char *const ends[] = {[UP] = "-up", [DOWN] = "-down", [BOTH] = ""};
	char option[40];

	snprintf(option, sizeof option, "%s%s", name, ends[form]);
	return cli_usage_value(&o->common, &relay_command, option, wanted, text);
}

/* Parses a chance. An option for one direction overrides the option for both, in any
 * order. */
static int chance_read(const struct opts *o, const char *name, const char *const texts[FORMS],
		       int direction, uint32_t *out_chance)
{
	int form = texts[direction] != NULL ? direction : BOTH;

	if (texts[form] != NULL && sockeye__chance_parse(texts[form], out_chance) < 0)
		return bad_value(o, name, form, "a chance such as 1% or 0.01", texts[form]);
	return CLI_GO;
}

static int ranges_read(const struct opts *o, const char *name, int form,
		       const struct cli_list *lists, uint64_t min, uint64_t max,
		       struct sockeye__fault_ranges *ranges)
{
	for (size_t i = 0; i < lists->count; i++) {
		int err = sockeye__fault_ranges_add(lists->v[i], min, max, ranges);

		if (err == -E2BIG)
			return cli_usage(&o->common, &relay_command, "--%s takes %d ranges at most",
					 name, SOCKEYE__FAULT_RANGES_MAX);
		if (err < 0)
			return bad_value(o, name, form,
					 max == UINT16_MAX ? "blocks of 0 to 65535 such as 3,7-9"
							   : "numbers from 1 such as 3,7-9",
					 lists->v[i]);
	}
	return CLI_GO;
}

/* Returns the value for one direction or, if it is not set, the value for both, or 0. */
static uint64_t either(const uint64_t values[FORMS], int direction)
{
	uint64_t v = values[direction] != UNSET ? values[direction] : values[BOTH];

	return v != UNSET ? v : 0;
}

static int rules_read(const struct opts *o, int direction, struct sockeye__fault_rules *rules)
{
	const struct {
		const char *name;
		const char *const *texts;
		uint32_t *chance;
	} chances[] = {
	    {"drop", o->drop, &rules->drop},
	    {"duplicate", o->duplicate, &rules->duplicate},
	    {"reorder", o->reorder, &rules->reorder},
	    {"corrupt", o->corrupt, &rules->corrupt},
	};
	int code = CLI_GO;

	for (size_t i = 0; i < sizeof chances / sizeof chances[0] && code == CLI_GO; i++)
		code =
		    chance_read(o, chances[i].name, chances[i].texts, direction, chances[i].chance);
	rules->delay_ns = either(o->delay_ns, direction);
	rules->jitter_ns = either(o->jitter_ns, direction);
	rules->rate = either(o->rate, direction);
	if (code == CLI_GO)
		code = ranges_read(o, "drop-nth", BOTH, &o->drop_nth[BOTH], 1, UINT64_MAX,
				   &rules->drop_nth);
	if (code == CLI_GO)
		code = ranges_read(o, "drop-nth", direction, &o->drop_nth[direction], 1, UINT64_MAX,
				   &rules->drop_nth);
	if (code == CLI_GO)
		code = ranges_read(o, "drop-block", BOTH, &o->drop_block, 0, UINT16_MAX,
				   &rules->drop_data);
	if (code == CLI_GO)
		code =
		    ranges_read(o, "drop-ack", BOTH, &o->drop_ack, 0, UINT16_MAX, &rules->drop_ack);
	return code;
}

static int seed_read(const struct opts *o, uint64_t *out_seed)
{
	unsigned long long seed;
	uint32_t random;
	char *end;

	if (o->seed == NULL) {
		if (getrandom(&random, sizeof random, 0) != sizeof random)
			random = (uint32_t)sockeye_now().mono_ns;
		*out_seed = random; /* 32 bits are easier to type again */
		return CLI_GO;
	}
	errno = 0;
	seed = strtoull(o->seed, &end, 10);
	if (o->seed[0] < '0' || o->seed[0] > '9' || *end != '\0' || errno != 0 || seed > INT64_MAX)
		return bad_value(o, "seed", BOTH, "a whole number", o->seed);
	*out_seed = seed;
	return CLI_GO;
}

/* --- start --- */

struct context {
	struct log_relay log; /* first: the callbacks cast the argument to it */
	const struct opts *o;
	struct cli_inherited inherited;
	struct sockeye_listener at[SOCKEYE__RELAY_LISTENERS_MAX];
	size_t count;
	const char *address; /* the first operand */
	char target[SOCKEYE_ADDR_TEXT_MAX];
	int ready_fd; /* -1: none */
	int code;     /* the result of report_ready() */
};

/* Prints the bound addresses and writes them to --ready-fd. Returns nonzero on failure. */
static int report_ready(void *arg)
{
	struct context *c = arg;
	const struct cli_common *common = &c->o->common;
	char name[SOCKEYE_ADDR_TEXT_MAX], lines[SOCKEYE__RELAY_LISTENERS_MAX * sizeof name];
	size_t len = 0;
	int err;

	for (size_t i = 0; i < c->count; i++) {
		sockeye_sockaddr_print_url(&c->at[i].name, SOCKEYE_UDP, name, sizeof name);
		report_info(common, "relaying %s to %s, seed %" PRIu64, name, c->target,
			    c->log.seed);
		if (common->json)
			report_json(json_pack(
			    "{ss so so sI}", "event", "listening", "address", report_string(name),
			    "target", report_string(c->target), "seed", (json_int_t)c->log.seed));
		len += (size_t)snprintf(lines + len, sizeof lines - len, "%s\n", name);
	}
	err = cli_ready_write(c->ready_fd, lines);
	c->code = err < 0 ? report_error(common, "write", "--ready-fd", err, NULL) : CLI_GO;
	return c->code != CLI_GO;
}

/* --- the run --- */

static volatile sig_atomic_t usr1_fd = -1;

static void on_usr1(int sig)
{
	int saved = errno;

	(void)sig;
	if (write(usr1_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0)
		errno = saved; /* the counters are not printed */
}

/* Makes SIGUSR1 write to an eventfd. Returns its file descriptor or -errno. */
static int usr1_open(void)
{
	struct sigaction action = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	usr1_fd = fd;
	sigaction(SIGUSR1, &action, NULL);
	return fd;
}

/* Writes a UDP address that is similar to `word`, or `word` itself. Returns false if no
 * address is similar. */
static bool udp_corrected(const char *word, enum cli_use use, char *out, size_t cap)
{
	char text[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;
	const char *rest;

	if (cli_address_corrected(word, use, text, sizeof text))
		word = text;
	if (sockeye_addr_parse(word, &addr, NULL) < 0 || sockeye_scheme_is_unix(addr.scheme))
		return false;
	rest = strstr(word, "://");
	return addr.scheme == SOCKEYE_UDP
		   ? snprintf(out, cap, "%s", word) < (int)cap
		   : snprintf(out, cap, "udp://%s", rest ? rest + 3 : word) < (int)cap;
}

/* Reports an operand that is not a UDP address and returns 2. */
static int not_udp(const struct opts *o, const struct cli_operands *operands, int which)
{
	char listens[SOCKEYE_ADDR_TEXT_MAX], target[SOCKEYE_ADDR_TEXT_MAX];
	const struct suggest_edit edits[] = {{.at = operands->v[0], .text = listens},
					     {.at = operands->v[1], .text = target}};
	const char *try = NULL;
	struct suggestion s;

	if (udp_corrected(operands->v[0], CLI_LISTENS, listens, sizeof listens) &&
	    udp_corrected(operands->v[1], CLI_CONNECTS, target, sizeof target))
		try = suggest_edit(&s, edits, 2);
	return cli_usage_try(&o->common, &relay_command, try,
			     "'%s' is not a UDP address; write udp://HOST:PORT",
			     cli_shown(operands->v[which]).text);
}

/* Parses the address of the target. Returns CLI_GO or the exit code. */
static int target_read(const struct opts *o, const char *word, struct sockeye_addr *out)
{
	int code = cli_address(&o->common, &relay_command, word, CLI_CONNECTS, out);

	if (code == CLI_GO && out->opts.bind[0] != '\0')
		return cli_usage(&o->common, &relay_command,
				 "the target address cannot have bind=");
	return code;
}

/* Parses both operands. Returns CLI_GO or the exit code. */
static int addresses_read(const struct opts *o, const struct cli_operands *operands,
			  struct sockeye_addr *out_listens, struct sockeye_addr *out_target)
{
	char *const *v = operands->v;
	struct suggestion s;
	int code;

	if (operands->count == 0)
		return cli_too_few(&o->common, &relay_command, 0);
	if (operands->count == 1)
		return cli_usage_try(&o->common, &relay_command,
				     suggest_append(&s, "udp://localhost:69", NULL),
				     "no target address");
	if (sockeye_addr_parse(v[0], out_listens, NULL) < 0 ||
	    (out_listens->scheme != SOCKEYE_UDP && out_listens->scheme != SOCKEYE_FD))
		return not_udp(o, operands, 0);
	if (sockeye_addr_parse(v[1], out_target, NULL) < 0 || out_target->scheme != SOCKEYE_UDP)
		return not_udp(o, operands, 1);
	code = cli_address(&o->common, &relay_command, v[0], CLI_LISTENS, out_listens);
	return code == CLI_GO ? target_read(o, v[1], out_target) : code;
}

/* Parses the operand of a relay whose sockets are in LISTEN_FDS. Returns CLI_GO or the exit
 * code. */
static int target_only_read(const struct opts *o, const struct cli_operands *operands,
			    const struct cli_inherited *in, struct sockeye_addr *out_target)
{
	if (in->count > SOCKEYE__RELAY_LISTENERS_MAX)
		return cli_usage(&o->common, &relay_command,
				 "LISTEN_FDS has %zu sockets; relay takes at most %d", in->count,
				 SOCKEYE__RELAY_LISTENERS_MAX);
	if (sockeye_addr_parse(operands->v[0], out_target, NULL) < 0 ||
	    out_target->scheme != SOCKEYE_UDP)
		return cli_usage(&o->common, &relay_command,
				 "'%s' is not a UDP address; write udp://HOST:PORT",
				 cli_shown(operands->v[0]).text);
	return target_read(o, operands->v[0], out_target);
}

/* Checks the sockets and the target. Returns CLI_GO or 2. */
static int check(const struct context *c, const struct sockeye_sockaddr *target)
{
	const struct cli_common *common = &c->o->common;

	for (size_t i = 0; i < c->count; i++) {
		if (c->at[i].scheme != SOCKEYE_UDP)
			return cli_usage(common, &relay_command, "only UDP sockets can be relayed");
		if (sockeye__relay_is_own(&c->at[i], target))
			return cli_usage(common, &relay_command, "the target is the relay itself");
	}
	return CLI_GO;
}

/* Opens the sockets: those of LISTEN_FDS if listen_addr is NULL. Returns their number, or a
 * negative code with *fail. */
static int sockets_open(struct context *c, const struct sockeye_addr *listen_addr,
			struct sockeye_fail *fail)
{
	static const struct sockeye_listen_opts opts = {.nonblocking = true};

	if (listen_addr == NULL)
		return cli_inherited_listen(&c->inherited, &opts, c->at, fail);
	return sockeye_listen(listen_addr, &opts, c->at, SOCKEYE__RELAY_LISTENERS_MAX, fail);
}

static int relay(struct context *c, const struct sockeye_addr *listen_addr,
		 const struct sockeye_addr *target, struct sockeye__relay_opts *opts)
{
	const struct cli_common *common = &c->o->common;
	struct sockeye__relay_counts counts;
	struct sockeye_sockaddr name;
	struct sockeye_fail fail;
	int n = sockeye_resolve(target, false, &name, 1, &fail);

	if (n > 0) {
		sockeye_sockaddr_print_url(&name, SOCKEYE_UDP, c->target, sizeof c->target);
		n = sockets_open(c, listen_addr, &fail);
	}
	if (n < 0)
		return cli_address_fail(common, &fail);
	c->count = (size_t)n;
	c->code = check(c, &name);
	opts->stop_fd = stop_open();
	if (opts->stop_fd < 0)
		c->code = report_error(common, "eventfd", NULL, opts->stop_fd, NULL);
	if (c->code == CLI_GO) {
		int err = sockeye__relay(c->at, c->count, target, &name, opts, &counts, &fail);

		if (err < 0)
			c->code = report_fail(common, &fail);
		if (c->code == CLI_GO) {
			log_relay_counts(&c->log, &counts);
			c->code = stop_is_late() ? stop_report(common, "relay", c->address)
						 : SOCKEYE_EXIT_DONE;
		}
	}
	for (int i = 0; i < n; i++)
		sockeye_listener_close(&c->at[i]);
	return c->code;
}

static int cmd_relay(int argc, char **argv)
{
	struct opts o = {.delay_ns = {UNSET, UNSET, UNSET},
			 .jitter_ns = {UNSET, UNSET, UNSET},
			 .rate = {UNSET, UNSET, UNSET}};
	struct context c = {.log.common = &o.common, .o = &o};
	struct sockeye__relay_opts opts = {
	    .on_ready = report_ready,
	    .on_counts = log_relay_counts,
	    .on_refused = log_relay_refused,
	    .on_lost = log_relay_lost,
	    .arg = &c,
	};
	struct sockeye_addr listen_addr, target;
	struct cli_operands operands;
	int code = cli_parse(&relay_command, argc, argv, &o, &operands);
	bool inherits;

	cli_inherited_take(&c.inherited);
	inherits = code == CLI_GO && operands.count == 1 && c.inherited.count > 0;
	if (code == CLI_GO)
		code = cli_ready_fd(&o.common, &relay_command, o.ready_fd, &c.ready_fd);
	for (int direction = 0; direction < SOCKEYE__FAULT_DIRECTIONS && code == CLI_GO;
	     direction++)
		code = rules_read(&o, direction, &opts.rules[direction]);
	if (code == CLI_GO)
		code = seed_read(&o, &c.log.seed);
	if (code == CLI_GO)
		code = inherits ? target_only_read(&o, &operands, &c.inherited, &target)
				: addresses_read(&o, &operands, &listen_addr, &target);
	if (code != CLI_GO)
		return code;
	if (!inherits)
		cli_inherited_drop_all(&o.common, &c.inherited, &listen_addr,
				       "relay takes it if TARGET is the only operand");
	opts.seed = c.log.seed;
	opts.flows_max = o.flows_max;
	opts.idle_ns = o.idle_ns;
	opts.queue_max = o.queue_max;
	opts.time_ns = o.time_ns;
	opts.no_follow = o.no_follow;
	opts.on_event = o.common.verbose > 0 ? log_relay_event : NULL;
	stop_at_hangup_only();
	c.address = operands.v[0];
	stop_catch(&o.common, "relay", c.address, NULL);
	stop_deadline(&o.common, "relay", c.address, o.deadline_ns);
	opts.report_fd = usr1_open();
	if (opts.report_fd < 0)
		return report_error(&o.common, "eventfd", NULL, opts.report_fd, NULL);
	return relay(&c, inherits ? NULL : &listen_addr, &target, &opts);
}

static const char *operand(size_t i)
{
	return i == 0 ? "udp://" : NULL;
}

const struct cli_command relay_command = {
    .name = "relay",
    .summary = "forward UDP datagrams, and drop, duplicate, reorder or delay some",
    .operands = "LISTEN TARGET",
    .example = "udp://:6969 udp://localhost:69",
    .operands_max = 2,
    .operand = operand,
    .options = options,
    .run = cmd_relay,
    .about = "An option for one direction overrides the option for both directions; the\n"
	     "lists of --drop-nth are combined. SIGUSR1 prints the counters; SIGTERM and\n"
	     "SIGINT print the counters and stop the relay.",
};
