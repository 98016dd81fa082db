/* serve_tftp_log.h: logs a line for each TFTP transfer. */
#ifndef SOCKEYE_CMD_SERVE_TFTP_LOG_H
#define SOCKEYE_CMD_SERVE_TFTP_LOG_H

#include "serve_log.h"

#include "tftp/server/server.h"

/* The on_transfer of struct sockeye__tftp_server_config; arg is a struct log. Any host can
 * send bad requests, so each worker logs at most 50 requests per second that led to no
 * transfer, and then a count of the rest. With log->verbose, all are logged. */
void log_transfer(void *arg, const struct sockeye__tftp_report *report);

#endif
