/*
 * internal.h: what the files of the command-line parser share.
 *
 * cli.c       parses a command line
 * table.c     the option tables
 * complain.c  reports a wrong command line, and proposes a valid one
 */
#ifndef SOCKEYE_CMD_CLI_INTERNAL_H
#define SOCKEYE_CMD_CLI_INTERNAL_H

#include <getopt.h>

#include "cli/cli.h"

/* The option tables of a subcommand, also in the form of getopt_long. */
struct cli_table {
	const struct cli_command *command;
	const struct cli_option *rows[CLI_OPTIONS_MAX];
	size_t count;
	struct option longs[CLI_OPTIONS_MAX + 1];
	char shorts[2 * CLI_OPTIONS_MAX + 3];
};

#define CLI_LONG_BASE 256 /* getopt_long's values of long options, above every letter */

/* Adds the rows of an option table, which may be NULL. */
void cli_table_add(struct cli_table *t, const struct cli_option *options);

/* Returns the row of a value that getopt_long returned, or NULL. */
const struct cli_option *cli_table_find(const struct cli_table *t, int val);

/* Parses a number, size or time without checking the range of the option. Returns 0,
 * -EINVAL, or -ERANGE beyond 64 bits. */
int cli_quantity_parse(const struct cli_option *o, const char *text, uint64_t *out);

/* Returns the largest value of the option. */
uint64_t cli_limit(const struct cli_option *o);

/* Writes the range of a number, size or time. With the separator " to ": "1 to 4096" or
 * "0.01 to 255 s". */
void cli_range_text(const struct cli_option *o, const char *separator, char *buf, size_t cap);

/* Each of these functions reports an error of the command line and returns 2. */

/* The value `text` is malformed (-EINVAL), out of range (-ERANGE), or exceeds the size of
 * a list (-E2BIG). */
int cli_bad_value(const struct cli_table *t, const struct cli_common *common,
		  const struct cli_option *o, const char *text, int err);

/* getopt_long returned `code`, '?' or ':', and set optopt and optind. */
int cli_bad_option(const struct cli_table *t, const struct cli_common *common, int code,
		   char **argv);

/* `word` points to the name of a long option that is not in the table. */
int cli_unknown_long(const struct cli_table *t, const struct cli_common *common, const char *word);

int cli_too_many(const struct cli_common *common, const struct cli_command *command, int count);

#endif
