/* room.c: makes room for new transfers of other workers (room.h). */
#include "tftp/server/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define HELD_MAX        256
#define HELD_OF_SOURCES 64 /* of these, at a limit per source; the rest is for other requests */
/* How long a request is held: long enough for a worker that is stopped to continue
 * (serve/watchdog.h). */
#define HOLD_NS (3 * SOCKEYE_NS_PER_S)
/* How much time the workers have for an answer before those with transfers of the next rank are
 * asked. */
#define STEP_NS (SOCKEYE_NS_PER_S / 10)

struct sockeye__tftp_held {
	struct sockeye__tftp_held *next;
	struct sockeye__tftp_site *site;
	struct sockeye_dgram from;
	enum sockeye__tftp_scope scope;
	enum sockeye__tftp_rank rank; /* OF_SOURCE: the lowest rank that was not asked for */
	uint64_t until_ns;            /* when it is tried for the last time */
	size_t len;
	uint8_t bytes[];
};

static struct sockeye__tftp_seat *seat_of(const struct sockeye__tftp_worker *w)
{
	return &w->server->shared->seats[w->base->seat];
}

static unsigned seats(const struct sockeye__tftp_worker *w)
{
	return __atomic_load_n(&w->server->shared->seats_used, __ATOMIC_RELAXED);
}

static void wake_all(const struct sockeye__tftp_worker *w)
{
	static const uint64_t one = 1;

	/* Each epoll set reports each write, although no worker reads the counter. */
	(void)!write(w->server->room_fd, &one, sizeof one);
}

int sockeye__tftp_room_open(struct sockeye__tftp_worker *w)
{
	struct sockeye__tftp_shared *shared = w->server->shared;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = &w->watch_room};
	uint32_t mine = w->base->seat + 1, used = seats(w);

	w->room.end = &w->room.first;
	w->watch_room = SOCKEYE__WATCH_ROOM;
	while (used < mine && !__atomic_compare_exchange_n(&shared->seats_used, &used, mine, false,
							   __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->server->room_fd, &ev) < 0 ? -errno : 0;
}

void sockeye__tftp_room_forget(struct sockeye__tftp_shared *shared, unsigned seat)
{
	memset(&shared->seats[seat], 0, sizeof shared->seats[seat]);
}

/* --- what can be dropped --- */

void sockeye__tftp_room_publish(const struct sockeye__tftp_worker *w)
{
	struct sockeye__tftp_seat *seat = seat_of(w);

	__atomic_store_n(&seat->offer.expendable,
			 w->dallying.first != NULL || w->unconfirmed.first != NULL,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&seat->offer.slow, w->slow.first != NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&seat->offer.stalls_ns, sockeye__tftp_stalls_ns(w), __ATOMIC_RELAXED);
}

static bool offers(const struct sockeye__tftp_seat *seat, enum sockeye__tftp_rank rank,
		   uint64_t now_ns)
{
	uint64_t stalls_ns;

	switch (rank) {
	case SOCKEYE__TFTP_RANK_EXPENDABLE:
		return __atomic_load_n(&seat->offer.expendable, __ATOMIC_RELAXED);
	case SOCKEYE__TFTP_RANK_STALLED:
		stalls_ns = __atomic_load_n(&seat->offer.stalls_ns, __ATOMIC_RELAXED);
		return stalls_ns != 0 && stalls_ns <= now_ns;
	case SOCKEYE__TFTP_RANK_SLOW:
		return __atomic_load_n(&seat->offer.slow, __ATOMIC_RELAXED);
	case SOCKEYE__TFTP_RANK_KEPT:
		break;
	}
	return false;
}

/* Returns the lowest rank, from `rank` on, of which another worker has a transfer. */
static enum sockeye__tftp_rank offered(const struct sockeye__tftp_worker *w,
				       enum sockeye__tftp_rank rank)
{
	for (; rank < SOCKEYE__TFTP_RANK_KEPT; rank++)
		for (unsigned i = 0; i < seats(w); i++)
			if (i != w->base->seat &&
			    offers(&w->server->shared->seats[i], rank, w->now_ns))
				return rank;
	return rank;
}

