/* peers.c: the transfers of a worker, by peer and in rows (internal.h). */
#include "tftp/server/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "net/net.h"

#define BUCKETS 4096 /* a power of two */

/* Returns the bucket of a peer. An IPv4 address and the IPv6 address that it is mapped to
 * share one. */
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
	struct sockeye__tftp_transfer *t = *bucket(w, peer);

	while (t != NULL && !sockeye_sockaddr_equal(&t->wire.to.peer, peer))
		t = t->next;
	return t;
}

void sockeye__tftp_peers_add(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_transfer **at = bucket(w, &t->wire.to.peer);

	t->next = *at;
	*at = t;
	w->count++;
}

void sockeye__tftp_peers_remove(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_transfer **at = bucket(w, &t->wire.to.peer);

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	w->count--;
}

struct sockeye__tftp_transfer *sockeye__tftp_peers_next(const struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_transfer *other = t->next;

	while (other != NULL && !sockeye_sockaddr_equal(&other->wire.to.peer, &t->wire.to.peer))
		other = other->next;
	return other;
}

void sockeye__tftp_peers_each(struct sockeye__tftp_worker *w,
			      void (*call)(struct sockeye__tftp_worker *w,
					   struct sockeye__tftp_transfer *t))
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct sockeye__tftp_transfer *t = w->buckets[i], *next; t != NULL; t = next) {
			next = t->next; /* the call may end t, which changes t->next */
			call(w, t);
		}
}

/* --- rows --- */

void sockeye__tftp_row_leave(struct sockeye__tftp_transfer *t)
{
	struct sockeye__tftp_row *row = t->row;

	if (row == NULL)
		return;
	*(t->row_prev != NULL ? &t->row_prev->row_next : &row->first) = t->row_next;
	*(t->row_next != NULL ? &t->row_next->row_prev : &row->last) = t->row_prev;
	t->row = NULL;
}

void sockeye__tftp_row_join(struct sockeye__tftp_row *row, struct sockeye__tftp_transfer *t)
{
	sockeye__tftp_row_leave(t);
	t->row = row;
	t->row_next = NULL;
	t->row_prev = row->last;
	*(row->last != NULL ? &row->last->row_next : &row->first) = t;
	row->last = t;
}

/* --- invariants --- */

/* Returns the number of transfers in a row. */
static uint32_t row_check(const struct sockeye__tftp_row *row)
{
	const struct sockeye__tftp_transfer *before = NULL;
	uint32_t count = 0;

	for (const struct sockeye__tftp_transfer *t = row->first; t != NULL; t = t->row_next) {
		assert(t->row == row && t->row_prev == before);
		before = t;
		count++;
	}
	assert(row->last == before);
	return count;
}

static void transfer_check(const struct sockeye__tftp_worker *w,
			   const struct sockeye__tftp_transfer *t)
{
	const struct sockeye__tftp_upload *u = t->upload;

	assert(t->phase != SOCKEYE__TFTP_CLOSED);
	assert(t->row == (t->phase == SOCKEYE__TFTP_STORING       ? NULL
			  : t->phase == SOCKEYE__TFTP_UNCONFIRMED ? &w->unconfirmed
			  : t->phase == SOCKEYE__TFTP_DALLYING    ? &w->dallying
			  : t->slow                               ? &w->slow
								  : &w->moving));
	assert(t->phase == SOCKEYE__TFTP_UNCONFIRMED || t->machine.confirmed);
	assert((t->port == NULL) == w->server->config.single_port);
	assert(t->port == NULL || (t->port->user == t && t->port->fd == t->wire.fd));
	/* The file belongs to the committer exactly in the phase STORING, before the last ACK. */
	assert((t->phase == SOCKEYE__TFTP_STORING) ==
	       (u != NULL && u->state == SOCKEYE__TFTP_COMPLETE));
	assert(t->phase != SOCKEYE__TFTP_STORING ||
	       (t->timer.index == 0 && t->machine.control == SOCKEYE__TFTP_CONTROL_ACK));
	assert(t->phase != SOCKEYE__TFTP_DALLYING ||
	       (u != NULL && u->state == SOCKEYE__TFTP_COMMITTED));
	sockeye__timers_check(&w->timers, &t->timer);
}

/* What the transfers of a worker take of the totals that are limited. */
struct taken {
	uint64_t upload_bytes, text_bytes, received_bytes;
};

static void taken_add(const struct sockeye__tftp_transfer *t, struct taken *taken)
{
	const struct sockeye__tftp_upload *u = t->upload;

	taken->upload_bytes += u != NULL ? u->memory_len : 0;
	taken->received_bytes += u != NULL && !u->counted_committed ? u->counted : 0;
	taken->text_bytes += t->source.cap;
}

void sockeye__tftp_peers_check(const struct sockeye__tftp_worker *w)
{
	uint32_t in_phase[SOCKEYE__TFTP_CLOSED + 1] = {0};
	struct taken taken = {0};
	const struct sockeye__tftp_transfer *t;

	for (size_t i = 0; i < BUCKETS; i++)
		for (t = w->buckets[i]; t != NULL; t = t->next) {
			assert(bucket(w, &t->wire.to.peer) == &w->buckets[i]);
			transfer_check(w, t);
			in_phase[t->phase]++;
			taken_add(t, &taken);
		}
	for (t = w->dead; t != NULL; t = t->next) {
		assert(t->phase == SOCKEYE__TFTP_CLOSED && t->row == NULL && t->port == NULL);
		assert(t->timer.index == 0 && t->wire.fd == -1);
		taken_add(t, &taken);
	}
	assert(row_check(&w->unconfirmed) == in_phase[SOCKEYE__TFTP_UNCONFIRMED]);
	assert(row_check(&w->moving) + row_check(&w->slow) == in_phase[SOCKEYE__TFTP_CONFIRMED]);
	assert(row_check(&w->dallying) == in_phase[SOCKEYE__TFTP_DALLYING]);
	assert(w->count == in_phase[SOCKEYE__TFTP_UNCONFIRMED] + in_phase[SOCKEYE__TFTP_CONFIRMED] +
			       in_phase[SOCKEYE__TFTP_STORING] + in_phase[SOCKEYE__TFTP_DALLYING]);
	assert(w->upload_bytes == taken.upload_bytes && w->text_bytes == taken.text_bytes);
	assert(w->server->shared->received_bytes[w->base->seat] == taken.received_bytes);
}
