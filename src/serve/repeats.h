/*
 * repeats.h: breaks loops between servers, over all workers.
 *
 * One forged datagram makes two servers reply to each other endlessly (CERT CA-1996-01).
 * A client's port comes from ip_local_port_range(7), so a peer with another port may be a
 * server: it receives a limited number of replies per second. A UNIX socket may be
 * a server unless the kernel picked its name.
 */
#ifndef SOCKEYE_SERVE_REPEATS_H
#define SOCKEYE_SERVE_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include <sockeye/sockaddr.h>

#define SOCKEYE__REPEATS_PER_S   200 /* the default */
#define SOCKEYE__REPEATS_PAUSE_S 10

struct sockeye__repeats;

/* In shared memory. Reads the port range of this network namespace. NULL: out of memory,
 * or no random key. */
struct sockeye__repeats *sockeye__repeats_new(uint32_t per_s);
void sockeye__repeats_free(struct sockeye__repeats *r);

/* Whether replies to the peer are limited. */
bool sockeye__repeats_concern(const struct sockeye__repeats *r,
			      const struct sockeye_sockaddr *peer);
/* Whether a peer whose replies are limited may be sent one more: per_s in a second, and
 * after one too many none for SOCKEYE__REPEATS_PAUSE_S. */
bool sockeye__repeats_take(struct sockeye__repeats *r, const struct sockeye_sockaddr *peer,
			   uint64_t now_ns);

#endif
