/*
 * listen.c: opens sockets for servers.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "net/net.h"

#define BACKLOG           4096 /* net.core.somaxconn since Linux 5.4 */
#define COMMON_PORT_TRIES 16

static uint32_t backlog_of(const struct sockeye_addr *addr, const struct sockeye_listen_opts *opts)
{
	if (opts->backlog > 0)
		return opts->backlog;
	return addr->opts.backlog > 0 ? addr->opts.backlog : BACKLOG;
}

static bool is_inet(const struct sockeye_sockaddr *name)
{
	return name->u.sa.sa_family != AF_UNIX;
}

/* Binds a socket. With `share`, later sockets of the same user can share its port:
 * SO_REUSEPORT is set only after bind(2), so that bind(2) still fails if another server
 * uses the port, even with SO_REUSEPORT. With `join`, the socket joins a shared port:
 * SO_REUSEPORT is set before bind(2). */
static int socket_bind(const struct sockeye_addr *addr, const struct sockeye_sockaddr *name,
		       bool share, bool join, struct sockeye_listener *l)
{
	int err = 0;

	if (!is_inet(name))
		return sockeye__unix_bind(l->fd, addr, name, l);
	/* SO_REUSEADDR lets a stream server bind while old connections are in TIME_WAIT,
	 * and lets several programs join the same multicast group. */
	if (sockeye_scheme_is_stream(l->scheme) || sockeye__sockaddr_is_multicast(name))
		err = sockeye__option_set(l->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (err == 0 && (join || addr->opts.reuseport))
		err = sockeye__option_set(l->fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (err == 0 && bind(l->fd, &name->u.sa, name->len) < 0)
		err = -errno;
	if (err == 0 && share)
		err = sockeye__option_set(l->fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return err;
}

/* Opens one listener. Returns 0 or -errno. Sets *out_op to the last step that it tried. */
static int listener_open(const struct sockeye_addr *addr, const struct sockeye_listen_opts *opts,
			 const struct sockeye_sockaddr *name, bool join, struct sockeye_listener *l,
			 const char **out_op)
{
	struct sockeye__kind kind;
	int err;

	*out_op = "socket";
	err = sockeye__kind_of(l->scheme, name, &kind);
	l->fd = err < 0 ? err : sockeye__socket_open(&kind, opts->nonblocking ? SOCK_NONBLOCK : 0);
	if (l->fd < 0)
		return l->fd;
	*out_op = "setsockopt";
	err = sockeye__options_apply(l->fd, addr, name);
	if (err == 0 && l->scheme == SOCKEYE_UDP)
		err = sockeye_dgram_want_local(l->fd);
	if (err == 0) {
		*out_op = "bind";
		err = socket_bind(addr, name, opts->reuseport, join, l);
	}
	if (err == 0 && l->scheme == SOCKEYE_UDP) {
		*out_op = "join";
		err = sockeye__multicast_join(l->fd, addr, name);
	}
	if (err == 0 && sockeye_scheme_is_stream(l->scheme)) {
		*out_op = "listen";
		if (listen(l->fd, (int)backlog_of(addr, opts)) < 0)
			err = -errno;
	}
	if (err == 0) {
		*out_op = "getsockname";
		err = sockeye_local_name(l->fd, &l->name);
	}
	if (err < 0)
		sockeye_listener_close(l);
	return err;
}

static void listeners_close(struct sockeye_listener *listeners, size_t count)
{
	while (count > 0)
		sockeye_listener_close(&listeners[--count]);
}

static void port_set(struct sockeye_sockaddr *name, uint16_t port)
{
	if (name->u.sa.sa_family == AF_INET)
		name->u.in.sin_port = htons(port);
	else
		name->u.in6.sin6_port = htons(port);
}

/* Whether the kernel does not support the family of the address, or this machine does
 * not have the address. Other addresses of the same host name may still be usable. */
static bool absent(int err)
{
	return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

struct names {
	struct sockeye_sockaddr list[SOCKEYE__NAMES_MAX];
	size_t count;
	size_t max; /* the maximum number of sockets to open */
};

/* Opens a socket for each name, and skips addresses that this machine does not have. If
 * the port is 0, all sockets use the port that the kernel chose for the first one. Returns
 * the number of sockets or a negative code with *fail. */
static int names_open(const struct sockeye_addr *addr, const struct sockeye_listen_opts *opts,
		      const struct names *names, struct sockeye_listener *listeners,
		      struct sockeye_fail *fail)
{
	size_t opened = 0;
	int first_err = 0;

	for (size_t i = 0; i < names->count && opened < names->max; i++) {
		struct sockeye_listener l = {.scheme = addr->scheme};
		struct sockeye_sockaddr name = names->list[i];
		const char *op;
		int err;

		if (opened > 0 && is_inet(&name))
			port_set(&name, sockeye_sockaddr_port(&listeners[0].name));
		err = listener_open(addr, opts, &name, false, &l, &op);
		if (err == 0) {
			listeners[opened++] = l;
			continue;
		}
		if (first_err == 0 || !absent(err))
			first_err = sockeye__fail_name(fail, op, addr, &name, err);
		if (err == -ENODEV && strcmp(op, "join") == 0)
			sockeye__fail_add(fail, "no route leads to the group; name an interface, "
						"as in ?interface=eth0");
		if (!absent(err)) {
			listeners_close(listeners, opened);
			return err;
		}
	}
	return opened > 0 ? (int)opened : first_err;
}

static bool any_host(const struct sockeye_addr *addr)
{
	return !sockeye_scheme_is_unix(addr->scheme) &&
	       (addr->host[0] == '\0' || strcmp(addr->host, "*") == 0);
}

/* Returns the scheme of an inherited socket, or -errno. */
static int scheme_of(int fd)
{
	struct sockeye_sockaddr name = {0};
	struct sockeye__kind kind;
	int domain = 0, type = 0, protocol = 0, err;

	err = sockeye__option_get(fd, SOL_SOCKET, SO_DOMAIN, &domain);
	if (err == 0)
		err = sockeye__option_get(fd, SOL_SOCKET, SO_TYPE, &type);
	if (err == 0)
		err = sockeye__option_get(fd, SOL_SOCKET, SO_PROTOCOL, &protocol);
	if (err < 0)
		return err;
	if (domain != AF_UNIX && domain != AF_INET && domain != AF_INET6)
		return -EAFNOSUPPORT;
	name.u.sa.sa_family = (sa_family_t)domain;
	for (int i = 0; sockeye__kind_of((enum sockeye_scheme)i, &name, &kind) == 0; i++)
		if (kind.domain == domain && kind.type == type && kind.protocol == protocol)
			return i;
	return -EPROTONOSUPPORT;
}

/* Returns 0 if clients can reach the socket. Otherwise returns -EINVAL with the
 * reason in *out_why, or another error. */
static int reachable(const struct sockeye_listener *l, const char **out_why)
{
	int listens, err;

	if (sockeye_scheme_is_stream(l->scheme)) {
		*out_why = "the socket is not listening";
		err = sockeye__option_get(l->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
		return err < 0 || listens ? err : -EINVAL;
	}
	*out_why = "the socket is not bound";
	if (is_inet(&l->name))
		return sockeye_sockaddr_port(&l->name) != 0 ? 0 : -EINVAL;
	return l->name.len > sizeof(sa_family_t) ? 0 : -EINVAL;
}

/* Sets the mode of an inherited socket until the listener is closed. The process that passed
 * the socket shares the mode, so a per-call flag would be better, but accept(2) has none: if
 * several workers wait for one client, all but one would block, with all their sessions. */
static int mode_borrow(struct sockeye_listener *l, bool nonblocking)
{
	int flags = fcntl(l->fd, F_GETFL), err;

	if (flags < 0)
		return -errno;
	l->was_nonblocking = (flags & O_NONBLOCK) != 0;
	if (l->was_nonblocking == nonblocking)
		return 0;
	err = sockeye__nonblocking_set(l->fd, nonblocking);
	l->restores_mode = err == 0;
	return err;
}

static int fd_listen(const struct sockeye_addr *addr, const struct sockeye_listen_opts *opts,
		     struct sockeye_listener *out_listener, struct sockeye_fail *fail)
{
	struct sockeye_listener l = {0};
	const char *why = "";
	int scheme = scheme_of(addr->fd), err;

	if (scheme < 0)
		return sockeye__fail_addr(fail, "listen", addr, scheme);
	l.scheme = (enum sockeye_scheme)scheme;
	l.fd = fcntl(addr->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (l.fd < 0)
		return sockeye__fail_addr(fail, "listen", addr, -errno);
	err = sockeye_local_name(l.fd, &l.name);
	if (err == 0)
		err = reachable(&l, &why);
	if (err == 0 && l.scheme == SOCKEYE_UDP)
		err = sockeye_dgram_want_local(l.fd);
	if (err == 0)
		err = mode_borrow(&l, opts->nonblocking);
	if (err < 0) {
		close(l.fd);
		sockeye__fail_addr(fail, "listen", addr, err);
		sockeye__fail_detail(fail, "%s", err == -EINVAL ? why : "");
		return err;
	}
	*out_listener = l;
	return 1;
}

int sockeye_listen(const struct sockeye_addr *addr, const struct sockeye_listen_opts *opts,
		   struct sockeye_listener *out_listeners, size_t max, struct sockeye_fail *fail)
{
	static const struct sockeye_listen_opts none = {0};
	struct sockeye_listener listeners[SOCKEYE__NAMES_MAX];
	struct sockeye_fail first;
	struct sockeye__kind kind;
	struct names names;
	int count, err, tries = 0;

	if (opts == NULL)
		opts = &none;
	if (max == 0)
		return sockeye__fail_addr(fail, "listen", addr, -EINVAL);
	if (addr->scheme == SOCKEYE_FD)
		return fd_listen(addr, opts, out_listeners, fail);
	count = sockeye__kind_of(addr->scheme, NULL, &kind);
	if (count < 0)
		return sockeye__fail_addr(fail, "listen", addr, count);
	count = sockeye_resolve(addr, true, names.list, SOCKEYE__NAMES_MAX, fail);
	if (count < 0)
		return count;
	err = sockeye__multicast_check(addr, names.list, (size_t)count, true, fail);
	if (err < 0)
		return err;
	names.count = (size_t)count;
	/* The first wildcard address is [::], which also accepts IPv4 unless the address
	 * selects one family. */
	names.max = any_host(addr) ? 1 : max;
	do {
		/* If the kernel chooses the port for the first address, another server may
		 * use that port on the next address: choose again. */
		count = names_open(addr, opts, &names, listeners, &first);
	} while (count == -EADDRINUSE && sockeye_sockaddr_port(&names.list[0]) == 0 &&
		 is_inet(&names.list[0]) && names.count > 1 && ++tries < COMMON_PORT_TRIES);
	if (count < 0 && fail != NULL)
		*fail = first;
	if (count > 0)
		memcpy(out_listeners, listeners, (size_t)count * sizeof listeners[0]);
	return count;
}

int sockeye__listen_again(const struct sockeye_listener *first, const struct sockeye_addr *addr,
			  const struct sockeye_listen_opts *opts, int *out_fd)
{
	struct sockeye_listener l = {.scheme = first->scheme};
	const char *op;
	int err;

	if (!is_inet(&first->name) || addr->scheme == SOCKEYE_FD)
		return -EOPNOTSUPP;
	err = listener_open(addr, opts, &first->name, true, &l, &op);
	if (err == 0)
		*out_fd = l.fd;
	return err;
}

void sockeye_listener_close(struct sockeye_listener *listener)
{
	if (listener->fd <= 0)
		return;
	sockeye__unix_unlink(listener);
	if (listener->restores_mode)
		(void)sockeye__nonblocking_set(listener->fd, listener->was_nonblocking);
	close(listener->fd);
	listener->fd = -1;
	listener->unlink_at_close = listener->restores_mode = false;
}
