/*
 * fail.c: fills in struct sockeye_fail and adds the cause if it is known.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/net.h"

static int fail_new(struct sockeye_fail *fail, const char *op, int err)
{
	if (fail != NULL)
		*fail = (struct sockeye_fail){.op = op, .err = err};
	return err;
}

int sockeye__fail_set(struct sockeye_fail *fail, const char *op, const char *address, int err)
{
	if (fail != NULL) {
		fail_new(fail, op, err);
		snprintf(fail->address, sizeof fail->address, "%s", address);
	}
	return err;
}

static void detail_write(struct sockeye_fail *fail, size_t at, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static void detail_write(struct sockeye_fail *fail, size_t at, const char *format, va_list args)
{
	vsnprintf(fail->detail + at, sizeof fail->detail - at, format, args);
}

void sockeye__fail_detail(struct sockeye_fail *fail, const char *format, ...)
{
	va_list args;

	if (fail == NULL)
		return;
	va_start(args, format);
	detail_write(fail, 0, format, args);
	va_end(args);
}

void sockeye__fail_add(struct sockeye_fail *fail, const char *format, ...)
{
	size_t len;
	va_list args;

	if (fail == NULL)
		return;
	len = strlen(fail->detail);
	if (len > 0 && len + 2 < sizeof fail->detail) {
		memcpy(fail->detail + len, "; ", 3);
		len += 2;
	}
	va_start(args, format);
	detail_write(fail, len, format, args);
	va_end(args);
}

int sockeye__fail_addr(struct sockeye_fail *fail, const char *op, const struct sockeye_addr *addr,
		       int err)
{
	fail_new(fail, op, err);
	if (fail != NULL && addr->shown != NULL)
		snprintf(fail->address, sizeof fail->address, "%s", addr->shown);
	else if (fail != NULL)
		sockeye_addr_print(addr, fail->address, sizeof fail->address);
	return err;
}

/* Returns the cause of an error that can have several, or NULL. */
static const char *hint(const char *op, enum sockeye_scheme scheme,
			const struct sockeye_sockaddr *name, int err)
{
	if (strcmp(op, "socket") == 0) {
		/* The error for a protocol that is missing or disabled varies: if MPTCP
		 * is disabled, it is ENOPROTOOPT. */
		if (scheme == SOCKEYE_SCTP)
			return "the kernel has no SCTP, or its module sctp is not loaded";
		if (scheme == SOCKEYE_MPTCP)
			return "the kernel has no MPTCP, or net.mptcp.enabled is 0";
		return name->u.sa.sa_family == AF_INET6 && err == -EAFNOSUPPORT
			   ? "the kernel has no IPv6"
			   : NULL;
	}
	if (strcmp(op, "bind") == 0 && err == -EACCES) {
		uint16_t port = sockeye_sockaddr_port(name);

		return port > 0 && port < 1024 ? "ports below 1024 need CAP_NET_BIND_SERVICE"
					       : NULL;
	}
	if (strcmp(op, "connect") == 0 && err == -EACCES && scheme == SOCKEYE_UDP)
		return "append ?broadcast to send to a broadcast address";
	if (strcmp(op, "connect") == 0 && err == -EPROTOTYPE)
		return "the socket is of another kind: try unix, unix-dgram or unix-seqpacket";
	return NULL;
}

/* Adds the cause to the detail. sockeye_fail_text() then adds no hint, which would
 * contradict the cause. */
