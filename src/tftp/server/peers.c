/* peers.c: the transfers of a worker by their peers, and how many there may be. */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "net/net.h"

#define BUCKETS        4096 /* a power of two */
#define TRANSFERS_MAX  8192
#define CUT_SEARCH     64  /* of a row that are looked at for one source */
#define REQUESTS_PER_S 100 /* of one source that nobody has confirmed */

/* An IPv4 address alone, or as mapped into IPv6: the same peer. */
static struct sockeye__tftp_serving **bucket(const struct sockeye__tftp_worker *w,
					     const struct sockeye_sockaddr *peer)
{
	struct sockeye_sockaddr name = sockeye__sockaddr_unmapped(peer);
	bool v6 = name.u.sa.sa_family == AF_INET6;
	const uint8_t *at =
	    v6 ? name.u.in6.sin6_addr.s6_addr : (const uint8_t *)&name.u.in.sin_addr;
	uint64_t h = w->seed ^ sockeye_sockaddr_port(&name);

	for (size_t i = 0; i < (v6 ? 16 : 4); i++)
		h = (h ^ at[i]) * UINT64_C(0x9e3779b97f4a7c15);
	return &w->buckets[(h >> 40) % BUCKETS];
}

int sockeye__tftp_peers_open(struct sockeye__tftp_worker *w)
{
	/* Nobody can choose ports that share a bucket. */
	if (getrandom(&w->seed, sizeof w->seed, 0) != (ssize_t)sizeof w->seed)
		return -errno;
	w->buckets = calloc(BUCKETS, sizeof(struct sockeye__tftp_serving *));
	return w->buckets != NULL ? 0 : -ENOMEM;
}

struct sockeye__tftp_serving *sockeye__tftp_peers_find(const struct sockeye__tftp_worker *w,
						       const struct sockeye_sockaddr *peer)
{
	struct sockeye__tftp_serving *s = *bucket(w, peer);

	while (s != NULL && !sockeye_sockaddr_equal(&s->wire.to.peer, peer))
		s = s->next;
	return s;
}

void sockeye__tftp_peers_add(struct sockeye__tftp_worker *w, struct sockeye__tftp_serving *s)
{
	struct sockeye__tftp_serving **at = bucket(w, &s->wire.to.peer);

	s->next = *at;
	*at = s;
	w->count++;
}

void sockeye__tftp_peers_remove(struct sockeye__tftp_worker *w, struct sockeye__tftp_serving *s)
{
	struct sockeye__tftp_serving **at = bucket(w, &s->wire.to.peer);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	w->count--;
}

void sockeye__tftp_peers_supersede(struct sockeye__tftp_worker *w,
				   const struct sockeye__tftp_serving *s)
{
	struct sockeye__tftp_serving *other = *bucket(w, &s->wire.to.peer), *next;

	for (; other != NULL; other = next) {
		next = other->next; /* which an end changes */
		if (other != s && sockeye_sockaddr_equal(&other->wire.to.peer, &s->wire.to.peer))
			sockeye__tftp_serving_drop(w, other, SOCKEYE__TFTP_SUPERSEDED);
	}
}

void sockeye__tftp_peers_each(struct sockeye__tftp_worker *w,
			      void (*call)(struct sockeye__tftp_worker *w,
					   struct sockeye__tftp_serving *s))
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct sockeye__tftp_serving *s = w->buckets[i], *next; s != NULL; s = next) {
			next = s->next; /* which an end changes */
			call(w, s);
		}
}

/* --- rows --- */

void sockeye__tftp_row_leave(struct sockeye__tftp_serving *s)
{
	struct sockeye__tftp_row *row = s->row;

	if (row == NULL)
		return;
	*(s->row_prev != NULL ? &s->row_prev->row_next : &row->first) = s->row_next;
	*(s->row_next != NULL ? &s->row_next->row_prev : &row->last) = s->row_prev;
	s->row = NULL;
}

void sockeye__tftp_row_join(struct sockeye__tftp_row *row, struct sockeye__tftp_serving *s)
{
	sockeye__tftp_row_leave(s);
	s->row = row;
	s->row_next = NULL;
	s->row_prev = row->last;
	*(row->last != NULL ? &row->last->row_next : &row->first) = s;
	row->last = s;
}

/* --- limits --- */

/* Whom a limit is for: an IPv4 address, or an IPv6 network of 64 bits, of which
 * one host can have all addresses (RFC 4291 2.5.4). On a link each is its own. */
