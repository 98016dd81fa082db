/*
 * fail.c: filling in struct sockeye_fail, with what can be done about it.
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

/* What a person can do about an error that looks alike for several causes. */
static const char *hint(const char *op, enum sockeye_scheme scheme,
			const struct sockeye_sockaddr *name, int err)
{
	if (strcmp(op, "socket") == 0) {
		/* a missing or disabled protocol; net/mptcp answers ENOPROTOOPT */
		if (scheme == SOCKEYE_SCTP)
			return "this kernel has no SCTP, or its module sctp is not loaded";
		if (scheme == SOCKEYE_MPTCP)
			return "this kernel has no MPTCP, or net.mptcp.enabled is 0";
		return name->u.sa.sa_family == AF_INET6 && err == -EAFNOSUPPORT
			   ? "this kernel has no IPv6"
			   : NULL;
	}
	if (strcmp(op, "bind") == 0 && err == -EACCES) {
		uint16_t port = sockeye_sockaddr_port(name);

		return port > 0 && port < 1024 ? "ports below 1024 need CAP_NET_BIND_SERVICE"
					       : NULL;
	}
	if (strcmp(op, "bind") == 0 && err == -EADDRNOTAVAIL)
		return "not an address of this machine";
	if (strcmp(op, "connect") == 0 && err == -EACCES && scheme == SOCKEYE_UDP)
		return "a broadcast address needs the option ?broadcast";
	if (strcmp(op, "connect") == 0 && err == -EPROTOTYPE)
		return "another kind of UNIX socket: unix, unix-dgram or unix-seqpacket";
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
