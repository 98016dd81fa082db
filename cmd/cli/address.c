/* address.c: operands that are addresses (address.h). */
#include "cli/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>

#include "cli/others.h"
#include "cli/report.h"
#include "cli/suggest.h"

#define LETTERS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS     "0123456789"
#define PORT_SHOWN 7007 /* in examples: where `sockeye serve echo` listens */

/* --- kinds of words --- */

static bool is_ipv6(const char *text, size_t len)
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr binary;

	if (len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(AF_INET6, copy, &binary) == 1;
}

bool cli_is_host(const char *word)
{
	size_t len = strlen(word);

	if (word[0] == '[')
		return word[len - 1] == ']';
	if (strchr(word, ':'))
		return is_ipv6(word, strcspn(word, "%"));
	return strcmp(word, "*") == 0 || (len > 0 && word[0] != '.' && word[0] != '-' &&
					  word[strspn(word, LETTERS DIGITS "-._")] == '\0');
}

bool cli_is_number(const char *word)
{
	return *word && word[strspn(word, DIGITS)] == '\0';
}

bool cli_is_port(const char *word)
{
	return cli_is_number(word) || (*word && strchr(LETTERS, *word) &&
				       word[strspn(word, LETTERS DIGITS "-+_")] == '\0');
}

void cli_host_port(const char *scheme, const char *host, const char *port, char *out, size_t cap)
{
	bool bare_ipv6 = host[0] != '[' && strchr(host, ':') != NULL;

	snprintf(out, cap, "%s%s%s%s%s:%s", scheme, scheme[0] ? "://" : "", bare_ipv6 ? "[" : "",
		 host, bare_ipv6 ? "]" : "", port);
}

/* The length of a scheme at the beginning of the word, with its 4 or 6, or 0. */
static size_t scheme_len(const char *word, enum sockeye_scheme *out)
{
	size_t len = strspn(word, LETTERS "-");

	for (enum sockeye_scheme i = SOCKEYE_TCP; i <= SOCKEYE_FD; i++) {
		const char *name = sockeye_scheme_name(i);

		if (strlen(name) != len || strncasecmp(word, name, len) != 0)
			continue;
		*out = i;
		return len + (word[len] == '4' || word[len] == '6');
	}
	return 0;
}

bool cli_has_scheme(const char *word)
{
	enum sockeye_scheme scheme;
	size_t len = scheme_len(word, &scheme);

	return len > 0 && word[len] == ':';
}

/* Whether sockets of this build have the scheme. */
static bool can_open(enum sockeye_scheme scheme)
{
	return scheme != SOCKEYE_TLS && scheme != SOCKEYE_TFTP && scheme != SOCKEYE_ICMP;
}

const char *cli_scheme_word(size_t i)
{
	static char words[SOCKEYE_FD + 1][24];

	for (enum sockeye_scheme scheme = SOCKEYE_TCP; scheme <= SOCKEYE_FD; scheme++) {
		bool slashes = !sockeye_scheme_is_unix(scheme) && scheme != SOCKEYE_FD;

		if (!can_open(scheme) || i-- > 0)
			continue;
		snprintf(words[scheme], sizeof words[scheme], "%s:%s", sockeye_scheme_name(scheme),
			 slashes ? "//" : "");
		return words[scheme];
	}
	return NULL;
}

/* --- what to type instead --- */

struct mend {
	enum cli_use use;
	char text[SOCKEYE_ADDR_TEXT_MAX];
};

/* Replaces `len` bytes at `at`, an offset into m->text. False when it does not fit. */
static bool put(struct mend *m, size_t at, size_t len, const char *new_text)
{
	size_t tail = strlen(m->text + at + len) + 1, new_len = strlen(new_text);

	if (at + new_len + tail > sizeof m->text)
		return false;
	memmove(m->text + at + new_len, m->text + at + len, tail);
	memcpy(m->text + at, new_text, new_len);
	return true;
}

