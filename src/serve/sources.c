/*
 * sources.c: how much each source has open, over all workers.
 *
 * An open-addressed table in shared memory, one cell for each pair of source
 * and worker, so that the slots of a worker that was killed can be freed. The
 * hash is keyed: neighbouring addresses spread over the table, and no peer can
 * choose addresses that share cells. The mutex is robust: a worker that dies
 * holding it does not stop the others.
 */
#include "serve/sources.h"
#include "base/siphash.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>

#define CELLS      (1u << 20) /* more than there can be connections; touched only when used */
#define PROBES     64u  /* cells that may hold a source; full only if nearly the whole table is */
#define PAGE_CELLS 256u /* cells that are looked at together when a worker dies */

struct cell {
	uint64_t tag; /* the source's hash: two sources with one are improbable */
	uint32_t worker;
	uint32_t count; /* 0: free */
};

struct sockeye__sources {
	pthread_mutex_t lock;
	uint32_t max;
	struct sockeye__hash_key key;
	uint8_t page_used[CELLS / PAGE_CELLS]; /* whether a cell there ever was */
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

/* What a look at all cells of a source finds. */
struct found {
	struct cell *own;    /* this worker's, or NULL */
	struct cell *vacant; /* the first free one, or NULL */
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
				found.own = c;
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
	} else if (found.own != NULL) {
		found.own->count++;
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
	struct cell *own;

	lock(s);
	own = find(s, sockeye__siphash(&s->key, source, sizeof *source), worker).own;
	if (own != NULL)
		own->count--;
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
