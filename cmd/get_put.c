/* get_put.c: the options, files and messages of get and put (get_put.h). */
#include "get_put.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/text.h>
#include <sockeye/time.h>

#include "cli/address.h"
#include "cli/report.h"
#include "cli/stop.h"
#include "tftp_json.h"
#include "tftp/server/policy.h"

#define FIELD(field) offsetof(struct transfer_opts, field)

const struct cli_option transfer_options[] = {
    {.help = "Transfer:"},
    {"jobs", 'j', "N", CLI_UINT, FIELD(parallel), "transfer up to N files in parallel (default 1)",
     .min = 1, .max = SOCKEYE__TFTP_PARALLEL_MAX},
    {"netascii", 0, NULL, CLI_FLAG, FIELD(netascii),
     "transfer text files, and convert their line ends"},
    {"blksize", 0, "N|mtu", CLI_TEXT, FIELD(blksize),
     "request blocks of N bytes, 8 to 65464; mtu: the largest blocks that need no "
     "fragmentation (default mtu, up to 16384)"},
    {"window", 0, "N", CLI_UINT, FIELD(window), "request windows of N blocks (default 32)",
     .min = 1, .max = 65535},
    {"no-options", 0, NULL, CLI_FLAG, FIELD(no_options),
     "send requests without options, for blocks of 512 bytes, one at a time (RFC 1350)"},
    {"timeout", 't', "TIME", CLI_TIME, FIELD(timeout_ns),
     "retransmit after TIME without a reply; if this option is given, ask the "
     "server to do the same (default 1s)",
     .min = 10 * SOCKEYE_NS_PER_MS, .max = 255 * SOCKEYE_NS_PER_S},
    {"retries", 0, "N", CLI_UINT, FIELD(retries),
     "give up when nothing has arrived for the time that N retransmissions take "
     "(default: 30 s)",
     .max = 1000},
    {"wait", 0, "TIME", CLI_TIME, FIELD(wait_ns),
     "repeat a request for TIME while nothing listens on the port or the host is "
     "unreachable (default 5s)"},
    {"no-wait", 0, NULL, CLI_FLAG, FIELD(no_wait),
     "fail at the first such error, without repeating the request"},
    {"deadline", 0, "TIME", CLI_TIME, FIELD(deadline_ns), STOP_DEADLINE_HELP, .min = 1000000},
    {.help = "Addresses:"},
    {"bind", 'b', "HOST[:PORT]", CLI_TEXT, FIELD(bind), "send from this local address"},
    {"port-range", 0, "A-B", CLI_TEXT, FIELD(ports),
     "send each transfer from another port from A to B"},
    {"any-source", 0, NULL, CLI_FLAG, FIELD(any_source),
     "accept replies from any address, not only from the requested address"},
    {"ipv4", '4', NULL, CLI_FLAG, FIELD(ipv4), "use IPv4 only"},
    {"ipv6", '6', NULL, CLI_FLAG, FIELD(ipv6), "use IPv6 only"},
    {NULL},
};

const struct cli_alias transfer_aliases[] = {
    {"--blocksize", "--blksize"},
    {"--windowsize", "--window"},
    {NULL},
};

const char *transfers_operand(size_t i)
{
	return i == 0 ? "tftp://" : NULL;
}

/* --- the command line --- */

