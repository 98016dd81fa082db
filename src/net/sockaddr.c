/*
 * sockaddr.c: prints and compares socket addresses, and gets those of a socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <sockeye/sockaddr.h>
#include <sockeye/text.h>

#include "net/net.h"

#define PATH_AT offsetof(struct sockaddr_un, sun_path)

struct sockeye_sockaddr sockeye__sockaddr_unmapped(const struct sockeye_sockaddr *name)
{
	const struct sockaddr_in6 *in6 = &name->u.in6;
	struct sockeye_sockaddr v4 = {.len = sizeof v4.u.in};

	if (name->len < sizeof *in6 || in6->sin6_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return *name;
	v4.u.in.sin_family = AF_INET;
	v4.u.in.sin_port = in6->sin6_port;
	memcpy(&v4.u.in.sin_addr, &in6->sin6_addr.s6_addr[12], sizeof v4.u.in.sin_addr);
	return v4;
}

bool sockeye__sockaddr_is_any(const struct sockeye_sockaddr *name)
{
	return name->u.sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&name->u.in6.sin6_addr)
						: name->u.in.sin_addr.s_addr == htonl(INADDR_ANY);
}

/* Returns the family, or AF_UNSPEC if the address is too short for its family. */
static int family_of(const struct sockeye_sockaddr *name)
{
	switch (name->len >= sizeof(sa_family_t) ? name->u.sa.sa_family : AF_UNSPEC) {
	case AF_INET:
		return name->len >= sizeof name->u.in ? AF_INET : AF_UNSPEC;
	case AF_INET6:
		return name->len >= sizeof name->u.in6 ? AF_INET6 : AF_UNSPEC;
	case AF_UNIX:
		return AF_UNIX;
	default:
		return AF_UNSPEC;
	}
}

/* Returns the length of a UNIX name: a path without its final NUL, an abstract name
 * with its initial NUL, or 0 for an unnamed socket. */
static size_t unix_name_len(const struct sockeye_sockaddr *name)
{
	size_t len = name->len > PATH_AT ? name->len - PATH_AT : 0;

	if (len > sizeof name->u.un.sun_path)
		len = sizeof name->u.un.sun_path;
	if (len > 0 && name->u.un.sun_path[0] != '\0')
		len = strnlen(name->u.un.sun_path, len);
	return len;
}

static int zone_fd = -1; /* a socket for the names of interfaces; -1: open one each time */

