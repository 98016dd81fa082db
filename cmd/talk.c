/* messages.c: one session of connect or listen (messages.h). */
#include "talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sockeye/stream.h>
#include <sockeye/text.h>
#include <sockeye/time.h>

#include "cli/report.h"
#include "talk_show.h"

#define WAIT_DEFAULT_NS SOCKEYE_NS_PER_S /* for answers to datagrams */
#define BUFFER_DEFAULT  (64 * 1024)
#define FIELD(field)    offsetof(struct session_opts, field)

const struct cli_option session_options[] = {
    {.help = "What is sent:"},
    {"message", 'm', "TEXT", CLI_LIST, FIELD(messages),
     "send TEXT instead of standard input (repeatable); on a stream as a line"},
    {"per", 0, "WHAT", CLI_TEXT, FIELD(per),
     "what of the input becomes one message: line (default), read, all, or a size"},
    {"crlf", 'C', NULL, CLI_FLAG, FIELD(crlf), "send LF as CRLF"},
    {"oob", 0, "TEXT", CLI_TEXT, FIELD(urgent), "send TEXT first, its last byte as urgent data"},
    {"no-shutdown", 0, NULL, CLI_FLAG, FIELD(no_shutdown),
     "do not tell the peer that the input has ended"},
    {.help = "What is shown:"},
    {"hex", 'x', NULL, CLI_FLAG, FIELD(hex),
     "dump both directions, with the time, on standard error"},
    {"raw", 0, NULL, CLI_FLAG, FIELD(raw), "let control sequences through to a terminal"},
    {"peek", 0, "N", CLI_UINT, FIELD(peek),
     "look at up to N of the first bytes, and leave them in the queue", .min = 1,
     .max = SOCKEYE__PEEK_MAX},
    {"buffer", 0, "SIZE", CLI_SIZE, FIELD(buffer),
     "bytes taken of one message (64Ki); of more the true length is told", .min = 1,
     .max = SOCKEYE__MESSAGE_MAX},
    {"stats", 0, NULL, CLI_FLAG, FIELD(stats),
     "bytes, time and rates at the end, on standard error"},
    {.help = "When it ends:"},
    {"timeout", 't', "TIME", CLI_TIME, FIELD(idle_ns), "give up when nothing moves for so long",
     .min = 1000000},
    {"wait-after-eof", 'w', "TIME", CLI_TIME, FIELD(wait_ns),
     "after the input, wait so long: in all on a stream (no limit), of silence on datagrams "
     "(1s; 0: not at all)"},
    {"linger0", 0, NULL, CLI_FLAG, FIELD(linger0), "close with a reset"},
    {.help = "Addresses:"},
    {"ipv4", '4', NULL, CLI_FLAG, FIELD(ipv4), "IPv4 only"},
    {"ipv6", '6', NULL, CLI_FLAG, FIELD(ipv6), "IPv6 only"},
    {NULL},
};

enum session_kind session_kind_of(const struct sockeye_addr *addr)
{
	socklen_t len = sizeof(int);
	int type = SOCK_STREAM;

	if (addr->scheme == SOCKEYE_UNIX_SEQPACKET)
		return SESSION_RECORDS;
	if (addr->scheme != SOCKEYE_FD)
		return sockeye_scheme_is_stream(addr->scheme) ? SESSION_STREAM : SESSION_DATAGRAMS;
	getsockopt(addr->fd, SOL_SOCKET, SO_TYPE, &type, &len);
	return type == SOCK_SEQPACKET ? SESSION_RECORDS
	       : type == SOCK_DGRAM   ? SESSION_DATAGRAMS
				      : SESSION_STREAM;
}

/* Reads --per. 0 or -EINVAL. */
static int per_read(const char *text, enum sockeye__per *out_per, size_t *out_size)
{
	static const char *const words[] = {
	    [SOCKEYE__PER_LINE] = "line",
	    [SOCKEYE__PER_READ] = "read",
	    [SOCKEYE__PER_ALL] = "all",
	};
	uint64_t size;

	*out_per = SOCKEYE__PER_LINE;
	*out_size = 0;
	for (size_t i = 0; text && i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*out_per = (enum sockeye__per)i;
			return 0;
		}
	}
	if (!text)
		return 0;
	if (sockeye_size_parse(text, &size) < 0 || size == 0 || size > SOCKEYE__MESSAGE_MAX)
		return -EINVAL;
	*out_per = SOCKEYE__PER_SIZE;
	*out_size = (size_t)size;
	return 0;
}

