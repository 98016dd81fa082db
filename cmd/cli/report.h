/*
 * report.h: the output of every subcommand. Data is written to stdout, messages to
 * stderr, a failure as one line. With --json, everything, including failures, is written
 * to stdout as one JSON document per line.
 */
#ifndef SOCKEYE_CMD_CLI_REPORT_H
#define SOCKEYE_CMD_CLI_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <sockeye/error.h>

#include "cli/cli.h"

/* Prints "sockeye: connect tcp://[::1]:7: Connection refused", or the document
 * {"event":"error","op":"connect","address":...,"error":"ECONNREFUSED",
 *  "text":...,"exit":4}, even with -q. Returns the exit code of fail->err. */
int report_fail(const struct cli_common *common, const struct sockeye_fail *fail);

/* Like report_fail(). Unless `try` is NULL, also proposes this command line, after "try:"
 * or as the member "try" of the document. */
int report_fail_try(const struct cli_common *common, const struct sockeye_fail *fail,
		    const char *try);

/* Prints a failure given as its parts; address and detail may be NULL. */
int report_error(const struct cli_common *common, const char *op, const char *address, int err,
		 const char *detail);

/* Returns the document of an error, for callers that print it themselves. */
json_t *report_error_event(const char *op, const char *address, int err, int exit_code);

/* Prints what is wrong with the command line and returns 2. command and try may be
 * NULL; without try, refers to --help. */
int report_usage(const struct cli_common *common, const char *command, const char *text,
		 const char *try);

/* Print a message on stderr, "sockeye: ...", unless -q or --json is given.
 * report_verbose() prints only with -v. */
void report_info(const struct cli_common *common, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void report_verbose(const struct cli_common *common, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Flags of jansson for all documents. ASCII does not depend on the encoding of the
 * terminal or reader. */
#define REPORT_JSON_FORM (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12))

/* Prints the document as one line on stdout, flushes, and drops the reference. If event is
 * NULL (out of memory), prints an error event. */
void report_json(json_t *event);

/* Adds a peer's bytes to a document: as "data" if they are valid UTF-8, otherwise as
 * "data_base64". */
void report_set_bytes(json_t *object, const void *data, size_t len);

/* Returns a JSON string. Escapes text that is not valid UTF-8, such as some paths. */
json_t *report_string(const char *text);

/* Whether to use colors on fd: --color decides, then NO_COLOR, then whether fd is a
 * terminal. */
bool report_color(const struct cli_common *common, int fd);

#endif