/* Stores the options in t->client. Returns what is wrong with them, or NULL. */
static const char *client_read(struct transfers *t)
{
	const struct transfer_opts *o = t->o;
	struct sockeye__tftp_client *c = &t->client;

	*c = (struct sockeye__tftp_client){
	    .parallel = o->parallel,
	    .window = (uint16_t)o->window,
	    .no_options = o->no_options,
	    .any_source = o->any_source,
	    .timeout_ns = o->timeout_ns,
	    .has_retries = o->retries != TRANSFER_RETRIES_UNSET,
	    .retries = o->retries,
	    .size_max = o->size_max,
	    .no_wait = o->no_wait || o->wait_ns == 0,
	    .wait_ns = o->wait_ns == TRANSFER_WAIT_UNSET ? 0 : o->wait_ns,
	};
	if (o->blksize && sockeye__tftp_blksize_parse(o->blksize, strlen(o->blksize), &c->blksize,
						      &c->blksize_mtu) < 0)
		return "--blksize takes mtu or a number from 8 to 65464";
	if (o->ports && sockeye__port_range_parse(o->ports, &c->ports) < 0)
		return "--port-range takes two ports, the lower one first, as in 50000-50099";
	if (o->ipv4 && o->ipv6)
		return "-4 and -6 cannot be combined";
	if (o->no_options && (o->blksize || o->window))
		return "--no-options cannot be combined with --blksize or --window";
	if (o->no_wait && o->wait_ns != TRANSFER_WAIT_UNSET)
		return "--wait and --no-wait cannot be combined";
	if (o->bind && strlen(o->bind) >= sizeof(((struct sockeye_addr *)0)->opts.bind))
		return "--bind is too long";
	return NULL;
}

int transfers_open(struct transfers *t, const struct transfer_opts *o,
		   const struct cli_command *command, enum sockeye__tftp_way way, size_t count)
{
	const char *wrong;

	*t = (struct transfers){.o = o, .command = command, .way = way};
	wrong = client_read(t);
	if (wrong)
		return cli_usage(&o->common, command, "%s", wrong);
	t->list = calloc(count, sizeof *t->list);
	t->jobs = calloc(count, sizeof *t->jobs);
	t->job_of = calloc(count, sizeof *t->job_of);
	if (!t->list || !t->jobs || !t->job_of)
		return report_error(&o->common, command->name, NULL, -ENOMEM, NULL);
	return CLI_GO;
}

void transfers_close(struct transfers *t)
{
	free(t->list);
	free(t->jobs);
	free(t->job_of);
	t->list = NULL;
	t->jobs = NULL;
	t->job_of = NULL;
}

/* Copies options of the command line into the address. Messages show the address without
 * them. */
static void addr_apply(const struct transfer_opts *o, struct sockeye_addr *addr)
{
	if (o->ipv4 || o->ipv6)
		addr->family = o->ipv4 ? 4 : 6;
	if (o->netascii)
		addr->netascii = true;
	if (o->bind)
		snprintf(addr->opts.bind, sizeof addr->opts.bind, "%s", o->bind);
}

int transfers_add(struct transfers *t, const char *url, struct transfer **out)
{
	struct transfer *added = &t->list[t->count];
	struct sockeye_fail fail;
	int code;

	if (sockeye_addr_parse(url, &added->addr, &fail) < 0 || added->addr.scheme != SOCKEYE_TFTP)
		return transfers_address_wrong(t, url, &fail);
	code = cli_address(&t->o->common, t->command, url, CLI_FETCHES, &added->addr);
	if (code != CLI_GO)
		return code;
	snprintf(added->address, sizeof added->address, "%s", url);
	added->addr.shown = added->address;
	addr_apply(t->o, &added->addr);
	t->count++;
	*out = added;
	return CLI_GO;
}

/* --- messages --- */

static const char *name_of(const struct transfer *file)
{
	return file->path[0] ? file->path : file->addr.file;
}

#define NAME_SHOWN 512

static const char *name_text(const struct transfer *file, char buf[NAME_SHOWN])
{
	sockeye_escape(name_of(file), strlen(name_of(file)), buf, NAME_SHOWN);
	return buf;
}

static void code_set(struct transfers *t, int code)
{
	if (t->code == SOCKEYE_EXIT_DONE)
		t->code = code;
}

static void print_done(const struct transfers *t, const struct transfer *file,
		       const struct sockeye__tftp_end *end)
{
	char name[NAME_SHOWN], bytes[SOCKEYE__QUANTITY_MAX], rate[SOCKEYE__QUANTITY_MAX];
	double seconds = (double)end->ns / 1e9;

	name_text(file, name);
	if (end->reader_left) {
		report_verbose(&t->o->common, "%s: the reader closed standard output", name);
		return;
	}
	report_info(&t->o->common,
		    "%s: %s in %.*f s, %s, blksize %u window %u, %" PRIu64 " block%s resent%s",
		    name, sockeye__bytes_print(end->bytes, bytes),
		    seconds < 1     ? 3
		    : seconds < 100 ? 1
				    : 0,
		    seconds, sockeye__rate_print(tftp_bytes_per_s(end->bytes, end->ns), rate),
		    end->blksize, end->window, end->count.resent, end->count.resent == 1 ? "" : "s",
		    end->without_options ? ", without options" : "");
}

