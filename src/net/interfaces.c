/*
 * interfaces.c: the network interfaces of this machine, for addresses that depend on one.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"

uint32_t sockeye__interface_index(const char *zone)
{
	uint32_t index = if_nametoindex(zone);
	unsigned long number;
	char *end;

	if (index != 0 || *zone < '0' || *zone > '9')
		return index;
	number = strtoul(zone, &end, 10);
	return *end == '\0' && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static bool is_link_local(const struct ifaddrs *i)
{
	const struct sockaddr_in6 *sa = (const void *)i->ifa_addr;

	return sa != NULL && sa->sin6_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&sa->sin6_addr);
}

unsigned sockeye__interfaces_link_local(char name[IF_NAMESIZE])
{
	struct ifaddrs *all, *i;
	unsigned count = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (i = all; i != NULL; i = i->ifa_next) {
		if (!is_link_local(i) || (count > 0 && strcmp(name, i->ifa_name) == 0))
			continue;
		if (count++ == 0)
			snprintf(name, IF_NAMESIZE, "%s", i->ifa_name);
	}
	freeifaddrs(all);
	return count;
}

/* Lists as many interfaces as fit. */
void sockeye__fail_interfaces(struct sockeye_fail *fail)
{
	struct if_nameindex *all = if_nameindex();
	char buf[100] = "unknown";
	const size_t cap = sizeof buf;
	size_t len = 0;

	for (size_t i = 0; all != NULL && all[i].if_name != NULL && len + IF_NAMESIZE + 5 < cap;
	     i++)
		len += (size_t)snprintf(buf + len, cap - len, "%s%s", i > 0 ? ", " : "",
					all[i].if_name);
	if (all != NULL)
		if_freenameindex(all);
	sockeye__fail_add(fail, "the interfaces are %s", buf);
}

void sockeye__fail_zone(struct sockeye_fail *fail, const char *host, const char *zone)
{
	char first[IF_NAMESIZE] = "eth0";

	(void)sockeye__interfaces_link_local(first);
	if (zone[0] != '\0')
		sockeye__fail_detail(fail, "there is no interface \"%s\"", zone);
	else
		sockeye__fail_detail(fail, "a link-local address needs its interface, as in %s%%%s",
				     host, first);
	sockeye__fail_interfaces(fail);
	if (fail != NULL)
		fail->explained = true;
}
