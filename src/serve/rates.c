/*
 * rates.c: limits how often each source is served, across all workers.
 *
 * For each source the table has the time at which a full burst is available again (GCRA,
 * a leaky bucket in one number; ITU-T I.371). The table is a set-associative cache: a new
 * source replaces the source of its set that will be the first to have a full burst, because
 * forgetting that source changes least. A source that floods therefore stays in the table.
 *
 * Workers use the table without a lock. If two workers update a cell at the same moment,
 * one update may be lost: the source is served once too often.
 */
#include "serve/rates.h"
#include "base/siphash.h"

#include <sys/mman.h>
#include <sys/random.h>

#include <sockeye/time.h>

#define SETS    (1u << 15) /* pages take memory only when used */
#define WAYS    8
#define BURST_S 2 /* a burst has the replies of this number of seconds */

struct cell {
	uint64_t tag;     /* hash of the source; 0: never used */
	uint64_t full_ns; /* when a full burst is available again */
};

struct sockeye__rates {
	struct sockeye__hash_key key;
	struct cell cells[SETS][WAYS];
};

struct sockeye__rates *sockeye__rates_new(void)
{
	struct sockeye__rates *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (r == MAP_FAILED)
		return NULL;
	if (getrandom(&r->key, sizeof r->key, 0) != (ssize_t)sizeof r->key) {
		munmap(r, sizeof *r);
		return NULL;
	}
	return r;
}

void sockeye__rates_free(struct sockeye__rates *r)
{
	if (r != NULL)
		munmap(r, sizeof *r);
}

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static uint64_t tag_of(const struct sockeye__rates *r, const struct sockeye__source *source)
{
	uint64_t tag = sockeye__siphash(&r->key, source, sizeof *source);

	return tag != 0 ? tag : 1;
}

/* Returns the cell of a source, or NULL. */
static struct cell *find(struct sockeye__rates *r, uint64_t tag)
{
	struct cell *set = r->cells[tag % SETS];

	for (int i = 0; i < WAYS; i++)
		if (load(&set[i].tag) == tag)
			return &set[i];
	return NULL;
}

static struct cell *replace(struct sockeye__rates *r, uint64_t tag)
{
	struct cell *set = r->cells[tag % SETS], *first = &set[0];

	for (int i = 1; i < WAYS; i++)
		if (load(&set[i].full_ns) < load(&first->full_ns))
			first = &set[i];
	store(&first->full_ns, 0);
	store(&first->tag, tag);
	return first;
}

bool sockeye__rates_take(struct sockeye__rates *r, const struct sockeye__source *source,
			 uint32_t per_s, uint64_t now_ns)
{
	const uint64_t step_ns = SOCKEYE_NS_PER_S / per_s, tag = tag_of(r, source);
	struct cell *cell = find(r, tag);
	uint64_t full_ns = cell != NULL ? load(&cell->full_ns) : 0;

	if (full_ns < now_ns)
		full_ns = now_ns;
	if (full_ns - now_ns > BURST_S * SOCKEYE_NS_PER_S - step_ns)
		return false;
	if (cell == NULL)
		cell = replace(r, tag);
	store(&cell->full_ns, full_ns + step_ns);
	return true;
}

void sockeye__rates_give(struct sockeye__rates *r, const struct sockeye__source *source,
			 uint32_t per_s)
{
	struct cell *cell = find(r, tag_of(r, source));
	const uint64_t step_ns = SOCKEYE_NS_PER_S / per_s;
	uint64_t full_ns = cell != NULL ? load(&cell->full_ns) : 0;

	if (full_ns > step_ns)
		store(&cell->full_ns, full_ns - step_ns);
}