/* Prints the counters under the names that the server's log uses. */
static void print_counters(const struct transfers *t, const struct transfer *file,
			   const struct sockeye__tftp_end *end)
{
	const struct sockeye__tftp_counters *c = &end->count;
	char name[NAME_SHOWN];

	if (c->blocks > 0)
		report_verbose(&t->o->common,
			       "%s: blocks=%" PRIu64 " resent=%" PRIu64 " timeouts=%" PRIu64
			       " gaps=%" PRIu64 " ignored=%" PRIu64,
			       name_text(file, name), c->blocks, c->resent, c->timeouts, c->gaps,
			       c->ignored);
}

static void print_answer(const struct cli_common *common, const char *name, const char *peer,
			 const struct sockeye__tftp_note *note)
{
	char options[TFTP_OPTIONS_TEXT_MAX], text[400];

	tftp_options_text(note->options, options);
	sockeye_escape(note->text.at, note->text.len, text, sizeof text);
	if (note->code >= 0)
		report_verbose(common, "%s: %s replies with error %d \"%s\"", name, peer,
			       note->code, text);
	else
		report_verbose(common, "%s: %s grants%s", name, peer,
			       options[0] ? options : " no options");
}

/* Reports the wait for a server once, not for each file. */
static void print_wait(struct transfers *t, const struct transfer *file,
		       const struct sockeye__tftp_note *note)
{
	struct sockeye_fail fail = {.op = t->command->name, .err = note->code, .explained = true};
	uint64_t deadline_ns = t->o->deadline_ns ?: UINT64_MAX;
	uint64_t wait_ns = note->wait_ns < deadline_ns ? note->wait_ns : deadline_ns;
	uint64_t ms = wait_ns / SOCKEYE_NS_PER_MS;
	char text[768];

	if (t->waited && strcmp(t->waited->addr.host, file->addr.host) == 0)
		return;
	t->waited = file;
	snprintf(fail.address, sizeof fail.address, "%.*s", (int)sizeof fail.address - 1,
		 file->address);
	snprintf(fail.detail, sizeof fail.detail,
		 "trying for %" PRIu64 "%s; --no-wait gives up immediately",
		 ms < 1000 ? ms : (ms + 500) / 1000, ms < 1000 ? " ms" : " s");
	sockeye_fail_text(&fail, text, sizeof text);
	report_info(&t->o->common, "%s", text);
}

static void print_smaller(const struct transfers *t, const struct transfer *file,
			  const struct sockeye__tftp_note *note)
{
	char address[sizeof file->address];

	sockeye_escape(file->address, strlen(file->address), address, sizeof address);
	report_info(&t->o->common,
		    "%s %s: no block of %u bytes arrived; trying blocks of 512 bytes "
		    "(--blksize 512 starts with them)",
		    t->command->name, address, note->blksize);
}

