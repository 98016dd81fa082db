/* commands.h: the subcommands. Each has its own file; main.c has the table. */
#ifndef SOCKEYE_CMD_COMMANDS_H
#define SOCKEYE_CMD_COMMANDS_H

#include "cli/cli.h"

/* .run is a static function of the file: int cmd_NAME(int argc, char **argv). */
extern const struct cli_command bench_command;
extern const struct cli_command check_command;
extern const struct cli_command connect_command;
extern const struct cli_command get_command;
extern const struct cli_command listen_command;
extern const struct cli_command put_command;
extern const struct cli_command relay_command;
extern const struct cli_command serve_command;

#endif