/* "tcp:/host:7", "udp//host:7", "unix://run/x", "unix//run/x" */
static bool mend_slashes(struct mend *m)
{
	enum sockeye_scheme scheme;
	size_t len = scheme_len(m->text, &scheme), found = strspn(m->text + len, ":/");
	const char *wanted = "://";

	if (len == 0 || found == 0)
		return false;
	if (scheme == SOCKEYE_FD)
		wanted = ":";
	else if (sockeye_scheme_is_unix(scheme))
		wanted = memchr(m->text + len, '/', found) ? ":/" : ":";
	else if (found > strlen(wanted))
		found = strlen(wanted);
	if (strlen(wanted) == found && strncmp(m->text + len, wanted, found) == 0)
		return false;
	return put(m, len, found, wanted);
}

/* "http://host/page": of other protocols the host and the port are left, which may be
 * the name of the scheme. */
static bool mend_scheme(struct mend *m)
{
	static const char *const names[] = {"tcp", "udp", "unix", "sctp", "mptcp", "tftp"};
	const char *mark = strstr(m->text, "://");
	size_t len = mark ? (size_t)(mark - m->text) : 0, end;
	char name[16];
	const char *near;
	enum sockeye_scheme scheme;

	if (!mark || len >= sizeof name || scheme_len(m->text, &scheme) == len)
		return false;
	snprintf(name, sizeof name, "%.*s", (int)len, m->text);
	if (m->use == CLI_FETCHES)
		return put(m, 0, len, "tftp");
	near = getservbyname(name, "tcp")
		   ? NULL
		   : cli_nearest(name, names, sizeof names / sizeof names[0]);
	if (near)
		return put(m, 0, len, near);
	end = len + 3 + strcspn(mark + 3, "/?#");
	m->text[end] = '\0';
	if (!strpbrk(mark + 3, ":]") && getservbyname(name, "tcp")) {
		put(m, end, 0, name);
		put(m, end, 0, ":");
	}
	return put(m, 0, len, "tcp");
}

/* "/run/x.sock" and "@name" */
static bool mend_path(struct mend *m)
{
	return m->use != CLI_FETCHES && strchr("/.@", m->text[0]) && m->text[0] &&
	       put(m, 0, 0, "unix:");
}

/* The host and port of an Internet address. */
static char *authority(struct mend *m)
{
	char *mark = strstr(m->text, "://");

	return mark ? mark + 3 : m->text;
}

/* "::1", "::1:7": IPv6 without brackets */
static bool mend_brackets(struct mend *m)
{
	char *host = authority(m), *last;
	size_t at = (size_t)(host - m->text), len = strcspn(host, "/?"), zone = strcspn(host, "%");

	if (host[0] == '[' || memchr(host, ':', len) == memrchr(host, ':', len))
		return false;
	last = memrchr(host, ':', len);
	if (is_ipv6(host, (size_t)(last - host) < zone ? (size_t)(last - host) : zone) &&
	    strspn(last + 1, DIGITS) == (size_t)(host + len - last - 1) && last + 1 < host + len)
		len = (size_t)(last - host);
	else if (!is_ipv6(host, len < zone ? len : zone))
		return false;
	return put(m, at + len, 0, "]") && put(m, at, 0, "[");
}

/* "user@host:7" */
static bool mend_user(struct mend *m)
{
	char *host = authority(m), *at = strchr(host, '@');

	return at && put(m, (size_t)(host - m->text), (size_t)(at + 1 - host), "");
}

/* Where the port is, behind the host and its colon, or the end of the host. */
static size_t port_at(struct mend *m)
{
	char *host = authority(m);
	size_t at = (size_t)(host - m->text), close = strcspn(host, "]");

	if (host[0] == '[' && host[close])
		at += close + 1;
	else
		at += strcspn(host, ":/?");
	return m->text[at] == ':' ? at + 1 : at;
}

