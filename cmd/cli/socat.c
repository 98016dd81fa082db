/* socat.c: translates command lines of socat (translate.h). */
#include "cli/translate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sockeye/addr.h>

enum kind { NOTHING, STDIO, ECHOES, CONNECTS, LISTENS };

/* An address of socat, such as TCP4-LISTEN:7000,fork. */
struct socat {
	enum kind kind;
	bool forks;
	bool foreign; /* not a valid address of sockeye */
	char url[SOCKEYE_ADDR_TEXT_MAX];
	char bind[128];      /* the local address of a client, or empty */
	const char *options; /* ",option=value..." after the address */
};

/* The options before the addresses; a value is NULL if the option is not given. */
struct socat_line {
	const char *after_eof, *idle;
	bool forth, back, hex; /* -u, -U, and -x or -v */
};

static bool is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* Returns the kind from the text after the protocol and its family. */
static enum kind kind_of(const char *text, size_t len)
{
	static const struct {
		const char *word;
		enum kind kind;
	} words[] = {
	    {"", CONNECTS},        {"-connect", CONNECTS},  {"-client", CONNECTS},
	    {"-sendto", CONNECTS}, {"-datagram", CONNECTS}, {"-listen", LISTENS},
	    {"-l", LISTENS},       {"-recvfrom", LISTENS},  {"-recv", LISTENS},
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (is_word(text, len, words[i].word))
			return words[i].kind;
	return NOTHING;
}

/* Stores the scheme for the protocol at the start of the word, such as "tcp4", and returns
 * its length, or 0. */
static size_t protocol_read(const char *word, bool *out_local, char scheme[16])
{
	static const char *const protocols[] = {"tcp", "udp", "sctp", "unix", "abstract"};

	for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
		size_t len = strlen(protocols[i]);

		if (strncasecmp(word, protocols[i], len) != 0)
			continue;
		*out_local = i >= 3;
		if (!*out_local && (word[len] == '4' || word[len] == '6'))
			len++;
		snprintf(scheme, 16, "%s%.1s", protocols[i], word + strlen(protocols[i]));
		scheme[len] = '\0';
		return len;
	}
	return 0;
}

/* Copies the value of bind= from the options of an address. */
static void bind_read(const char *options, char *out, size_t cap)
{
	const char *value = strstr(options, ",bind=");

	out[0] = '\0';
	if (value) {
		value += strlen(",bind=");
		snprintf(out, cap, "%.*s", (int)strcspn(value, ","), value);
	}
}

/* Parses "PROTOCOL[46][-KIND]:REST[,OPTION...]". Returns false for any other word. */
static bool network_read(const char *word, struct socat *out)
{
	const char *colon = strchr(word, ':'), *suffix;
	char scheme[16];
	bool local, datagrams;
	size_t len = colon ? protocol_read(word, &local, scheme) : 0, rest_len;

	if (len == 0 || len > (size_t)(colon - word) || (!local && colon[1] == '/'))
		return false;
	suffix = word + len;
	out->kind = kind_of(suffix, (size_t)(colon - suffix));
	if (out->kind == NOTHING)
		return false;
	rest_len = strcspn(colon + 1, ",");
	out->forks = strstr(colon + 1 + rest_len, ",fork") != NULL;
	out->foreign = strncmp(word, "unix:", 5) != 0;
	out->options = colon + 1 + rest_len;
	bind_read(out->options, out->bind, sizeof out->bind);
	datagrams = strncasecmp(suffix, "-recv", 5) == 0 || strncasecmp(suffix, "-sendto", 7) == 0;
	if (local)
		snprintf(out->url, sizeof out->url, "unix%s:%s%.*s", datagrams ? "-dgram" : "",
			 scheme[0] == 'a' ? "@" : "", (int)rest_len, colon + 1);
	else
		snprintf(out->url, sizeof out->url, "%s://%s%s%.*s", scheme,
			 out->kind == LISTENS ? out->bind : "", out->kind == LISTENS ? ":" : "",
			 (int)rest_len, colon + 1);
	return true;
}

static bool address_read(const char *word, struct socat *out)
{
	size_t len = strcspn(word, ":,");

	*out = (struct socat){.options = word + strcspn(word, ",")};
	if (is_word(word, len, "-") || is_word(word, len, "stdio") || is_word(word, len, "stdin") ||
	    is_word(word, len, "stdout"))
		out->kind = STDIO;
	else if (is_word(word, len, "pipe") || strcasecmp(word, "exec:cat") == 0 ||
		 strcasecmp(word, "exec:/bin/cat") == 0 || strcasecmp(word, "system:cat") == 0)
		out->kind = ECHOES;
	else
		return network_read(word, out);
	return true;
}

bool translate_is_socat(const char *word)
{
	struct socat address = {0};

	return network_read(word, &address) && address.foreign;
}

/* Returns what to use instead of an address of socat that sockeye does not have, or NULL for
 * any other word. */
