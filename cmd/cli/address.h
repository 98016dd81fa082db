/*
 * address.h: the operands that are addresses, and what to type instead when one is
 * not.
 */
#ifndef SOCKEYE_CMD_CLI_ADDRESS_H
#define SOCKEYE_CMD_CLI_ADDRESS_H

#include <sockeye/addr.h>

#include "cli/cli.h"

/* What the subcommand does with an address. */
enum cli_use { CLI_CONNECTS, CLI_LISTENS, CLI_FETCHES };

/* Reads one word as an address. CLI_GO, or the exit code after a line that says what
 * is wrong. */
int cli_address(const struct cli_common *common, const struct cli_command *command,
		const char *word, enum cli_use use, struct sockeye_addr *out);

/* Reads the one address of connect, listen and bench: an ADDRESS, or HOST PORT as two
 * operands when HOST has neither scheme nor port and PORT is a number or a service
 * name. `bare` is the scheme of an address without one, "tcp" or "udp". */
int cli_address_only(const struct cli_common *common, const struct cli_command *command,
		     const struct cli_operands *operands, enum cli_use use, const char *bare,
		     struct sockeye_addr *out);

/* Writes an address that can be parsed and looks like `word`: tcp://localhost:7 for
 * tcp:/localhost:7. False when there is none, or `word` is one. */
bool cli_address_mended(const char *word, enum cli_use use, char *out, size_t cap);

/* The schemes that connect, listen and bench can open, as "tcp://" and "unix:": word i
 * or NULL. .operand of struct cli_command. */
const char *cli_scheme_word(size_t i);

/* Reports a failure to open an address, with a command line that avoids it where
 * there is one (another port, another subcommand). Returns the exit code. */
int cli_address_fail(const struct cli_common *common, const struct sockeye_fail *fail);

/* Kinds of words. */
bool cli_is_host(const char *word); /* without scheme, port or path */
bool cli_is_port(const char *word); /* a number of any size, or a service name */

bool cli_is_number(const char *word);

/* Writes scheme://HOST:PORT, with brackets around IPv6. An empty scheme is left out. */
void cli_host_port(const char *scheme, const char *host, const char *port, char *out, size_t cap);

/* Whether the word begins with a scheme and its colon, such as "udp:". */
bool cli_has_scheme(const char *word);

#endif
