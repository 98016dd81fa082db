/*
 * source.h: the source of a peer, for all limits per source.
 *
 * A source is an IPv4 address or an IPv6 /64 network: one host can use every address of
 * its network (RFC 4291, section 2.5.4). opts.source_ipv4_prefix and
 * opts.source_ipv6_prefix change the lengths. An IPv4-mapped IPv6 address counts as its
 * IPv4 address. Each link-local address is a separate source, because all hosts of a
 * link share fe80::/64.
 */
#ifndef SOCKEYE_SERVE_SOURCE_H
#define SOCKEYE_SERVE_SOURCE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SOCKEYE__IPV4_PREFIX 32
#define SOCKEYE__IPV6_PREFIX 64

/* The Internet address and port of a peer, or only the family AF_UNIX: smaller than a
 * struct sockeye_sockaddr, so that an idle connection needs little memory. */
struct sockeye__peer {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
};

/* Leading bits that the addresses of a source share. 0: the default. */
struct sockeye__prefixes {
	unsigned ipv4, ipv6;
};

struct sockeye__source {
	uint8_t address[16]; /* IPv4 is mapped; a link-local address includes its interface */
};

/* Returns 0, or -EINVAL if a prefix is longer than the address. */
int sockeye__prefixes_check(const struct sockeye__prefixes *prefixes);

/* Writes the source of a peer. Returns false if the peer has no Internet address. */
bool sockeye__source_of(const struct sockeye__prefixes *prefixes, const struct sockaddr *peer,
			struct sockeye__source *out);

bool sockeye__source_equal(const struct sockeye__source *a, const struct sockeye__source *b);

/* Whether the peer is on this host: its address is a loopback address, which packets from
 * other hosts cannot have (RFC 1122, section 3.2.1.3), or not an Internet address. */
bool sockeye__is_loopback(const struct sockaddr *peer);

#endif
