/*
 * multicast.c: joins multicast groups (RFC 3678) and chooses the interface for them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net/net.h"

#define MULTICAST_ALL_IPV6 29 /* IPV6_MULTICAST_ALL of linux/in6.h, which libc lacks */

bool sockeye__sockaddr_is_multicast(const struct sockeye_sockaddr *name)
{
	if (name->u.sa.sa_family == AF_INET)
		return IN_MULTICAST(ntohl(name->u.in.sin_addr.s_addr));
	return name->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&name->u.in6.sin6_addr);
}

static int check_fail(struct sockeye_fail *fail, const struct sockeye_addr *addr, const char *why,
		      const char *arg)
{
	sockeye__fail_addr(fail, "resolve", addr, SOCKEYE_E_OPTION_VALUE);
	sockeye__fail_detail(fail, "%s%s", why, arg);
	return SOCKEYE_E_OPTION_VALUE;
}

/* Parses the option source=. Returns false unless it is an IP address of the group's
 * family. */
static bool source_parse(const struct sockeye_addr *addr, const struct sockeye_sockaddr *group,
			 struct sockaddr_storage *out)
{
	int family = group->u.sa.sa_family;
	struct sockeye_sockaddr source = {.u.sa.sa_family = (sa_family_t)family};
	void *to =
	    family == AF_INET ? (void *)&source.u.in.sin_addr : (void *)&source.u.in6.sin6_addr;

	memset(out, 0, sizeof *out);
	if (inet_pton(family, addr->opts.source, to) != 1)
		return false;
	memcpy(out, &source.u, sizeof source.u);
	return true;
}

int sockeye__multicast_check(const struct sockeye_addr *addr, struct sockeye_sockaddr *names,
			     size_t count, bool joins, struct sockeye_fail *fail)
{
	const struct sockeye_addr_opts *o = &addr->opts;
	struct sockaddr_storage source;
	uint32_t index;

	if (o->interface[0] == '\0' && o->source[0] == '\0')
		return 0;
	index = sockeye__interface_index(o->interface);
	if (o->interface[0] != '\0' && index == 0) {
		check_fail(fail, addr, "there is no interface ", o->interface);
		sockeye__fail_interfaces(fail);
		return SOCKEYE_E_OPTION_VALUE;
	}
	if (o->source[0] != '\0' && !joins)
		return check_fail(fail, addr, "source= is for listening to a group", "");
	for (size_t i = 0; i < count; i++) {
		struct sockaddr_in6 *in6 = &names[i].u.in6;

		if (!sockeye__sockaddr_is_multicast(&names[i]))
			return check_fail(fail, addr,
					  "interface= and source= are for multicast groups", "");
		if (o->source[0] != '\0' && !source_parse(addr, &names[i], &source))
			return check_fail(fail, addr,
					  "the group has another family than source=", o->source);
		if (in6->sin6_family == AF_INET6 && in6->sin6_scope_id == 0)
			in6->sin6_scope_id = index;
	}
	return 0;
}

/* Returns the index of the interface that the option interface= or the IPv6 zone names,
 * or 0 if the kernel is to choose. */
static uint32_t interface_of(const struct sockeye_addr *addr, const struct sockeye_sockaddr *name)
{
	if (addr->opts.interface[0] != '\0')
		return sockeye__interface_index(addr->opts.interface);
	return name->u.sa.sa_family == AF_INET6 ? name->u.in6.sin6_scope_id : 0;
}

int sockeye__multicast_send(int fd, const struct sockeye_addr *addr,
			    const struct sockeye_sockaddr *name)
{
	struct ip_mreqn choice = {.imr_ifindex = (int)interface_of(addr, name)};
	bool v4 = name->u.sa.sa_family == AF_INET;
	int err = 0;

	if (addr->opts.ttl > 0)
		err =
		    v4 ? sockeye__option_set(fd, IPPROTO_IP, IP_MULTICAST_TTL, addr->opts.ttl)
		       : sockeye__option_set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, addr->opts.ttl);
	if (err < 0 || choice.imr_ifindex == 0)
		return err;
	if (!v4)
		return sockeye__option_set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, choice.imr_ifindex);
	return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &choice, sizeof choice) < 0 ? -errno : 0;
}

/* Limits a socket to the groups that it has joined itself. By default it also receives
 * what other sockets of this machine have joined: the same group from other interfaces and
 * from any source. Old kernels do not have the option for IPv6. */
static void only_own_groups(int fd, bool v4)
{
	if (v4)
		(void)sockeye__option_set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	else
		(void)sockeye__option_set(fd, IPPROTO_IPV6, MULTICAST_ALL_IPV6, 0);
}

int sockeye__multicast_join(int fd, const struct sockeye_addr *addr,
			    const struct sockeye_sockaddr *name)
{
	bool v4 = name->u.sa.sa_family == AF_INET;
	int level = v4 ? IPPROTO_IP : IPPROTO_IPV6, done;
	struct group_req any = {.gr_interface = interface_of(addr, name)};
	struct group_source_req one = {.gsr_interface = any.gr_interface};

	if (!sockeye__sockaddr_is_multicast(name))
		return 0;
	only_own_groups(fd, v4);
	memcpy(&any.gr_group, &name->u, name->len);
	one.gsr_group = any.gr_group;
	if (addr->opts.source[0] == '\0')
		done = setsockopt(fd, level, MCAST_JOIN_GROUP, &any, sizeof any);
	else if (source_parse(addr, name, &one.gsr_source))
		done = setsockopt(fd, level, MCAST_JOIN_SOURCE_GROUP, &one, sizeof one);
	else
		return SOCKEYE_E_OPTION_VALUE;
	return done < 0 ? -errno : 0;
}
