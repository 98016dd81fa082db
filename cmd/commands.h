/* commands.h: the subcommands, one file each; main.c has the table of them. */
#ifndef SOCKEYE_CMD_COMMANDS_H
#define SOCKEYE_CMD_COMMANDS_H

#include "cli/cli.h"

/* Whether the caller had closed this standard descriptor, 0 to 2. It is /dev/null
 * since, so that no socket gets its number: what a file is read from or written
 * to must not be that. */
bool was_closed(int fd);

/* Each file has a static `int cmd_<name>(int argc, char **argv)` as its .run. */
extern const struct cli_command bench_command;
extern const struct cli_command connect_command;
extern const struct cli_command get_command;
extern const struct cli_command listen_command;
extern const struct cli_command put_command;
extern const struct cli_command relay_command;
extern const struct cli_command serve_command;

#endif
