/*
 * sources.c: counts the open connections of each source, across all workers.
 *
 * A hash table with open addressing in shared memory has a cell for each pair of source
 * and worker, so that the slots of a worker that was killed can be released. The hash is
 * keyed: neighboring addresses spread over the table, and no peer can choose addresses
 * that share cells. The mutex is robust: a worker that dies while it holds the mutex does
 * not block the others.
 */
#include "serve/sources.h"
#include "base/siphash.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>

#define CELLS (1u << 20) /* pages take memory only when used */
#define PROBES \
	128u /* cells that may hold a source: only a nearly full table has none of them free */
#define PAGE_CELLS 256u /* cells per page */

struct cell {
	uint64_t tag; /* hash of the source; with 64 bits, a collision is improbable */
	uint32_t worker;
	uint32_t count; /* slots; 0: the cell is free */
};

struct sockeye__sources {
	pthread_mutex_t lock;
	uint32_t max;
	struct sockeye__hash_key key;
	uint8_t page_used[CELLS / PAGE_CELLS]; /* whether a cell of the page was ever used */
	struct cell cells[CELLS];
};

struct sockeye__sources *sockeye__sources_new(uint32_t per_source_max)
{
	pthread_mutexattr_t attr;
	struct sockeye__sources *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (s == MAP_FAILED)
		return NULL;
	if (getrandom(&s->key, sizeof s->key, 0) != (ssize_t)sizeof s->key) {
		munmap(s, sizeof *s);
		return NULL;
	}
	s->max = per_source_max;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&s->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return s;
}

void sockeye__sources_free(struct sockeye__sources *s)
{
	if (s != NULL)
		munmap(s, sizeof *s);
}

static void lock(struct sockeye__sources *s)
{
	if (pthread_mutex_lock(&s->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&s->lock);
}

static void unlock(struct sockeye__sources *s)
{
	pthread_mutex_unlock(&s->lock);
}

static struct cell *probe(struct sockeye__sources *s, uint64_t tag, uint32_t i)
{
	return &s->cells[(tag + i) & (CELLS - 1)];
}

/* What find() has found of a source. */
struct found {
	struct cell *mine;   /* of this worker, or NULL */
	struct cell *vacant; /* the first free cell, or NULL */
	uint64_t sum;        /* slots of all workers */
};

static struct found find(struct sockeye__sources *s, uint64_t tag, unsigned worker)
{
	struct found found = {0};

	for (uint32_t i = 0; i < PROBES; i++) {
		struct cell *c = probe(s, tag, i);

		if (c->count == 0) {
			if (found.vacant == NULL)
				found.vacant = c;
		} else if (c->tag == tag) {
			found.sum += c->count;
			if (c->worker == worker)
				found.mine = c;
		}
	}
	return found;
}

int sockeye__sources_take(struct sockeye__sources *s, const struct sockeye__source *source,
			  unsigned worker)
{
	uint64_t tag = sockeye__siphash(&s->key, source, sizeof *source);
	struct found found;
	int err = 0;

	lock(s);
	found = find(s, tag, worker);
	if (found.sum >= s->max) {
		err = -EDQUOT;
	} else if (found.mine != NULL) {
		found.mine->count++;
	} else if (found.vacant != NULL) {
		*found.vacant = (struct cell){.tag = tag, .worker = worker, .count = 1};
		s->page_used[(size_t)(found.vacant - s->cells) / PAGE_CELLS] = 1;
	} else {
		err = -ENOSPC;
	}
	unlock(s);
	return err;
}

void sockeye__sources_give(struct sockeye__sources *s, const struct sockeye__source *source,
			   unsigned worker)
{
	struct cell *mine;

	lock(s);
	mine = find(s, sockeye__siphash(&s->key, source, sizeof *source), worker).mine;
	if (mine != NULL)
		mine->count--;
	unlock(s);
}

void sockeye__sources_forget(struct sockeye__sources *s, unsigned worker)
{
	lock(s);
	for (size_t page = 0; page < CELLS / PAGE_CELLS; page++)
		for (size_t i = 0; s->page_used[page] && i < PAGE_CELLS; i++) {
			struct cell *c = &s->cells[page * PAGE_CELLS + i];

			if (c->worker == worker)
				c->count = 0;
		}
	unlock(s);
}
