/* serve_log.c: writes events as lines of text or JSON (serve_log.h). */
#include "serve_log.h"

#include "cli/report.h"
#include "serve_log_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sockeye/text.h>

static const char *const kinds[] = {
    [SOCKEYE_EVENT_OPEN] = "open",       [SOCKEYE_EVENT_CLOSE] = "close",
    [SOCKEYE_EVENT_MESSAGE] = "message", [SOCKEYE_EVENT_REFUSE] = "refuse",
    [SOCKEYE_EVENT_WARNING] = "warning", [SOCKEYE_EVENT_COUNTERS] = "counters",
    [SOCKEYE_EVENT_NOTICE] = "notice",
};

static void stamp(int64_t real_ns, char buf[32])
{
	time_t seconds = (time_t)(real_ns / 1000000000);
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(buf, 24, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, 32 - len, ".%03dZ", (int)(real_ns % 1000000000 / 1000000));
}

/* Adds the address of an Internet peer without port, scheme and brackets, and its port. */
static void json_client(json_t *object, const struct sockeye_sockaddr *peer)
{
	char name[128], *host = name, *colon;

	sockeye_sockaddr_print(peer, name, sizeof name);
	colon = strrchr(name, ':');
	if (colon == NULL)
		return;
	*colon = '\0';
	if (*host == '[') {
		host++;
		colon[-1] = '\0';
	}
	json_object_set_new(object, "client", json_string(host));
	json_object_set_new(object, "client_port", json_integer(sockeye_sockaddr_port(peer)));
}

bool log_line_open(struct log_line *line, const struct log *log, int64_t real_ns, const char *kind,
		   const char *service, const struct sockeye_sockaddr *peer,
		   enum sockeye_scheme scheme)
{
	char when[32], address[256] = "";

	stamp(real_ns, when);
	if (peer != NULL)
		sockeye_sockaddr_print_url(peer, scheme, address, sizeof address);
	*line = (struct log_line){0};
	line->out = open_memstream(&line->text, &line->len);
	if (line->out == NULL)
		return false;
	if (!log->json) {
		fprintf(line->out, "%s %s", when, kind);
		if (service != NULL)
			fprintf(line->out, " %s", service);
		if (address[0] != '\0')
			fprintf(line->out, " %s", address);
		return true;
	}
	line->object = json_object();
	json_object_set_new(line->object, "time", json_string(when));
	json_object_set_new(line->object, "event", json_string(kind));
	if (service != NULL)
		json_object_set_new(line->object, "service", json_string(service));
	if (address[0] != '\0')
		json_object_set_new(line->object, "peer", report_string(address));
	if (peer != NULL && sockeye_sockaddr_port(peer) != 0)
		json_client(line->object, peer);
	return true;
}

/* Ends a line. Returns false, and does not write it, if it is longer than `max`. */
static bool line_close(struct log_line *line, size_t max)
{
	bool fits = true;

	if (line->object != NULL)
		json_dumpf(line->object, line->out, REPORT_JSON_FORM);
	fputc('\n', line->out);
	if (fclose(line->out) == 0) {
		fits = line->len <= max;
		if (fits)
			log_output_write(line->text, line->len, line->object != NULL);
	}
	json_decref(line->object);
	free(line->text);
	return fits;
}

void log_line_close(struct log_line *line)
{
	(void)line_close(line, SIZE_MAX);
}

void log_quoted(FILE *out, const void *data, size_t len)
{
	size_t shown_len = sockeye_escape(data, len, NULL, 0);
	char *shown = malloc(shown_len + 1);

	if (shown == NULL)
		return;
	sockeye_escape(data, len, shown, shown_len + 1);
	fputc('"', out);
	for (const char *p = shown; *p != '\0'; p++) {
		if (*p == '"')
			fputc('\\', out);
		fputc(*p, out);
	}
	fputc('"', out);
	free(shown);
}

static void text_message(FILE *out, const struct sockeye_event *e)
{
	fputc(' ', out);
	log_quoted(out, e->data, e->data_len);
}

static void text_counters(FILE *out, const struct sockeye_event *e)
{
	for (size_t i = 0; i < e->counter_count; i++)
		fprintf(out, " %s=%" PRIu64, e->counters[i].name, e->counters[i].value);
}

