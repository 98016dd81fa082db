/*
 * sources.h: limits per source, over all workers: how much each source has open,
 * and how often a second it is answered.
 */
#ifndef SOCKEYE_SERVE_SOURCES_H
#define SOCKEYE_SERVE_SOURCES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <sockeye/sockaddr.h>

/* An Internet address and its port, or none (UNIX): all that is kept of a
 * peer, so that an idle connection stays small. */
struct sockeye__peer {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
};

struct sockeye__sources;

struct sockeye__sources *sockeye__sources_new(uint32_t per_source_max);
void sockeye__sources_free(struct sockeye__sources *s);
/* Takes a slot for a peer: false when it has per_source_max already. */
bool sockeye__sources_take(struct sockeye__sources *s, const struct sockeye__peer *peer,
			   unsigned worker);
void sockeye__sources_give(struct sockeye__sources *s, const struct sockeye__peer *peer,
			   unsigned worker);
/* A worker died: its slots are free. */
void sockeye__sources_forget(struct sockeye__sources *s, unsigned worker);

bool sockeye__is_loopback(const struct sockeye_sockaddr *peer);

struct sockeye__rates;

struct sockeye__rates *sockeye__rates_new(void);
void sockeye__rates_free(struct sockeye__rates *r);
/* Whether one more answer may go to this source, at most per_s a second: a
 * forged source must not get a flood. A source that turned out not to be forged
 * gives its slot back. */
bool sockeye__rate_take(struct sockeye__rates *r, const struct sockeye_sockaddr *peer,
			uint32_t per_s, uint64_t now_ns);
void sockeye__rate_give(struct sockeye__rates *r, const struct sockeye_sockaddr *peer,
			uint32_t per_s);

#endif
