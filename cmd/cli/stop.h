/*
 * stop.h: SIGINT, SIGTERM and SIGHUP. Until stop_open() they end the process at
 * once, with 130; then they make a descriptor readable, and a second one ends
 * the process.
 */
#ifndef SOCKEYE_CMD_CLI_STOP_H
#define SOCKEYE_CMD_CLI_STOP_H

#include "cli/cli.h"

/* From now on: what is being done, for the JSON line of an early end, and a
 * file to remove then (NULL: none; it must last). */
void stop_catch(const struct cli_common *common, const char *op, const char *address,
		const char *path);

/* The descriptor, for poll(2); a negative errno when there can be none. */
int stop_open(void);

#endif