/* --- requests that wait --- */

static bool may_wait(const struct sockeye__tftp_worker *w, enum sockeye__tftp_scope scope)
{
	const struct sockeye__tftp_room *room = &w->room;

	if (room->again != NULL)
		return w->now_ns < room->again->until_ns;
	return room->count < HELD_MAX &&
	       (scope != SOCKEYE__TFTP_OF_SOURCE || room->of_source < HELD_OF_SOURCES);
}

bool sockeye__tftp_room_elsewhere(struct sockeye__tftp_worker *w, enum sockeye__tftp_scope scope,
				  enum sockeye__tftp_rank rank)
{
	enum sockeye__tftp_rank from = SOCKEYE__TFTP_RANK_EXPENDABLE;
	bool unpublished; /* another worker may have begun a transfer just now */

	if (scope == SOCKEYE__TFTP_OF_SOURCE && w->room.again != NULL)
		from = w->room.again->rank;
	unpublished = w->room.again == NULL && rank == SOCKEYE__TFTP_RANK_KEPT;
	if (scope == SOCKEYE__TFTP_OF_WORKER || seats(w) < 2 || !may_wait(w, scope) ||
	    (!unpublished && offered(w, from) >= rank))
		return false;
	w->room.waits = true;
	w->room.waits_for = scope;
	return true;
}

/* Whether the client has only repeated a request that is held. */
static bool is_held(const struct sockeye__tftp_worker *w, const struct sockeye_dgram *from,
		    const uint8_t *bytes, size_t len)
{
	for (const struct sockeye__tftp_held *h = w->room.first; h != NULL; h = h->next)
		if (h->len == len && sockeye_sockaddr_equal(&h->from.peer, &from->peer) &&
		    memcmp(h->bytes, bytes, len) == 0)
			return true;
	return false;
}

bool sockeye__tftp_room_hold(struct sockeye__tftp_worker *w, struct sockeye__tftp_site *site,
			     const struct sockeye_dgram *from, const uint8_t *bytes, size_t len)
{
	struct sockeye__tftp_room *room = &w->room;
	struct sockeye__tftp_held *h;

	if (!room->waits)
		return false;
	if (room->again != NULL || is_held(w, from, bytes, len))
		return true;
	h = malloc(sizeof *h + len);
	if (h == NULL)
		return false;
	*h = (struct sockeye__tftp_held){
	    .site = site,
	    .from = *from,
	    .scope = room->waits_for,
	    .until_ns = w->now_ns + HOLD_NS,
	    .len = len,
	};
	memcpy(h->bytes, bytes, len);
	*room->end = h;
	room->end = &h->next;
	room->count++;
	room->of_source += h->scope == SOCKEYE__TFTP_OF_SOURCE;
	room->ask_again = true;
	return true;
}

/* Handles a held request again. Returns whether it is still held. */
static bool try_again(struct sockeye__tftp_worker *w, struct sockeye__tftp_held *h)
{
	struct sockeye__tftp_room *room = &w->room;

	room->of_source -= h->scope == SOCKEYE__TFTP_OF_SOURCE;
	room->again = h;
	sockeye__tftp_request(w, h->site, &h->from, h->bytes, h->len);
	room->again = NULL;
	if (!room->waits)
		return false;
	h->scope = room->waits_for;
	room->of_source += h->scope == SOCKEYE__TFTP_OF_SOURCE;
	return true;
}

static void try_all_again(struct sockeye__tftp_worker *w)
{
	struct sockeye__tftp_room *room = &w->room;
	struct sockeye__tftp_held **at = &room->first;

	while (*at != NULL) {
		struct sockeye__tftp_held *h = *at;

		if (try_again(w, h)) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		room->count--;
		free(h);
	}
	room->end = at;
	room->ask_again = true;
}

void sockeye__tftp_room_close(struct sockeye__tftp_worker *w)
{
	while (w->room.first != NULL) {
		struct sockeye__tftp_held *h = w->room.first;

		w->room.first = h->next;
		free(h);
	}
}

/* --- asking --- */

/* Returns the request for which to ask next. Requests held at a limit per source come after the
 * others: a single source must not delay them. */
