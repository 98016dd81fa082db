/*
 * translate.h: translates command lines of nc, ncat, socat and others into those of sockeye.
 */
#ifndef SOCKEYE_CMD_CLI_TRANSLATE_H
#define SOCKEYE_CMD_CLI_TRANSLATE_H

#include "cli/suggest.h"

/* These functions read the command line of the process, with or without a subcommand at
 * its start, and return the text of *s. They return NULL if the line does not belong to
 * that program, or has the same meaning in both programs. */

/* nc and ncat. s->letters lists the options that have another meaning in sockeye; s->why
 * is the reason if sockeye has no equivalent. */
const char *translate_netcat(struct suggestion *s);

const char *translate_socat(struct suggestion *s);

/* atftp and the tftp of BusyBox: the .translate of get. */
const char *translate_tftp(struct suggestion *s);

/* sockperf ping-pong: the .translate of bench. */
const char *translate_sockperf(struct suggestion *s);

/* nc, ncat or socat: the .translate of connect and listen. */
const char *translate_line(struct suggestion *s);

/* Whether the word is an address of socat, such as TCP-LISTEN:7000. */
bool translate_is_socat(const char *word);

#endif
