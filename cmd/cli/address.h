/*
 * address.h: parses operands that are addresses, and proposes corrections of invalid
 * addresses.
 */
#ifndef SOCKEYE_CMD_CLI_ADDRESS_H
#define SOCKEYE_CMD_CLI_ADDRESS_H

#include <sockeye/addr.h>

#include "cli/cli.h"

/* How a subcommand uses an address. */
enum cli_use { CLI_CONNECTS, CLI_LISTENS, CLI_FETCHES };

/* The port in examples: `sockeye serve echo` listens there. */
#define CLI_EXAMPLE_PORT 7007

/* --- address.c --- */

/* Parses one word as an address. Returns CLI_GO, or the exit code after reporting the
 * error. */
int cli_address(const struct cli_common *common, const struct cli_command *command,
		const char *word, enum cli_use use, struct sockeye_addr *out);

/* Parses the operands of connect, listen and bench: one ADDRESS, or HOST PORT, where HOST
 * has neither scheme nor port and PORT is a number or a service name. `bare` is the
 * scheme of an address without one, "tcp" or "udp". Returns CLI_GO or the exit code. */
int cli_address_only(const struct cli_common *common, const struct cli_command *command,
		     const struct cli_operands *operands, enum cli_use use, const char *bare,
		     struct sockeye_addr *out);

/* --- correct.c --- */

/* Writes a valid address that is similar to `word`: tcp://localhost:7 for
 * tcp:/localhost:7. Returns false if no address is similar, or if `word` is valid. */
bool cli_address_corrected(const char *word, enum cli_use use, char *out, size_t cap);

/* Whether the address has port 0 although it is not for listening: only a listener can let
 * the kernel choose the port. */
bool cli_is_port_zero(const struct sockeye_addr *addr, enum cli_use use);

/* Reports a failure to open an address. If another port or a zone would help, proposes a
 * command line with that port or zone. Returns the exit code. */
int cli_address_fail(const struct cli_common *common, const struct sockeye_fail *fail);

#endif
