/* peers.c: the transfers of a worker: found by their peers, and in rows (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "net/net.h"

#define BUCKETS 4096 /* a power of two */

/* The bucket of a peer: an IPv4 address and the IPv6 address it is mapped to are
 * the same. */
static struct sockeye__tftp_transfer **bucket(const struct sockeye__tftp_worker *w,
					      const struct sockeye_sockaddr *peer)
{
	static const struct sockeye__prefixes whole_address = {.ipv4 = 32, .ipv6 = 128};
	struct {
		struct sockeye__source host;
		uint16_t port;
	} name = {.port = sockeye_sockaddr_port(peer)};

	(void)sockeye__source_of(&whole_address, &peer->u.sa, &name.host);
	return &w->buckets[sockeye__siphash(&w->key, &name, sizeof name) % BUCKETS];
}

int sockeye__tftp_peers_open(struct sockeye__tftp_worker *w)
{
	if (getrandom(&w->seed, sizeof w->seed, 0) != (ssize_t)sizeof w->seed ||
	    getrandom(&w->key, sizeof w->key, 0) != (ssize_t)sizeof w->key)
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