static const char *missing_address(const char *word)
{
	static const char programs[] =
	    "sockeye runs no programs; serve has built-in services: see sockeye serve --list";
	static const char tls[] = "sockeye has no TLS; use socat, or openssl s_client";
	static const struct {
		const char *prefix, *why;
	} addresses[] = {
	    {"exec:", programs},
	    {"system:", programs},
	    {"shell:", programs},
	    {"openssl:", tls},
	    {"openssl-", tls},
	    {"ssl:", tls},
	    {"ssl-", tls},
	    {"tun:", "sockeye has no TUN devices; use socat"},
	    {"proxy:", "sockeye has no proxies; use socat"},
	    {"socks", "sockeye has no proxies; use socat"},
	    {"pty", "sockeye has no terminals; use socat"},
	    {"ip-", "sockeye has no raw IP sockets; use socat"},
	};

	for (size_t i = 0; strchr(word, ':') && i < sizeof addresses / sizeof addresses[0]; i++)
		if (strncasecmp(word, addresses[i].prefix, strlen(addresses[i].prefix)) == 0)
			return addresses[i].why;
	return NULL;
}

/* Whether argv[i] is the command of sockeye, or the name of the program after it. */
static bool is_program(char *const *argv, int i)
{
	bool command = strcmp(argv[1], "connect") == 0 || strcmp(argv[1], "listen") == 0;

	return (i == 1 && command) || (i == (command ? 2 : 1) && strcmp(argv[i], "socat") == 0);
}

static bool flags_read(const char *letters, struct socat_line *line)
{
	if (strspn(letters, "dhuUvxs") != strlen(letters))
		return false;
	line->forth |= strchr(letters, 'u') != NULL;
	line->back |= strchr(letters, 'U') != NULL;
	line->hex |= strpbrk(letters, "xv") != NULL;
	return true;
}

/* Reads the option argv[i] and returns the number of its words, or 0 if it is not an
 * option that can be translated or ignored. */
static int option_read(char *const *argv, int argc, int i, struct socat_line *line)
{
	const char *word = argv[i], *value;
	int used = 1;

	if (word[0] != '-' || word[1] == '\0')
		return 0;
	if (word[1] != 't' && word[1] != 'T')
		return flags_read(word + 1, line);
	value = word + 2;
	if (!*value && i + 1 < argc) {
		value = argv[i + 1];
		used = 2;
	}
	if (!*value || strspn(value, "0123456789.") != strlen(value))
		return 0;
	*(word[1] == 't' ? &line->after_eof : &line->idle) = value;
	return used;
}

/* Parses the options and one or two addresses. Returns false unless at least one address
 * is valid only for socat. */
static bool line_read(struct suggestion *s, struct socat at[2], struct socat_line *line)
{
	char *const *argv;
	int argc, count = 0;

	argv = suggest_argv(&argc);
	at[1] = (struct socat){.kind = STDIO, .options = ""};
	for (int i = 1; i < argc; i++) {
		int used = option_read(argv, argc, i, line);

		if (used > 0)
			i += used - 1;
		else if (is_program(argv, i))
			continue;
		else if (count == 2 || !address_read(argv[i], &at[count++])) {
			s->why = missing_address(argv[i]);
			return false;
		}
	}
	return at[0].foreign || at[1].foreign;
}

static void add_pair(struct suggestion *s, const char *option, const char *value)
{
	if (!value || !*value)
		return;
	suggest_word(s, option);
	suggest_word(s, value);
}

/* --- options of an address --- */

/* The options that sockeye has: as an option with the same value, as an option
 * of its address, or always. `kind` is NOTHING if clients and listeners take it. */
static const struct mapped {
	const char *name, *to;
	enum { ALWAYS, OPTION, QUERY } use;
	enum kind kind;
} mapped[] = {
    {"retry", "--retry", OPTION, CONNECTS},
    {"interval", "--retry-pause", OPTION, CONNECTS},
    {"connect-timeout", "--connect-timeout", OPTION, CONNECTS},
    {"shut-none", "--no-shutdown", OPTION, CONNECTS},
    {"crnl", "--crlf", OPTION, NOTHING},
    {"max-children", "--max-connections", OPTION, ECHOES},
    {"su", "--user", OPTION, ECHOES},
    {"nodelay", "nodelay", QUERY, NOTHING},
    {"tcp-nodelay", "nodelay", QUERY, NOTHING},
    {"keepalive", "keepalive", QUERY, NOTHING},
    {"broadcast", "broadcast", QUERY, NOTHING},
    {"reuseport", "reuseport", QUERY, NOTHING},
    {"ipv6only", "v6only", QUERY, NOTHING},
    {"mode", "mode", QUERY, LISTENS},
    {"perm", "mode", QUERY, LISTENS},
    {"ttl", "ttl", QUERY, NOTHING},
    {"backlog", "backlog", QUERY, LISTENS},
    {"rcvbuf", "rcvbuf", QUERY, NOTHING},
    {"sndbuf", "sndbuf", QUERY, NOTHING},
    {"bind", NULL, ALWAYS, NOTHING}, /* read with the address */
    {"fork", NULL, ALWAYS, NOTHING},
    {"reuseaddr", NULL, ALWAYS, NOTHING},
    {"unlink-close", NULL, ALWAYS, NOTHING},
};

