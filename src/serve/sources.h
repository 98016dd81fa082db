/*
 * sources.h: counts the open connections or transfers of each source, across all
 * workers.
 */
#ifndef SOCKEYE_SERVE_SOURCES_H
#define SOCKEYE_SERVE_SOURCES_H

#include <stdint.h>

#include "serve/source.h"

struct sockeye__sources;

/* Allocates a table in shared memory. Returns NULL if memory or randomness is
 * unavailable. */
struct sockeye__sources *sockeye__sources_new(uint32_t per_source_max);
void sockeye__sources_free(struct sockeye__sources *s);

/* Takes a slot for the source. Returns 0, -EDQUOT if the source has per_source_max slots
 * already, or -ENOSPC if the table is full. */
int sockeye__sources_take(struct sockeye__sources *s, const struct sockeye__source *source,
			  unsigned worker);
void sockeye__sources_give(struct sockeye__sources *s, const struct sockeye__source *source,
			   unsigned worker);
/* In the supervisor: releases all slots of a worker that died. */
void sockeye__sources_forget(struct sockeye__sources *s, unsigned worker);

#endif
