/*
 * words.h: classifies words of the command line by their form, without looking up names.
 */
#ifndef SOCKEYE_CMD_CLI_WORDS_H
#define SOCKEYE_CMD_CLI_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include <sockeye/addr.h>

/* Whether the word is a host name, an IPv4 or IPv6 address (with or without brackets and
 * zone) or "*", without scheme, port and path. */
bool cli_is_host(const char *word);

/* Whether the word is a number of any size, or a service name. */
bool cli_is_port(const char *word);

bool cli_is_number(const char *word);

/* Whether the first `len` bytes are an IPv6 address without brackets and zone. */
bool cli_is_ipv6(const char *text, size_t len);

/* Returns the length of the scheme that the word starts with, including its 4 or 6, or 0
 * if there is none. */
size_t cli_scheme_len(const char *word, enum sockeye_scheme *out);

/* Whether the word starts with a scheme and a colon, such as "udp:". */
bool cli_has_scheme(const char *word);

/* Writes scheme://HOST:PORT, with brackets around IPv6, or HOST:PORT if the scheme is
 * empty. */
void cli_host_port(const char *scheme, const char *host, const char *port, char *out, size_t cap);

/* Returns the start of an address of the i-th scheme that connect, listen and bench can
 * open, such as "tcp://" or "unix:", or NULL after the last. An .operand of struct
 * cli_command. */
const char *cli_scheme_word(size_t i);

#endif
