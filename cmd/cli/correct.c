/* correct.c: corrects invalid addresses (address.h). */
#include "cli/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "cli/report.h"
#include "cli/suggest.h"
#include "cli/words.h"

#define DIGITS "0123456789"

/* An address that is being corrected. */
struct draft {
	enum cli_use use;
	char text[SOCKEYE_ADDR_TEXT_MAX];
};

/* Replaces `len` bytes at offset `at`. Returns false if the result is too long. */
static bool replace(struct draft *d, size_t at, size_t len, const char *new_text)
{
	size_t tail = strlen(d->text + at + len) + 1, new_len = strlen(new_text);

	if (at + new_len + tail > sizeof d->text)
		return false;
	memmove(d->text + at + new_len, d->text + at + len, tail);
	memcpy(d->text + at, new_text, new_len);
	return true;
}

/* Corrects "tcp:/host:7", "udp//host:7", "unix://run/x" and "unix//run/x". */
static bool correct_slashes(struct draft *d)
{
	enum sockeye_scheme scheme;
	size_t len = cli_scheme_len(d->text, &scheme), found = strspn(d->text + len, ":/");
	const char *wanted = "://";

	if (len == 0 || found == 0)
		return false;
	if (scheme == SOCKEYE_FD)
		wanted = ":";
	else if (sockeye_scheme_is_unix(scheme))
		wanted = memchr(d->text + len, '/', found) ? ":/" : ":";
	else if (found > strlen(wanted))
		found = strlen(wanted);
	if (strlen(wanted) == found && strncmp(d->text + len, wanted, found) == 0)
		return false;
	return replace(d, len, found, wanted);
}

/* Corrects unknown schemes: "tpc://host:7", and "http://host/page" to tcp://host:http. */
static bool correct_scheme(struct draft *d)
{
	static const char *const names[] = {"tcp", "udp", "unix", "sctp", "mptcp", "tftp"};
	const char *mark = strstr(d->text, "://");
	size_t len = mark ? (size_t)(mark - d->text) : 0, end;
	char name[16];
	const char *near;
	enum sockeye_scheme scheme;

	if (!mark || len >= sizeof name || cli_scheme_len(d->text, &scheme) == len)
		return false;
	snprintf(name, sizeof name, "%.*s", (int)len, d->text);
	if (d->use == CLI_FETCHES)
		return replace(d, 0, len, "tftp");
	near = getservbyname(name, "tcp")
		   ? NULL
		   : cli_nearest(name, names, sizeof names / sizeof names[0]);
	if (near)
		return replace(d, 0, len, near);
	end = len + 3 + strcspn(mark + 3, "/?#");
	d->text[end] = '\0';
	if (!strpbrk(mark + 3, ":]") && getservbyname(name, "tcp")) {
		replace(d, end, 0, name);
		replace(d, end, 0, ":");
	}
	return replace(d, 0, len, "tcp");
}

/* Corrects "/run/x.sock" and "@name". */
static bool correct_path(struct draft *d)
{
	return d->use != CLI_FETCHES && strchr("/.@", d->text[0]) && d->text[0] &&
	       replace(d, 0, 0, "unix:");
}

/* Returns the start of the host and port. */
static char *authority(struct draft *d)
{
	char *mark = strstr(d->text, "://");

	return mark ? mark + 3 : d->text;
}

/* Corrects IPv6 without brackets: "::1" and "::1:7". */
static bool correct_brackets(struct draft *d)
{
	char *host = authority(d), *last;
	size_t at = (size_t)(host - d->text), len = strcspn(host, "/?"), zone = strcspn(host, "%");

	if (host[0] == '[' || memchr(host, ':', len) == memrchr(host, ':', len))
		return false;
	last = memrchr(host, ':', len);
	if (cli_is_ipv6(host, (size_t)(last - host) < zone ? (size_t)(last - host) : zone) &&
	    strspn(last + 1, DIGITS) == (size_t)(host + len - last - 1) && last + 1 < host + len)
		len = (size_t)(last - host);
	else if (!cli_is_ipv6(host, len < zone ? len : zone))
		return false;
	return replace(d, at + len, 0, "]") && replace(d, at, 0, "[");
}

/* Corrects "user@host:7". */
static bool correct_user(struct draft *d)
{
	char *host = authority(d), *at = strchr(host, '@');

	return at && replace(d, (size_t)(host - d->text), (size_t)(at + 1 - host), "");
}

/* Returns the offset of the port, or of the end of the host if there is none. */
static size_t port_at(struct draft *d)
{
	char *host = authority(d);
	size_t at = (size_t)(host - d->text), close = strcspn(host, "]");

	if (host[0] == '[' && host[close])
		at += close + 1;
	else
		at += strcspn(host, ":/?");
	return d->text[at] == ':' ? at + 1 : at;
}

