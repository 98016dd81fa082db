/*
 * conf_inetd.c: reads inetd.conf (conf_internal.h), one service a line:
 *
 *	[HOST:]SERVICE TYPE PROTOCOL[,OPTION...] WAIT USER SERVER [ARG]...
 *
 * SERVICE is a name or a port; for RPC, NAME/VERSION or NAME/FROM-TO with the protocol
 * rpc/tcp or rpc/udp. PROTOCOL may end in 4 or 6. WAIT is wait or nowait, with .N or :N
 * (NetBSD, OpenBSD: N a minute), or with /N[/M[/K]] (FreeBSD: N at a time, M a minute from
 * one address, K at a time from one address). USER is USER, USER.GROUP or USER:GROUP; a
 * /CLASS is ignored. SERVER is a path or internal. The first ARG is argv[0]. A word in
 * quotes may contain blanks. Lines that begin with # are comments.
 */
#include "superserver/conf_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/number.h"

#define WORDS_MAX 64

struct line {
	struct sockeye__conf_reading *r;
	struct sockeye__conf_place place;
	struct sockeye__conf_service *service;
	struct sockeye__slice words[WORDS_MAX];
	size_t count;
};

enum { NAME, TYPE, PROTOCOL, WAIT, USER, SERVER, ARGS };

/* Sets an attribute as if an entry of xinetd had it. */
static void set(const struct line *l, enum sockeye__conf_attribute attribute,
		struct sockeye__slice words)
{
	const char *name = sockeye__conf_infos[attribute].name;
	struct sockeye__conf_item item = {
	    .kind = SOCKEYE__CONF_ATTRIBUTE,
	    .line = l->place.line,
	    .name = {name, strlen(name)},
	    .op = SOCKEYE__CONF_SET,
	    .values = words,
	};

	sockeye__conf_attribute_apply(l->r, &item, l->place.file, l->service);
}

static void set_text(const struct line *l, enum sockeye__conf_attribute attribute, const char *text)
{
	set(l, attribute, (struct sockeye__slice){text, strlen(text)});
}

