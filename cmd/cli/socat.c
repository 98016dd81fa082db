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
	datagrams = strncasecmp(suffix, "-recv", 5) == 0 || strncasecmp(suffix, "-sendto", 7) == 0;
	if (local)
		snprintf(out->url, sizeof out->url, "unix%s:%s%.*s", datagrams ? "-dgram" : "",
			 scheme[0] == 'a' ? "@" : "", (int)rest_len, colon + 1);
	else
		snprintf(out->url, sizeof out->url, "%s://%s%.*s", scheme,
			 out->kind == LISTENS ? ":" : "", (int)rest_len, colon + 1);
	return true;
}

static bool address_read(const char *word, struct socat *out)
{
	size_t len = strcspn(word, ":,");

	*out = (struct socat){0};
	if (is_word(word, len, "-") || is_word(word, len, "stdio"))
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

/* Parses one or two addresses and ignores socat's options. Returns false unless at least
 * one address is valid only for socat. */
static bool line_read(struct socat at[2])
{
	char *const *argv;
	int argc, count = 0;

	argv = suggest_argv(&argc);
	at[1] = (struct socat){.kind = STDIO};
	for (int i = 1; i < argc; i++) {
		if (i == 1 && (strcmp(argv[1], "connect") == 0 || strcmp(argv[1], "listen") == 0))
			continue;
		if (argv[i][0] == '-' && argv[i][1] != '\0' &&
		    strspn(argv[i] + 1, "dhuUvxs") == strlen(argv[i] + 1))
			continue;
		if (count == 2 || !address_read(argv[i], &at[count++]))
			return false;
	}
	return at[0].foreign || at[1].foreign;
}

const char *translate_socat(struct suggestion *s)
{
	struct socat at[2] = {0}, swapped;

	*s = (struct suggestion){0};
	if (!line_read(at))
		return NULL;
	if (at[0].kind < CONNECTS || (at[0].kind == CONNECTS && at[1].kind == LISTENS)) {
		swapped = at[0];
		at[0] = at[1];
		at[1] = swapped;
	}
	if (at[0].kind == LISTENS && at[1].kind == CONNECTS && strncmp(at[0].url, "udp", 3) == 0 &&
	    strncmp(at[1].url, "udp", 3) == 0) {
		suggest_word(s, "relay");
		suggest_word(s, at[0].url);
		suggest_word(s, at[1].url);
		return suggest_text(s);
	}
	if (at[0].kind < CONNECTS || at[1].kind >= CONNECTS ||
	    (at[0].kind == CONNECTS && at[1].kind == ECHOES))
		return NULL;
	suggest_word(s, at[1].kind == ECHOES    ? "serve"
			: at[0].kind == LISTENS ? "listen"
						: "connect");
	if (at[1].kind == ECHOES)
		suggest_word(s, "echo");
	else if (at[0].kind == LISTENS && at[0].forks)
		suggest_word(s, "-k");
	suggest_word(s, at[0].url);
	return suggest_text(s);
}

const char *translate_line(struct suggestion *s)
{
	const char *text = translate_netcat(s);

	return text || s->why ? text : translate_socat(s);
}
