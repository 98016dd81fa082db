/*
 * others.h: command lines as nc, ncat and socat take them, put into words of this
 * program.
 */
#ifndef SOCKEYE_CMD_CLI_OTHERS_H
#define SOCKEYE_CMD_CLI_OTHERS_H

#include "cli/suggest.h"

/* All of them read the command line as it was typed, with or without a subcommand
 * before it, and return the text of *s; NULL when it is not such a line, or means the
 * same to both programs. */

/* nc and ncat. s->letters has the options that mean something else here, and s->why
 * the reason when this program does not do that. */
const char *netcat_guess(struct suggestion *s);

/* socat. */
const char *socat_guess(struct suggestion *s);

/* Either of them: .guess of connect and listen. */
const char *others_guess(struct suggestion *s);

/* Whether the word is an address of socat, such as TCP-LISTEN:7000. */
bool socat_is_address(const char *word);

#endif
