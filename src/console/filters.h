/*
 * filters.h: what passes, made fit to be seen: safe for a terminal, with CRLF,
 * or as a hex dump.
 */
#ifndef SOCKEYE_CONSOLE_FILTERS_H
#define SOCKEYE_CONSOLE_FILTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/filtered_queue.h"

/* Filters of a flow (filtered_queue.h), whose arg is the struct before them.
 *
 * Text for a terminal: LF, CRLF, TAB and valid UTF-8 pass, every byte that the
 * terminal could act on is escaped as sockeye_escape does (a backslash is
 * not). Bytes that could be the beginning of a character or of CRLF are held
 * back until more comes. */
struct sockeye__safe {
	uint8_t held[4];
	size_t held_len;
};

#define SOCKEYE__SAFE_FACTOR 4
size_t sockeye__safe_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room);
size_t sockeye__safe_end(void *arg, uint8_t *room);

/* LF becomes CRLF; an LF that has its CR already stays as it is. */
struct sockeye__crlf {
	bool after_cr;
};

#define SOCKEYE__CRLF_FACTOR 2
size_t sockeye__crlf_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room);

/* Writes one line of a dump, at most 16 bytes of data, with a newline:
 * "0000000010  68 65 6c 6c 6f ...  |hello|". Returns its length;
 * SOCKEYE__HEX_LINE_MAX bytes of room are enough. */
#define SOCKEYE__HEX_WIDTH    16
#define SOCKEYE__HEX_LINE_MAX 96
size_t sockeye__hex_line(char *room, uint64_t offset, const uint8_t *data, size_t len);

#endif
