/*
 * addr_host.c: parses "host:port", the part that all Internet addresses have. Does not
 * resolve names, but rejects hosts that the resolver would misread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <sockeye/addr.h>

#include "base/ascii.h"
#include "base/number.h"
#include "proto/addr_internal.h"

static bool is_host_char(char c)
{
	return sockeye__ascii_is_digit(c) || sockeye__ascii_is_letter(c) || c == '-' || c == '.' ||
	       c == '_';
}

static bool is_service_char(char c)
{
	return sockeye__ascii_is_digit(c) || sockeye__ascii_is_letter(c) || c == '-' || c == '+' ||
	       c == '_';
}

static bool all(struct sockeye__slice s, bool (*test)(char c))
{
	for (size_t i = 0; i < s.len; i++)
		if (!test(s.at[i]))
			return false;
	return s.len > 0;
}

/* Return the parts before and after position i, without the byte at i. */
static struct sockeye__slice before(struct sockeye__slice s, size_t i)
{
	return (struct sockeye__slice){s.at, i};
}

static struct sockeye__slice after(struct sockeye__slice s, size_t i)
{
	return (struct sockeye__slice){s.at + i + 1, s.len - i - 1};
}

int sockeye_port_parse(const char *text, uint16_t *out_port)
{
	uint64_t v;
	struct sockeye__slice digits = {text, strlen(text)};
	int err = sockeye__number_parse(digits, 10, UINT16_MAX, &v);

	if (err == 0)
		*out_port = (uint16_t)v;
	return err;
}

static bool is_ip(int family, struct sockeye__slice text)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t binary[16];

	if (text.len >= sizeof copy)
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	return inet_pton(family, copy, binary) == 1;
}

/* Parses "fe80::1%lo" into host and zone. The zone may also follow "%25" (RFC 6874,
 * section 2). */
static bool ipv6_read(struct sockeye__slice text, struct sockeye_addr *addr)
{
	const char *percent = memchr(text.at, '%', text.len);
	struct sockeye__slice zone = before(text, 0);

	if (percent != NULL) {
		zone = after(text, (size_t)(percent - text.at));
		text = before(text, (size_t)(percent - text.at));
		if (zone.len > 2 && memcmp(zone.at, "25", 2) == 0)
			zone = after(zone, 1);
		if (!all(zone, is_host_char) || zone.len > SOCKEYE_ZONE_MAX)
			return false;
	}
	if (!is_ip(AF_INET6, text))
		return false;
	memcpy(addr->host, text.at, text.len);
	memcpy(addr->zone, zone.at, zone.len);
	return true;
}

/* Whether the last label of the host is a number, so that the resolver may read the host as
 * an address. inet_aton(3) accepts "127.1", "010.0.0.1" (octal) and "1" as addresses; this
 * parser accepts only four decimal numbers. */
static bool is_numeric(struct sockeye__slice host)
{
	const char *dot = memrchr(host.at, '.', host.len);

	return all(dot != NULL ? after(host, (size_t)(dot - host.at)) : host,
		   sockeye__ascii_is_digit);
}

static int host_read(struct sockeye__reader *r, struct sockeye__slice host)
{
	if (host.len == 0 || (host.len == 1 && host.at[0] == '*'))
		return 0;
	if (host.at[0] == '[') {
		host = (struct sockeye__slice){host.at + 1, host.len - 2};
		if (ipv6_read(host, &r->addr))
			return 0;
		return sockeye__addr_fail(
		    r, SOCKEYE_E_HOST,
		    "only an IPv6 address is written in brackets, as in [fe80::1%%lo]:7");
	}
	if (host.len > SOCKEYE_HOST_MAX)
		return sockeye__addr_fail(r, SOCKEYE_E_HOST,
					  "the host has %zu bytes; the limit is %d", host.len,
					  SOCKEYE_HOST_MAX);
	if (!all(host, is_host_char))
		return sockeye__addr_fail(
		    r, SOCKEYE_E_HOST, "a host name consists of letters, digits, '-', '.' and '_'");
	if (is_numeric(host) && !is_ip(AF_INET, host))
		return sockeye__addr_fail(
		    r, SOCKEYE_E_HOST,
		    "an IPv4 address is four decimal numbers from 0 to 255, as in 127.0.0.1");
	memcpy(r->addr.host, host.at, host.len);
	return 0;
}

