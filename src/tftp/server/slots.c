/* slots.c: limits on transfers and requests, in total and per source (internal.h). */
#include "tftp/server/internal.h"

#include <assert.h>
#include <errno.h>

#define TRANSFERS_MAX  8192
#define REQUESTS_PER_S 100 /* unconfirmed requests of one source */

static struct sockeye__source source_of(const struct sockeye__tftp_worker *w,
					const struct sockeye_sockaddr *peer)
{
	struct sockeye__source source = {0};

	/* Cannot fail: the peer has an Internet address. */
	(void)sockeye__worker_source(w->base, &peer->u.sa, &source);
	return source;
}

bool sockeye__tftp_same_source(const struct sockeye__tftp_worker *w,
			       const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b)
{
	struct sockeye__source x = source_of(w, a), y = source_of(w, b);

	return sockeye__source_equal(&x, &y);
}

/* Returns the transfers of all workers. A sum, so that a worker's transfers end with it wherever
 * it is killed. Of two workers that each add one and then take the sum, at least one sees both. */
static uint64_t transfers(const struct sockeye__tftp_shared *shared)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SOCKEYE__SEATS_MAX; i++)
		sum += __atomic_load_n(&shared->of_seat[i], __ATOMIC_SEQ_CST);
	return sum;
}

int sockeye__tftp_slot_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye__tftp_shared *shared = w->server->shared;
	struct sockeye__source source = source_of(w, peer);
	uint32_t max = w->server->config.transfers_max, *mine = &shared->of_seat[w->base->seat];
	int err;

	__atomic_add_fetch(mine, 1, __ATOMIC_SEQ_CST);
	err = transfers(shared) > (max != 0 ? max : TRANSFERS_MAX)
		  ? -ENOSPC
		  : sockeye__sources_take(w->server->sources, &source, w->base->seat);
	if (err < 0) {
		__atomic_sub_fetch(mine, 1, __ATOMIC_RELAXED);
		return err;
	}
	sockeye__count(&w->counters->transfers_open, 1);
	return 0;
}

void sockeye__tftp_slot_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye__source source = source_of(w, peer);

	sockeye__sources_give(w->server->sources, &source, w->base->seat);
	__atomic_sub_fetch(&w->server->shared->of_seat[w->base->seat], 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&w->counters->transfers_open, 1, __ATOMIC_RELAXED);
}

/* Returns the limit of requests per second, 0 for none. Loopback addresses have none by
 * default: other hosts cannot forge them (RFC 1122, section 3.2.1.3). */
static uint32_t rate_of(const struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	uint32_t limit = w->server->config.requests_per_s;

	return limit != 0 ? limit : sockeye__is_loopback(&peer->u.sa) ? 0 : REQUESTS_PER_S;
}

bool sockeye__tftp_rate_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye__source source = source_of(w, peer);
	uint32_t rate = rate_of(w, peer);

	return rate == 0 || sockeye__rates_take(w->server->rates, &source, rate, w->now_ns);
}

void sockeye__tftp_rate_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye__source source = source_of(w, peer);
	uint32_t rate = rate_of(w, peer);

	if (rate != 0)
		sockeye__rates_give(w->server->rates, &source, rate);
}

void sockeye__tftp_slots_check(const struct sockeye__tftp_worker *w)
{
	const struct sockeye__tftp_shared *shared = w->server->shared;

	assert(shared->of_seat[w->base->seat] == w->count);
	assert(w->counters->transfers_open == w->count);
}
