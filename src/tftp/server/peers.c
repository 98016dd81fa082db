/* peers.c: the transfers of a worker: found by their peers, and in rows (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "net/net.h"

#define BUCKETS 4096 /* a power of two */

/* An IPv4 address alone, or as mapped into IPv6: the same peer. */
static struct sockeye__tftp_transfer **bucket(const struct sockeye__tftp_worker *w,
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
	w->buckets = calloc(BUCKETS, sizeof(struct sockeye__tftp_transfer *));
	return w->buckets != NULL ? 0 : -ENOMEM;
}

struct sockeye__tftp_transfer *sockeye__tftp_peers_find(const struct sockeye__tftp_worker *w,
							const struct sockeye_sockaddr *peer)
{
	struct sockeye__tftp_transfer *s = *bucket(w, peer);

	while (s != NULL && !sockeye_sockaddr_equal(&s->wire.to.peer, peer))
		s = s->next;
	return s;
}

void sockeye__tftp_peers_add(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	struct sockeye__tftp_transfer **at = bucket(w, &s->wire.to.peer);

	s->next = *at;
	*at = s;
	w->count++;
}

void sockeye__tftp_peers_remove(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *s)
{
	struct sockeye__tftp_transfer **at = bucket(w, &s->wire.to.peer);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	w->count--;
}

struct sockeye__tftp_transfer *sockeye__tftp_peers_next(const struct sockeye__tftp_transfer *s)
{
	struct sockeye__tftp_transfer *other = s->next;

	while (other != NULL && !sockeye_sockaddr_equal(&other->wire.to.peer, &s->wire.to.peer))
		other = other->next;
	return other;
}

void sockeye__tftp_peers_each(struct sockeye__tftp_worker *w,
			      void (*call)(struct sockeye__tftp_worker *w,
					   struct sockeye__tftp_transfer *s))
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct sockeye__tftp_transfer *s = w->buckets[i], *next; s != NULL; s = next) {
			next = s->next; /* which an end changes */
			call(w, s);
		}
}

/* --- rows --- */

void sockeye__tftp_row_leave(struct sockeye__tftp_transfer *s)
{
	struct sockeye__tftp_row *row = s->row;

	if (row == NULL)
		return;
	*(s->row_prev != NULL ? &s->row_prev->row_next : &row->first) = s->row_next;
	*(s->row_next != NULL ? &s->row_next->row_prev : &row->last) = s->row_prev;
	s->row = NULL;
}

void sockeye__tftp_row_join(struct sockeye__tftp_row *row, struct sockeye__tftp_transfer *s)
{
	sockeye__tftp_row_leave(s);
	s->row = row;
	s->row_next = NULL;
	s->row_prev = row->last;
	*(row->last != NULL ? &row->last->row_next : &row->first) = s;
	row->last = s;
}
