/*
 * repeats.h: breaks loops between servers, across all workers.
 *
 * One forged datagram can make two servers reply to each other endlessly (CERT
 * CA-1996-01). The kernel chooses the ports of clients from ip_local_port_range, so a peer
 * with another port may be a server: it receives a limited number of replies per second.
 * A UNIX socket may be a server unless the kernel chose its name.
 */
#ifndef SOCKEYE_SERVE_REPEATS_H
#define SOCKEYE_SERVE_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include <sockeye/sockaddr.h>

#define SOCKEYE__REPEATS_PER_S   200 /* the default */
#define SOCKEYE__REPEATS_PAUSE_S 10

struct sockeye__repeats;

/* Allocates a table in shared memory, and reads the port range of this network namespace.
 * Returns NULL if memory or randomness is unavailable. */
struct sockeye__repeats *sockeye__repeats_new(uint32_t per_s);
void sockeye__repeats_free(struct sockeye__repeats *r);

/* Whether replies to the peer are limited. */
bool sockeye__repeats_concern(const struct sockeye__repeats *r,
			      const struct sockeye_sockaddr *peer);
/* Counts a reply to a peer whose replies are limited. Returns true if the reply may be
 * sent: at most per_s in a second. After one more reply in that second, returns false for
 * SOCKEYE__REPEATS_PAUSE_S seconds. */
bool sockeye__repeats_take(struct sockeye__repeats *r, const struct sockeye_sockaddr *peer,
			   uint64_t now_ns);

#endif