static struct sockeye_sockaddr source_name(const struct sockeye_sockaddr *peer)
{
	struct sockeye_sockaddr name = sockeye__sockaddr_unmapped(peer);
	struct in6_addr *a = &name.u.in6.sin6_addr;

	if (name.u.sa.sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(a) &&
	    !IN6_IS_ADDR_LOOPBACK(a))
		memset(a->s6_addr + 8, 0, 8);
	return name;
}

static struct sockeye__peer source_of(const struct sockeye_sockaddr *name)
{
	struct sockeye__peer peer = {0};
	struct sockeye_sockaddr plain = source_name(name);

	memcpy(&peer.u, &plain.u, plain.len < sizeof peer.u ? plain.len : sizeof peer.u);
	return peer;
}

static bool same_source(const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b)
{
	struct sockeye_sockaddr x = source_name(a), y = source_name(b);

	if (x.u.sa.sa_family == AF_INET)
		y.u.in.sin_port = x.u.in.sin_port;
	else
		y.u.in6.sin6_port = x.u.in6.sin6_port;
	return sockeye_sockaddr_equal(&x, &y);
}

/* 0, -ENOSPC (all have too many), or -EDQUOT (this source has). */
static int place_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *name)
{
	struct sockeye__tftp_shared *shared = w->server->shared;
	struct sockeye__peer peer = source_of(name);
	uint32_t max = w->server->config.transfers_max;

	if (__atomic_add_fetch(&shared->transfers, 1, __ATOMIC_RELAXED) >
	    (max != 0 ? max : TRANSFERS_MAX)) {
		__atomic_sub_fetch(&shared->transfers, 1, __ATOMIC_RELAXED);
		return -ENOSPC;
	}
	if (!sockeye__sources_take(w->server->sources, &peer, w->w->index)) {
		__atomic_sub_fetch(&shared->transfers, 1, __ATOMIC_RELAXED);
		return -EDQUOT;
	}
	__atomic_add_fetch(&shared->of_worker[w->w->index], 1, __ATOMIC_RELAXED);
	sockeye__count(&w->w->counters->transfers_open, 1);
	return 0;
}

/* Ends the oldest of a row, or the oldest of one source if it is not far behind. */
static bool row_cut(struct sockeye__tftp_worker *w, const struct sockeye__tftp_row *row,
		    const struct sockeye_sockaddr *source)
{
	struct sockeye__tftp_serving *s = row->first;

	for (int i = 0; source != NULL && s != NULL && !same_source(&s->wire.to.peer, source);
	     s = s->row_next)
		if (++i == CUT_SEARCH)
			return false;
	if (s == NULL)
		return false;
	sockeye__tftp_serving_drop(w, s, "another one needed its place");
	return true;
}

bool sockeye__tftp_admit(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye_counters *c = w->w->counters;
	int err;

	while ((err = place_take(w, peer)) < 0) {
		const struct sockeye_sockaddr *source = err == -EDQUOT ? peer : NULL;

		if (row_cut(w, &w->dallying, source) || row_cut(w, &w->unconfirmed, source))
			continue;
		sockeye__count(source != NULL ? &c->refused_source : &c->refused_resource, 1);
		return false;
	}
	return true;
}

void sockeye__tftp_dismiss(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye__peer source = source_of(peer);

	sockeye__sources_give(w->server->sources, &source, w->w->index);
	__atomic_sub_fetch(&w->server->shared->of_worker[w->w->index], 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&w->server->shared->transfers, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&w->w->counters->transfers_open, 1, __ATOMIC_RELAXED);
}

/* From outside, loopback cannot be forged (RFC 1122 3.2.1.3). 0: no limit. */
static uint32_t rate_of(const struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	uint32_t given = w->server->config.requests_per_s;

	return given != 0 ? given : sockeye__is_loopback(peer) ? 0 : REQUESTS_PER_S;
}

bool sockeye__tftp_rate_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye_sockaddr source = source_name(peer);
	uint32_t rate = rate_of(w, peer);

	if (rate == 0 || sockeye__rate_take(w->w->server->shared, &source, rate, w->now_ns))
		return true;
	sockeye__count(&w->w->counters->dropped_rate, 1);
	return false;
}

void sockeye__tftp_rate_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye_sockaddr source = source_name(peer);
	uint32_t rate = rate_of(w, peer);

	if (rate != 0)
		sockeye__rate_give(w->w->server->shared, &source, rate);
}
