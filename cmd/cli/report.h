/*
 * report.h: how every subcommand speaks. Data on stdout, words on stderr, one
 * line for a failure; with --json one JSON document a line on stdout instead,
 * failures included.
 */
#ifndef SOCKEYE_CMD_CLI_REPORT_H
#define SOCKEYE_CMD_CLI_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <sockeye/error.h>

#include "cli/cli.h"

/* "sockeye: connect tcp://[::1]:7: Connection refused", or
 * {"event":"error","op":"connect","address":...,"error":"ECONNREFUSED",
 *  "text":...,"exit":4}. Returns the exit code of fail->err. Not silenced by -q. */
int report_fail(const struct cli_common *common, const struct sockeye_fail *fail);

/* The same with a command line to type instead, which may be NULL: it follows "try:",
 * and is "try" of the document. */
int report_fail_try(const struct cli_common *common, const struct sockeye_fail *fail,
		    const char *try);

/* The same from its parts; address and detail may be NULL. */
int report_error(const struct cli_common *common, const char *op, const char *address, int err,
		 const char *detail);

/* The document of an error, for who writes it otherwise. */
json_t *report_error_event(const char *op, const char *address, int err, int exit_code);

/* What is wrong with the command line, and what to type instead; command and try may
 * be NULL. Returns 2. */
int report_usage(const struct cli_common *common, const char *command, const char *text,
		 const char *try);

/* A line of words on stderr, "sockeye: ..."; the first unless -q or --json, the
 * second only with -v. */
void report_say(const struct cli_common *common, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void report_verbose(const struct cli_common *common, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* How documents are written: ASCII, so that a terminal and every reader agree on
 * what it means. */
#define REPORT_JSON_FORM (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12))

/* Writes the document as one line on stdout, at once, and drops the reference.
 * NULL (out of memory) is reported as an error event. */
void report_json(json_t *event);

/* A peer's bytes in a document: "data" when they are UTF-8, else "data_base64".
 * Always exactly one of both. */
void report_set_bytes(json_t *object, const void *data, size_t len);

/* A string that may not be UTF-8 (a path, an address): escaped when it is not. */
json_t *report_string(const char *text);

/* Whether to colour what goes to fd: --color, then NO_COLOR, then a terminal. */
bool report_color(const struct cli_common *common, int fd);

#endif
