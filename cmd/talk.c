/* talk.c: one session of connect or listen (talk.h). */
#include "talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sockeye/stream.h>
#include <sockeye/time.h>

#include "cli/report.h"
#include "cli/stop.h"
#include "console/progress_line.h"
#include "talk_show.h"

#define WAIT_DEFAULT_NS SOCKEYE_NS_PER_S /* for replies to datagrams */
#define BUFFER_DEFAULT  (64 * 1024)

/* --- streams --- */

/* Returns the messages of -m joined into lines, or NULL if there are none or memory is
 * short. The caller frees the text; *out_len is 0 only if there are no messages. */
static char *messages_join(const struct cli_list *messages, size_t *out_len)
{
	size_t len = 0;
	char *text, *at;

	for (size_t i = 0; i < messages->count; i++)
		len += strlen(messages->v[i]) + 1;
	*out_len = len;
	text = len ? malloc(len) : NULL;
	at = text;
	for (size_t i = 0; text && i < messages->count; i++) {
		at = stpcpy(at, messages->v[i]); /* the LF replaces its NUL */
		*at++ = '\n';
	}
	return text;
}

/* How the session ended, and how much data was transferred. */
struct totals {
	enum sockeye__talk_end end;
	int err;
	const char *op;                    /* the call that failed with err */
	int code;                          /* the exit code unless `end` is an error */
	bool messages;                     /* `sent` and `received` count messages */
	bool input_ended, peer_ended_last; /* of a stream */
	uint64_t sent, received, sent_bytes, received_bytes;
	double seconds;
};

static void totals_report(const struct talk *talk, const struct totals *t, int code)
{
	const struct cli_common *common = &talk->o->common;
	double per_s = t->seconds > 0 ? 1 / t->seconds : 0;
	char in[SOCKEYE__QUANTITY_MAX], out[SOCKEYE__QUANTITY_MAX];
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
	} else if (talk->o->stats && t->messages) {
		fprintf(stderr,
			"sockeye: sent %llu messages (%llu bytes), received %llu (%llu bytes) "
			"in %.3f s\n",
			(unsigned long long)t->sent, (unsigned long long)t->sent_bytes,
			(unsigned long long)t->received, (unsigned long long)t->received_bytes,
			t->seconds);
	} else if (talk->o->stats) {
		fprintf(stderr,
			"sockeye: sent %llu bytes (%s), received %llu bytes (%s) in %.3f s\n",
			(unsigned long long)t->sent_bytes,
			sockeye__rate_print((double)t->sent_bytes * per_s, out),
			(unsigned long long)t->received_bytes,
			sockeye__rate_print((double)t->received_bytes * per_s, in), t->seconds);
	}
}

#define REQUEST_MAX (16 << 10) /* more bytes than this are a file, not a request */

/* Whether the server may have ended the connection because of our half-close. */
static bool is_dropped(const struct talk *talk, const struct totals *t)
{
	return talk->connects && talk->kind == TALK_STREAM && t->input_ended &&
	       !talk->o->no_shutdown && !talk->o->send_only &&
	       (t->err == -ECONNRESET || t->err == -EPIPE ||
		(t->end == SOCKEYE__TALK_DONE && t->peer_ended_last && t->received_bytes == 0 &&
		 t->sent_bytes > 0 && t->sent_bytes <= REQUEST_MAX));
}

static const char *socket_hint(const struct talk *talk, const struct totals *t)
{
	if (t->err == -EACCES && talk->kind == TALK_DATAGRAMS)
		return "to broadcast, add ?broadcast to the address";
	if (is_dropped(talk, t))
		return "the peer closed the connection before it had read all input; if it expects "
		       "none, use --recv-only; if the end of the input was the cause, use "
		       "--no-shutdown";
	return NULL;
}

/* Reports why the session ended if that was an error. Returns the exit code. */
static int end_report(const struct talk *talk, const struct totals *t)
{
	const struct cli_common *common = &talk->o->common;

	switch (t->end) {
	case SOCKEYE__TALK_STOPPED:
		return stop_report(common, "wait for", talk->address);
	case SOCKEYE__TALK_IDLE:
		return report_error(common, "wait for", talk->address, t->err,
				    "no data was transferred within --timeout");
	case SOCKEYE__TALK_SOCKET:
		return report_error(common, t->op, talk->address, t->err, socket_hint(talk, t));
	case SOCKEYE__TALK_INPUT:
		return report_error(common, "read", "standard input", t->err,
				    t->err == -EMSGSIZE ? "a message would be longer than 256Ki"
							: NULL);
	case SOCKEYE__TALK_OUTPUT:
		return report_error(common, "write", "standard output", t->err, NULL);
	case SOCKEYE__TALK_READER:
		report_verbose(common, "the reader of standard output closed it");
		break;
	case SOCKEYE__TALK_WAITED:
		if (!talk->o->send_only)
			report_verbose(common, "the time of --wait-after-eof has passed");
		break;
	case SOCKEYE__TALK_DONE:
		if (is_dropped(talk, t))
			report_info(common,
				    "%s: closed without a reply when the input had ended; if a "
				    "reply is due, try --no-shutdown",
				    talk->address);
		break;
	case SOCKEYE__TALK_COUNT:
		break;
	}
	return SOCKEYE_EXIT_DONE;
}