/* No port, or one above 65535. A number alone is a port without a host. */
static bool mend_port(struct mend *m)
{
	size_t at = port_at(m), len = strcspn(m->text + at, "/?");
	bool alone = cli_is_number(authority(m));
	char port[8];
	uint16_t v;

	if (alone && m->use == CLI_FETCHES)
		return false;
	if (alone)
		return put(m, (size_t)(authority(m) - m->text), 0,
			   m->use == CLI_LISTENS ? ":" : "localhost:");
	snprintf(port, sizeof port, "%.*s", (int)(len < 7 ? len : 7), m->text + at);
	if (cli_is_number(port) && sockeye_port_parse(port, &v) < 0)
		return put(m, at + 4, len - 4, "");
	if (len > 0 && strcmp(port, "0") != 0)
		return false;
	if (m->use == CLI_FETCHES) /* it has a default */
		return len > 0 && put(m, at - 1, len + 1, "");
	snprintf(port, sizeof port, "%s%d", at > 0 && m->text[at - 1] == ':' ? "" : ":",
		 PORT_SHOWN);
	return put(m, at, len, port);
}

/* "tcp://host:7/page" */
static bool mend_end(struct mend *m)
{
	char *slash = strchr(authority(m), '/');

	return m->use != CLI_FETCHES && slash &&
	       put(m, (size_t)(slash - m->text), strlen(slash), "");
}

/* "host", "host/file" and "host:/file" where a TFTP address is wanted */
static bool mend_tftp(struct mend *m)
{
	char *slash = strchr(m->text, '/');

	if (m->use != CLI_FETCHES || cli_has_scheme(m->text) || strstr(m->text, "://") ||
	    slash == m->text)
		return false;
	if (!slash)
		put(m, strlen(m->text), 0, "/");
	else if (slash[-1] == ':')
		put(m, (size_t)(slash - 1 - m->text), 1, "");
	return put(m, 0, 0, "tftp://");
}

/* "fe80::1%eth0": an address that is only valid with its interface. */
static bool needs_zone(const struct sockeye_addr *addr)
{
	struct in6_addr ip;

	return !addr->zone[0] && inet_pton(AF_INET6, addr->host, &ip) == 1 &&
	       IN6_IS_ADDR_LINKLOCAL(&ip);
}

