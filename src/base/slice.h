/*
 * slice.h: a part of a longer text or packet. A part is not NUL-terminated and owns no
 * memory.
 *
 * There are two types because their bytes mean different things. A slice is text
 * that a user wrote, made of char like every string. A span is data from a peer:
 * bytes that are compared as numbers from 0 to 255, so they must not be char, which
 * is signed on some machines.
 */
#ifndef SOCKEYE_BASE_SLICE_H
#define SOCKEYE_BASE_SLICE_H

#include <stddef.h>
#include <stdint.h>

struct sockeye__slice {
	const char *at;
	size_t len;
};

struct sockeye__span {
	const uint8_t *at;
	size_t len;
};

#endif
