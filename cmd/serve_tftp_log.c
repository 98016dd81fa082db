/* serve_tftp_log.c: writes TFTP transfers as lines of text or JSON (serve_tftp_log.h). */
#include "serve_tftp_log.h"

#include "cli/report.h"
#include "tftp_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>
#include <sockeye/time.h>

#define REJECTED_PER_S_MAX 50 /* logged requests that led to no transfer */

static const char *result(const struct sockeye__tftp_report *r)
{
	return r->done ? "done" : r->probe ? "probe" : r->refused ? "refused" : "failed";
}

static void text_escaped(FILE *out, const void *data, size_t len)
{
	char shown[1024];

	sockeye_escape(data, len, shown, sizeof shown);
	fprintf(out, "%s", shown);
}

struct text {
	char text[256];
};

/* Returns why the transfer ended. If that was a limit, adds the option that changes it. */
static struct text text_of(const struct sockeye__tftp_report *r)
{
	static const char *const options[] = {
	    [SOCKEYE__TFTP_LIMIT_TRANSFERS] = "--max-transfers",
	    [SOCKEYE__TFTP_LIMIT_SOURCE] = "--max-per-source",
	    [SOCKEYE__TFTP_LIMIT_PORTS] = "--port-range",
	    [SOCKEYE__TFTP_LIMIT_RATE] = "--request-rate",
	    [SOCKEYE__TFTP_LIMIT_TOTAL] = "--upload-total",
	};
	struct text t;

	if (r->limit == SOCKEYE__TFTP_LIMIT_NONE)
		snprintf(t.text, sizeof t.text, "%s", r->text);
	else
		snprintf(t.text, sizeof t.text, "%s (%s)", r->text, options[r->limit]);
	return t;
}

static void text_transfer(FILE *out, const struct sockeye__tftp_report *r)
{
	struct text ending = text_of(r);
	char options[TFTP_OPTIONS_TEXT_MAX];

	fprintf(out, " %s ", r->upload ? "put" : "get");
	log_quoted(out, r->name, strlen(r->name));
	if (r->asked.len != strlen(r->name) ||
	    (r->asked.len > 0 && memcmp(r->asked.at, r->name, r->asked.len) != 0)) {
		fputs(" asked=", out);
		log_quoted(out, r->asked.at, r->asked.len);
	}
	if (!r->refused) {
		fprintf(out, " %s bytes=%" PRIu64 " seconds=%.3f bytes_per_s=%.0f%s",
			r->netascii ? "netascii" : "octet", r->bytes, (double)r->elapsed_ns / 1e9,
			tftp_bytes_per_s(r->bytes, r->elapsed_ns),
			tftp_options_text(&r->options, options));
		fprintf(out,
			" blocks=%" PRIu64 " resent=%" PRIu64 " wasted_bytes=%" PRIu64
			" timeouts=%" PRIu64,
			r->count.blocks, r->count.resent, tftp_wasted_bytes(&r->count, r->blksize),
			r->count.timeouts);
	}
	fprintf(out, " %s", result(r));
	if (r->code >= 0)
		fprintf(out, " code=%d", r->code);
	if (!r->done || strcmp(r->text, "done") != 0) {
		fputs(": ", out);
		text_escaped(out, ending.text, strlen(ending.text));
	}
	if (r->peer_text.len > 0) {
		fputs(": ", out);
		log_quoted(out, r->peer_text.at, r->peer_text.len);
	}
	/* An error code above 0 has a text that describes the error. */
	if (r->err != 0 && r->code <= 0 && strcasecmp(sockeye_error_text(r->err), r->text) != 0)
		fprintf(out, ": %s", sockeye_error_text(r->err));
	if (r->detail != NULL)
		fprintf(out, " (%s)", r->detail);
}

static void set_escaped(json_t *object, const char *key, const void *data, size_t len)
{
	char shown[1024];

	sockeye_escape(data, len, shown, sizeof shown);
	json_object_set_new(object, key, json_string(shown));
}

static void json_transfer(json_t *object, const struct sockeye__tftp_report *r)
{
	struct tftp_facts facts = {
	    .netascii = r->netascii,
	    .code = r->code,
	    .peer_text = r->peer_text,
	    .count = r->refused ? NULL : &r->count,
	    .options = &r->options,
	    .blksize = r->blksize,
	    .window = r->window,
	    .bytes = r->bytes,
	    .ns = r->elapsed_ns,
	};

	json_object_set_new(object, "op", json_string(r->upload ? "put" : "get"));
	set_escaped(object, "file", r->name, strlen(r->name));
	set_escaped(object, "asked", r->asked.at, r->asked.len);
	json_object_set_new(object, "result", json_string(result(r)));
	json_object_set_new(object, "text", json_string(text_of(r).text));
	if (r->err != 0)
		json_object_set_new(object, "error", json_string(sockeye_error_name(r->err)));
	if (r->detail != NULL)
		json_object_set_new(object, "detail", json_string(r->detail));
	if (r->trouble != NULL)
		tftp_trouble_json(object, r->trouble);
	tftp_json(object, &facts);
}

static void write_line(const struct log *log, const struct sockeye__tftp_report *r)
{
	struct log_line line;

	if (!log_line_open(&line, log, sockeye_now().real_ns, "transfer", "tftp", r->peer,
			   SOCKEYE_UDP))
		return;
	if (line.object != NULL)
		json_transfer(line.object, r);
	else
		text_transfer(line.out, r);
	log_line_close(&line);
}

static void write_suppressed(const struct log *log, uint64_t count)
{
	struct log_line line;

	if (!log_line_open(&line, log, sockeye_now().real_ns, "warning", "tftp", NULL, SOCKEYE_UDP))
		return;
	if (line.object != NULL)
		json_object_set_new(line.object, "not_logged", json_integer((json_int_t)count));
	else
		fprintf(line.out, ": %" PRIu64 " requests that led to no transfer were not logged",
			count);
	log_line_close(&line);
}

/* Whether another request that led to no transfer may be logged in this second. Static
 * variables suffice, because a worker has one thread. */
static bool within_bounds(const struct log *log)
{
	static uint64_t second_ns, lines, suppressed;
	uint64_t now = sockeye_now().mono_ns;

	if (now - second_ns >= SOCKEYE_NS_PER_S) {
		if (suppressed > 0)
			write_suppressed(log, suppressed);
		second_ns = now;
		lines = suppressed = 0;
	}
	if (lines < REJECTED_PER_S_MAX) {
		lines++;
		return true;
	}
	suppressed++;
	return false;
}

void log_transfer(void *arg, const struct sockeye__tftp_report *r)
{
	const struct log *log = arg;

	if (log->quiet && (r->done || r->probe || !r->confirmed))
		return;
	if (log->verbose || (r->confirmed && !r->refused) || within_bounds(log))
		write_line(log, r);
}
