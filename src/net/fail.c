/*
 * fail.c: fills in struct sockeye_fail and adds the cause if it is known.
 */
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

void sockeye__fail_detail(struct sockeye_fail *fail, const char *format, ...)
{
	va_list args;

	if (fail == NULL)
		return;
	va_start(args, format);
	vsnprintf(fail->detail, sizeof fail->detail, format, args);
	va_end(args);
}

int sockeye__fail_addr(struct sockeye_fail *fail, const char *op, const struct sockeye_addr *addr,
		       int err)
{
	fail_new(fail, op, err);
	if (fail != NULL)
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
	if (strcmp(op, "bind") == 0 && err == -EADDRNOTAVAIL)
		return "this machine does not have the address";
	if (strcmp(op, "connect") == 0 && err == -EACCES && scheme == SOCKEYE_UDP)
		return "append ?broadcast to send to a broadcast address";
	if (strcmp(op, "connect") == 0 && err == -EPROTOTYPE)
		return "the socket is of another kind: try unix, unix-dgram or unix-seqpacket";
	return NULL;
}

int sockeye__fail_name(struct sockeye_fail *fail, const char *op, enum sockeye_scheme scheme,
		       const struct sockeye_sockaddr *name, int err)
{
	const char *text = hint(op, scheme, name, err);

	fail_new(fail, op, err);
	if (fail != NULL)
		sockeye_sockaddr_print_url(name, scheme, fail->address, sizeof fail->address);
	if (text != NULL)
		sockeye__fail_detail(fail, "%s", text);
	return err;
}
