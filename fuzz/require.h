/*
 * require.h: what the fuzz targets assert. Unlike assert(), it is never compiled out.
 */
#ifndef SOCKEYE_FUZZ_REQUIRE_H
#define SOCKEYE_FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Aborts with the message unless it holds. */
static inline void require(bool holds, const char *message)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", message);
	abort();
}

#endif
