/*
 * sockaddr.h: addresses as the kernel has them, and their text.
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

/* A socket address with its length; a zeroed one is "no address". */
struct sockeye_sockaddr {
	socklen_t len; /* bytes of the union in use */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
};

/* Writes "127.0.0.1:7", "[fe80::1%lo]:7", "/run/x.sock", "@name" or, for an
 * address without a name, "unnamed"; an IPv4-mapped IPv6 address is written as
 * IPv4. Bytes that a terminal would act on are escaped. Always NUL-terminated
 * when cap > 0; returns the length of the whole text, as snprintf.
 * Thread-safe. */
SOCKEYE_API size_t sockeye_sockaddr_print(const struct sockeye_sockaddr *name, char *buf,
					  size_t cap);

/* Writes the same as an address, "tcp://127.0.0.1:7", with the name of
 * `scheme`. Thread-safe. */
SOCKEYE_API size_t sockeye_sockaddr_print_url(const struct sockeye_sockaddr *name,
					      enum sockeye_scheme scheme, char *buf, size_t cap);

/* The port in host order, 0 for what has none. Thread-safe. */
SOCKEYE_API uint16_t sockeye_sockaddr_port(const struct sockeye_sockaddr *name);

/* Whether two addresses are the same host and port (or path). An IPv4-mapped
 * IPv6 address equals its IPv4 one, and no name equals no name. Thread-safe. */
SOCKEYE_API bool sockeye_sockaddr_equal(const struct sockeye_sockaddr *a,
					const struct sockeye_sockaddr *b);

/* The name of this end (getsockname) or of the other (getpeername) of `fd`:
 * 0 or -errno. Thread-safe. */
SOCKEYE_API int sockeye_local_name(int fd, struct sockeye_sockaddr *out_name);
SOCKEYE_API int sockeye_peer_name(int fd, struct sockeye_sockaddr *out_name);

/* Every address of `addr`, looked up through the system's resolver, in its
 * order (RFC 6724), each once, at most `max` of them. `for_bind` makes an empty
 * host the wildcard ([::], which has IPv4 in it unless v6only, then 0.0.0.0 for
 * a kernel without IPv6), and allows port 0; otherwise an empty host is loopback.
 * A host that ends in a number and is no dotted quad (1.2.3, 0x7f000001) is
 * SOCKEYE_E_HOST, though glibc would read an address into it. Returns the count
 * (at least 1) or a negative code with *fail filled in (fail may be NULL).
 * AI_ADDRCONFIG is not used: with it, 127.0.0.1 itself is not found on a machine
 * that has only loopback. Blocks while a name server is asked. Thread-safe. */
SOCKEYE_API int sockeye_resolve(const struct sockeye_addr *addr, bool for_bind,
				struct sockeye_sockaddr *out_names, size_t max,
				struct sockeye_fail *fail);

SOCKEYE_END

#endif