/* Corrects an address without a port, a port above 65535, port 0, and a lone port. */
static bool correct_port(struct draft *d)
{
	size_t at = port_at(d), len = strcspn(d->text + at, "/?");
	bool alone = cli_is_number(authority(d));
	char port[8];
	uint16_t v;

	if (alone && d->use == CLI_FETCHES)
		return false;
	if (alone)
		return replace(d, (size_t)(authority(d) - d->text), 0,
			       d->use == CLI_LISTENS ? ":" : "localhost:");
	snprintf(port, sizeof port, "%.*s", (int)(len < 7 ? len : 7), d->text + at);
	if (cli_is_number(port) && sockeye_port_parse(port, &v) < 0)
		return replace(d, at + 4, len - 4, "");
	if (len > 0 && strcmp(port, "0") != 0)
		return false;
	if (d->use == CLI_FETCHES) /* TFTP has a default port */
		return len > 0 && replace(d, at - 1, len + 1, "");
	snprintf(port, sizeof port, "%s%d", at > 0 && d->text[at - 1] == ':' ? "" : ":",
		 CLI_EXAMPLE_PORT);
	return replace(d, at, len, port);
}

/* Corrects "tcp://host:7/page". */
static bool correct_end(struct draft *d)
{
	char *slash = strchr(authority(d), '/');

	return d->use != CLI_FETCHES && slash &&
	       replace(d, (size_t)(slash - d->text), strlen(slash), "");
}

/* Corrects "host", "host/file" and "host:/file" as TFTP addresses. */
static bool correct_tftp(struct draft *d)
{
	char *slash = strchr(d->text, '/');

	if (d->use != CLI_FETCHES || cli_has_scheme(d->text) || strstr(d->text, "://") ||
	    slash == d->text)
		return false;
	if (!slash)
		replace(d, strlen(d->text), 0, "/");
	else if (slash[-1] == ':')
		replace(d, (size_t)(slash - 1 - d->text), 1, "");
	return replace(d, 0, 0, "tftp://");
}

/* Whether the address is link-local IPv6 without the interface, as in fe80::1%eth0. */
static bool needs_zone(const struct sockeye_addr *addr)
{
	struct in6_addr ip;

	return !addr->zone[0] && inet_pton(AF_INET6, addr->host, &ip) == 1 &&
	       IN6_IS_ADDR_LINKLOCAL(&ip);
}

/* Stores the first interface that has a link-local address, or "eth0". */
static void zone_find(char zone[IF_NAMESIZE])
{
	struct ifaddrs *all, *i;

	snprintf(zone, IF_NAMESIZE, "eth0");
	if (getifaddrs(&all) < 0)
		return;
	for (i = all; i; i = i->ifa_next) {
		const struct sockaddr_in6 *sa = (const void *)i->ifa_addr;

		if (!sa || sa->sin6_family != AF_INET6 || !IN6_IS_ADDR_LINKLOCAL(&sa->sin6_addr))
			continue;
		snprintf(zone, IF_NAMESIZE, "%s", i->ifa_name);
		break;
	}
	freeifaddrs(all);
}

static bool correct_zone(struct draft *d)
{
	size_t at = strcspn(d->text, "]");
	char zone[IF_NAMESIZE];

	zone_find(zone);
	return replace(d, at, 0, zone) && replace(d, at, 0, "%");
}

bool cli_is_port_zero(const struct sockeye_addr *addr, enum cli_use use)
{
	return use != CLI_LISTENS && addr->has_port && addr->port == 0 &&
	       !sockeye_scheme_is_unix(addr->scheme) && addr->scheme != SOCKEYE_FD &&
	       addr->scheme != SOCKEYE_ICMP;
}

bool cli_address_corrected(const char *word, enum cli_use use, char *out, size_t cap)
{
	static bool (*const corrections[])(struct draft *) = {
	    correct_tftp,     correct_path, correct_slashes, correct_scheme,
	    correct_brackets, correct_user, correct_port,    correct_end,
	};
	struct draft d = {.use = use};
	struct sockeye_addr addr;

	if (snprintf(d.text, sizeof d.text, "%s", word) >= (int)sizeof d.text)
		return false;
	/* A word may need several corrections, in this order. */
	for (size_t i = 0; i < sizeof corrections / sizeof corrections[0]; i++) {
		if (sockeye_addr_parse(d.text, &addr, NULL) == 0 &&
		    (use != CLI_FETCHES || addr.scheme == SOCKEYE_TFTP) &&
		    !cli_is_port_zero(&addr, use))
			break;
		corrections[i](&d);
	}
	if (sockeye_addr_parse(d.text, &addr, NULL) < 0 ||
	    (use == CLI_FETCHES && addr.scheme != SOCKEYE_TFTP))
		return false;
	if (use != CLI_FETCHES && needs_zone(&addr) && !correct_zone(&d))
		return false;
	return strcmp(d.text, word) != 0 && snprintf(out, cap, "%s", d.text) < (int)cap;
}

