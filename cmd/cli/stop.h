/*
 * stop.h: handles SIGINT, SIGTERM and SIGHUP. Before stop_open(), a signal immediately
 * ends the process with exit code 130. Afterwards, the first signal makes a file
 * descriptor readable and the second signal ends the process.
 */
#ifndef SOCKEYE_CMD_CLI_STOP_H
#define SOCKEYE_CMD_CLI_STOP_H

#include "cli/cli.h"

/* Installs the handlers. A signal that ends the process prints an error event about op
 * and address (with --json) and removes the file `path`, which must stay valid; NULL
 * means no file. */
void stop_catch(const struct cli_common *common, const char *op, const char *address,
		const char *path);

/* Makes SIGHUP a stop only if this process has lost its controlling terminal: for servers,
 * before stop_catch(). */
void stop_at_hangup_only(void);

/* Returns the descriptor for poll(2), or -errno. */
int stop_open(void);

#endif
