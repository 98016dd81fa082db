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
struct sockeye__filter_safe {
	uint8_t held[4];
	size_t held_len;
};

#define SOCKEYE__FILTER_SAFE_FACTOR 4
size_t sockeye__filter_safe_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room);
size_t sockeye__filter_safe_end(void *arg, uint8_t *room);

/* LF becomes CRLF; an LF that has its CR already stays as it is. */
struct sockeye__filter_crlf {
	bool after_cr;
};

#define SOCKEYE__FILTER_CRLF_FACTOR 2
size_t sockeye__filter_crlf_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room);

#endif
