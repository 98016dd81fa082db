/*
 * resolve.c: resolves the host and service names of an address.
 *
 * This file parses numbers itself and calls getaddrinfo(3) only for names, because
 * glibc misreads numbers: 1.2.3 becomes 1.2.0.3, 0x7f000001 becomes 127.0.0.1, port
 * 99999 becomes 34463, and ::1 with a zone fails with "Name or service not known".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"

struct query {
	const struct sockeye_addr *addr;
	bool for_bind;
	uint16_t port; /* host order */
	struct sockeye_sockaddr *names;
	size_t count, max;
	struct sockeye_fail *fail;
};

#define FAILED(q, err) sockeye__fail_addr((q)->fail, "resolve", (q)->addr, err)

static int unix_name(struct query *q)
{
	const struct sockeye_addr *addr = q->addr;
	struct sockeye_sockaddr name = {0};

	if (addr->path_len == 0 && !addr->abstract)
		return FAILED(q, SOCKEYE_E_PATH);
	if (addr->path_len > SOCKEYE_UNIX_PATH_MAX)
		return FAILED(q, SOCKEYE_E_PATH_TOO_LONG);
	name.u.un.sun_family = AF_UNIX;
	memcpy(name.u.un.sun_path + addr->abstract, addr->path, addr->path_len);
	/* One more byte for a NUL: it follows a path, or precedes an abstract name
	 * (unix(7)). */
	name.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + addr->path_len + 1U);
	q->names[0] = name;
	return 1;
}

/* Returns the protocol of a scheme in the services database. */
static const char *protocol_of(enum sockeye_scheme scheme)
{
	switch (scheme) {
	case SOCKEYE_UDP:
	case SOCKEYE_TFTP:
		return "udp";
	case SOCKEYE_SCTP:
		return "sctp";
	default:
		return "tcp";
	}
}

static bool service_find(const char *service, const char *protocol, uint16_t *out_port)
{
	struct servent entry, *found = NULL;
	char buf[4096];

	if (getservbyname_r(service, protocol, &entry, buf, sizeof buf, &found) != 0 || !found)
		return false;
	*out_port = ntohs((uint16_t)found->s_port);
	return true;
}

static int service_port(struct query *q, uint16_t *out_port)
{
	const char *service = q->addr->service, *protocol = protocol_of(q->addr->scheme);
	const char *other = protocol[0] == 'u' ? "tcp" : "udp";
	uint16_t port;

	/* SCTP uses TCP's port numbers (RFC 9260, section 15.6), and few databases list
	 * them. */
	if (service_find(service, protocol, out_port) ||
	    (q->addr->scheme == SOCKEYE_SCTP && service_find(service, "tcp", out_port)))
		return 0;
	FAILED(q, SOCKEYE_E_SERVICE);
	if (service_find(service, other, &port))
		sockeye__fail_detail(q->fail, "\"%s\" is a service of %s only, port %u", service,
				     other, port);
	return SOCKEYE_E_SERVICE;
}

static int port_find(struct query *q)
{
	const struct sockeye_addr *addr = q->addr;

	if (addr->scheme == SOCKEYE_ICMP)
		return 0;
	if (!addr->has_port && addr->service[0] != '\0')
		return service_port(q, &q->port);
	if (addr->has_port)
		q->port = addr->port;
	else if (addr->scheme == SOCKEYE_TFTP)
		q->port = 69;
	if (q->port != 0 || q->for_bind)
		return 0;
	FAILED(q, SOCKEYE_E_PORT);
	sockeye__fail_detail(
	    q->fail, "%s", addr->has_port ? "port 0 is for listening only" : "the port is missing");
	return SOCKEYE_E_PORT;
}

static bool wanted(const struct query *q, int family)
{
	if (family == AF_INET)
		return q->addr->family != 6 && !q->addr->opts.v6only;
	return q->addr->family != 4;
}

