/*
 * rates.h: limits how often each source is served, over all workers.
 */
#ifndef SOCKEYE_SERVE_RATES_H
#define SOCKEYE_SERVE_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/source.h"

struct sockeye__rates;

/* In shared memory. NULL: out of memory, or no random key. */
struct sockeye__rates *sockeye__rates_new(void);
void sockeye__rates_free(struct sockeye__rates *r);

/* Whether the source may be served once more: per_s times a second, with a burst of two
 * seconds. */
bool sockeye__rates_take(struct sockeye__rates *r, const struct sockeye__source *source,
			 uint32_t per_s, uint64_t now_ns);
/* Undoes one take: the source is not forged. */
void sockeye__rates_give(struct sockeye__rates *r, const struct sockeye__source *source,
			 uint32_t per_s);

#endif
