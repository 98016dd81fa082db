/* bench.c: sockeye bench. */
#include "commands.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sockeye/addr.h>
#include <sockeye/sockaddr.h>
#include <sockeye/time.h>

#include "cli/address.h"
#include "cli/report.h"
#include "cli/words.h"
#include "cli/stop.h"
#include "cli/translate.h"
#include "bench/bench.h"
#include "bench_reply.h"
#include "console/progress_line.h"

#define NAMES_MAX     16
#define CONNECTIONS   1000000
#define IN_FLIGHT_MAX 65536
#define SIZE_MAX_     (UINT64_C(64) << 20) /* of a stream message, which is kept in memory */
#define DATAGRAM_MAX  65507
#define DATAGRAM_MANY 8 /* bytes: room for a sequence number */
#define SIZE_DEFAULT  64
#define SIZE_UNSET    UINT64_MAX
#define RATE_MAX      10000000
#define PERCENTILES   5

struct opts {
	struct cli_common common;
	uint32_t connections, in_flight, sources, rate;
	uint64_t size, time_ns, count, warmup_ns, hold_ns, timeout_ns, deadline_ns;
	const char *send, *expect;
	unsigned churn;
	bool burst, keep_going;
};

static const char *const churn_words[] = {"no", "fin", "rst", NULL};
static const double percents[PERCENTILES] = {50, 90, 99, 99.9, 99.99};
static const char *const percent_names[PERCENTILES] = {"p50", "p90", "p99", "p99.9", "p99.99"};

static const struct cli_option options[] = {
    {.help = "Load:"},
    {"connections", 'c', "N", CLI_UINT, offsetof(struct opts, connections), .min = 1,
     .max = CONNECTIONS, .help = "open N connections (default 1)"},
    {"size", 's', "SIZE", CLI_SIZE, offsetof(struct opts, size), .max = SIZE_MAX_,
     .help = "send messages of SIZE bytes, up to 64Mi on a stream and 65507 as a datagram "
	     "(default 64)"},
    {"send", 0, "TEXT", CLI_TEXT, offsetof(struct opts, send),
     .help = "send TEXT as every message; \\n, \\r, \\t, \\e, \\0, \\\\ and \\xNN are escapes"},
    {"rate", 'r', "N", CLI_UINT, offsetof(struct opts, rate), .min = 1, .max = RATE_MAX,
     .help = "send N messages per second in total, at fixed times (default: send the next "
	     "message when a reply arrives)"},
    {"in-flight", 'f', "N", CLI_UINT, offsetof(struct opts, in_flight), .min = 1,
     .max = IN_FLIGHT_MAX,
     .help = "send up to N messages on each connection before their replies arrive (default 1)"},
    {"churn", 0, "HOW", CLI_CHOICE, offsetof(struct opts, churn), .choices = churn_words,
     .help = "open a connection for each message, and close it normally (fin) or with a "
	     "reset (rst); default no"},
    {"burst", 0, NULL, CLI_FLAG, offsetof(struct opts, burst),
     .help = "write each message completely before reading any of its reply"},
    {"sources", 0, "N", CLI_UINT, offsetof(struct opts, sources), .min = 1, .max = 65536,
     .help = "connect from N addresses, counting up from bind= or 127.0.0.1 (default 1)"},
    {.help = "Duration:"},
    {"time", 't', "TIME", CLI_TIME, offsetof(struct opts, time_ns), .min = 1,
     .help = "measure for TIME (default 5s; no limit if --count is given)"},
    {"count", 'n', "N", CLI_SIZE, offsetof(struct opts, count), .min = 1,
     .help = "stop after N messages"},
    {"warmup", 'w', "TIME", CLI_TIME, offsetof(struct opts, warmup_ns),
     .help = "run the load for TIME before measuring (default 0)"},
    {"hold", 0, "TIME", CLI_TIME, offsetof(struct opts, hold_ns),
     .help = "keep the connections open for TIME after measuring (default 0)"},
    {.help = "Replies:"},
    {"expect", 'e', "WHAT", CLI_TEXT, offsetof(struct opts, expect),
     .help = "expect this reply: echo (the same bytes, default), upper (the same in upper "
	     "case), line (one line), length=N (N bytes), text=TEXT or regex=RE"},
    {"timeout", 0, "TIME", CLI_TIME, offsetof(struct opts, timeout_ns), .min = 1,
     .help = "wait up to TIME for a connection and for each reply (default 10s; datagrams "
	     "1s, after which they count as lost)"},
    {"deadline", 0, "TIME", CLI_TIME, offsetof(struct opts, deadline_ns), .min = 1000000,
     .help = STOP_DEADLINE_HELP},
    {"keep-going", 0, NULL, CLI_FLAG, offsetof(struct opts, keep_going),
     .help = "reopen connections that fail, and measure how long the server does not reply"},
    {NULL},
};

