/*
 * stop.h: handles SIGINT, SIGTERM, SIGHUP and --deadline. Before stop_open(), a signal
 * immediately ends the process with exit code 130, and the deadline with 5. Afterwards,
 * the first of them makes a file descriptor readable and the second ends the process, unless
 * it is a signal less than half a second after the first. If the process still runs 2 s after
 * the deadline, for example because a write blocks, the deadline ends it.
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

/* Starts the time of --deadline (0: there is no deadline). Call it after stop_catch(), with
 * the same op and address. */
void stop_deadline(const struct cli_common *common, const char *op, const char *address,
		   uint64_t deadline_ns);
#define STOP_DEADLINE_HELP   "give up TIME after the start, with exit status 5 (default: never)"
#define STOP_DEADLINE_DETAIL "the time of --deadline has passed"

/* Whether the deadline was the first to stop the program. */
bool stop_is_late(void);

/* Call it after a stop. If the deadline caused the stop, reports that. Returns the exit
 * code of the deadline or of a signal. */
int stop_report(const struct cli_common *common, const char *op, const char *address);

#endif