static void explain(struct sockeye_fail *fail, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void explain(struct sockeye_fail *fail, const char *format, ...)
{
	char text[sizeof fail->detail];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	sockeye__fail_add(fail, "%s", text);
	fail->explained = true;
}

static bool is_tcp(enum sockeye_scheme scheme)
{
	return scheme == SOCKEYE_TCP || scheme == SOCKEYE_MPTCP;
}

static unsigned seconds(uint32_t ms)
{
	return (ms + 999) / 1000;
}

/* Explains why bind(2) reports a port or a path as in use. The servers of this library,
 * and its clients with a fixed port, set SO_REUSEADDR. A connection is therefore the cause
 * only if its socket was opened without SO_REUSEADDR. */
static void in_use_explain(struct sockeye_fail *fail, const struct sockeye_addr *addr,
			   const struct sockeye_sockaddr *name)
{
	struct sockeye__holder h = {0};

	if (sockeye__holder_is_self(name, sockeye_scheme_is_stream(addr->scheme))) {
		explain(fail, "given twice: this command already uses it");
		return;
	}
	if (is_tcp(addr->scheme))
		h = sockeye__holder_find(name, NULL);
	if (h.kind == SOCKEYE__HOLDER_TIME_WAIT)
		explain(fail,
			"a connection in TIME_WAIT has the port, free in %u s; the previous server "
			"did not set SO_REUSEADDR",
			seconds(h.free_ms));
	else if (h.kind == SOCKEYE__HOLDER_CONNECTED)
		explain(fail, "a connection opened without SO_REUSEADDR has the port: ss -tanp "
			      "shows the process");
	else if (h.kind == SOCKEYE__HOLDER_BOUND)
		explain(fail, "a socket that does not listen is bound to the port");
	else if (addr->opts.reuseport)
		sockeye__fail_add(fail, "all sockets on the port need reuseport and the same user");
}

/* Explains why a connection attempt received no answer. */
static void silence_explain(struct sockeye_fail *fail, const struct sockeye_addr *addr,
			    const struct sockeye_sockaddr *name)
{
	struct sockeye__holder h = {0};

	if (name->u.sa.sa_family == AF_UNIX) {
		explain(fail, "the server's backlog is full: the server accepts no connections");
		return;
	}
	if (is_tcp(addr->scheme) && sockeye__holder_is_here(name))
		h = sockeye__holder_find(name, NULL);
	if (h.kind == SOCKEYE__HOLDER_LISTENS && h.waiting > h.backlog)
		explain(fail, "the server's backlog is full: %u connections wait to be accepted",
			h.waiting);
}

static bool has_service(const struct sockeye_addr *addr)
{
	return !addr->has_port && addr->service[0] != '\0';
}

/* Whether the message must show `name`, because the address has only a host name or, to
 * connect, a service name or no host. */
static bool is_hidden(const struct sockeye_addr *addr, const char *op)
{
	bool any = addr->host[0] == '\0' || strcmp(addr->host, "*") == 0;
	struct in_addr ipv4;

	if (sockeye_scheme_is_unix(addr->scheme))
		return false;
	if (has_service(addr) || any)
		return strcmp(op, "connect") == 0;
	return strchr(addr->host, ':') == NULL && inet_pton(AF_INET, addr->host, &ipv4) != 1;
}

/* Writes `name` into the detail, with its port if the user wrote a service name. */
static void name_show(struct sockeye_fail *fail, const struct sockeye_addr *addr,
		      const struct sockeye_sockaddr *name)
{
	char text[128];

	sockeye_sockaddr_print(name, text, sizeof text);
	if (!has_service(addr))
		*strrchr(text, ':') = '\0';
	sockeye__fail_detail(fail, "%s", text);
}

/* Explains why bind(2) reports an address as not available. */
static void absent_explain(struct sockeye_fail *fail, const struct sockeye_addr *addr)
{
	const bool may_wait = addr->scheme != SOCKEYE_TFTP;

	sockeye__fail_add(fail, "this machine does not have the address%s",
			  may_wait ? "; append ?freebind to bind before it has" : "");
}

static bool lacks_zone(const struct sockeye_sockaddr *name)
{
	return name->u.sa.sa_family == AF_INET6 && name->u.in6.sin6_scope_id == 0 &&
	       IN6_IS_ADDR_LINKLOCAL(&name->u.in6.sin6_addr);
}

static void cause_add(struct sockeye_fail *fail, const struct sockeye_addr *addr,
		      const struct sockeye_sockaddr *name)
{
	const char *text = hint(fail->op, addr->scheme, name, fail->err);
	char host[INET6_ADDRSTRLEN];

	if (text != NULL)
		sockeye__fail_add(fail, "%s", text);
	if (strcmp(fail->op, "bind") == 0 && fail->err == -EADDRNOTAVAIL)
		absent_explain(fail, addr);
	if (fail->err == -EINVAL && lacks_zone(name))
		sockeye__fail_zone(
		    fail, inet_ntop(AF_INET6, &name->u.in6.sin6_addr, host, sizeof host), "");
	if (strcmp(fail->op, "connect") == 0 && fail->err == -ETIMEDOUT)
		silence_explain(fail, addr, name);
	else if (fail->err == -EADDRINUSE || fail->err == SOCKEYE_E_IN_USE_LIVE)
		in_use_explain(fail, addr, name);
}

int sockeye__fail_name(struct sockeye_fail *fail, const char *op, const struct sockeye_addr *addr,
		       const struct sockeye_sockaddr *name, int err)
{
	sockeye__fail_addr(fail, op, addr, err);
	if (fail == NULL)
		return err;
	if (is_hidden(addr, op))
		name_show(fail, addr, name);
	cause_add(fail, addr, name);
	return err;
}

int sockeye__fail_local(struct sockeye_fail *fail, const struct sockeye_addr *addr,
			const struct sockeye_sockaddr *local, int err)
{
	enum sockeye_scheme scheme = addr->scheme == SOCKEYE_TFTP ? SOCKEYE_UDP : addr->scheme;

	fail_new(fail, "bind", err);
	if (fail == NULL)
		return err;
	snprintf(fail->address, sizeof fail->address, "%s%s%s", sockeye_scheme_name(scheme),
		 sockeye_scheme_is_unix(scheme) ? ":" : "://",
		 addr->opts.bind[0] != '\0' ? addr->opts.bind : "*");
	cause_add(fail, addr, local);
	return err;
}

void sockeye__fail_pair(struct sockeye_fail *fail, const struct sockeye_sockaddr *local,
			const struct sockeye_sockaddr *name)
{
	struct sockeye__holder h = {0};

	if (fail != NULL && name->u.sa.sa_family != AF_UNIX)
		h = sockeye__holder_find(local, name);
	if (h.kind == SOCKEYE__HOLDER_TIME_WAIT)
		explain(fail,
			"the previous connection from the same port is in TIME_WAIT for %u s more",
			seconds(h.free_ms));
	else if (h.kind == SOCKEYE__HOLDER_CONNECTED)
		explain(fail, "another connection from the same port to the server exists");
}