static int port_read(struct sockeye__reader *r, struct sockeye__slice port)
{
	uint64_t v;
	int err = sockeye__number_parse(port, 10, UINT16_MAX, &v);

	if (err == -ERANGE)
		return sockeye__addr_fail(r, SOCKEYE_E_PORT, "a port is a number from 0 to 65535");
	if (err == 0) {
		r->addr.has_port = true;
		r->addr.port = (uint16_t)v;
		return 0;
	}
	if (!all(port, is_service_char) || !sockeye__ascii_is_letter(port.at[0]) ||
	    port.len > SOCKEYE_SERVICE_MAX)
		return sockeye__addr_fail(r, SOCKEYE_E_PORT,
					  "a port is a number from 0 to 65535 or a service name");
	memcpy(r->addr.service, port.at, port.len);
	return 0;
}

/* Reports an address with several colons. "::1:80" could be the address ::1:80 or
 * port 80 of ::1, so it is an error. */
static int colons_fail(const struct sockeye__reader *r, struct sockeye__slice text, size_t last)
{
	struct sockeye__slice head = before(text, last), tail = after(text, last);
	struct sockeye_addr ignored = {0};

	if (ipv6_read(head, &ignored) && all(tail, sockeye__ascii_is_digit))
		return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
					  "write an IPv6 address in brackets: [%.*s]:%.*s",
					  (int)head.len, head.at, (int)tail.len, tail.at);
	if (ipv6_read(text, &ignored))
		return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
					  "write an IPv6 address in brackets: [%.*s]%s",
					  (int)text.len, text.at,
					  sockeye__schemes[r->addr.scheme].no_port ? "" : ":PORT");
	return sockeye__addr_fail(
	    r, SOCKEYE_E_SYNTAX,
	    "too many colons; write an IPv6 address in brackets, as in [::1]:7");
}

/* Finds the colon before the port; *out_colon is text.len if there is none. Returns 0
 * or a negative code. */
static int colon_find(const struct sockeye__reader *r, struct sockeye__slice text,
		      size_t *out_colon)
{
	const char *colon = memchr(text.at, ':', text.len);
	const char *last = memrchr(text.at, ':', text.len);

	if (text.len > 0 && text.at[0] == '[') {
		const char *close = memchr(text.at, ']', text.len);
		size_t end = close != NULL ? (size_t)(close - text.at) + 1 : 0;

		if (close == NULL)
			return sockeye__addr_fail(
			    r, SOCKEYE_E_SYNTAX,
			    "the closing bracket is missing; an example is [::1]:7");
		if (end < text.len && text.at[end] != ':')
			return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
						  "only :PORT may follow the closing bracket");
		*out_colon = end;
		return 0;
	}
	if (colon != last)
		return colons_fail(r, text, (size_t)(last - text.at));
	*out_colon = colon != NULL ? (size_t)(colon - text.at) : text.len;
	return 0;
}

static int port_missing(struct sockeye__reader *r, struct sockeye__slice host)
{
	const struct sockeye__scheme *scheme = &sockeye__schemes[r->addr.scheme];

	if (scheme->no_port)
		return 0;
	if (scheme->port != 0) {
		r->addr.has_port = true;
		r->addr.port = scheme->port;
		return 0;
	}
	if (all(host, sockeye__ascii_is_digit))
		return sockeye__addr_fail(r, SOCKEYE_E_SYNTAX,
					  "write a port without a host as :%.*s", (int)host.len,
					  host.at);
	return sockeye__addr_fail(
	    r, SOCKEYE_E_SYNTAX,
	    "the port is missing; write HOST:PORT, as in localhost:7 or [::1]:7");
}

int sockeye__addr_host_port(struct sockeye__reader *r, struct sockeye__slice text)
{
	struct sockeye__slice port = {0};
	size_t colon = text.len;
	int err;

	if (memchr(text.at, '@', text.len) != NULL)
		return sockeye__addr_fail(
		    r, SOCKEYE_E_SYNTAX, "an address cannot have a user name; remove it and the @");
	err = colon_find(r, text, &colon);
	if (err < 0)
		return err;
	if (colon < text.len)
		port = after(text, colon);
	if (port.len == 0)
		err = port_missing(r, before(text, colon));
	else if (sockeye__schemes[r->addr.scheme].no_port)
		err = sockeye__addr_fail(r, SOCKEYE_E_PORT,
					 "%s has no ports; remove the colon and the port",
					 sockeye_scheme_name(r->addr.scheme));
	else
		err = port_read(r, port);
	return err < 0 ? err : host_read(r, before(text, colon));
}