/* Returns why the options contradict each other or the address, or NULL. */
static const char *contradiction(const struct opts *o, const struct sockeye__bench_opts *load,
				 const struct sockeye_addr *addr)
{
	bool stream = sockeye_scheme_is_stream(addr->scheme);
	bool numbered = load->send == NULL && load->expect <= SOCKEYE__BENCH_UPPER;

	if (load->send != NULL && o->size != SIZE_UNSET)
		return "--send and --size cannot be combined";
	if (stream && load->size == 0)
		return load->send != NULL ? "--send '' is only for datagrams"
					  : "--size 0 is only for datagrams";
	if (!stream && load->size > DATAGRAM_MAX)
		return "--size is at most 65507 for datagrams";
	if (!stream && o->churn != SOCKEYE__BENCH_KEEP)
		return "--churn is only for connections, not for datagrams";
	if (!stream && o->burst)
		return "--burst is only for connections, not for datagrams";
	if (!stream && o->in_flight > 1 && (load->size < DATAGRAM_MANY || !numbered))
		return "--in-flight with datagrams needs --size 8 or more, for a sequence number, "
		       "and --expect echo or upper";
	if (o->in_flight > 1 &&
	    (o->burst || o->churn != SOCKEYE__BENCH_KEEP || load->expect == SOCKEYE__BENCH_REGEX))
		return "--in-flight cannot be combined with --burst, --churn or --expect regex=";
	if (sockeye_scheme_is_unix(addr->scheme) && (o->sources > 1 || addr->opts.bind[0]))
		return "--sources and bind= are only for IP addresses";
	return NULL;
}

/* Resolves bind=HOST[:PORT] of the address; without it, stores an empty address. Returns 0
 * or a negative error. */
static int local_resolve(const struct sockeye_addr *addr, struct sockeye_sockaddr *out_local,
			 struct sockeye_fail *fail)
{
	struct sockeye_addr local;
	char text[sizeof addr->opts.bind + 2];
	int err;

	memset(out_local, 0, sizeof *out_local);
	if (!addr->opts.bind[0])
		return 0;
	snprintf(text, sizeof text, "%s%s", addr->opts.bind,
		 strrchr(addr->opts.bind, ':') > strrchr(addr->opts.bind, ']') ? "" : ":0");
	err = sockeye_addr_parse(text, &local, fail);
	if (err < 0)
		return err;
	err = sockeye_resolve(&local, true, out_local, 1, fail);
	return err < 0 ? err : 0;
}

/* Keeps only the IPv4 addresses, because --sources uses a range of IPv4 addresses. Returns
 * their number. */
static size_t names_reachable(struct sockeye_sockaddr *names, size_t count,
			      const struct sockeye_sockaddr *local)
{
	size_t left = 0;

	if (local->len > 0 && local->u.sa.sa_family != AF_INET)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (names[i].u.sa.sa_family == AF_INET)
			names[left++] = names[i];
	return left;
}

static double seconds(uint64_t ns)
{
	return (double)ns / (double)SOCKEYE_NS_PER_S;
}

static double per_second(const struct sockeye__bench_result *r, uint64_t what)
{
	return r->elapsed_ns ? (double)what / seconds(r->elapsed_ns) : 0;
}

