/* source.c: the source of a peer (source.h). */
#include "serve/source.h"

#include <errno.h>
#include <string.h>

#define MAPPED_BITS 96 /* prefix of IPv4-mapped addresses (RFC 4291, section 2.5.5.2) */

int sockeye__prefixes_check(const struct sockeye__prefixes *prefixes)
{
	return prefixes->ipv4 <= 32 && prefixes->ipv6 <= 128 ? 0 : -EINVAL;
}

static void keep_prefix(struct sockeye__source *s, unsigned bits)
{
	for (unsigned i = 0; i < sizeof s->address; i++) {
		unsigned kept = bits > 8 * i ? bits - 8 * i : 0;

		if (kept < 8)
			s->address[i] &= (uint8_t)(0xff00 >> kept);
	}
}

static void source_of_ipv4(const struct sockeye__prefixes *prefixes, const void *address,
			   struct sockeye__source *out)
{
	memset(out->address, 0, 10);
	memset(out->address + 10, 0xff, 2);
	memcpy(out->address + 12, address, 4);
	keep_prefix(out,
		    MAPPED_BITS + (prefixes->ipv4 != 0 ? prefixes->ipv4 : SOCKEYE__IPV4_PREFIX));
}

static void source_of_ipv6(const struct sockeye__prefixes *prefixes,
			   const struct sockaddr_in6 *peer, struct sockeye__source *out)
{
	const struct in6_addr *address = &peer->sin6_addr;

	if (IN6_IS_ADDR_V4MAPPED(address)) {
		source_of_ipv4(prefixes, address->s6_addr + 12, out);
		return;
	}
	memcpy(out->address, address, sizeof out->address);
	if (IN6_IS_ADDR_LINKLOCAL(address)) /* bits 10 to 63 are 0 (RFC 4291, section 2.5.6) */
		memcpy(out->address + 4, &peer->sin6_scope_id, sizeof peer->sin6_scope_id);
	else if (!IN6_IS_ADDR_LOOPBACK(address))
		keep_prefix(out, prefixes->ipv6 != 0 ? prefixes->ipv6 : SOCKEYE__IPV6_PREFIX);
}

bool sockeye__source_of(const struct sockeye__prefixes *prefixes, const struct sockaddr *peer,
			struct sockeye__source *out)
{
	switch (peer->sa_family) {
	case AF_INET:
		source_of_ipv4(prefixes, &((const struct sockaddr_in *)peer)->sin_addr, out);
		return true;
	case AF_INET6:
		source_of_ipv6(prefixes, (const struct sockaddr_in6 *)peer, out);
		return true;
	default:
		return false;
	}
}

bool sockeye__source_equal(const struct sockeye__source *a, const struct sockeye__source *b)
{
	return memcmp(a, b, sizeof *a) == 0;
}

bool sockeye__is_loopback(const struct sockaddr *peer)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)peer;
	const struct in6_addr *in6 = &((const struct sockaddr_in6 *)peer)->sin6_addr;

	switch (peer->sa_family) {
	case AF_INET:
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(in6) ||
		       (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
	default:
		return true;
	}
}