static struct sockeye__tftp_held *most_urgent(const struct sockeye__tftp_worker *w)
{
	struct sockeye__tftp_held *h = w->room.first;

	while (h != NULL && h->scope == SOCKEYE__TFTP_OF_SOURCE)
		h = h->next;
	return h != NULL ? h : w->room.first;
}

/* Returns whether the other workers have to be woken. */
static bool ask(struct sockeye__tftp_worker *w)
{
	struct sockeye__tftp_seat *seat = seat_of(w);
	struct sockeye__tftp_held *h = most_urgent(w);
	enum sockeye__tftp_rank rank;
	uint32_t wanted = 1;

	w->room.ask_again = false;
	w->room.due_ns = h != NULL ? w->now_ns + STEP_NS : 0;
	__atomic_store_n(&seat->ask.wanted, 0, __ATOMIC_SEQ_CST);
	if (h == NULL)
		return false;
	if (h->scope != SOCKEYE__TFTP_OF_SOURCE) {
		wanted = w->room.count - w->room.of_source;
		rank = offered(w, SOCKEYE__TFTP_RANK_EXPENDABLE);
	} else {
		rank = offered(w, h->rank);
		h->rank = rank < SOCKEYE__TFTP_RANK_KEPT ? rank + 1 : h->rank;
	}
	if (rank == SOCKEYE__TFTP_RANK_KEPT)
		return false;
	seat->ask.rank = rank;
	seat->ask.scope = h->scope;
	seat->ask.peer = h->from.peer;
	__atomic_store_n(&seat->ask.wanted, wanted, __ATOMIC_RELEASE);
	return true;
}

/* Takes one of the wanted transfers. Returns false if other workers have taken all. */
static bool claim(uint32_t *wanted)
{
	uint32_t left = __atomic_load_n(wanted, __ATOMIC_RELAXED);

	while (left > 0)
		if (__atomic_compare_exchange_n(wanted, &left, left - 1, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/* Drops the transfers that another worker asks for. Returns whether it dropped one. */
static bool answer(struct sockeye__tftp_worker *w, struct sockeye__tftp_seat *seat)
{
	bool dropped = false;

	while (__atomic_load_n(&seat->ask.wanted, __ATOMIC_ACQUIRE) > 0) {
		const struct sockeye_sockaddr peer = seat->ask.peer;
		enum sockeye__tftp_rank rank;
		struct sockeye__tftp_transfer *t = sockeye__tftp_drop_candidate(
		    w, &peer, seat->ask.scope == SOCKEYE__TFTP_OF_SOURCE, &rank);

		if (rank > seat->ask.rank || t == NULL || !claim(&seat->ask.wanted))
			break;
		sockeye__tftp_transfer_drop(w, t, SOCKEYE__TFTP_MADE_ROOM);
		__atomic_add_fetch(&w->server->shared->room_made, 1, __ATOMIC_RELEASE);
		dropped = true;
	}
	return dropped;
}

static bool answer_all(struct sockeye__tftp_worker *w)
{
	bool dropped = false;

	for (unsigned i = 0; i < seats(w); i++)
		if (i != w->base->seat)
			dropped |= answer(w, &w->server->shared->seats[i]);
	return dropped;
}

void sockeye__tftp_room_run(struct sockeye__tftp_worker *w)
{
	struct sockeye__tftp_room *room = &w->room;
	bool due = room->due_ns != 0 && w->now_ns >= room->due_ns, wake = false;
	uint32_t made;

	if (seats(w) < 2)
		return;
	if (room->woken)
		wake = answer_all(w);
	room->woken = false;
	made = __atomic_load_n(&w->server->shared->room_made, __ATOMIC_ACQUIRE);
	if (room->first != NULL && (made != room->made || due))
		try_all_again(w);
	room->made = made;
	sockeye__tftp_room_publish(w);
	if (room->ask_again)
		wake |= ask(w);
	if (wake)
		wake_all(w);
}

uint64_t sockeye__tftp_room_due_ns(const struct sockeye__tftp_worker *w)
{
	return w->room.due_ns;
}
