/*
 * addr_print.c: prints an address as text that parses to the same address.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/addr.h>

#include "proto/addr_internal.h"
#include "proto/percent.h"

static void unix_print(struct sockeye__out *out, const struct sockeye_addr *addr)
{
	const char *path = addr->path;
	size_t len = addr->path_len, first = len > 0;

	/* "unix:@" would begin an abstract name, and "unix://" a host. */
	sockeye__out_text(out, addr->abstract ? ":@" : ":");
	sockeye__percent_encode(path, first, addr->abstract ? "%?" : "%?@", out);
	if (len > 1 && memcmp(path, "//", 2) == 0 && !addr->abstract) {
		sockeye__out_piece(out, "%2F", 3);
		first++;
	}
	sockeye__percent_encode(path + first, len - first, "%?", out);
}

static void host_print(struct sockeye__out *out, const struct sockeye_addr *addr)
{
	bool ipv6 = strchr(addr->host, ':') != NULL;

	sockeye__out_text(out, ipv6 ? "[" : "");
	sockeye__out_text(out, addr->host[0] != '\0' ? addr->host : "*");
	if (addr->zone[0] != '\0')
		/* The parser skips "25" after the percent sign (RFC 6874, section 2), so
		 * a zone that begins with 25 is printed after "%25". */
		sockeye__out_text(out, strncmp(addr->zone, "25", 2) == 0 ? "%25" : "%");
	sockeye__out_text(out, addr->zone);
	sockeye__out_text(out, ipv6 ? "]" : "");
}

static void inet_print(struct sockeye__out *out, const struct sockeye_addr *addr)
{
	char port[8];

	sockeye__out_text(out, addr->family == 4 ? "4" : addr->family == 6 ? "6" : "");
	sockeye__out_text(out, "://");
	host_print(out, addr);
	if (addr->has_port) {
		snprintf(port, sizeof port, ":%u", addr->port);
		sockeye__out_text(out, port);
	} else if (addr->service[0] != '\0') {
		sockeye__out_text(out, ":");
		sockeye__out_text(out, addr->service);
	}
	if (addr->file[0] == '\0' && !addr->netascii)
		return;
	sockeye__out_text(out, "/");
	sockeye__percent_encode(addr->file, strlen(addr->file), "%?;", out);
	sockeye__out_text(out, addr->netascii ? ";mode=netascii" : "");
}

size_t sockeye_addr_print(const struct sockeye_addr *addr, char *buf, size_t cap)
{
	struct sockeye__out out = sockeye__out_to(buf, cap);
	char fd[16];

	sockeye__out_text(&out, sockeye_scheme_name(addr->scheme));
	switch (sockeye__schemes[addr->scheme].kind) {
	case SOCKEYE__UNIX:
		unix_print(&out, addr);
		break;
	case SOCKEYE__INHERITED:
		snprintf(fd, sizeof fd, ":%d", addr->fd);
		sockeye__out_text(&out, fd);
		break;
	default:
		inet_print(&out, addr);
	}
	sockeye__addr_options_print(addr, &out);
	return out.len;
}