/* The first interface that has a link-local address. */
static void zone_find(char zone[IF_NAMESIZE])
{
	struct ifaddrs *all, *i;

	strcpy(zone, "eth0");
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

static bool mend_zone(struct mend *m)
{
	size_t at = strcspn(m->text, "]");
	char zone[IF_NAMESIZE];

	zone_find(zone);
	return put(m, at, 0, zone) && put(m, at, 0, "%");
}

/* Whether the address connects to port 0, which is only for listening. */
static bool is_port_zero(const struct sockeye_addr *addr, enum cli_use use)
{
	return use != CLI_LISTENS && addr->has_port && addr->port == 0 &&
	       !sockeye_scheme_is_unix(addr->scheme) && addr->scheme != SOCKEYE_FD &&
	       addr->scheme != SOCKEYE_ICMP;
}

bool cli_address_mended(const char *word, enum cli_use use, char *out, size_t cap)
{
	static bool (*const mends[])(struct mend *) = {
	    mend_tftp,     mend_path, mend_slashes, mend_scheme,
	    mend_brackets, mend_user, mend_port,    mend_end,
	};
	struct mend m = {.use = use};
	struct sockeye_addr addr;

	if (snprintf(m.text, sizeof m.text, "%s", word) >= (int)sizeof m.text)
		return false;
	/* One word may need each of them once. */
	for (size_t i = 0; i < sizeof mends / sizeof mends[0]; i++) {
		if (sockeye_addr_parse(m.text, &addr, NULL) == 0 &&
		    (use != CLI_FETCHES || addr.scheme == SOCKEYE_TFTP) &&
		    !is_port_zero(&addr, use))
			break;
		mends[i](&m);
	}
	if (sockeye_addr_parse(m.text, &addr, NULL) < 0 ||
	    (use == CLI_FETCHES && addr.scheme != SOCKEYE_TFTP))
		return false;
	if (use != CLI_FETCHES && needs_zone(&addr) && !mend_zone(&m))
		return false;
	return strcmp(m.text, word) != 0 && snprintf(out, cap, "%s", m.text) < (int)cap;
}

/* --- one address --- */

/* Parses `text`, which the command line has as `word`, and the port in `another` when
 * that is not NULL: CLI_GO or the exit code. */
static int read_text(const struct cli_common *common, const struct cli_command *command,
		     const char *text, const char *word, const char *another, enum cli_use use,
		     struct sockeye_addr *out)
{
	char instead[SOCKEYE_ADDR_TEXT_MAX];
	const struct suggest_edit edits[] = {{.at = word, .text = instead}, {.at = another}};
	const char *try = NULL;
	struct sockeye_fail fail;
	struct suggestion s;

	if (!cli_has_scheme(text) && socat_is_address(text))
		return cli_usage_try(common, command, socat_guess(&s),
				     "'%.200s' is an address of socat", text);
	if (sockeye_addr_parse(text, out, &fail) == 0) {
		if (!is_port_zero(out, use))
			return CLI_GO;
		fail = (struct sockeye_fail){.op = "parse address",
					     .err = SOCKEYE_E_PORT,
					     .detail = "port 0 is only for listening"};
		sockeye_escape(text, strlen(text), fail.address, sizeof fail.address);
	}
	if (command->guess)
		try = command->guess(&s);
	if (!try && cli_address_mended(text, use, instead, sizeof instead))
		try = suggest_edit(&s, edits, another ? 2 : 1);
	return report_fail_try(common, &fail, try);
}

int cli_address(const struct cli_common *common, const struct cli_command *command,
		const char *word, enum cli_use use, struct sockeye_addr *out)
{
	return read_text(common, command, word, word, NULL, use, out);
}

/* --- ADDRESS, or HOST PORT --- */

/* An option of nc means something else here, and the command line is valid: says so. */
static void warn_letters(const struct cli_common *common, const struct cli_command *command)
{
	const struct cli_option *tables[CLI_TABLES_MAX];
	struct suggestion s;

	if (!command->guess || !command->guess(&s) || !s.letters[0])
		return;
	for (size_t i = 0, n = cli_tables(command, tables); i < n; i++)
		for (const struct cli_option *o = tables[i]; o && (o->name || o->help); o++)
			if (o->name && o->letter && strchr(s.letters, o->letter))
				report_say(common, "%s: -%c is --%s here; for nc's -%c: %s",
					   command->name, o->letter, o->name, o->letter, s.text);
}

static int host_port_read(const struct cli_common *common, const struct cli_command *command,
			  char *const v[2], enum cli_use use, const char *bare,
			  struct sockeye_addr *out)
{
	bool ipv6 = v[0][0] != '[' && strchr(v[0], ':') != NULL;
	char text[SOCKEYE_ADDR_TEXT_MAX];
	int code;

	snprintf(text, sizeof text, "%s://%s%s%s:%s", bare, ipv6 ? "[" : "", v[0], ipv6 ? "]" : "",
		 v[1]);
	code = read_text(common, command, text, v[0], v[1], use, out);
	if (code == CLI_GO)
		warn_letters(common, command);
	return code;
}

/* An address that begins with HOST PORT's first word, or one that looks like it. */
static bool joined(const char *word, const char *port, enum cli_use use, char *out, size_t cap)
{
	struct sockeye_addr addr;

	size_t len = strcspn(word, "?");

	snprintf(out, cap, "%.*s:%s%s", (int)len, word, port, word + len);
	return sockeye_addr_parse(out, &addr, NULL) == 0 || cli_address_mended(word, use, out, cap);
}

/* Two operands that are not HOST PORT: writes what is wrong into `why`, and what to
 * type instead into *s. */
static void two_wrong(char *const v[2], enum cli_use use, char *why, size_t cap,
		      struct suggestion *s)
{
	struct suggest_edit edits[2] = {{.at = v[0]}, {.at = v[1]}};
	enum sockeye_scheme scheme;
	struct sockeye_addr addr;
	const struct cli_shown first = cli_shown(v[0]), second = cli_shown(v[1]);
	char text[SOCKEYE_ADDR_TEXT_MAX];
	size_t len = scheme_len(v[0], &scheme);

	if (!v[0][0]) {
		snprintf(why, cap, "HOST is empty");
		edits[0].text = use == CLI_LISTENS ? "*" : "localhost";
		suggest_edit(s, edits, 1);
	} else if (cli_is_number(v[0]) && cli_is_host(v[1])) {
		snprintf(why, cap, "the port follows the host");
		edits[0].text = v[1];
		edits[1].text = v[0];
		suggest_edit(s, edits, 2);
	} else if (len > 0 && v[0][len] == '\0') {
		snprintf(why, cap, "'%s' and '%s' belong to one address", first.text, second.text);
		snprintf(text, sizeof text, "%s%s%s", v[0],
			 sockeye_scheme_is_unix(scheme) ? ":" : "://", v[1]);
		edits[1].text = text;
		suggest_edit(s, edits, 2);
	} else if (sockeye_addr_parse(v[0], &addr, NULL) == 0) {
		snprintf(why, cap, "'%s' is an address, and '%s' is one operand too many",
			 first.text, second.text);
		suggest_edit(s, &edits[1], 1);
	} else if (cli_is_port(v[1])) {
		snprintf(why, cap, "'%s' is not a HOST that a PORT can follow", first.text);
		edits[0].text = text;
		if (joined(v[0], v[1], use, text, sizeof text))
			suggest_edit(s, edits, 2);
	} else {
		snprintf(why, cap, "'%s' is not a PORT: a number or a service name", second.text);
		snprintf(text, sizeof text, "%.*s", (int)strspn(v[1], DIGITS), v[1]);
		if (!*text || v[1][strlen(text)] != '-')
			snprintf(text, sizeof text, "%d", PORT_SHOWN);
		edits[1].text = text;
		if (cli_is_host(v[0]))
			suggest_edit(s, &edits[1], 1);
	}
}

/* "udp localhost 7" as one address, into *s. */
static void three_mended(char *const v[3], struct suggestion *s)
{
	char text[SOCKEYE_ADDR_TEXT_MAX];
	const struct suggest_edit edits[] = {
	    {.at = v[0]}, {.at = v[1]}, {.at = v[2], .text = text}};
	enum sockeye_scheme scheme;
	size_t len = scheme_len(v[0], &scheme);

	if (len == 0 || v[0][len] != '\0' || !cli_is_host(v[1]) || !cli_is_port(v[2]))
		return;
	cli_host_port(v[0], v[1], v[2], text, sizeof text);
	suggest_edit(s, edits, 3);
}

static int operands_wrong(const struct cli_common *common, const struct cli_command *command,
			  const struct cli_operands *operands, enum cli_use use)
{
	struct suggestion s = {0};
	char why[320];
	const char *try = command->guess ? command->guess(&s) : NULL;

	if (try || operands->count != 2)
		snprintf(why, sizeof why, "%d operands, but %s takes one address, or HOST PORT",
			 operands->count, command->name);
	if (!try && operands->count == 2)
		two_wrong(operands->v, use, why, sizeof why, &s);
	else if (!try && operands->count == 3)
		three_mended(operands->v, &s);
	return cli_usage_try(common, command, suggest_text(&s), "%s", why);
}

int cli_address_only(const struct cli_common *common, const struct cli_command *command,
		     const struct cli_operands *operands, enum cli_use use, const char *bare,
		     struct sockeye_addr *out)
{
	char *const *v = operands->v, text[SOCKEYE_ADDR_TEXT_MAX];

	if (operands->count == 2 && cli_is_host(v[0]) && !cli_is_number(v[0]) && cli_is_port(v[1]))
		return host_port_read(common, command, v, use, bare, out);
	if (operands->count != 1)
		return operands_wrong(common, command, operands, use);
	if (strcmp(bare, "tcp") == 0 || cli_has_scheme(v[0]) || strchr("/.@", *v[0]))
		return cli_address(common, command, v[0], use, out);
	snprintf(text, sizeof text, "%s://%s", bare, v[0]);
	return read_text(common, command, text, v[0], NULL, use, out);
}

/* --- an address that cannot be opened --- */

/* Replaces the port of one word of the command line; false when the word has another
 * port, or none. */
static bool port_replaced(const char *word, bool may_be_port, const char *from, const char *to,
			  struct mend *m)
{
	struct sockeye_addr addr;
	struct servent *found;
	char port[8];
	size_t at, len;

	if (snprintf(m->text, sizeof m->text, "%s", word) >= (int)sizeof m->text)
		return false;
	if (may_be_port && cli_is_port(word)) {
		at = 0;
	} else {
		if (word[0] == '-' || sockeye_addr_parse(word, &addr, NULL) < 0 ||
		    (!addr.has_port && !addr.service[0]))
			return false;
		at = port_at(m);
	}
	len = strcspn(m->text + at, "/?");
	snprintf(port, sizeof port, "%.*s", (int)len, m->text + at);
	found = cli_is_number(port) ? NULL : getservbyname(m->text + at, NULL);
	if (found)
		snprintf(port, sizeof port, "%u", ntohs((uint16_t)found->s_port));
	if (!from)
		return !cli_is_number(port) && !found && put(m, at, len, to);
	return strcmp(port, from) == 0 && put(m, at, len, to);
}

/* The command line with another port in place of `from` (NULL: of a service name that
 * does not exist). */
static const char *with_port(struct suggestion *s, const char *from, unsigned to)
{
	struct mend changed[8];
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

/* Adds an interface to a HOST or an address; false when it needs none. */
static bool zone_added(const char *word, struct mend *m)
{
	bool host = cli_is_host(word);
	struct sockeye_addr addr;
	char text[SOCKEYE_ADDR_TEXT_MAX];

	snprintf(text, sizeof text, !host ? "%s" : word[0] == '[' ? "%s:0" : "[%s]:0", word);
	return sockeye_addr_parse(text, &addr, NULL) == 0 && needs_zone(&addr) &&
	       snprintf(m->text, sizeof m->text, "%s", word) < (int)sizeof m->text && mend_zone(m);
}

/* The command line with an interface after every link-local address without one. */
static const char *with_zone(struct suggestion *s)
{
	struct mend changed[8];
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
	struct sockeye_fail mended = *fail;
	const char *try = NULL;
	struct sockeye_addr addr;
	struct suggestion s;
	char port[8];

	if (sockeye_addr_parse(fail->address, &addr, NULL) < 0 ||
	    sockeye_scheme_is_unix(addr.scheme))
		return report_fail(common, fail);
	snprintf(port, sizeof port, "%u", addr.port);
	if (fail->err == -EINVAL && needs_zone(&addr)) {
		mended.err = SOCKEYE_E_HOST;
		strcpy(mended.detail,
		       "a link-local address needs its interface, as in fe80::1%eth0");
		try = with_zone(&s);
	} else if (strcmp(fail->op, "bind") == 0 && fail->err == -EACCES && addr.port < 1024) {
		try = with_port(&s, port, 7000 + addr.port % 1000);
	} else if (fail->err == -EADDRINUSE && addr.port > 0 && addr.port < UINT16_MAX) {
		try = with_port(&s, port, addr.port + 1u);
	} else if (fail->err == SOCKEYE_E_SERVICE) {
		try = with_port(&s, NULL, PORT_SHOWN);
	}
	return report_fail_try(common, &mended, try);
}