/* --- JSON --- */

static json_t *latency_json(const struct sockeye__bench_result *r)
{
	json_t *latency =
	    json_pack("{sf sf sf}", "min", (double)r->latency.min / 1e3, "mean",
		      sockeye__bench_mean(r) / 1e3, "max", (double)r->latency.max / 1e3);

	for (int i = 0; i < PERCENTILES; i++)
		json_object_set_new(
		    latency, percent_names[i],
		    json_real((double)sockeye__bench_percentile(r, percents[i]) / 1e3));
	return latency;
}

static json_t *errors_json(const struct sockeye__bench_errors *errors)
{
	return json_pack("{"
#define ERROR_FORMAT(name, text) "sI"
			 SOCKEYE__BENCH_ERRORS(ERROR_FORMAT)
#undef ERROR_FORMAT
			     "}"
#define ERROR_PAIR(name, text) , #name, (json_int_t)errors->name
			 SOCKEYE__BENCH_ERRORS(ERROR_PAIR)
#undef ERROR_PAIR
	);
}

static json_t *downtime_json(const struct sockeye__bench_result *r)
{
	return json_pack("{sI sf sf}", "times", (json_int_t)r->outages, "seconds",
			 seconds(r->down_ns), "longest", seconds(r->down_longest_ns));
}

static void print_json(const struct opts *o, const char *address,
		       const struct sockeye__bench_result *r, const struct sockeye_fail *fail,
		       int code)
{
	json_t *event = json_pack(
	    "{ss so sI sI sI sI sf sI sf sI sI sf sf sI sI sI so so so sf sb si}", "event", "bench",
	    "address", report_string(address), "connections", (json_int_t)o->connections,
	    "in_flight", (json_int_t)o->in_flight, "size", (json_int_t)o->size, "rate",
	    (json_int_t)o->rate, "seconds", seconds(r->elapsed_ns), "messages",
	    (json_int_t)r->messages, "messages_per_s", per_second(r, r->messages), "bytes_out",
	    (json_int_t)r->bytes_out, "bytes_in", (json_int_t)r->bytes_in, "bytes_out_per_s",
	    per_second(r, r->bytes_out), "bytes_in_per_s", per_second(r, r->bytes_in), "opened",
	    (json_int_t)r->connections, "lost", (json_int_t)r->lost, "late", (json_int_t)r->late,
	    "latency_us", latency_json(r), "errors", errors_json(&r->errors), "downtime",
	    downtime_json(r), "generator_cpu", per_second(r, r->cpu_ns) / 1e9, "interrupted",
	    (int)r->interrupted, "exit", code);

	if (event && fail->err != 0) {
		json_object_set_new(event, "op", json_string(fail->op));
		json_object_set_new(event, "error", json_string(sockeye_error_name(fail->err)));
		json_object_set_new(event, "text", json_string(sockeye_error_text(fail->err)));
		if (fail->detail[0])
			json_object_set_new(event, "detail", report_string(fail->detail));
	}
	report_json(event);
}

/* --- text --- */

/* Formats a time with three digits and a suitable unit. */
static const char *time_text(double ns, char *buf, size_t cap)
{
	static const char *const units[] = {"ns", "us", "ms", "s"};
	size_t unit = 0;

	for (; ns >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++)
		ns /= 1000;
	snprintf(buf, cap, "%.*f %s",
		 ns >= 100 || unit == 0 ? 0
		 : ns >= 10             ? 1
					: 2,
		 ns, units[unit]);
	return buf;
}

static void print_latency(const struct sockeye__bench_result *r)
{
	char buf[32];

	printf("  latency    min %s", time_text((double)r->latency.min, buf, sizeof buf));
	printf(", mean %s", time_text(sockeye__bench_mean(r), buf, sizeof buf));
	printf(", max %s\n", time_text((double)r->latency.max, buf, sizeof buf));
	for (int i = 0; i < PERCENTILES; i++)
		printf(
		    "%s %s %s", i == 0 ? "  percentile" : ",", percent_names[i],
		    time_text((double)sockeye__bench_percentile(r, percents[i]), buf, sizeof buf));
	printf("\n");
}

