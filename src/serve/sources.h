/*
 * sources.h: how much each source has open, over all workers.
 */
#ifndef SOCKEYE_SERVE_SOURCES_H
#define SOCKEYE_SERVE_SOURCES_H

#include <stdint.h>

#include "serve/source.h"

struct sockeye__sources;

/* In memory that the workers share. NULL: out of memory, or no random key. */
struct sockeye__sources *sockeye__sources_new(uint32_t per_source_max);
void sockeye__sources_free(struct sockeye__sources *s);

/* Takes a slot: 0, -EDQUOT if the source has per_source_max already, or -ENOSPC
 * if the table is full. */
int sockeye__sources_take(struct sockeye__sources *s, const struct sockeye__source *source,
			  unsigned worker);
void sockeye__sources_give(struct sockeye__sources *s, const struct sockeye__source *source,
			   unsigned worker);
/* A worker died: its slots are free. */
void sockeye__sources_forget(struct sockeye__sources *s, unsigned worker);

#endif
