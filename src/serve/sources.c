/*
 * sources.c: counts the open connections of each source, across all workers.
 *
 * A hash table with open addressing in shared memory has a cell for each pair of source
 * and worker, so that the slots of a worker that was killed can be released. The hash is
 * keyed: neighboring addresses spread over the table, and no peer can choose addresses
 * that share cells.
 */
#include "serve/sources.h"
#include "base/siphash.h"
#include "serve/shared_lock.h"

#include <errno.h>
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
	struct sockeye__sources *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (s == MAP_FAILED)
		return NULL;
	if (getrandom(&s->key, sizeof s->key, 0) != (ssize_t)sizeof s->key) {
		munmap(s, sizeof *s);
		return NULL;
	}
	s->max = per_source_max;
	sockeye__shared_lock_init(&s->lock);
	return s;
}

void sockeye__sources_free(struct sockeye__sources *s)
{
	if (s != NULL)
		munmap(s, sizeof *s);
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

/* Writes the count, which makes the cell valid, last: if this worker dies before, the cell is
 * still free, and if it dies later, the supervisor finds the cell. */
static void cell_set(struct sockeye__sources *s, struct cell *c, uint64_t tag, unsigned worker)
{
	s->page_used[(size_t)(c - s->cells) / PAGE_CELLS] = 1;
	c->tag = tag;
	c->worker = worker;
	__atomic_store_n(&c->count, 1, __ATOMIC_RELEASE);
}

int sockeye__sources_take(struct sockeye__sources *s, const struct sockeye__source *source,
			  unsigned worker)
{
	uint64_t tag = sockeye__siphash(&s->key, source, sizeof *source);
	struct found found;
	int err = 0;

	sockeye__shared_lock(&s->lock);
	found = find(s, tag, worker);
	if (found.sum >= s->max) {
		err = -EDQUOT;
	} else if (found.mine != NULL) {
		found.mine->count++;
	} else if (found.vacant != NULL) {
		cell_set(s, found.vacant, tag, worker);
	} else {
		err = -ENOSPC;
	}
	sockeye__shared_unlock(&s->lock);
	return err;
}

void sockeye__sources_give(struct sockeye__sources *s, const struct sockeye__source *source,
			   unsigned worker)
{
	struct cell *mine;

	sockeye__shared_lock(&s->lock);
	mine = find(s, sockeye__siphash(&s->key, source, sizeof *source), worker).mine;
	if (mine != NULL)
		mine->count--;
	sockeye__shared_unlock(&s->lock);
}

void sockeye__sources_forget(struct sockeye__sources *s, unsigned worker)
{
	const bool locked = sockeye__shared_lock_briefly(&s->lock);

	for (size_t page = 0; page < CELLS / PAGE_CELLS; page++)
		for (size_t i = 0; s->page_used[page] && i < PAGE_CELLS; i++) {
			struct cell *c = &s->cells[page * PAGE_CELLS + i];

			if (c->worker == worker)
				c->count = 0;
		}
	if (locked)
		sockeye__shared_unlock(&s->lock);
}