static void print_errors(const struct sockeye__bench_errors *errors)
{
#define ERROR_PRINT(name, text) \
	if (errors->name > 0) \
		printf("  %-10" PRIu64 " connection%s or message%s: %s\n", errors->name, \
		       errors->name == 1 ? "" : "s", errors->name == 1 ? "" : "s", text);
	SOCKEYE__BENCH_ERRORS(ERROR_PRINT)
#undef ERROR_PRINT
}

static void print_load(const struct opts *o, const char *address)
{
	printf("%s: %" PRIu32 " connection%s, %" PRIu64 " bytes, %" PRIu32 " in flight on each, ",
	       address, o->connections, o->connections == 1 ? "" : "s", o->size, o->in_flight);
	if (o->rate > 0)
		printf("open loop, %" PRIu32 "/s\n", o->rate);
	else
		printf("closed loop\n");
}

static void print_downtime(const struct sockeye__bench_result *r)
{
	char total[32], longest[32];

	printf("  downtime   %s, %" PRIu64 " time%s, longest %s\n",
	       time_text((double)r->down_ns, total, sizeof total), r->outages,
	       r->outages == 1 ? "" : "s",
	       time_text((double)r->down_longest_ns, longest, sizeof longest));
}

static void print_bytes(const struct sockeye__bench_result *r)
{
	char sent[SOCKEYE__QUANTITY_MAX], received[SOCKEYE__QUANTITY_MAX];

	sockeye__rate_print(per_second(r, r->bytes_out), sent);
	sockeye__rate_print(per_second(r, r->bytes_in), received);
	if (strcmp(sent, received) == 0)
		printf("%s each way\n", sent);
	else
		printf("sent %s, received %s\n", sent, received);
}

static void print_rates(const struct sockeye__bench_result *r)
{
	printf("  messages   %" PRIu64 " in %.3f s, %.0f/s, ", r->messages, seconds(r->elapsed_ns),
	       per_second(r, r->messages));
	print_bytes(r);
	if (r->latency.count > 0)
		print_latency(r);
}

/* Prints no rates and latencies if no message got a reply before the run ended early: they
 * would describe only the failure. */
static void print_text(const struct opts *o, const char *address,
		       const struct sockeye__bench_result *r, int err)
{
	bool measured = r->messages > 0 || (err == 0 && !r->interrupted);

	print_load(o, address);
	if (measured)
		print_rates(r);
	else
		printf("  messages   0\n");
	if (o->churn != SOCKEYE__BENCH_KEEP)
		printf("  opened     %" PRIu64 " connections, closed with %s\n", r->connections,
		       churn_words[o->churn]);
	if (r->lost > 0 || r->late > 0)
		printf("  lost       %" PRIu64 " message%s; late or twice %" PRIu64 "\n", r->lost,
		       r->lost == 1 ? "" : "s", r->late);
	if (o->keep_going)
		print_downtime(r);
	print_errors(&r->errors);
	/* At 100% the load generator itself is the limit. */
	if (measured)
		printf("  generator  %.0f%% of one CPU\n", per_second(r, r->cpu_ns) / 1e7);
}

/* --- the run --- */

/* Reports the phase, so that a script can measure the server during the run. */
static void report_phase(void *arg, bool measuring)
{
	const struct cli_common *common = arg;
	const char *phase = measuring ? "measuring" : "measured";

	if (common->json && common->verbose)
		report_json(json_pack("{ss}", "event", phase));
	else
		report_verbose(common, "%s", phase);
}

/* Reads the options into *load, except for the local address. Returns CLI_GO or the exit
 * code. */
static int load_read(struct opts *o, const struct sockeye_addr *addr,
		     struct sockeye__bench_opts *load)
{
	const char *wrong;
	int code;

