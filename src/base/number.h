/*
 * number.h: whole numbers from text.
 */
#ifndef SOCKEYE_BASE_NUMBER_H
#define SOCKEYE_BASE_NUMBER_H

#include <stdint.h>

#include "base/slice.h"

/* Reads digits of a base from 2 to 10 and nothing else: no sign, no space, no
 * prefix. Returns 0, -EINVAL if the text is empty or has another character, or
 * -ERANGE if the value is above max. */
int sockeye__number_parse(struct sockeye__slice text, unsigned base, uint64_t max,
			  uint64_t *out_value);

/* Returns the smaller number. */
static inline uint64_t sockeye__least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Returns the larger number. */
static inline uint64_t sockeye__most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
