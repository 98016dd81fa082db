/*
 * hex_line.h: one line of a hex dump. Pure.
 */
#ifndef SOCKEYE_CONSOLE_HEX_LINE_H
#define SOCKEYE_CONSOLE_HEX_LINE_H

#include <stddef.h>
#include <stdint.h>

#define SOCKEYE__HEX_LINE_BYTES 16 /* data bytes in one line */
#define SOCKEYE__HEX_LINE_MAX   96 /* length of the longest line */

/* Writes "0000000010  68 65 6c 6c 6f ...  |hello|" and a newline to room, which has at
 * least SOCKEYE__HEX_LINE_MAX bytes. len is at most SOCKEYE__HEX_LINE_BYTES.
 * Returns the length of the line. */
size_t sockeye__hex_line_print(char *room, uint64_t offset, const uint8_t *data, size_t len);

#endif