static const char *family_apply(const struct session_opts *o, struct sockeye_addr *addr)
{
	int family = o->ipv4 ? 4 : 6;

	if (!o->ipv4 && !o->ipv6)
		return NULL;
	if (o->ipv4 && o->ipv6)
		return "-4 and -6 leave no address";
	if (sockeye_scheme_is_unix(addr->scheme) || addr->scheme == SOCKEYE_FD)
		return "-4 and -6 are for Internet addresses";
	if (addr->family && addr->family != family)
		return "the address is of the other family";
	addr->family = family;
	return NULL;
}

/* What would be ignored is refused; NULL when it all makes sense. */
static const char *contradiction(const struct session_opts *o, const struct sockeye_addr *addr)
{
	enum session_kind kind = session_kind_of(addr);

	if (kind == SESSION_STREAM && o->per)
		return "--per is for messages: a stream has no boundaries";
	if (kind == SESSION_STREAM && o->buffer)
		return "--buffer is for messages: a stream has no boundaries";
	if (o->per && o->messages.count)
		return "--per cuts the input, and -m stands in its place";
	if (kind != SESSION_STREAM && o->urgent)
		return "--oob is for streams: messages have no urgent data";
	if (o->urgent && !*o->urgent)
		return "--oob needs at least one byte";
	if (kind == SESSION_DATAGRAMS && o->no_shutdown)
		return "--no-shutdown is for connections: datagrams have no end";
	if (o->linger0 && (kind == SESSION_DATAGRAMS || sockeye_scheme_is_unix(addr->scheme)))
		return "--linger0 is for connections of the Internet";
	if (o->raw && o->common.json)
		return "--raw is for a terminal, not for --json";
	return NULL;
}

int session_check(const struct session_opts *o, const struct cli_command *command,
		  struct sockeye_addr *addr)
{
	const char *wrong = family_apply(o, addr);
	enum sockeye__per per;
	size_t size;

	if (!wrong && per_read(o->per, &per, &size) < 0)
		wrong = "--per takes line, read, all, or a size of at most 256Ki";
	if (!wrong)
		wrong = contradiction(o, addr);
	return wrong ? cli_usage(&o->common, command, "%s", wrong) : CLI_GO;
}

/* --- streams --- */

/* The messages as lines; NULL when there are none, or no memory. */
static char *lines_of(const struct cli_list *messages, size_t *out_len)
{
	size_t len = 0;
	char *text, *at;

	for (size_t i = 0; i < messages->count; i++)
		len += strlen(messages->v[i]) + 1;
	*out_len = len;
	text = len ? malloc(len) : NULL;
	at = text;
	for (size_t i = 0; text && i < messages->count; i++) {
		at = stpcpy(at, messages->v[i]); /* overwrites no more than the LF's place */
		*at++ = '\n';
	}
	return text;
}

/* What both directions came to, for the end. */
struct totals {
	enum sockeye__talk_end end;
	int err;
	const char *op;
	int code; /* of a conversation that came to its end */
	bool messages;
	uint64_t sent, received, sent_bytes, received_bytes;
	double seconds;
};

static void totals_tell(const struct session *s, const struct totals *t, int code)
{
	const struct cli_common *common = &s->o->common;
	double per_s = t->seconds > 0 ? 1 / t->seconds : 0;
	json_t *event;

	if (common->json) {
		event =
		    json_pack("{ss sI sI sf si}", "event", "end", "sent_bytes",
			      (json_int_t)t->sent_bytes, "received_bytes",
			      (json_int_t)t->received_bytes, "seconds", t->seconds, "exit", code);
		if (event && t->messages) {
			json_object_set_new(event, "sent", json_integer((json_int_t)t->sent));
			json_object_set_new(event, "received",
					    json_integer((json_int_t)t->received));
		}
		report_json(event);
	} else if (s->o->stats && t->messages) {
		fprintf(stderr,
			"sockeye: sent %llu messages (%llu bytes), received %llu (%llu bytes) "
			"in %.3f s\n",
			(unsigned long long)t->sent, (unsigned long long)t->sent_bytes,
			(unsigned long long)t->received, (unsigned long long)t->received_bytes,
			t->seconds);
	} else if (s->o->stats) {
		fprintf(stderr,
			"sockeye: sent %llu bytes (%.3f MB/s), received %llu bytes (%.3f MB/s) "
			"in %.3f s\n",
			(unsigned long long)t->sent_bytes, (double)t->sent_bytes * per_s / 1e6,
			(unsigned long long)t->received_bytes,
			(double)t->received_bytes * per_s / 1e6, t->seconds);
	}
}