	*load = (struct sockeye__bench_opts){
	    .connections = o->connections,
	    .in_flight = o->in_flight,
	    .size = o->size != SIZE_UNSET ? (size_t)o->size : SIZE_DEFAULT,
	    .time_ns = o->time_ns == 0 && o->count == 0 ? 5 * SOCKEYE_NS_PER_S : o->time_ns,
	    .count = o->count,
	    .warmup_ns = o->warmup_ns,
	    .timeout_ns = o->timeout_ns,
	    .rate = o->rate,
	    .keep_going = o->keep_going,
	    .churn = (enum sockeye__bench_churn)o->churn,
	    .burst = o->burst,
	    .sources = o->sources,
	    .hold_ns = o->hold_ns,
	    .on_phase = report_phase,
	    .arg = &o->common,
	};
	code = bench_reply_read(&o->common, &bench_command, o->send, o->expect, load);
	if (code != CLI_GO)
		return code;
	wrong = contradiction(o, load, addr);
	if (wrong != NULL)
		return cli_usage(&o->common, &bench_command, "%s", wrong);
	o->size = load->size;
	return CLI_GO;
}

static int run(const struct opts *o, const struct sockeye__bench_opts *load,
	       const struct sockeye_addr *addr, const struct sockeye_sockaddr *names, size_t count)
{
	static struct sockeye__bench_result result; /* too large for the stack */
	struct sockeye_fail fail = {.op = "bench"};
	char address[SOCKEYE_ADDR_TEXT_MAX];
	int err = sockeye__bench(addr, names, count, load, &result, &fail), code;

	code = result.interrupted ? SOCKEYE_EXIT_INTERRUPTED : (int)sockeye_error_exit(err);
	if (result.interrupted && stop_is_late())
		code = SOCKEYE_EXIT_TIMED_OUT;
	sockeye_addr_print(addr, address, sizeof address);
	if (result.elapsed_ns == 0 && err < 0)
		return cli_address_fail(&o->common, &fail);
	if (o->common.json) {
		print_json(o, address, &result, &fail, code);
	} else {
		print_text(o, address, &result, err);
		fflush(stdout);
		if (err < 0)
			report_fail(&o->common, &fail);
		else if (result.interrupted)
			stop_report(&o->common, "bench", address);
	}
	return code;
}

static int cmd_bench(int argc, char **argv)
{
	struct opts o = {.connections = 1, .in_flight = 1, .sources = 1, .size = SIZE_UNSET};
	struct sockeye_sockaddr names[NAMES_MAX];
	static struct sockeye__bench_opts load; /* the memory that it points to is never freed */
	struct sockeye_fail fail;
	struct cli_operands operands;
	struct sockeye_addr addr;
	char address[SOCKEYE_ADDR_TEXT_MAX];
	int code = cli_parse(&bench_command, argc, argv, &o, &operands), count;

	if (code != CLI_GO)
		return code;
	code = cli_address_only(&o.common, &bench_command, &operands, CLI_CONNECTS, "tcp", &addr);
	if (code != CLI_GO)
		return code;
	code = load_read(&o, &addr, &load);
	if (code != CLI_GO)
		return code;
	sockeye_addr_print(&addr, address, sizeof address);
	stop_catch(&o.common, "bench", address, NULL);
	stop_deadline(&o.common, "bench", address, o.deadline_ns);
	count = sockeye_resolve(&addr, false, names, NAMES_MAX, &fail);
	if (count < 0 || local_resolve(&addr, &load.local, &fail) < 0)
		return cli_address_fail(&o.common, &fail);
	if (o.sources > 1)
		count = (int)names_reachable(names, (size_t)count, &load.local);
	if (count == 0)
		return cli_usage(&o.common, &bench_command, "--sources is only for IPv4 addresses");
	load.stop_fd = stop_open();
	return run(&o, &load, &addr, names, (size_t)count);
}

const struct cli_command bench_command = {
    .name = "bench",
    .translate = translate_sockperf,
    .summary = "load a server, check every byte of its replies, and measure",
    .operands = "ADDRESS | HOST PORT",
    .operands_min = 1,
    .operands_max = -1,
    .operand = cli_scheme_word,
    .example = "localhost 7007",
    .options = options,
    .run = cmd_bench,
};
