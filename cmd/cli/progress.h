/* progress.h: one line on a terminal that shows how far things are. */
#ifndef SOCKEYE_CMD_CLI_PROGRESS_H
#define SOCKEYE_CMD_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "console/progress_line.h"

struct progress {
	bool shown; /* there is a terminal for it */
	bool drawn; /* the line is there now */
	bool color;
	struct sockeye__progress_rate meter;
};

/* On standard error, unless that is no terminal, or -q or --json is given. Nothing
 * has come yet. */
void progress_open(struct progress *p, const struct cli_common *common, uint64_t now_ns);

/* Draws the line. `name` need not be fit to be seen. */
void progress_draw(struct progress *p, const char *name, uint64_t bytes, uint64_t size,
		   uint64_t now_ns);

/* Takes the line away: before anything else is written, and at the end. */
void progress_clear(struct progress *p);

#endif
