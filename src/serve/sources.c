/*
 * sources.c: how many connections each source address has, over all workers,
 * and how many answers a second it gets.
 *
 * An open-addressed table in shared memory, one entry for each pair of source
 * and worker, so that the places of a worker that was killed can be given
 * back. The mutex is robust: a worker that dies holding it does not stop the
 * others.
 */
#include "serve/sources.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <sockeye/time.h>

#define CELLS  65536u /* a power of two; pages are touched only when used */
#define PROBES 64u    /* cells looked at for one source before the table counts as full */

#define RATES      4096 /* sources that hash alike share a rate */
#define RATE_BURST 2    /* seconds' worth of answers that may come at once */

struct cell {
	struct in6_addr addr; /* IPv4 as mapped */
	uint16_t worker;
	uint16_t count; /* 0: free */
};

struct sockeye__sources {
	pthread_mutex_t lock;
	uint32_t max;
	uint64_t seed; /* so that nobody can choose addresses that collide */
	struct cell cells[CELLS];
};

struct sockeye__sources *sockeye__sources_new(uint32_t per_source_max)
{
	pthread_mutexattr_t attr;
	struct sockeye__sources *s =
	    mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return NULL;
	s->max = per_source_max < UINT16_MAX ? per_source_max : UINT16_MAX;
	if (getrandom(&s->seed, sizeof s->seed, 0) != (ssize_t)sizeof s->seed)
		s->seed = (uint64_t)(uintptr_t)s;
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

static bool key_of(const struct sockeye__peer *peer, struct in6_addr *out_key)
{
	switch (peer->u.sa.sa_family) {
	case AF_INET:
		memset(out_key, 0, sizeof *out_key);
		out_key->s6_addr[10] = out_key->s6_addr[11] = 0xff;
		memcpy(out_key->s6_addr + 12, &peer->u.in.sin_addr, 4);
		return true;
	case AF_INET6:
		*out_key = peer->u.in6.sin6_addr;
		return true;
	default:
		return false; /* UNIX sockets have no source to tell apart */
	}
}

static uint32_t hash(const struct sockeye__sources *s, const struct in6_addr *key)
{
	uint64_t h = s->seed, part;

	for (size_t i = 0; i < sizeof *key; i += sizeof part) {
		memcpy(&part, key->s6_addr + i, sizeof part);
		h = (h ^ part) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return (uint32_t)h & (CELLS - 1);
}

bool sockeye__sources_take(struct sockeye__sources *s, const struct sockeye__peer *peer,
			   unsigned worker)
{
	struct in6_addr key;
	struct cell *mine = NULL, *vacant = NULL;
	uint32_t sum = 0;
	bool taken = false;

	if (!key_of(peer, &key))
		return true;
	lock(s);
	for (uint32_t i = 0, at = hash(s, &key); i < PROBES; i++) {
		struct cell *c = &s->cells[(at + i) & (CELLS - 1)];

		if (c->count == 0) {
			if (vacant == NULL)
				vacant = c;
		} else if (memcmp(&c->addr, &key, sizeof key) == 0) {
			sum += c->count;
			if (c->worker == worker)
				mine = c;
		}
	}
	if (sum < s->max && (mine != NULL || vacant != NULL)) {
		if (mine == NULL) {
			mine = vacant;
			mine->addr = key;
			mine->worker = (uint16_t)worker;
		}
		mine->count++;
		taken = true;
	}
	pthread_mutex_unlock(&s->lock);
	return taken;
}

void sockeye__sources_give(struct sockeye__sources *s, const struct sockeye__peer *peer,
			   unsigned worker)
{
	struct in6_addr key;

	if (!key_of(peer, &key))
		return;
	lock(s);
	for (uint32_t i = 0, at = hash(s, &key); i < PROBES; i++) {
		struct cell *c = &s->cells[(at + i) & (CELLS - 1)];

		if (c->count > 0 && c->worker == worker &&
		    memcmp(&c->addr, &key, sizeof key) == 0) {
			c->count--;
			break;
		}
	}
	pthread_mutex_unlock(&s->lock);
}

void sockeye__sources_forget(struct sockeye__sources *s, unsigned worker)
{
	lock(s);
	for (uint32_t i = 0; i < CELLS; i++)
		if (s->cells[i].worker == worker)
			s->cells[i].count = 0;
	pthread_mutex_unlock(&s->lock);
}

bool sockeye__is_loopback(const struct sockeye_sockaddr *peer)
{
	switch (peer->u.sa.sa_family) {
	case AF_INET:
		return (ntohl(peer->u.in.sin_addr.s_addr) >> 24) == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&peer->u.in6.sin6_addr) ||
		       (IN6_IS_ADDR_V4MAPPED(&peer->u.in6.sin6_addr) &&
			peer->u.in6.sin6_addr.s6_addr[12] == 127);
	default:
		return true;
	}
}

/* --- rates --- */

struct sockeye__rates {
	uint64_t seed;           /* so that nobody can choose addresses that collide */
	uint64_t full_ns[RATES]; /* when a source will have its whole rate again */
};

struct sockeye__rates *sockeye__rates_new(void)
{
	struct sockeye__rates *r =
	    mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (r == MAP_FAILED)
		return NULL;
	if (getrandom(&r->seed, sizeof r->seed, 0) != (ssize_t)sizeof r->seed)
		r->seed = (uint64_t)(uintptr_t)r;
	return r;
}

void sockeye__rates_free(struct sockeye__rates *r)
{
	if (r != NULL)
		munmap(r, sizeof *r);
}

static uint64_t *rate_of(struct sockeye__rates *r, const struct sockeye_sockaddr *peer)
{
	bool v6 = peer->u.sa.sa_family == AF_INET6;
	const uint8_t *key =
	    v6 ? peer->u.in6.sin6_addr.s6_addr : (const uint8_t *)&peer->u.in.sin_addr;
	uint64_t h = r->seed;

	for (size_t i = 0; i < (v6 ? 16 : 4); i++)
		h = (h ^ key[i]) * UINT64_C(0x100000001b3);
	return &r->full_ns[(h >> 32) % RATES];
}

bool sockeye__rate_take(struct sockeye__rates *r, const struct sockeye_sockaddr *peer,
			uint32_t per_s, uint64_t now_ns)
{
	uint64_t step = SOCKEYE_NS_PER_S / per_s, *rate = rate_of(r, peer);
	/* Of two workers that look at once one may be forgotten: no harm. */
	uint64_t full_ns = __atomic_load_n(rate, __ATOMIC_RELAXED);

	if (full_ns < now_ns)
		full_ns = now_ns;
	if (full_ns - now_ns > (uint64_t)RATE_BURST * SOCKEYE_NS_PER_S - step)
		return false;
	__atomic_store_n(rate, full_ns + step, __ATOMIC_RELAXED);
	return true;
}

void sockeye__rate_give(struct sockeye__rates *r, const struct sockeye_sockaddr *peer,
			uint32_t per_s)
{
	__atomic_fetch_sub(rate_of(r, peer), SOCKEYE_NS_PER_S / per_s, __ATOMIC_RELAXED);
}