static void name_add(struct query *q, const struct sockaddr *sa)
{
	struct sockeye_sockaddr name = {0};

	if (q->count == q->max || !wanted(q, sa->sa_family))
		return;
	if (sa->sa_family == AF_INET) {
		name.len = sizeof name.u.in;
		memcpy(&name.u.in, sa, sizeof name.u.in);
		name.u.in.sin_port = htons(q->port);
	} else if (sa->sa_family == AF_INET6) {
		name.len = sizeof name.u.in6;
		memcpy(&name.u.in6, sa, sizeof name.u.in6);
		name.u.in6.sin6_port = htons(q->port);
	} else {
		return;
	}
	for (size_t i = 0; i < q->count; i++) /* a hosts file may repeat an address */
		if (sockeye_sockaddr_equal(&q->names[i], &name))
			return;
	q->names[q->count++] = name;
}

/* Adds the wildcard addresses or, to connect, the loopback addresses. */
static void names_of_any(struct query *q)
{
	struct sockaddr_in6 in6 = {
	    .sin6_family = AF_INET6,
	    .sin6_addr = q->for_bind ? in6addr_any : in6addr_loopback,
	};
	struct sockaddr_in in = {
	    .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(q->for_bind ? INADDR_ANY : INADDR_LOOPBACK),
	};

	name_add(q, (const struct sockaddr *)&in6);
	name_add(q, (const struct sockaddr *)&in);
}

/* Whether a link-local address lacks its interface. connect(2) and bind(2) would fail with
 * EINVAL. A TFTP request is sent without connecting, and if only one interface has link-local
 * addresses, the kernel chooses that one. */
static bool zone_is_missing(const struct sockeye_addr *addr, const struct in6_addr *ip)
{
	char name[IF_NAMESIZE];

	if (addr->zone[0] != '\0' || !IN6_IS_ADDR_LINKLOCAL(ip) ||
	    strchr(addr->opts.bind, '%') != NULL)
		return false;
	return addr->scheme != SOCKEYE_TFTP || sockeye__interfaces_link_local(name) != 1;
}

/* Adds a host that is an IP address. Returns 0, 1 if the host is a name, or a negative
 * code. */
static int host_number(struct query *q)
{
	const struct sockeye_addr *addr = q->addr;
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET6, addr->host, &in6.sin6_addr) == 1) {
		in6.sin6_scope_id = addr->zone[0] ? sockeye__interface_index(addr->zone) : 0;
		if (addr->zone[0] && in6.sin6_scope_id == 0) {
			FAILED(q, SOCKEYE_E_NONAME);
			sockeye__fail_zone(q->fail, addr->host, addr->zone);
			return SOCKEYE_E_NONAME;
		}
		if (zone_is_missing(addr, &in6.sin6_addr)) {
			FAILED(q, SOCKEYE_E_HOST);
			sockeye__fail_zone(q->fail, addr->host, "");
			return SOCKEYE_E_HOST;
		}
		name_add(q, (const struct sockaddr *)&in6);
		return 0;
	}
	if (addr->zone[0]) {
		FAILED(q, SOCKEYE_E_HOST);
		sockeye__fail_detail(q->fail, "only an IPv6 address has a zone");
		return SOCKEYE_E_HOST;
	}
	if (inet_pton(AF_INET, addr->host, &in.sin_addr) != 1)
		return 1;
	name_add(q, (const struct sockaddr *)&in);
	return 0;
}

/* Whether the last label of a host is a number. No top-level domain is a number (RFC 3696,
 * section 2), and some programs would read such a host as an IPv4 address. The URL standard
 * has the same rule, "ends in a number". */
