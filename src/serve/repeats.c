/*
 * repeats.c: breaks loops between servers (repeats.h).
 *
 * For each peer the table has the number of replies in the current second, which began
 * with the first of these replies. It is a set-associative cache, like the table in
 * rates.c: a new peer replaces a peer whose second is over, or the peer that received the
 * fewest replies. Forged peers, which receive one reply each, therefore replace each other
 * and never a peer in a loop.
 *
 * Workers use the table without a lock. If two workers update a cell at the same moment,
 * a peer may receive one reply too many.
 */
#include "serve/repeats.h"
#include "serve/source.h"
#include "base/siphash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <sockeye/time.h>

#define SETS        (1u << 15) /* pages take memory only when used */
#define WAYS        8
#define AUTOBIND    5 /* characters of a name that the kernel chose (unix(7), Autobind) */
#define RANGE_FILE  "/proc/sys/net/ipv4/ip_local_port_range" /* for IPv6, too */
#define RANGE_FIRST 32768                                    /* the defaults of the kernel */
#define RANGE_LAST  60999

struct cell {
	uint64_t tag;    /* hash of the peer; 0: never used */
	uint64_t end_ns; /* when its second or its pause ends */
	uint64_t count;  /* replies in this second; more than per_s: a pause */
};

struct sockeye__repeats {
	struct sockeye__hash_key key;
	uint32_t per_s;
	unsigned first, last; /* the ports of clients */
	struct cell cells[SETS][WAYS];
};

static void range_read(struct sockeye__repeats *r)
{
	FILE *file = fopen(RANGE_FILE, "re");
	char line[64] = "", *end;
	unsigned long first, last;

	if (file != NULL) {
		(void)!fgets(line, sizeof line, file);
		fclose(file);
	}
	first = strtoul(line, &end, 10);
	last = strtoul(end, NULL, 10);
	r->first = last != 0 ? (unsigned)first : RANGE_FIRST;
	r->last = last != 0 ? (unsigned)last : RANGE_LAST;
}

struct sockeye__repeats *sockeye__repeats_new(uint32_t per_s)
{
	struct sockeye__repeats *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (r == MAP_FAILED)
		return NULL;
	if (getrandom(&r->key, sizeof r->key, 0) != (ssize_t)sizeof r->key) {
		munmap(r, sizeof *r);
		return NULL;
	}
	r->per_s = per_s;
	range_read(r);
	return r;
}

void sockeye__repeats_free(struct sockeye__repeats *r)
{
	if (r != NULL)
		munmap(r, sizeof *r);
}

static bool is_autobind(const struct sockeye_sockaddr *peer)
{
	const char *name = peer->u.un.sun_path;

	if (peer->len != offsetof(struct sockaddr_un, sun_path) + 1 + AUTOBIND || name[0] != '\0')
		return false;
	for (int i = 1; i <= AUTOBIND; i++)
		if (strchr("0123456789abcdef", name[i]) == NULL)
			return false;
	return true;
}

bool sockeye__repeats_concern(const struct sockeye__repeats *r, const struct sockeye_sockaddr *peer)
{
	unsigned port;

	switch (peer->u.sa.sa_family) {
	case AF_INET:
	case AF_INET6:
		port = sockeye_sockaddr_port(peer);
		return port < r->first || port > r->last;
	case AF_UNIX:
		return !is_autobind(peer);
	default:
		return false;
	}
}

/* Returns the hash of an address and port, or of a UNIX name. Every address is a separate
 * peer, even within one IPv6 network, because each could be a server. */
static uint64_t tag_of(const struct sockeye__repeats *r, const struct sockeye_sockaddr *peer)
{
	static const struct sockeye__prefixes whole = {.ipv4 = 32, .ipv6 = 128};
	struct {
		struct sockeye__source source;
		uint16_t port;
	} inet = {.port = sockeye_sockaddr_port(peer)};
	uint64_t tag;

	if (sockeye__source_of(&whole, &peer->u.sa, &inet.source))
		tag = sockeye__siphash(&r->key, &inet, sizeof inet);
	else
		tag = sockeye__siphash(&r->key, &peer->u, peer->len);
	return tag != 0 ? tag : 1;
}

static uint64_t load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* Returns the number of replies that would be forgotten with a cell. */
static uint64_t worth(const struct cell *cell, uint64_t now_ns)
{
	return load(&cell->end_ns) > now_ns ? load(&cell->count) : 0;
}

/* Returns the cell of a peer, or the cell that it replaces. */
static struct cell *find(struct sockeye__repeats *r, uint64_t tag, uint64_t now_ns)
{
	struct cell *set = r->cells[tag % SETS], *least = &set[0];

	for (int i = 0; i < WAYS; i++) {
		if (load(&set[i].tag) == tag)
			return &set[i];
		if (worth(&set[i], now_ns) < worth(least, now_ns))
			least = &set[i];
	}
	return least;
}

bool sockeye__repeats_take(struct sockeye__repeats *r, const struct sockeye_sockaddr *peer,
			   uint64_t now_ns)
{
	const uint64_t tag = tag_of(r, peer);
	struct cell *cell = find(r, tag, now_ns);
	uint64_t count = load(&cell->count);

	if (load(&cell->tag) != tag || load(&cell->end_ns) <= now_ns) {
		store(&cell->tag, tag);
		store(&cell->end_ns, now_ns + SOCKEYE_NS_PER_S);
		store(&cell->count, 1);
		return true;
	}
	if (count > r->per_s)
		return false;
	store(&cell->count, count + 1);
	if (count < r->per_s)
		return true;
	store(&cell->end_ns, now_ns + SOCKEYE__REPEATS_PAUSE_S * SOCKEYE_NS_PER_S);
	return false;
}