/* Says why it ended, when that is an error, and returns the exit code. */
static int ended(const struct session *s, const struct totals *t)
{
	const struct cli_common *common = &s->o->common;

	switch (t->end) {
	case SOCKEYE__TALK_STOPPED:
		return SOCKEYE_EXIT_INTERRUPTED;
	case SOCKEYE__TALK_IDLE:
		return report_error(common, "wait for", s->address, t->err,
				    "nothing moved for the time of --timeout");
	case SOCKEYE__TALK_SOCKET:
		return report_error(common, t->op, s->address, t->err,
				    t->err == -EACCES && s->kind == SESSION_DATAGRAMS
					? "to broadcast, add ?broadcast to the address"
					: NULL);
	case SOCKEYE__TALK_INPUT:
		return report_error(common, "read", "standard input", t->err,
				    t->err == -EMSGSIZE ? "more than 256Ki would be one message"
							: NULL);
	case SOCKEYE__TALK_OUTPUT:
		return report_error(common, "write", "standard output", t->err, NULL);
	case SOCKEYE__TALK_READER:
		report_verbose(common, "nobody reads standard output any more");
		break;
	case SOCKEYE__TALK_WAITED:
		report_verbose(common, "the time of --wait-after-eof is over");
		break;
	case SOCKEYE__TALK_COUNT:
	case SOCKEYE__TALK_DONE:
		break;
	}
	return SOCKEYE_EXIT_DONE;
}

static const struct sockeye__filter *crlf_filter(const struct session_opts *o,
						 struct sockeye__crlf *state,
						 struct sockeye__filter *filter)
{
	*state = (struct sockeye__crlf){0};
	*filter = (struct sockeye__filter){SOCKEYE__CRLF_FACTOR, sockeye__crlf_encode, NULL, state};
	return o->crlf ? filter : NULL;
}

static int run_stream(struct session *s, int fd, struct show *show, struct totals *t)
{
	const struct session_opts *o = s->o;
	struct sockeye__pump_result r;
	struct sockeye__filter filter;
	struct sockeye__crlf crlf;
	size_t first_len;
	char *first = lines_of(&o->messages, &first_len);
	const struct sockeye__pump_opts pump = {
	    .in_fd = o->messages.count ? -1 : s->in_fd,
	    .out_fd = STDOUT_FILENO,
	    .first = (const uint8_t *)first,
	    .first_len = first ? first_len : 0,
	    .urgent = o->urgent,
	    .no_shutdown = o->no_shutdown,
	    .keep_in = s->more_follow,
	    .keep_out = s->more_follow || o->common.json,
	    .out_lines = o->common.json,
	    .until_peer_ends = s->more_follow,
	    .wait_limited = o->wait_ns != SESSION_WAIT_NOT_GIVEN,
	    .wait_ns = o->wait_ns,
	    .idle_ns = o->idle_ns,
	    .lines_max = s->count_max,
	    .peek_max = o->peek,
	    .stop_fd = s->stop_fd,
	    .to_peer = crlf_filter(o, &crlf, &filter),
	    .to_out = show_filter(show),
	    .on_moved = show_moved,
	    .on_note = show_note,
	    .arg = show,
	};
	int err = first || first_len == 0 ? sockeye__pump(fd, &pump, &r) : -ENOMEM;

	free(first);
	if (err < 0)
		return err;
	s->input_ended = r.input_ended;
	t->end = r.end;
	t->err = r.err;
	t->op = r.op;
	t->sent_bytes = r.sent;
	t->received_bytes = r.received;
	return 0;
}

/* --- messages --- */

/* The exit code of a conversation that came to its end: one of four answers to
 * "is anybody there": yes, refused, silent, another error. What was not
 * delivered was said to be an error, and is one though others were answered. */
static int conversation_code(const struct session *s, const struct sockeye__talk_result *r)
{
	bool waited = s->o->wait_ns > 0;

	if (r->end != SOCKEYE__TALK_DONE || s->kind != SESSION_DATAGRAMS)
		return SOCKEYE_EXIT_DONE;
	if (r->errors > 0)
		return sockeye_error_exit(r->first_error);
	if (r->sent == 0 || r->received > 0 || !waited)
		return SOCKEYE_EXIT_DONE;
	return report_error(&s->o->common, "wait for", s->address, -ETIMEDOUT,
			    s->unconnected || strncmp(s->address, "unix", 4) == 0
				? "no answer"
				: "no answer; one from another port needs --unconnected");
}