/* Adds an option to the address. Returns false if the address cannot have it. */
static bool query_add(struct socat *at, const char *name, const char *value)
{
	char longer[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;

	if (snprintf(longer, sizeof longer, "%s%c%s%s", at->url, strchr(at->url, '?') ? '&' : '?',
		     name, value) >= (int)sizeof longer ||
	    sockeye_addr_parse(longer, &addr, NULL) < 0)
		return false;
	memcpy(at->url, longer, sizeof longer);
	return true;
}

/* Translates one option, "name" or "name=value". `user` is the kind of the command:
 * CONNECTS, LISTENS or, for serve, ECHOES. Returns false if sockeye does not have it. */
static bool option_add(struct suggestion *s, struct socat *at, enum kind user, const char *option)
{
	size_t len = strcspn(option, "=");
	const char *value = option + len;

	for (size_t i = 0; i < sizeof mapped / sizeof mapped[0]; i++) {
		const struct mapped *m = &mapped[i];
		bool fits =
		    m->kind == NOTHING || m->kind == user || (m->kind == LISTENS && user == ECHOES);

		if (!is_word(option, len, m->name) || !fits)
			continue;
		if (m->use == QUERY)
			return query_add(at, m->to, value);
		if (m->use == ALWAYS)
			return true;
		if (strcmp(m->to, "--crlf") == 0 && user == ECHOES)
			return false;
		if (m->kind == CONNECTS && *value &&
		    strspn(value + 1, "0123456789.") + 1 != strlen(value))
			return false;
		suggest_word(s, m->to);
		if (*value)
			suggest_word(s, value + 1);
		return true;
	}
	return false;
}

/* Translates the options after an address. Options that sockeye does not have are listed in
 * s->lost. */
static void options_add(struct suggestion *s, struct socat *at, enum kind user, const char *options)
{
	bool retries = strstr(options, ",retry=") != NULL;

	while (*options == ',') {
		char option[128];
		size_t len = strcspn(options + 1, ",");

		snprintf(option, sizeof option, "%.*s", (int)len, options + 1);
		/* socat waits only before a retry, too. */
		if ((retries || strncmp(option, "interval=", 9) != 0) && len > 0 &&
		    !option_add(s, at, user, option))
			suggest_lost(s, option, strcspn(option, "="));
		options += len + 1;
	}
}

/* --- the command line of sockeye --- */

/* The options of connect and listen for those before the addresses. `second`: the network
 * address is the second one. */
static void line_options_add(struct suggestion *s, const struct socat_line *line, bool second)
{
	if (line->forth != line->back)
		suggest_word(s, line->forth == second ? "--send-only" : "--recv-only");
	if (line->hex)
		suggest_word(s, "--hex");
	add_pair(s, "--timeout", line->idle);
	add_pair(s, "--wait-after-eof", line->after_eof);
}

static const char *relay_add(struct suggestion *s, struct socat at[2])
{
	suggest_word(s, "relay");
	for (int i = 0; i < 2; i++) {
		options_add(s, &at[i], STDIO, at[i].options);
		suggest_word(s, at[i].url);
	}
	return suggest_text(s);
}

const char *translate_socat(struct suggestion *s)
{
	struct socat at[2] = {0}, swapped;
	struct socat_line line = {0};
	bool second = false, serves;

	*s = (struct suggestion){0};
	if (!line_read(s, at, &line))
		return NULL;
	if (at[0].kind < CONNECTS || (at[0].kind == CONNECTS && at[1].kind == LISTENS)) {
		second = true;
		swapped = at[0];
		at[0] = at[1];
		at[1] = swapped;
	}
	if (at[0].kind == LISTENS && at[1].kind == CONNECTS && strncmp(at[0].url, "udp", 3) == 0 &&
	    strncmp(at[1].url, "udp", 3) == 0)
		return relay_add(s, at);
	if (at[0].kind < CONNECTS || at[1].kind >= CONNECTS ||
	    (at[0].kind == CONNECTS && at[1].kind == ECHOES))
		return NULL;
	serves = at[1].kind == ECHOES;
	suggest_word(s, serves ? "serve" : at[0].kind == LISTENS ? "listen" : "connect");
	if (serves)
		suggest_word(s, "echo");
	else if (at[0].kind == LISTENS && at[0].forks)
		suggest_word(s, "-k");
	if (at[0].kind == CONNECTS)
		add_pair(s, "--bind", at[0].bind);
	if (!serves)
		line_options_add(s, &line, second);
	options_add(s, &at[0], serves ? ECHOES : at[0].kind, at[0].options);
	for (const char *o = at[1].options; *o == ','; o += 1 + strcspn(o + 1, ","))
		suggest_lost(s, o + 1, strcspn(o + 1, ",="));
	suggest_word(s, at[0].url);
	return suggest_text(s);
}

const char *translate_line(struct suggestion *s)
{
	const char *text = translate_netcat(s);

	return text || s->why ? text : translate_socat(s);
}
