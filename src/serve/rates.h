/*
 * rates.h: how often a second each source is served, over all workers.
 */
#ifndef SOCKEYE_SERVE_RATES_H
#define SOCKEYE_SERVE_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "serve/source.h"

struct sockeye__rates;

/* In memory that the workers share. NULL: out of memory, or no random key. */
struct sockeye__rates *sockeye__rates_new(void);
void sockeye__rates_free(struct sockeye__rates *r);

/* Whether the source may be served once more, at per_s a second and with a burst
 * of two seconds' worth. */
bool sockeye__rates_take(struct sockeye__rates *r, const struct sockeye__source *source,
			 uint32_t per_s, uint64_t now_ns);
/* Takes one back: the source turned out not to be forged. */
void sockeye__rates_give(struct sockeye__rates *r, const struct sockeye__source *source,
			 uint32_t per_s);

#endif
