/*
 * rates.h: limits how often each source is served, across all workers.
 */
#ifndef SOCKEYE_SERVE_RATES_H
#define SOCKEYE_SERVE_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/source.h"

struct sockeye__rates;

/* Allocates a table in shared memory. Returns NULL if memory or randomness is
 * unavailable. */
struct sockeye__rates *sockeye__rates_new(void);
void sockeye__rates_free(struct sockeye__rates *r);

/* Counts one request of the source, and returns whether the server may reply: on average
 * per_s times a second, in bursts of up to two seconds' worth. */
bool sockeye__rates_take(struct sockeye__rates *r, const struct sockeye__source *source,
			 uint32_t per_s, uint64_t now_ns);
/* Undoes one sockeye__rates_take(), because the address of the source was confirmed. */
void sockeye__rates_give(struct sockeye__rates *r, const struct sockeye__source *source,
			 uint32_t per_s);

#endif
