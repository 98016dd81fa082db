/*
 * number.c: whole numbers from text (number.h).
 */
#include "base/number.h"

#include <errno.h>
#include <stdbool.h>

int sockeye__number_parse(struct sockeye__slice text, unsigned base, uint64_t max,
			  uint64_t *out_value)
{
	uint64_t value = 0;
	bool overflow = false;

	if (text.len == 0)
		return -EINVAL;
	/* Read to the end even after an overflow: -EINVAL takes precedence. */
	for (size_t i = 0; i < text.len; i++) {
		unsigned digit = (unsigned)(text.at[i] - '0');

		if (digit >= base)
			return -EINVAL;
		overflow = overflow || __builtin_mul_overflow(value, base, &value) ||
			   __builtin_add_overflow(value, digit, &value) || value > max;
	}
	if (overflow)
		return -ERANGE;
	*out_value = value;
	return 0;
}
