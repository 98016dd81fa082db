/* serve_log.h: what a server says while it runs, one line an event, on stderr. */
#ifndef SOCKEYE_CMD_SERVE_LOG_H
#define SOCKEYE_CMD_SERVE_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include <sockeye/serve.h>

struct log {
	bool json;
	bool quiet; /* warnings, refusals and notices are left out */
	bool verbose;
};

/* An on_event of struct sockeye_serve_opts; arg is a struct log. Each event is
 * one write(2), so that the lines of several processes do not mix. */
void log_event(void *arg, const struct sockeye_event *event);

/* A line being made: what all lines begin with is there. One of the two is for
 * who adds to it. */
struct log_line {
	json_t *object; /* NULL: text */
	FILE *out;      /* text goes here */
	char *text;
	size_t len;
};

/* service and peer may be NULL. False: out of memory. */
bool log_line_open(struct log_line *line, const struct log *log, int64_t real_ns, const char *kind,
		   const char *service, const struct sockeye_sockaddr *peer,
		   enum sockeye_scheme scheme);
void log_line_close(struct log_line *line);

#endif
