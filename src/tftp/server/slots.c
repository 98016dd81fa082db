/* slots.c: how many transfers and requests there may be, in all and of one source
 * (internal.h). */
#include "tftp/server/internal.h"

#include <errno.h>
#include <string.h>

#include "net/net.h"

#define TRANSFERS_MAX  8192
#define REQUESTS_PER_S 100 /* of one source that nobody has confirmed */

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

bool sockeye__tftp_same_source(const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b)
{
	struct sockeye_sockaddr x = source_name(a), y = source_name(b);

	if (x.u.sa.sa_family == AF_INET)
		y.u.in.sin_port = x.u.in.sin_port;
	else
		y.u.in6.sin6_port = x.u.in6.sin6_port;
	return sockeye_sockaddr_equal(&x, &y);
}

int sockeye__tftp_slot_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *name)
{
	struct sockeye__tftp_shared *shared = w->server->shared;
	struct sockeye__peer peer = source_of(name);
	uint32_t max = w->server->config.transfers_max;

	if (__atomic_add_fetch(&shared->transfers, 1, __ATOMIC_RELAXED) >
	    (max != 0 ? max : TRANSFERS_MAX)) {
		__atomic_sub_fetch(&shared->transfers, 1, __ATOMIC_RELAXED);
		return -ENOSPC;
	}
	if (!sockeye__sources_take(w->server->sources, &peer, w->w->member)) {
		__atomic_sub_fetch(&shared->transfers, 1, __ATOMIC_RELAXED);
		return -EDQUOT;
	}
	__atomic_add_fetch(&shared->of_worker[w->w->member], 1, __ATOMIC_RELAXED);
	sockeye__count(&w->counters->transfers_open, 1);
	return 0;
}

void sockeye__tftp_slot_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye__peer source = source_of(peer);

	sockeye__sources_give(w->server->sources, &source, w->w->member);
	__atomic_sub_fetch(&w->server->shared->of_worker[w->w->member], 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&w->server->shared->transfers, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&w->counters->transfers_open, 1, __ATOMIC_RELAXED);
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

	if (rate == 0 || sockeye__rate_take(w->server->rates, &source, rate, w->now_ns))
		return true;
	sockeye__count(&w->w->counters->dropped_rate, 1);
	return false;
}

void sockeye__tftp_rate_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer)
{
	struct sockeye_sockaddr source = source_name(peer);
	uint32_t rate = rate_of(w, peer);

	if (rate != 0)
		sockeye__rate_give(w->server->rates, &source, rate);
}
