/*
 * serve_try.h: what a worker in its sandbox can still do, for sockeye serve --check-sandbox.
 */
#ifndef SOCKEYE_CMD_SERVE_TRY_H
#define SOCKEYE_CMD_SERVE_TRY_H

#include <stddef.h>

#include "serve/crew.h"

/* Bits of `needed` beside the groups of calls (sandbox.h). */
enum {
	SERVE_TRY_READS_ALL = 1 << 16, /* needed by workers that may read all files */
	SERVE_TRY_ROOT = 1 << 17,      /* applies only to workers that serve a directory */
};

/* Something that an attacker could try in a worker. */
struct serve_try {
	const char *text;
	unsigned needed; /* by workers that need one of these groups of calls; 0: by none */
	/* Returns 0 if this process can do it, or -errno. Creates nothing that lasts. */
	int (*run)(const struct sockeye__sandbox *needs);
};

extern const struct serve_try serve_tries[];
extern const size_t serve_tries_count;

#define SERVE_TRIES_MAX 64

#endif
