/* serve_tftp_log.h: a line for each TFTP transfer. */
#ifndef SOCKEYE_CMD_SERVE_TFTP_LOG_H
#define SOCKEYE_CMD_SERVE_TFTP_LOG_H

#include "serve_log.h"

#include "tftp/server/server.h"

/* An on_transfer of struct sockeye__tftp_server_config; arg is a struct log.
 * What strangers can cause at will is bounded: a worker logs so many requests a
 * second that came to nothing, and says how many more there were; with
 * log->verbose, all. */
void log_transfer(void *arg, const struct sockeye__tftp_report *report);

#endif
