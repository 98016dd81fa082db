/*
 * serve_log_output.h: writes the lines of a server's log to standard error. A slow or
 * stopped reader or a full disk must not block the server: lines are then lost, and a
 * warning before the next line that can be written reports their number.
 */
#ifndef SOCKEYE_CMD_SERVE_LOG_OUTPUT_H
#define SOCKEYE_CMD_SERVE_LOG_OUTPUT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* A pipe accepts a line of this length completely or not at all (pipe(7)). */
#define LOG_OUTPUT_LINE_MAX PIPE_BUF

/* Opens the output. Call it once, before privileges are dropped. */
void log_output_open(void);

/* Writes a line, with one write(2), or counts it as lost. */
void log_output_write(const char *line, size_t len, bool json);

#endif