/* Sets up the filter for --crlf. Returns NULL without that option. */
static const struct sockeye__filter *crlf_filter(const struct talk_opts *o,
						 struct sockeye__filter_crlf *state,
						 struct sockeye__filter *filter)
{
	*state = (struct sockeye__filter_crlf){0};
	*filter = (struct sockeye__filter){SOCKEYE__FILTER_CRLF_FACTOR, sockeye__filter_crlf_encode,
					   NULL, state};
	return o->crlf ? filter : NULL;
}

static int run_stream(struct talk *talk, int fd, struct talk_show *show, struct totals *t)
{
	const struct talk_opts *o = talk->o;
	struct sockeye__stream_result r;
	struct sockeye__filter filter;
	struct sockeye__filter_crlf crlf;
	size_t first_len;
	char *first = messages_join(&o->messages, &first_len);
	const struct sockeye__stream_opts pump = {
	    .in_fd = o->messages.count ? -1 : talk->in_fd,
	    .out_fd = o->send_only ? -1 : STDOUT_FILENO,
	    .first = (const uint8_t *)first,
	    .first_len = first ? first_len : 0,
	    .urgent = o->urgent,
	    .no_shutdown = o->no_shutdown || o->recv_only,
	    .keep_in = talk->more_follow,
	    .keep_out = talk->more_follow || o->common.json,
	    .out_lines = o->common.json,
	    .until_peer_ends = talk->more_follow && !o->keep_open,
	    .until_peer_leaves = !o->keep_open,
	    .wait_limited = o->send_only || o->wait_ns != TALK_WAIT_NOT_GIVEN,
	    .wait_ns = o->send_only ? 0 : o->wait_ns,
	    .idle_ns = o->idle_ns,
	    .lines_max = talk->count_max,
	    .peek_max = o->peek,
	    .stop_fd = talk->stop_fd,
	    .to_peer = crlf_filter(o, &crlf, &filter),
	    .to_out = talk_show_filter(show),
	    .on_moved = talk_show_dump,
	    .on_note = talk_show_note,
	    .arg = show,
	};
	int err = first || first_len == 0 ? sockeye__stream_run(fd, &pump, &r) : -ENOMEM;

	free(first);
	if (err < 0)
		return err;
	talk->input_ended = t->input_ended = r.input_ended;
	t->peer_ended_last = r.peer_ended_last;
	t->end = r.end;
	t->err = r.err;
	t->op = r.op;
	t->sent_bytes = r.sent;
	t->received_bytes = r.received;
	return 0;
}

/* --- messages --- */

/* Returns the exit code of a finished exchange of datagrams: the peer replied, refused, did
 * not reply, or the network reported another error. An undelivered datagram determines
 * the code even if the peer replied to others. */
static int datagrams_code(const struct talk *talk, const struct sockeye__messages_result *r)
{
	bool waited = talk->o->wait_ns > 0 && !talk->o->send_only;

	if (r->end != SOCKEYE__TALK_DONE || talk->kind != TALK_DATAGRAMS)
		return SOCKEYE_EXIT_DONE;
	if (r->errors > 0)
		return sockeye_error_exit(r->first_error);
	if (r->sent == 0 || r->received > 0 || !waited)
		return SOCKEYE_EXIT_DONE;
	return report_error(&talk->o->common, "wait for", talk->address, -ETIMEDOUT,
			    talk->unconnected || strncmp(talk->address, "unix", 4) == 0
				? "no reply"
				: "no reply; --unconnected accepts replies from other ports");
}

