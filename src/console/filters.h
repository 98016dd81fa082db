/*
 * filters.h: filters for a struct sockeye__filtered_queue. Pure. The arg of each
 * filter is its struct; zero is the initial state.
 */
#ifndef SOCKEYE_CONSOLE_FILTERS_H
#define SOCKEYE_CONSOLE_FILTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/filtered_queue.h"

/* Makes text safe for a terminal. Passes LF, CRLF, TAB, backslashes and valid UTF-8;
 * escapes every other control byte as sockeye_escape() does. Holds back bytes that
 * may begin a character or CRLF until the next bytes decide. */
struct sockeye__filter_safe {
	uint8_t held[4];
	size_t held_len;
};

#define SOCKEYE__FILTER_SAFE_FACTOR 4
size_t sockeye__filter_safe_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room);
size_t sockeye__filter_safe_end(void *arg, uint8_t *room);

/* Turns LF into CRLF, unless a CR precedes the LF. */
struct sockeye__filter_crlf {
	bool after_cr;
};

#define SOCKEYE__FILTER_CRLF_FACTOR 2
size_t sockeye__filter_crlf_encode(void *arg, const uint8_t *in, size_t len, uint8_t *room);

#endif