static void text_event(FILE *out, const struct sockeye_event *e)
{
	if (e->pid != 0)
		fprintf(out, " pid=%d", e->pid);
	if (e->thread != e->pid)
		fprintf(out, " thread=%d", e->thread);
	if (e->kind == SOCKEYE_EVENT_MESSAGE)
		text_message(out, e);
	if (e->kind == SOCKEYE_EVENT_CLOSE)
		fprintf(out, " in=%" PRIu64 " out=%" PRIu64, e->bytes_in, e->bytes_out);
	if (e->kind == SOCKEYE_EVENT_COUNTERS)
		text_counters(out, e);
	if (e->text != NULL)
		fprintf(out, ": %s", e->text);
	if (e->err != 0)
		fprintf(out, ": %s", sockeye_error_text(e->err));
}

static void json_counters(json_t *object, const struct sockeye_event *e)
{
	for (size_t i = 0; i < e->counter_count; i++)
		json_object_set_new(object, e->counters[i].name,
				    json_integer((json_int_t)e->counters[i].value));
}

static void json_event(json_t *object, const struct sockeye_event *e)
{
	if (e->pid != 0)
		json_object_set_new(object, "pid", json_integer(e->pid));
	if (e->thread != e->pid)
		json_object_set_new(object, "thread", json_integer(e->thread));
	if (e->kind == SOCKEYE_EVENT_MESSAGE)
		report_set_bytes(object, e->data, e->data_len);
	if (e->kind == SOCKEYE_EVENT_CLOSE) {
		json_object_set_new(object, "bytes_in", json_integer((json_int_t)e->bytes_in));
		json_object_set_new(object, "bytes_out", json_integer((json_int_t)e->bytes_out));
	}
	if (e->kind == SOCKEYE_EVENT_COUNTERS)
		json_counters(object, e);
	if (e->text != NULL)
		json_object_set_new(object, "text", json_string(e->text));
	if (e->err != 0)
		json_object_set_new(object, "error", json_string(sockeye_error_name(e->err)));
}

/* Writes an event. Returns false, and does not write it, if its line is longer than `max`. */
static bool event_write(const struct log *log, const struct sockeye_event *e, size_t max)
{
	struct log_line line;

	if (!log_line_open(&line, log, e->real_ns, kinds[e->kind], e->service, e->peer, e->scheme))
		return true;
	if (line.object != NULL)
		json_event(line.object, e);
	else
		text_event(line.out, e);
	return line_close(&line, max);
}

/* Returns the length of the first half of data, adjusted so that it does not end within a
 * UTF-8 character. */
static size_t half(const uint8_t *data, size_t len)
{
	size_t n = len / 2;

	for (int i = 0; i < 3 && n > 1 && (data[n] & 0xc0) == 0x80; i++)
		n--;
	return n;
}

/* Writes bytes [at, end) of a message, in several lines if one would be too long for a pipe
 * that is almost full. */
static void message_write(const struct log *log, const struct sockeye_event *e, size_t at,
			  size_t end)
{
	struct sockeye_event part = *e;
	char place[80];
	size_t n;

	part.data = e->data + at;
	part.data_len = end - at;
	if (part.data_len < e->data_len) {
		snprintf(place, sizeof place, "bytes %zu to %zu of %zu", at + 1, end, e->data_len);
		part.text = place;
	}
	if (event_write(log, &part, part.data_len > 1 ? LOG_OUTPUT_LINE_MAX : SIZE_MAX))
		return;
	n = half(part.data, part.data_len);
	message_write(log, e, at, at + n);
	message_write(log, e, at + n, end);
}

void log_event(void *arg, const struct sockeye_event *event)
{
	const struct log *log = arg;

	if (log->quiet &&
	    (event->kind == SOCKEYE_EVENT_WARNING || event->kind == SOCKEYE_EVENT_REFUSE ||
	     event->kind == SOCKEYE_EVENT_NOTICE))
		return;
	if (event->kind == SOCKEYE_EVENT_MESSAGE)
		message_write(log, event, 0, event->data_len);
	else
		(void)event_write(log, event, SIZE_MAX);
}
