/*
 * source.h: the one meaning of "source" that all limits per source have.
 *
 * A source is an IPv4 address, or an IPv6 network of 64 bits: one host can use
 * every address of its network (RFC 4291 2.5.4). The lengths of these prefixes can
 * be set. An IPv4-mapped IPv6 address is the IPv4 address. Link-local addresses
 * are sources of their own, for all hosts of a link share fe80::/64.
 */
#ifndef SOCKEYE_SERVE_SOURCE_H
#define SOCKEYE_SERVE_SOURCE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SOCKEYE__IPV4_PREFIX 32
#define SOCKEYE__IPV6_PREFIX 64

/* An Internet address and its port, or none (UNIX): all that is kept of a peer, so
 * that an idle connection stays small. */
struct sockeye__peer {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
};

/* Bits that the addresses of a source share. 0: the default. */
struct sockeye__prefixes {
	unsigned ipv4, ipv6;
};

struct sockeye__source {
	uint8_t address[16]; /* IPv4 as mapped; a link-local address has its link in it */
};

/* 0 or -EINVAL. */
int sockeye__prefixes_check(const struct sockeye__prefixes *prefixes);

/* False if the address is of another family: UNIX peers have no source. */
bool sockeye__source_of(const struct sockeye__prefixes *prefixes, const struct sockaddr *peer,
			struct sockeye__source *out);

bool sockeye__source_equal(const struct sockeye__source *a, const struct sockeye__source *b);

/* Whether the address is a loopback one, which packets from other hosts cannot have
 * (RFC 1122 3.2.1.3), or of another family than the Internet's. */
bool sockeye__is_loopback(const struct sockaddr *peer);

#endif
