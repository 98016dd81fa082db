/* check.c: finds out which ports of a host accept connections (check.h). */
#include "talk/check.h"

#include <errno.h>
#include <stdlib.h>

#include "net/net.h"

struct sockeye__check {
	const struct sockeye_addr *addr;
	size_t port_count, name_count;
	struct sockeye__probe *probes; /* name_count for each port */
	struct sockeye_sockaddr locals[SOCKEYE__NAMES_MAX];
	size_t local_count;
	size_t reported; /* ports */
	void (*on_port)(void *arg, size_t port, int err, uint64_t ns);
	void *arg;
};

static void port_set(struct sockeye_sockaddr *name, uint16_t port)
{
	if (name->u.sa.sa_family == AF_INET)
		name->u.in.sin_port = htons(port);
	else if (name->u.sa.sa_family == AF_INET6)
		name->u.in6.sin6_port = htons(port);
}

/* Resolves the host and the local addresses. Returns the number of names, or a negative
 * code. */
static int names_find(struct sockeye__check *c, struct sockeye_sockaddr *names,
		      struct sockeye_fail *fail)
{
	int count = sockeye_resolve(c->addr, false, names, SOCKEYE__NAMES_MAX, fail), local_count;

	if (count < 0)
		return count;
	local_count = sockeye__locals_find(c->addr, c->locals, SOCKEYE__NAMES_MAX, fail);
	if (local_count < 0)
		return local_count;
	c->local_count = (size_t)local_count;
	return sockeye__names_reachable(c->addr, names, (size_t)count, c->locals, c->local_count,
					fail);
}

int sockeye__check_open(const struct sockeye_addr *addr, const uint16_t *ports, size_t count,
			struct sockeye__check **out_check, struct sockeye_fail *fail)
{
	struct sockeye_sockaddr names[SOCKEYE__NAMES_MAX];
	struct sockeye__check *c = calloc(1, sizeof *c);
	int found;

	if (c == NULL)
		return sockeye__fail_addr(fail, "connect", addr, -ENOMEM);
	c->addr = addr;
	c->port_count = count;
	found = names_find(c, names, fail);
	if (found < 0) {
		free(c);
		return found;
	}
	c->name_count = (size_t)found;
	c->probes = calloc(count * c->name_count, sizeof *c->probes);
	if (c->probes == NULL) {
		free(c);
		return sockeye__fail_addr(fail, "connect", addr, -ENOMEM);
	}
	for (size_t i = 0; i < count * c->name_count; i++) {
		c->probes[i].name = names[i % c->name_count];
		if (count > 1)
			port_set(&c->probes[i].name, ports[i / c->name_count]);
	}
	*out_check = c;
	return 0;
}

/* Whether an error concerns the address itself. Otherwise this machine cannot reach
 * any address of the family. */
static bool is_specific(int err)
{
	return err != -EAFNOSUPPORT && err != -ENETUNREACH && err != -EADDRNOTAVAIL;
}

/* Returns the probe that decides about a port: one that is open, or the first that
 * concerns the address. NULL: not known yet. */
static const struct sockeye__probe *port_result(const struct sockeye__check *c, size_t port)
{
	const struct sockeye__probe *probes = &c->probes[port * c->name_count], *result = NULL;
	bool ended = true;

	for (size_t i = 0; i < c->name_count; i++) {
		const struct sockeye__probe *p = &probes[i];

		if (p->ended && p->err == 0)
			return p;
		ended = ended && p->ended;
		if (result == NULL || (!is_specific(result->err) && is_specific(p->err)))
			result = p;
	}
	return ended ? result : NULL;
}

/* Reports the ports whose result is known, in order. */
static void ports_report(struct sockeye__check *c)
{
	const struct sockeye__probe *result;

	for (; c->reported < c->port_count; c->reported++) {
		result = port_result(c, c->reported);
		if (result == NULL)
			break;
		c->on_port(c->arg, c->reported, result->err, result->ns);
	}
}

static void on_end(void *arg, const struct sockeye__probe *probe)
{
	struct sockeye__check *c = arg;
	size_t first = (size_t)(probe - c->probes) / c->name_count * c->name_count;

	for (size_t i = first; probe->err == 0 && i < first + c->name_count; i++)
		c->probes[i].cancelled = true; /* no other address of the port matters */
	ports_report(c);
}

int sockeye__check_run(struct sockeye__check *c, uint64_t timeout_ns, int stop_fd,
		       void (*on_port)(void *arg, size_t port, int err, uint64_t ns), void *arg)
{
	const struct sockeye__probe_opts opts = {
	    .addr = c->addr,
	    .locals = c->locals,
	    .local_count = c->local_count,
	    .timeout_ns = timeout_ns,
	    .stop_fd = stop_fd,
	    .on_end = on_end,
	    .arg = c,
	};

	c->on_port = on_port;
	c->arg = arg;
	return sockeye__probe_run(c->probes, c->port_count * c->name_count, &opts);
}

void sockeye__check_expire(struct sockeye__check *c)
{
	for (size_t i = 0; i < c->port_count * c->name_count; i++) {
		if (c->probes[i].ended)
			continue;
		c->probes[i].err = -ETIMEDOUT;
		c->probes[i].ended = true;
	}
	ports_report(c);
}

void sockeye__check_close(struct sockeye__check *c)
{
	if (c == NULL)
		return;
	free(c->probes);
	free(c);
}