/* --- addresses that cannot be opened --- */

/* Writes the word with port `to`, and returns true, if its port is `from` or, if `from` is
 * NULL, an unknown service name. Otherwise returns false. */
static bool port_replaced(const char *word, bool may_be_port, const char *from, const char *to,
			  struct draft *d)
{
	struct sockeye_addr addr;
	struct servent *found;
	char port[8];
	size_t at, len;

	if (snprintf(d->text, sizeof d->text, "%s", word) >= (int)sizeof d->text)
		return false;
	if (may_be_port && cli_is_port(word)) {
		at = 0;
	} else {
		if (word[0] == '-' || sockeye_addr_parse(word, &addr, NULL) < 0 ||
		    (!addr.has_port && !addr.service[0]))
			return false;
		at = port_at(d);
	}
	len = strcspn(d->text + at, "/?");
	snprintf(port, sizeof port, "%.*s", (int)len, d->text + at);
	found = cli_is_number(port) ? NULL : getservbyname(d->text + at, NULL);
	if (found)
		snprintf(port, sizeof port, "%u", ntohs((uint16_t)found->s_port));
	if (!from)
		return !cli_is_number(port) && !found && replace(d, at, len, to);
	return strcmp(port, from) == 0 && replace(d, at, len, to);
}

/* Returns the command line with port `to` instead of `from`, as port_replaced() does. */
static const char *with_port(struct suggestion *s, const char *from, unsigned to)
{
	struct draft changed[8];
	struct suggest_edit edits[8];
	char *const *argv, port[8];
	size_t count = 0;
	int argc;

	argv = suggest_argv(&argc);
	snprintf(port, sizeof port, "%u", to);
	for (int i = 2; i < argc && count < sizeof edits / sizeof edits[0]; i++) {
		bool may_be_port = i == argc - 1 && i > 2 && cli_is_host(argv[i - 1]);

		if (!port_replaced(argv[i], may_be_port, from, port, &changed[count]))
			continue;
		edits[count] = (struct suggest_edit){.at = argv[i], .text = changed[count].text};
		count++;
	}
	return count > 0 ? suggest_edit(s, edits, count) : NULL;
}

/* Writes the word, a HOST or an address, with an interface. Returns false if the word needs
 * none. */
static bool zone_added(const char *word, struct draft *d)
{
	bool host = cli_is_host(word);
	struct sockeye_addr addr;
	char text[SOCKEYE_ADDR_TEXT_MAX];

	snprintf(text, sizeof text, !host ? "%s" : word[0] == '[' ? "%s:0" : "[%s]:0", word);
	return sockeye_addr_parse(text, &addr, NULL) == 0 && needs_zone(&addr) &&
	       snprintf(d->text, sizeof d->text, "%s", word) < (int)sizeof d->text &&
	       correct_zone(d);
}

/* Returns the command line with an interface for every link-local address. */
static const char *with_zone(struct suggestion *s)
{
	struct draft changed[8];
	struct suggest_edit edits[8];
	char *const *argv;
	size_t count = 0;
	int argc;

	argv = suggest_argv(&argc);
	for (int i = 2; i < argc && count < sizeof edits / sizeof edits[0]; i++) {
		if (!zone_added(argv[i], &changed[count]))
			continue;
		edits[count] = (struct suggest_edit){.at = argv[i], .text = changed[count].text};
		count++;
	}
	return count > 0 ? suggest_edit(s, edits, count) : NULL;
}

int cli_address_fail(const struct cli_common *common, const struct sockeye_fail *fail)
{
	struct sockeye_fail explained = *fail;
	const char *try = NULL;
	struct sockeye_addr addr;
	struct servent *service;
	struct suggestion s;
	char port[8];

	if (sockeye_addr_parse(fail->address, &addr, NULL) < 0 ||
	    sockeye_scheme_is_unix(addr.scheme))
		return report_fail(common, fail);
	service = addr.has_port ? NULL : getservbyname(addr.service, NULL);
	if (service)
		addr.port = ntohs((uint16_t)service->s_port);
	snprintf(port, sizeof port, "%u", addr.port);
	if ((fail->err == -EINVAL || fail->err == SOCKEYE_E_HOST) && needs_zone(&addr)) {
		explained.err = SOCKEYE_E_HOST;
		try = with_zone(&s);
	} else if (strcmp(fail->op, "bind") == 0 && fail->err == -EACCES && addr.port < 1024) {
		try = with_port(&s, port, 7000 + addr.port % 1000);
	} else if (fail->err == -EADDRINUSE && !fail->explained && addr.port > 0 &&
		   addr.port < UINT16_MAX) {
		try = with_port(&s, port, addr.port + 1u);
	} else if (fail->err == SOCKEYE_E_SERVICE) {
		try = with_port(&s, NULL, CLI_EXAMPLE_PORT);
	}
	return report_fail_try(common, &explained, try);
}
