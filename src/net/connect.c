/*
 * connect.c: connects to an address.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/net.h"

/* Duplicates the connected socket N of fd:N, because the caller closes the file
 * descriptor that it receives. */
static int fd_connect(const struct sockeye_addr *addr, const struct sockeye_connect_opts *opts,
		      struct sockeye_fail *fail)
{
	int type, fd, err = sockeye__option_get(addr->fd, SOL_SOCKET, SO_TYPE, &type);

	if (err < 0)
		return sockeye__fail_addr(fail, "connect", addr, err);
	fd = fcntl(addr->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0)
		return sockeye__fail_addr(fail, "connect", addr, -errno);
	err = sockeye__nonblocking_set(fd, opts->nonblocking);
	if (err == 0)
		return fd;
	close(fd);
	return sockeye__fail_addr(fail, "connect", addr, err);
}

/* Copies text[0..len) and a NUL into a field of cap bytes. Returns false if they do
 * not fit. */
static bool copied(char *field, size_t cap, const char *text, size_t len)
{
	if (len >= cap)
		return false;
	memcpy(field, text, len);
	field[len] = '\0';
	return true;
}

static bool unix_bind_parse(const char *text, struct sockeye_addr *local)
{
	local->abstract = *text == '@';
	text += local->abstract;
	local->path_len = (uint8_t)strlen(text);
	return copied(local->path, sizeof local->path, text, local->path_len);
}

/* Parses HOST, HOST:PORT, [IPv6%zone]:PORT or a bare IPv6 address. */
static bool inet_bind_parse(const char *text, struct sockeye_addr *local)
{
	const char *end, *zone, *host = text, *port = strchr(text, ':');

	if (*text == '[') {
		host++;
		end = strchr(host, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		port = end[1] == ':' ? end + 1 : NULL;
	} else {
		if (port != NULL && strchr(port + 1, ':') != NULL)
			port = NULL;
		end = port != NULL ? port : host + strlen(host);
	}
	zone = memchr(host, '%', (size_t)(end - host));
	if (zone != NULL &&
	    !copied(local->zone, sizeof local->zone, zone + 1, (size_t)(end - zone - 1)))
		return false;
	if (!copied(local->host, sizeof local->host, host,
		    (size_t)((zone != NULL ? zone : end) - host)))
		return false;
	local->has_port = port == NULL || sockeye_port_parse(port + 1, &local->port) == 0;
	return local->has_port ||
	       (port[1] != '\0' && (port[1] < '0' || port[1] > '9') &&
		copied(local->service, sizeof local->service, port + 1, strlen(port + 1)));
}

int sockeye__locals_find(const struct sockeye_addr *addr, struct sockeye_sockaddr *locals,
			 size_t max, struct sockeye_fail *fail)
{
	struct sockeye_addr local = {.scheme = addr->scheme, .family = addr->family};
	const char *text = addr->opts.bind;

	if (*text == '\0')
		return 0;
	if (sockeye_scheme_is_unix(addr->scheme) ? unix_bind_parse(text, &local)
						 : inet_bind_parse(text, &local))
		return sockeye_resolve(&local, true, locals, max, fail);
	sockeye__fail_addr(fail, "bind", addr, SOCKEYE_E_OPTION_VALUE);
	sockeye__fail_detail(fail, "write bind=HOST, bind=HOST:PORT or bind=[IPV6]:PORT");
	return SOCKEYE_E_OPTION_VALUE;
}

static bool family_among(int family, const struct sockeye_sockaddr *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (names[i].u.sa.sa_family == family)
			return true;
	return false;
}

int sockeye__names_reachable(const struct sockeye_addr *addr, struct sockeye_sockaddr *names,
			     size_t count, const struct sockeye_sockaddr *locals,
			     size_t local_count, struct sockeye_fail *fail)
{
	int kept = 0;

	for (size_t i = 0; i < count; i++)
		if (local_count == 0 || family_among(names[i].u.sa.sa_family, locals, local_count))
			names[kept++] = names[i];
	if (kept > 0)
		return kept;
	sockeye__fail_addr(fail, "bind", addr, SOCKEYE_E_NAME_FAMILY);
	sockeye__fail_detail(fail, "bind=%s and the host have different address families",
			     addr->opts.bind);
	return SOCKEYE_E_NAME_FAMILY;
}

/* Sorts the addresses so that the families alternate. The first address stays the
 * first, and each family keeps the resolver's order (RFC 8305, section 4, with a First
 * Address Family Count of 1). */
static void names_interleave(const struct sockeye_sockaddr *names, size_t count,
			     struct sockeye_sockaddr *out_names)
{
	int first = names[0].u.sa.sa_family;
	size_t mine = 0, other = 0; /* the next address of the first family, and of the other */

	for (size_t i = 0; i < count; i++) {
		while (mine < count && names[mine].u.sa.sa_family != first)
			mine++;
		while (other < count && names[other].u.sa.sa_family == first)
			other++;
		if (mine < count && (i % 2 == 0 || other == count))
			out_names[i] = names[mine++];
		else
			out_names[i] = names[other++];
	}
}

int sockeye_connect(const struct sockeye_addr *addr, const struct sockeye_connect_opts *opts,
		    struct sockeye_fail *fail)
{
	static const struct sockeye_connect_opts none = {0};
	struct sockeye_sockaddr names[SOCKEYE__NAMES_MAX], ordered[SOCKEYE__NAMES_MAX];
	struct sockeye_sockaddr locals[SOCKEYE__NAMES_MAX];
	struct sockeye__kind kind;
	int err, count, local_count;

	if (opts == NULL)
		opts = &none;
	if (addr->scheme == SOCKEYE_FD)
		return fd_connect(addr, opts, fail);
	err = sockeye__kind_of(addr->scheme, NULL, &kind);
	if (err < 0)
		return sockeye__fail_addr(fail, "connect", addr, err);
	count = sockeye_resolve(addr, false, names, SOCKEYE__NAMES_MAX, fail);
	if (count < 0)
		return count;
	err = sockeye__multicast_check(addr, names, (size_t)count, false, fail);
	if (err < 0)
		return err;
	local_count = sockeye__locals_find(addr, locals, SOCKEYE__NAMES_MAX, fail);
	if (local_count < 0)
		return local_count;
	count =
	    sockeye__names_reachable(addr, names, (size_t)count, locals, (size_t)local_count, fail);
	if (count < 0)
		return count;
	names_interleave(names, (size_t)count, ordered);
	return sockeye__connect_list(addr, ordered, (size_t)count, locals, (size_t)local_count,
				     opts, fail);
}
