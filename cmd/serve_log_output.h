/*
 * serve_log_output.h: writes the lines of a server's log to standard error. A reader that is
 * slow or stopped, and a full disk, must not stop the server: lines are then lost, and the
 * next line that can be written reports how many.
 */
#ifndef SOCKEYE_CMD_SERVE_LOG_OUTPUT_H
#define SOCKEYE_CMD_SERVE_LOG_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* A pipe takes a line of this length completely or not at all (pipe(7)). */
#define LOG_OUTPUT_LINE_MAX PIPE_BUF

/* Call it once, before privileges are dropped. */
void log_output_open(void);

/* Writes a line, with one write(2), or counts it as lost. */
void log_output_write(const char *line, size_t len, bool json);

#endif