static int run_messages(struct talk *talk, const int *fds, size_t count, struct talk_show *show,
			struct totals *t)
{
	const struct talk_opts *o = talk->o;
	bool wait_given = o->wait_ns != TALK_WAIT_NOT_GIVEN;
	struct sockeye__messages_result r;
	struct sockeye__filter filter;
	struct sockeye__filter_crlf crlf;
	struct sockeye__messages_opts opts = {
	    .in_fd = talk->in_fd,
	    .out_fd = o->send_only ? -1 : STDOUT_FILENO,
	    .words = o->messages.v,
	    .word_count = o->messages.count,
	    .to_peer = crlf_filter(o, &crlf, &filter),
	    .out_lines = o->common.json,
	    .records = talk->kind == TALK_RECORDS,
	    .no_shutdown = o->no_shutdown || o->recv_only,
	    .until_peer_ends = talk->more_follow && !o->keep_open,
	    .until_peer_leaves = !o->keep_open,
	    .until_sent = o->send_only,
	    .receive_only = o->recv_only,
	    .unconnected = talk->unconnected,
	    .listening = talk->listening,
	    .also = talk->also,
	    .also_count = talk->also_count,
	    .switches = talk->switches,
	    .switch_count = talk->switch_count,
	    .wait_ns = wait_given ? o->wait_ns : WAIT_DEFAULT_NS,
	    .wait_all = wait_given,
	    .idle_ns = o->idle_ns,
	    .count_max = talk->count_max,
	    .bytes_max = o->buffer ? o->buffer : BUFFER_DEFAULT,
	    .peek_max = o->peek,
	    .stop_fd = talk->stop_fd,
	    .on_message = talk_show_message,
	    .on_note = talk_show_note,
	    .on_sent = talk_show_sent,
	    .on_error = talk_show_error,
	    .on_switch = talk_show_switch,
	    .arg = show,
	};
	int err;

	talk_per_parse(o->per, &opts.per, &opts.per_size);
	show->records = opts.records;
	show->senders = talk->unconnected || talk->listening;
	err = sockeye__messages_run(fds, count, &opts, &r);
	if (err < 0)
		return err;
	if (r.peer.len > 0) {
		sockeye_sockaddr_print_url(&r.peer, talk_show_scheme(&r.peer), talk->address_buf,
					   sizeof talk->address_buf);
		talk->address = talk->address_buf;
	}
	*t = (struct totals){
	    .end = r.end,
	    .err = r.err,
	    .op = r.op,
	    .code = datagrams_code(talk, &r),
	    .messages = true,
	    .sent = r.sent,
	    .received = r.received,
	    .sent_bytes = r.sent_bytes,
	    .received_bytes = r.received_bytes,
	};
	return 0;
}

int talk_run(struct talk *talk, const int *fds, size_t count)
{
	uint64_t start_ns = sockeye_now().mono_ns;
	struct totals t = {0};
	struct talk_show show;
	int code, err;

	if (talk->o->recv_only)
		talk->in_fd = -1;
	talk_show_init(&show, talk->o, talk->address);
	show.input_tty = talk->in_fd >= 0 && talk->o->messages.count == 0 && isatty(talk->in_fd);
	if (talk->kind == TALK_STREAM)
		err = run_stream(talk, fds[0], &show, &t);
	else
		err = run_messages(talk, fds, count, &show, &t);
	if (err < 0)
		return report_error(&talk->o->common, "begin", talk->address, err, NULL);
	if (talk->kind != TALK_DATAGRAMS && !talk->o->linger0 &&
	    (t.end == SOCKEYE__TALK_READER || t.end == SOCKEYE__TALK_COUNT ||
	     (talk->o->send_only && t.err == 0 && t.end != SOCKEYE__TALK_STOPPED)))
		sockeye__talk_linger(fds[0]);
	talk->reader_left = t.end == SOCKEYE__TALK_READER;
	t.seconds = (double)(sockeye_now().mono_ns - start_ns) / 1e9;
	code = end_report(talk, &t);
	if (code == SOCKEYE_EXIT_DONE)
		code = t.code;
	totals_report(talk, &t, code);
	return code;
}

void talk_close(const struct talk_opts *o, int fd)
{
	if (o->linger0)
		sockeye_reset(fd);
	else
		close(fd);
}

void talk_report_names(const struct talk_opts *o, const char *event, int fd)
{
	struct sockeye_sockaddr name;
	char local[512] = "unnamed", peer[512] = "unnamed";

	if (sockeye_local_name(fd, &name) == 0)
		sockeye_sockaddr_print(&name, local, sizeof local);
	if (sockeye_peer_name(fd, &name) == 0)
		sockeye_sockaddr_print(&name, peer, sizeof peer);
	report_verbose(&o->common, "%s: local %s, peer %s", event, local, peer);
	if (o->common.json)
		report_json(json_pack("{ss so so}", "event", event, "local", report_string(local),
				      "peer", report_string(peer)));
}
