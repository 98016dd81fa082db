/*
 * sockaddr.h: socket addresses of the kernel, and how to print and resolve them.
 */
#ifndef SOCKEYE_SOCKADDR_H
#define SOCKEYE_SOCKADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <sockeye/addr.h>
#include <sockeye/visibility.h>

SOCKEYE_BEGIN

/* A socket address with its length. All zero bytes: not an address. */
struct sockeye_sockaddr {
	socklen_t len; /* bytes of the union in use */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
};

/* Writes "127.0.0.1:7", "[fe80::1%lo]:7", "/run/x.sock", "@name", or "unnamed" if there
 * is no address. Writes an IPv4-mapped IPv6 address as IPv4, and escapes bytes that a
 * terminal would interpret. Returns the length of the whole text in bytes; like
 * snprintf(), it truncates text that does not fit, and writes a NUL if cap > 0.
 * Thread-safe. */
SOCKEYE_API size_t sockeye_sockaddr_print(const struct sockeye_sockaddr *name, char *buf,
					  size_t cap);

/* Writes the address with a scheme, "tcp://127.0.0.1:7", so that sockeye_addr_parse()
 * accepts the text; for an unnamed address writes "tcp:unnamed", which does not parse.
 * Returns a length like sockeye_sockaddr_print(). Thread-safe. */
SOCKEYE_API size_t sockeye_sockaddr_print_url(const struct sockeye_sockaddr *name,
					      enum sockeye_scheme scheme, char *buf, size_t cap);

/* Returns the port in host byte order, or 0 if the family has no ports.
 * Thread-safe. */
SOCKEYE_API uint16_t sockeye_sockaddr_port(const struct sockeye_sockaddr *name);

/* Returns whether two addresses have the same host and port, or the same path. An
 * IPv4-mapped IPv6 address equals its IPv4 address. Two unnamed addresses are equal.
 * Thread-safe. */
SOCKEYE_API bool sockeye_sockaddr_equal(const struct sockeye_sockaddr *a,
					const struct sockeye_sockaddr *b);

/* Get the local address (getsockname(2)) or the peer's address (getpeername(2)). Return
 * 0 or -errno. Thread-safe. */
SOCKEYE_API int sockeye_local_name(int fd, struct sockeye_sockaddr *out_name);
SOCKEYE_API int sockeye_peer_name(int fd, struct sockeye_sockaddr *out_name);

/* Resolves an address with the system's resolver. Writes at most `max` socket
 * addresses in the resolver's order (RFC 6724), each once. With `for_bind`, port 0 is
 * valid, and an empty host is the wildcard: [::], which includes IPv4 unless v6only is
 * set, and 0.0.0.0 for a kernel without IPv6. Without `for_bind`, port 0 is an error, and
 * an empty host is loopback.
 * Returns the count, at least 1, or a negative code with *fail filled in (fail may be
 * NULL). The code is SOCKEYE_E_HOST for a host that ends in a number but is not a
 * dotted quad (1.2.3, 0x7f000001), which glibc would read as an address. Does not use
 * AI_ADDRCONFIG, which hides 127.0.0.1 on a machine that has only loopback.
 * Blocks while it waits for a name server. Thread-safe. */
SOCKEYE_API int sockeye_resolve(const struct sockeye_addr *addr, bool for_bind,
				struct sockeye_sockaddr *out_names, size_t max,
				struct sockeye_fail *fail);

SOCKEYE_END

#endif