static bool ends_in_number(const char *host)
{
	size_t len = strlen(host);
	const char *end, *label;

	len -= len > 0 && host[len - 1] == '.';
	end = label = host + len;
	while (label > host && label[-1] != '.')
		label--;
	if (end - label >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
		return label + 2 + strspn(label + 2, "0123456789abcdefABCDEF") >= end;
	return end > label && label + strspn(label, "0123456789") >= end;
}

static int refuse_number(struct query *q)
{
	struct in_addr guess;
	char text[INET_ADDRSTRLEN];

	FAILED(q, SOCKEYE_E_HOST);
	if (inet_aton(q->addr->host, &guess))
		sockeye__fail_detail(q->fail, "write %s if you mean that address",
				     inet_ntop(AF_INET, &guess, text, sizeof text));
	else
		sockeye__fail_detail(q->fail, "an IPv4 address is four numbers from 0 to 255");
	return SOCKEYE_E_HOST;
}

static int resolver_error(int eai, int saved_errno)
{
	switch (eai) {
	case EAI_NONAME:
	case EAI_NODATA:
		return SOCKEYE_E_NONAME;
	case EAI_ADDRFAMILY:
	case EAI_FAMILY:
		return SOCKEYE_E_NAME_FAMILY;
	case EAI_SERVICE:
		return SOCKEYE_E_SERVICE;
	case EAI_AGAIN:
	case EAI_INTR:
		return SOCKEYE_E_NAME_TRY_AGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return saved_errno > 0 ? -saved_errno : SOCKEYE_E_NAME_FAIL;
	default:
		return SOCKEYE_E_NAME_FAIL;
	}
}

static int lookup(const char *host, int family, struct addrinfo **out_list)
{
	/* With one socket type, each address is returned once. AI_ADDRCONFIG would
	 * hide 127.0.0.1 on a machine that has only loopback. */
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
	int eai;

	errno = 0;
	eai = getaddrinfo(host, NULL, &hints, out_list);
	return eai == 0 ? 0 : resolver_error(eai, errno);
}

static int host_name(struct query *q)
{
	int family = q->addr->family == 4 ? AF_INET : q->addr->family == 6 ? AF_INET6 : AF_UNSPEC;
	struct addrinfo *list, *other;
	int err = lookup(q->addr->host, family, &list);

	/* glibc also reports EAI_NONAME for a name that has only addresses of the other
	 * family. */
	if (err == SOCKEYE_E_NONAME && family != AF_UNSPEC &&
	    lookup(q->addr->host, AF_UNSPEC, &other) == 0) {
		freeaddrinfo(other);
		err = SOCKEYE_E_NAME_FAMILY;
	}
	if (err < 0)
		return FAILED(q, err);
	for (struct addrinfo *ai = list; ai != NULL; ai = ai->ai_next)
		name_add(q, ai->ai_addr);
	freeaddrinfo(list);
	return 0;
}

static int host_find(struct query *q)
{
	const char *host = q->addr->host;
	int err;

	if (*host == '\0' || strcmp(host, "*") == 0) {
		names_of_any(q);
		return 0;
	}
	err = host_number(q);
	if (err <= 0)
		return err;
	return ends_in_number(host) ? refuse_number(q) : host_name(q);
}

int sockeye_resolve(const struct sockeye_addr *addr, bool for_bind,
		    struct sockeye_sockaddr *out_names, size_t max, struct sockeye_fail *fail)
{
	struct sockeye_sockaddr names[SOCKEYE__NAMES_MAX];
	struct query q = {.addr = addr, .for_bind = for_bind, .names = names, .fail = fail};
	int err;

	q.max = max < SOCKEYE__NAMES_MAX ? max : SOCKEYE__NAMES_MAX;
	if (q.max == 0)
		return FAILED(&q, -EINVAL);
	if (addr->scheme == SOCKEYE_FD)
		return FAILED(&q, SOCKEYE_E_SCHEME_UNSUPPORTED);
	if (sockeye_scheme_is_unix(addr->scheme)) {
		err = unix_name(&q);
		if (err < 0)
			return err;
		q.count = 1;
	} else {
		err = port_find(&q);
		if (err == 0)
			err = host_find(&q);
		if (err < 0)
			return err;
	}
	if (q.count == 0)
		return FAILED(&q, SOCKEYE_E_NAME_FAMILY);
	memcpy(out_names, names, q.count * sizeof names[0]);
	return (int)q.count;
}