static int run_messages(struct session *s, const int *fds, size_t count, struct show *show,
			struct totals *t)
{
	const struct session_opts *o = s->o;
	bool wait_given = o->wait_ns != SESSION_WAIT_NOT_GIVEN;
	struct sockeye__talk_result r;
	struct sockeye__filter filter;
	struct sockeye__crlf crlf;
	struct sockeye__talk_opts talk = {
	    .in_fd = s->in_fd,
	    .out_fd = STDOUT_FILENO,
	    .words = o->messages.v,
	    .word_count = o->messages.count,
	    .to_peer = crlf_filter(o, &crlf, &filter),
	    .out_lines = o->common.json,
	    .records = s->kind == SESSION_RECORDS,
	    .no_shutdown = o->no_shutdown,
	    .until_peer_ends = s->more_follow,
	    .unconnected = s->unconnected,
	    .listening = s->listening,
	    .switches = s->switches,
	    .switch_count = s->switch_count,
	    .wait_ns = wait_given ? o->wait_ns : WAIT_DEFAULT_NS,
	    .wait_all = wait_given,
	    .idle_ns = o->idle_ns,
	    .count_max = s->count_max,
	    .bytes_max = o->buffer ? o->buffer : BUFFER_DEFAULT,
	    .peek_max = o->peek,
	    .stop_fd = s->stop_fd,
	    .on_message = show_message,
	    .on_note = show_note,
	    .on_sent = show_sent,
	    .on_error = show_error,
	    .on_switch = show_switch,
	    .arg = show,
	};
	int err;

	per_read(o->per, &talk.per, &talk.per_size);
	show->records = talk.records;
	show->senders = s->unconnected || s->listening;
	err = sockeye__talk(fds, count, &talk, &r);
	if (err < 0)
		return err;
	if (r.peer.len > 0) {
		sockeye_sockaddr_print_url(&r.peer, show_scheme(&r.peer), s->switched,
					   sizeof(s->switched));
		s->address = s->switched;
	}
	*t = (struct totals){
	    .end = r.end,
	    .err = r.err,
	    .op = r.op,
	    .code = conversation_code(s, &r),
	    .messages = true,
	    .sent = r.sent,
	    .received = r.received,
	    .sent_bytes = r.sent_bytes,
	    .received_bytes = r.received_bytes,
	};
	return 0;
}

int session_run(struct session *s, const int *fds, size_t count)
{
	uint64_t begun_ns = sockeye_now().mono_ns;
	struct totals t = {0};
	struct show show;
	int code, err;

	show_init(&show, s->o, s->address);
	show.input_tty = s->in_fd >= 0 && s->o->messages.count == 0 && isatty(s->in_fd);
	if (s->kind == SESSION_STREAM)
		err = run_stream(s, fds[0], &show, &t);
	else
		err = run_messages(s, fds, count, &show, &t);
	if (err < 0)
		return report_error(&s->o->common, "begin", s->address, err, NULL);
	if (s->kind != SESSION_DATAGRAMS && !s->o->linger0 &&
	    (t.end == SOCKEYE__TALK_READER || t.end == SOCKEYE__TALK_COUNT))
		sockeye__linger(fds[0]);
	s->reader_left = t.end == SOCKEYE__TALK_READER;
	t.seconds = (double)(sockeye_now().mono_ns - begun_ns) / 1e9;
	code = ended(s, &t);
	if (code == SOCKEYE_EXIT_DONE)
		code = t.code;
	totals_tell(s, &t, code);
	return code;
}

void session_close(const struct session_opts *o, int fd)
{
	if (o->linger0)
		sockeye_reset(fd);
	else
		close(fd);
}

void session_tell_names(const struct session_opts *o, const char *event, int fd)
{
	struct sockeye_sockaddr name;
	char local[512] = "unnamed", peer[512] = "unnamed";

	if (sockeye_local_name(fd, &name) == 0)
		sockeye_sockaddr_print(&name, local, sizeof(local));
	if (sockeye_peer_name(fd, &name) == 0)
		sockeye_sockaddr_print(&name, peer, sizeof(peer));
	report_verbose(&o->common, "%s: local %s, peer %s", event, local, peer);
	if (o->common.json)
		report_json(json_pack("{ss so so}", "event", event, "local", report_string(local),
				      "peer", report_string(peer)));
}