/* Reports a word that cannot be read. The service is not started. */
static void wrong(const struct line *l, struct sockeye__slice word, const char *why)
{
	SOCKEYE__CONF_PROBLEM(l->r, l->place, "'%s' %s", sockeye__conf_show(word).text, why);
	l->service->state = SOCKEYE__CONF_DROPPED;
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

/* Splits a line into words. Returns false if a quote is not closed, or there are too
 * many. */
static bool words_split(struct line *l, struct sockeye__slice line)
{
	const char *at = line.at, *end = line.at + line.len;

	for (;;) {
		char quote;
		const char *start, *stop;

		while (at < end && (*at == ' ' || *at == '\t'))
			at++;
		if (at == end)
			return true;
		quote = is_quote(*at) ? *at++ : '\0';
		start = at;
		while (at < end && (quote ? *at != quote : *at != ' ' && *at != '\t'))
			at++;
		stop = at;
		if (quote != '\0' && at++ == end)
			return false;
		if (l->count == WORDS_MAX)
			return false;
		l->words[l->count++] = (struct sockeye__slice){start, (size_t)(stop - start)};
	}
}

/* Cuts *word at the first byte of `set`, and returns the part after it, or an empty part. */
static struct sockeye__slice cut(struct sockeye__slice *word, const char *set_)
{
	for (size_t i = 0; i < word->len; i++) {
		if (word->at[i] == '\0' || strchr(set_, word->at[i]) == NULL)
			continue;
		struct sockeye__slice rest = {word->at + i + 1, word->len - i - 1};

		word->len = i;
		return rest;
	}
	return (struct sockeye__slice){word->at + word->len, 0};
}

/* Reads [HOST:]SERVICE[/VERSIONS]. */
static struct sockeye__slice service_name(struct line *l, struct sockeye__slice *out_host,
					  struct sockeye__slice *out_versions)
{
	struct sockeye__slice name = l->words[NAME];

	*out_versions = (struct sockeye__slice){"", 0};
	*out_host = (struct sockeye__slice){"", 0};
	for (size_t i = name.len; i-- > 0;) {
		if (name.at[i] != ':')
			continue;
		*out_host = (struct sockeye__slice){name.at, i};
		name = (struct sockeye__slice){name.at + i + 1, name.len - i - 1};
		break;
	}
	if (out_host->len > 1 && *out_host->at == '[' && out_host->at[out_host->len - 1] == ']')
		*out_host = (struct sockeye__slice){out_host->at + 1, out_host->len - 2};
	*out_versions = cut(&name, "/");
	return name;
}

static void protocol_read(const struct line *l)
{
	struct sockeye__slice protocol = l->words[PROTOCOL];
	struct sockeye__slice options = cut(&protocol, ",");
	bool rpc = protocol.len > 4 &&
		   sockeye__conf_word_is((struct sockeye__slice){protocol.at, 4}, "rpc/");
	char last;

	if (options.len > 0)
		wrong(l, options, "after a protocol is not supported: remove it");
	if (rpc)
		protocol = (struct sockeye__slice){protocol.at + 4, protocol.len - 4};
	if (protocol.len > 4 &&
	    sockeye__conf_word_is((struct sockeye__slice){protocol.at + protocol.len - 4, 4},
				  "only")) { /* tcp6only */
		set_text(l, SOCKEYE__CONF_A_V6ONLY, "yes");
		protocol.len -= 4;
	}
	last = protocol.len > 0 ? protocol.at[protocol.len - 1] : '\0';
	if (last == '6' && protocol.len > 1 && protocol.at[protocol.len - 2] == '4')
		protocol.len--; /* tcp46: both families, on an IPv6 socket */
	if (last == '4' || last == '6') {
		set_text(l, SOCKEYE__CONF_A_FLAGS,
			 last == '4' ? "NOLIBWRAP IPv4" : "NOLIBWRAP IPv6");
		protocol.len--;
	} else {
		set_text(l, SOCKEYE__CONF_A_FLAGS, "NOLIBWRAP");
	}
	if (rpc)
		l->service->type |= SOCKEYE__CONF_TYPE_RPC;
	set(l, SOCKEYE__CONF_A_PROTOCOL, protocol);
}

/* Sets a limit, whose value 0 means that there is none. */
static void limit_set(const struct line *l, enum sockeye__conf_attribute attribute,
		      struct sockeye__slice word)
{
	uint64_t n;

	if (word.len == 0)
		return;
	if (sockeye__number_parse(word, 10, INT32_MAX, &n) < 0)
		wrong(l, word, "is not a number of servers");
	else if (n > 0)
		set(l, attribute, word);
}

/* Sets the number of starts in a minute. */
static void per_minute_set(const struct line *l, struct sockeye__slice word)
{
	char text[32];
	uint64_t n;

	if (sockeye__number_parse(word, 10, INT32_MAX, &n) < 0 || n == 0) {
		wrong(l, word, "is not a number of starts in a minute");
		return;
	}
	snprintf(text, sizeof text, "%llu/m", (unsigned long long)n);
	set_text(l, SOCKEYE__CONF_A_RATE, text);
}

static void wait_read(const struct line *l)
{
	struct sockeye__slice word = l->words[WAIT];
	struct sockeye__slice first = word;
	struct sockeye__slice rest = cut(&first, ".:/"), next;
	char separator = first.len < word.len ? word.at[first.len] : '\0';

	if (sockeye__conf_word_is(first, "wait"))
		set_text(l, SOCKEYE__CONF_A_WAIT, "yes");
	else if (sockeye__conf_word_is(first, "nowait"))
		set_text(l, SOCKEYE__CONF_A_WAIT, "no");
	else
		wrong(l, word, "must be wait or nowait, optionally followed by .N");
	if (separator == '.' || separator == ':')
		per_minute_set(l, rest);
	if (separator != '/')
		return;
	next = cut(&rest, "/");
	limit_set(l, SOCKEYE__CONF_A_INSTANCES, rest);
	rest = next;
	next = cut(&rest, "/");
	if (rest.len > 0 && !(rest.len == 1 && *rest.at == '0'))
		SOCKEYE__CONF_PROBLEM(l->r, l->place,
				      "'%s': the limit for a minute and one address is not "
				      "supported: write 0 for it",
				      sockeye__conf_show(word).text);
	limit_set(l, SOCKEYE__CONF_A_PER_SOURCE, next);
}

static void user_read(const struct line *l)
{
	struct sockeye__slice user = l->words[USER], group;

	cut(&user, "/"); /* a login class of BSD */
	group = cut(&user, memchr(user.at, ':', user.len) != NULL ? ":" : ".");
	set(l, SOCKEYE__CONF_A_USER, user);
	if (group.len > 0)
		set(l, SOCKEYE__CONF_A_GROUP, group);
}

/* Sets server_args to the words after the server. Their blanks are kept. */
static void args_set(const struct line *l)
{
	size_t count = l->count - ARGS;
	const char **at = sockeye__conf_alloc(l->r, (count + 1) * sizeof(const char *));

	if (at == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		at[i] = sockeye__conf_text(l->r, l->words[ARGS + i]);
	l->service->server_args = (struct sockeye__conf_list){at, count};
	l->service->given[SOCKEYE__CONF_A_SERVER_ARGS] =
	    (struct sockeye__conf_given){l->place, SOCKEYE__CONF_BY_ENTRY};
	l->service->flags |= SOCKEYE__CONF_FLAG_NAMEINARGS;
}

static void server_read(const struct line *l)
{
	if (sockeye__conf_word_is(l->words[SERVER], "internal")) {
		l->service->type |= SOCKEYE__CONF_TYPE_INTERNAL;
	} else {
		set(l, SOCKEYE__CONF_A_SERVER, l->words[SERVER]);
		if (l->count > ARGS)
			args_set(l);
	}
}

static void type_set(const struct line *l)
{
	if (l->service->type != 0)
		l->service->given[SOCKEYE__CONF_A_TYPE] =
		    (struct sockeye__conf_given){l->place, SOCKEYE__CONF_BY_ENTRY};
}

static bool is_number(struct sockeye__slice word)
{
	for (size_t i = 0; i < word.len; i++)
		if (!sockeye__ascii_is_digit(word.at[i]))
			return false;
	return word.len > 0;
}

static void line_read(struct line *l)
{
	struct sockeye__slice host, versions, name = service_name(l, &host, &versions);
	struct sockeye__slice rest = name, word;

	if (!sockeye__conf_word_take(&rest, &word) || word.len != name.len) {
		SOCKEYE__CONF_PROBLEM(l->r, l->place, "a service has a name without blanks");
		return;
	}
	l->service = sockeye__conf_service_add(l->r, l->place, name);
	if (l->service == NULL)
		return;
	set(l, SOCKEYE__CONF_A_SOCKET_TYPE, l->words[TYPE]);
	protocol_read(l);
	wait_read(l);
	user_read(l);
	server_read(l);
	set_text(l, SOCKEYE__CONF_A_GROUPS, "yes"); /* as inetd does */
	if (host.len > 0 && !sockeye__conf_word_is(host, "*"))
		set(l, SOCKEYE__CONF_A_BIND, host);
	if (versions.len > 0)
		set(l, SOCKEYE__CONF_A_RPC_VERSION, versions);
	if (is_number(name)) {
		l->service->type |= SOCKEYE__CONF_TYPE_UNLISTED;
		set(l, SOCKEYE__CONF_A_PORT, name);
	}
	type_set(l);
	l->service->notes_to = l->r->conf->notes.count;
}

/* Returns a line without the blanks before it and the CR after it. */
static struct sockeye__slice trimmed(struct sockeye__slice text)
{
	if (text.len > 0 && text.at[text.len - 1] == '\r')
		text.len--;
	while (text.len > 0 && (*text.at == ' ' || *text.at == '\t'))
		text = (struct sockeye__slice){text.at + 1, text.len - 1};
	return text;
}

/* Takes the next line from *rest. Returns false at the end. */
static bool line_take(struct sockeye__slice *rest, struct sockeye__slice *out_text)
{
	const char *lf = rest->len > 0 ? memchr(rest->at, '\n', rest->len) : NULL;
	size_t len = lf != NULL ? (size_t)(lf - rest->at) : rest->len;
	size_t taken = lf != NULL ? len + 1 : len;

	if (rest->len == 0)
		return false;
	*out_text = trimmed((struct sockeye__slice){rest->at, len});
	*rest = (struct sockeye__slice){rest->at + taken, rest->len - taken};
	return true;
}

unsigned sockeye__conf_inetd_detect(const char *text, size_t len)
{
	struct sockeye__slice rest = {text, len}, text_line;
	struct line l = {0};

	for (unsigned number = 1; line_take(&rest, &text_line); number++) {
		if (text_line.len == 0 || *text_line.at == '#')
			continue;
		return words_split(&l, text_line) && l.count > SERVER &&
			       (sockeye__conf_word_is(l.words[TYPE], "stream") ||
				sockeye__conf_word_is(l.words[TYPE], "dgram"))
			   ? number
			   : 0;
	}
	return 0;
}

static void text_line_read(struct sockeye__conf_reading *r, const char *file, unsigned number,
			   struct sockeye__slice text)
{
	struct line l = {.r = r, .place = {file, number}};

	if (text.len == 0 || *text.at == '#' ||
	    !sockeye__conf_line_check(&r->conf->notes, l.place, text))
		return;
	if (!words_split(&l, text))
		SOCKEYE__CONF_PROBLEM(r, l.place, "a quote is not closed, or more than %d words",
				      WORDS_MAX);
	else if (l.count <= SERVER)
		SOCKEYE__CONF_PROBLEM(
		    r, l.place,
		    "a line needs at least 6 words and this has %zu: SERVICE TYPE "
		    "PROTOCOL WAIT USER SERVER [ARG]...",
		    l.count);
	else
		line_read(&l);
}

void sockeye__conf_inetd_read(struct sockeye__conf_reading *r, const char *file, const char *text,
			      size_t len)
{
	struct sockeye__slice rest = {text, len}, text_line;

	for (unsigned number = 1; !r->failed && line_take(&rest, &text_line); number++)
		text_line_read(r, file, number, text_line);
}