void transfers_note(struct transfers *t, const struct transfer *file,
		    const struct sockeye__tftp_note *note)
{
	const struct cli_common *common = &t->o->common;
	bool put = t->way == SOCKEYE__TFTP_PUT;
	char name[NAME_SHOWN], there[NAME_SHOWN], peer[128], options[TFTP_OPTIONS_TEXT_MAX];

	if (!common->verbose && note->kind != SOCKEYE__TFTP_NOTE_WAIT &&
	    note->kind != SOCKEYE__TFTP_NOTE_SMALLER)
		return;
	progress_clear(&t->progress);
	name_text(file, name);
	sockeye_sockaddr_print(note->peer, peer, sizeof peer);
	switch (note->kind) {
	case SOCKEYE__TFTP_NOTE_ASK:
		sockeye_escape(file->addr.file, strlen(file->addr.file), there, sizeof there);
		report_verbose(common, "%s: %s \"%s\" %s%s to %s", name, put ? "WRQ" : "RRQ", there,
			       file->addr.netascii ? "netascii" : "octet",
			       tftp_options_text(note->options, options), peer);
		return;
	case SOCKEYE__TFTP_NOTE_NEXT:
		report_verbose(common, "%s: %s: %s", name, peer, sockeye_error_text(note->code));
		return;
	case SOCKEYE__TFTP_NOTE_WAIT:
		print_wait(t, file, note);
		return;
	case SOCKEYE__TFTP_NOTE_SMALLER:
		print_smaller(t, file, note);
		return;
	case SOCKEYE__TFTP_NOTE_ANSWER:
		print_answer(common, name, peer, note);
		return;
	case SOCKEYE__TFTP_NOTE_TIMEOUT:
		report_verbose(common, "%s: timeout after %" PRIu64 " bytes; retransmitting", name,
			       note->bytes);
		return;
	case SOCKEYE__TFTP_NOTE_GAP:
		report_verbose(common, "%s: block lost after %" PRIu64 " bytes; %s", name,
			       note->bytes, put ? "retransmitting" : "requesting it again");
		return;
	case SOCKEYE__TFTP_NOTE_STRANGER:
		report_verbose(common, "%s: %s is not the server; sent it error 5", name, peer);
		return;
	}
}

struct sockeye_fail transfers_fail(const struct sockeye__tftp_end *end)
{
	struct sockeye_fail fail = end->fail;
	size_t len = strlen(fail.detail);

	if (fail.err == -EINTR && stop_is_late()) {
		fail.err = -ETIMEDOUT;
		fail.explained = true;
		snprintf(fail.detail, sizeof fail.detail, "%s%s%s", STOP_DEADLINE_DETAIL,
			 end->waited_for < 0 ? "; the last error was: " : "",
			 end->waited_for < 0 ? sockeye_error_text(end->waited_for) : "");
		return fail;
	}
	if (end->other_source)
		snprintf(fail.detail + len, sizeof fail.detail - len,
			 "; --any-source accepts its reply");
	else if (end->over_limit)
		snprintf(fail.detail + len, sizeof fail.detail - len,
			 "the server sends more than --max-size");
	else if (fail.err == -EMSGSIZE)
		snprintf(fail.detail + len, sizeof fail.detail - len,
			 "; --blksize 512 makes them smaller");
	else if (end->waited_for < 0 && !end->answered)
		snprintf(fail.detail + len, sizeof fail.detail - len, "%s--wait TIME tries longer",
			 len > 0 ? "; " : "");
	return fail;
}

static void error_json(json_t *event, const struct sockeye__tftp_end *end,
		       const struct sockeye_fail *fail)
{
	json_object_set_new(event, "error", json_string(sockeye_error_name(fail->err)));
	json_object_set_new(event, "text", json_string(sockeye_error_text(fail->err)));
	if (fail->detail[0])
		json_object_set_new(event, "detail", report_string(fail->detail));
	if (end->trouble.err < 0 && end->trouble.err == fail->err)
		tftp_trouble_json(event, &end->trouble);
	else if (strcmp(fail->op, "get") != 0 && strcmp(fail->op, "put") != 0)
		json_object_set_new(event, "step", json_string(fail->op));
}

