/* progress.h: the progress line of a transfer on a terminal. */
#ifndef SOCKEYE_CMD_CLI_PROGRESS_H
#define SOCKEYE_CMD_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"
#include "console/progress_line.h"

struct progress {
	bool shown; /* stderr is a terminal, and neither -q nor --json is given */
	bool drawn; /* the line is on the screen */
	bool color;
	struct sockeye__progress_rate meter;
};

/* Prepares the line on stderr. With -q or --json, or if stderr is not a terminal, the
 * functions below do nothing. */
void progress_open(struct progress *p, const struct cli_common *common, uint64_t now_ns);

/* Draws the line: `bytes` of `size` (0: unknown) of `name`, which is escaped. */
void progress_draw(struct progress *p, const char *name, uint64_t bytes, uint64_t size,
		   uint64_t now_ns);

/* Erases the line. Call this before printing anything else, and at the end. */
void progress_clear(struct progress *p);

#endif