int sockeye__zones_prepare(void)
{
	int pair[2];

	if (zone_fd >= 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	close(pair[1]); /* the other end can neither send nor be connected again */
	zone_fd = pair[0];
	return 0;
}

static bool zone_name(unsigned index, char name[static IF_NAMESIZE])
{
	struct ifreq request = {.ifr_ifindex = (int)index};

	if (zone_fd < 0)
		return if_indextoname(index, name) != NULL;
	if (ioctl(zone_fd, SIOCGIFNAME, &request) < 0)
		return false;
	memcpy(name, request.ifr_name, IF_NAMESIZE);
	return true;
}

/* Writes "%lo" if the address has a zone, otherwise "". */
static void zone_print(const struct sockaddr_in6 *in6, char zone[static IF_NAMESIZE + 1])
{
	*zone = '\0';
	if (in6->sin6_scope_id == 0)
		return;
	*zone = '%';
	if (!zone_name(in6->sin6_scope_id, zone + 1)) /* the interface was removed */
		snprintf(zone + 1, IF_NAMESIZE, "%u", in6->sin6_scope_id);
}

static size_t unix_print(const struct sockeye_sockaddr *name, char *buf, size_t cap)
{
	const char *path = name->u.un.sun_path;
	size_t len = unix_name_len(name);

	if (len == 0)
		return (size_t)snprintf(buf, cap, "unnamed");
	if (path[0] != '\0')
		return sockeye_escape(path, len, buf, cap);
	snprintf(buf, cap, "@");
	return 1 + sockeye_escape(path + 1, len - 1, cap ? buf + 1 : buf, cap ? cap - 1 : 0);
}

size_t sockeye_sockaddr_print(const struct sockeye_sockaddr *name, char *buf, size_t cap)
{
	struct sockeye_sockaddr plain = sockeye__sockaddr_unmapped(name);
	char host[INET6_ADDRSTRLEN], zone[IF_NAMESIZE + 1];

	switch (family_of(&plain)) {
	case AF_INET:
		inet_ntop(AF_INET, &plain.u.in.sin_addr, host, sizeof host);
		return (size_t)snprintf(buf, cap, "%s:%u", host, ntohs(plain.u.in.sin_port));
	case AF_INET6:
		inet_ntop(AF_INET6, &plain.u.in6.sin6_addr, host, sizeof host);
		zone_print(&plain.u.in6, zone);
		return (size_t)snprintf(buf, cap, "[%s%s]:%u", host, zone,
					ntohs(plain.u.in6.sin6_port));
	case AF_UNIX:
		return unix_print(name, buf, cap);
	default:
		return (size_t)snprintf(buf, cap, "unnamed");
	}
}

/* Fills in the address that resolves to `name`, which must have a name. */
static void addr_of(const struct sockeye_sockaddr *name, struct sockeye_addr *addr)
{
	char zone[IF_NAMESIZE + 1];

	addr->has_port = true;
	addr->port = sockeye_sockaddr_port(name);
	if (family_of(name) == AF_INET) {
		inet_ntop(AF_INET, &name->u.in.sin_addr, addr->host, sizeof addr->host);
	} else if (family_of(name) == AF_INET6) {
		inet_ntop(AF_INET6, &name->u.in6.sin6_addr, addr->host, sizeof addr->host);
		zone_print(&name->u.in6, zone);
		snprintf(addr->zone, sizeof addr->zone, "%s", zone[0] ? zone + 1 : "");
	} else {
		const char *path = name->u.un.sun_path;
		size_t len;

		addr->abstract = path[0] == '\0';
		len = unix_name_len(name) - addr->abstract;
		if (len > SOCKEYE_UNIX_PATH_MAX) /* other programs may bind 108 bytes */
			len = SOCKEYE_UNIX_PATH_MAX;
		memcpy(addr->path, path + addr->abstract, len);
		addr->path_len = (uint8_t)len;
	}
}

size_t sockeye_sockaddr_print_url(const struct sockeye_sockaddr *name, enum sockeye_scheme scheme,
				  char *buf, size_t cap)
{
	struct sockeye_sockaddr plain = sockeye__sockaddr_unmapped(name);
	struct sockeye_addr addr = {.scheme = scheme};
	int family = family_of(&plain);

	if (family == AF_UNSPEC || (family == AF_UNIX && unix_name_len(&plain) == 0))
		return (size_t)snprintf(buf, cap, "%s:unnamed", sockeye_scheme_name(scheme));
	addr_of(&plain, &addr);
	return sockeye_addr_print(&addr, buf, cap);
}

uint16_t sockeye_sockaddr_port(const struct sockeye_sockaddr *name)
{
	switch (family_of(name)) {
	case AF_INET:
		return ntohs(name->u.in.sin_port);
	case AF_INET6:
		return ntohs(name->u.in6.sin6_port);
	default:
		return 0;
	}
}

static bool ipv4_equal(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

bool sockeye_sockaddr_equal(const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b)
{
	struct sockeye_sockaddr x, y;
	int family;

	if (family_of(a) == AF_INET && family_of(b) == AF_INET) /* fast: called for each packet */
		return ipv4_equal(&a->u.in, &b->u.in);
	x = sockeye__sockaddr_unmapped(a);
	y = sockeye__sockaddr_unmapped(b);
	family = family_of(&x);
	if (family != family_of(&y))
		return false;
	switch (family) {
	case AF_INET:
		return ipv4_equal(&x.u.in, &y.u.in);
	case AF_INET6:
		return x.u.in6.sin6_port == y.u.in6.sin6_port &&
		       x.u.in6.sin6_scope_id == y.u.in6.sin6_scope_id &&
		       IN6_ARE_ADDR_EQUAL(&x.u.in6.sin6_addr, &y.u.in6.sin6_addr);
	case AF_UNIX:
		return unix_name_len(&x) == unix_name_len(&y) &&
		       memcmp(x.u.un.sun_path, y.u.un.sun_path, unix_name_len(&x)) == 0;
	default:
		return true; /* both are unnamed */
	}
}

static int name_get(int fd, int (*get)(int, struct sockaddr *, socklen_t *),
		    struct sockeye_sockaddr *out_name)
{
	struct sockeye_sockaddr name = {.len = sizeof name.u};

	if (get(fd, &name.u.sa, &name.len) < 0)
		return -errno;
	name.len = sockeye__name_len(name.len);
	*out_name = name;
	return 0;
}

int sockeye_local_name(int fd, struct sockeye_sockaddr *out_name)
{
	return name_get(fd, getsockname, out_name);
}

int sockeye_peer_name(int fd, struct sockeye_sockaddr *out_name)
{
	return name_get(fd, getpeername, out_name);
}
