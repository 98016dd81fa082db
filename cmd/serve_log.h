/* serve_log.h: the log of a server: one line per event on stderr. */
#ifndef SOCKEYE_CMD_SERVE_LOG_H
#define SOCKEYE_CMD_SERVE_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include <sockeye/serve.h>

struct log {
	bool json;
	bool quiet; /* log no warnings, refusals or notices */
	bool verbose;
};

/* The on_event of struct sockeye_serve_opts; arg is a struct log. Each line is one
 * write(2), so that the lines of several processes do not mix. */
void log_event(void *arg, const struct sockeye_event *event);

/* A line that log_line_open() started. The caller adds to `object` or, if that is NULL, to
 * `out`. */
struct log_line {
	json_t *object; /* NULL: the line is text */
	FILE *out;
	char *text;
	size_t len;
};

/* Starts a line with time, kind, service and peer; service and peer may be NULL. Returns
 * false if memory is short. */
bool log_line_open(struct log_line *line, const struct log *log, int64_t real_ns, const char *kind,
		   const char *service, const struct sockeye_sockaddr *peer,
		   enum sockeye_scheme scheme);
/* Writes bytes of a peer in quotes, escaped so that they cannot end the quotation. */
void log_quoted(FILE *out, const void *data, size_t len);
/* Writes the line. */
void log_line_close(struct log_line *line);

#endif
