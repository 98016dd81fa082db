/* connect_check.h: sockeye connect --check: which ports accept connections. */
#ifndef SOCKEYE_CMD_CONNECT_CHECK_H
#define SOCKEYE_CMD_CONNECT_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/cli.h"

struct check_opts {
	const struct cli_common *common;
	const char *bind; /* NULL: none */
	bool dontroute;
	int family;           /* 4, 6, or 0 for both */
	uint64_t timeout_ns;  /* for each port; 0: the default */
	uint64_t deadline_ns; /* for all ports together; 0: none */
};

#define CHECK_TIMEOUT_TEXT "5s"

/* Prints one line for each port of the operands, which may be a list with ranges: 22,
 * 20-25 or 80,8000-8010. Returns the exit code. */
int check_run(const struct check_opts *o, const struct cli_operands *operands);

#endif
