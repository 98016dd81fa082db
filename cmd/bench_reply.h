/* bench_reply.h: what sockeye bench sends and expects. */
#ifndef SOCKEYE_CMD_BENCH_REPLY_H
#define SOCKEYE_CMD_BENCH_REPLY_H

#include "bench/bench.h"
#include "cli/cli.h"

/* For --help and messages. */
#define BENCH_EXPECT_FORMS "echo, upper, line, length=N, text=TEXT or regex=RE"

/* Reads the values of --send and --expect into *opts; a value is NULL if its option is not
 * given. Returns CLI_GO, or the exit code after reporting what is wrong. The memory that
 * *opts points to afterwards is never freed. */
int bench_reply_read(const struct cli_common *common, const struct cli_command *command,
		     const char *send, const char *expect, struct sockeye__bench_opts *opts);

#endif
