/* log.h: what a server says while it runs, one line an event, on stderr. */
#ifndef SOCKEYE_CMD_LOG_H
#define SOCKEYE_CMD_LOG_H

#include <stdbool.h>

#include <sockeye/serve.h>

struct log {
	bool json;
	bool quiet; /* warnings and refusals are left out */
};

/* An on_event of struct sockeye_serve_opts; arg is a struct log. Each event is
 * one write(2), so that the lines of several processes do not mix. */
void log_event(void *arg, const struct sockeye_event *event);

#endif