static void print_json(const struct transfers *t, const struct transfer *file,
		       const struct sockeye__tftp_end *end)
{
	struct sockeye_fail fail = transfers_fail(end);
	bool failed = fail.err < 0;
	struct tftp_facts facts = {
	    .netascii = file->addr.netascii,
	    .code = end->code,
	    .peer_text = {end->text, end->text_len},
	    .count = end->blksize ? &end->count : NULL, /* a request was sent */
	    .options = &end->options,
	    .blksize = end->blksize,
	    .window = end->window,
	    .bytes = end->bytes,
	    .ns = end->ns,
	};
	char peer[128];
	json_t *event = json_pack("{ss ss so so so si sb}", "event", failed ? "error" : "transfer",
				  "op", t->command->name, "address", report_string(file->address),
				  "file", file->path[0] ? report_string(file->path) : json_null(),
				  "error", json_null(), "exit", sockeye_error_exit(fail.err),
				  "without_options", end->without_options);

	if (event && failed)
		error_json(event, end, &fail);
	if (event && end->answered) {
		sockeye_sockaddr_print(&end->peer, peer, sizeof peer);
		json_object_set_new(event, "peer", report_string(peer));
	}
	if (event && end->lost_blksize > 0)
		json_object_set_new(event, "lost_blksize", json_integer(end->lost_blksize));
	if (event)
		tftp_json(event, &facts);
	report_json(event);
}

static void on_end(void *arg, const struct sockeye__tftp_end *end)
{
	struct transfers *t = arg;
	const struct transfer *file = &t->list[t->job_of[end->job]];
	struct sockeye_fail fail = transfers_fail(end);

	progress_clear(&t->progress);
	code_set(t, sockeye_error_exit(fail.err));
	print_counters(t, file, end);
	if (t->o->common.json)
		print_json(t, file, end);
	else if (end->fail.err == 0)
		print_done(t, file, end);
	else if (fail.err != -EINTR)
		report_fail(&t->o->common, &fail);
}

static void on_note(void *arg, const struct sockeye__tftp_note *note)
{
	struct transfers *t = arg;

	transfers_note(t, &t->list[t->job_of[note->job]], note);
}

static void on_status(void *arg, const struct sockeye__tftp_status *s)
{
	struct transfers *t = arg;
	const char *name = s->running ? name_of(&t->list[t->job_of[s->first]]) : "";
	char text[300];

	if (s->running == 0)
		return;
	if (t->job_count > 1)
		snprintf(text, sizeof text, "%zu/%zu %.200s", s->ended + 1, t->job_count, name);
	else
		snprintf(text, sizeof text, "%.250s", name);
	progress_draw(&t->progress, text, s->bytes, s->size, s->now_ns);
}

/* --- running --- */

/* A host that cannot be resolved does not stop the transfers from other hosts. */
void transfers_resolve(struct transfers *t)
{
	stop_catch(&t->o->common, t->command->name, t->list[0].address, NULL);
	stop_deadline(&t->o->common, t->command->name, t->list[0].address, t->o->deadline_ns);
	for (size_t i = 0; i < t->count; i++) {
		struct transfer *file = &t->list[i];
		struct sockeye__tftp_job *job = &t->jobs[t->job_count];
		struct sockeye_fail fail;

		*job = (struct sockeye__tftp_job){
		    .way = t->way,
		    .addr = &file->addr,
		    .address = file->address,
		    .path = file->path[0] ? file->path : NULL,
		    .fd = t->way == SOCKEYE__TFTP_PUT ? STDIN_FILENO : STDOUT_FILENO,
		};
		if (sockeye__tftp_job_resolve(job, t->job_count ? job - 1 : NULL, &fail) < 0)
			code_set(t, fail.err == SOCKEYE_E_HOST
					? cli_address_fail(&t->o->common, &fail)
					: report_fail(&t->o->common, &fail));
		else
			t->job_of[t->job_count++] = i;
	}
	t->client.stop_fd = stop_open();
}

int transfers_run(struct transfers *t)
{
	int err;

	transfers_resolve(t);
	progress_open(&t->progress, &t->o->common, sockeye_now().mono_ns);
	t->client.on_end = on_end;
	t->client.on_status = t->progress.shown ? on_status : NULL;
	t->client.on_note = on_note;
	t->client.arg = t;
	err = sockeye__tftp_client_run(&t->client, t->jobs, t->job_count);
	progress_clear(&t->progress);
	if (err == -EINTR)
		return stop_is_late() ? SOCKEYE_EXIT_TIMED_OUT : SOCKEYE_EXIT_INTERRUPTED;
	if (err < 0)
		return report_error(&t->o->common, t->command->name, NULL, err, NULL);
	return t->code;
}
