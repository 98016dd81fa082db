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
	char bind[128]; /* the local address of a client, or empty */
};

/* The values of the options before the addresses; NULL if the option is not given. */
struct socat_times {
	const char *after_eof, *idle;
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
	bind_read(colon + 1 + rest_len, out->bind, sizeof out->bind);
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

	*out = (struct socat){0};
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

/* Whether argv[i] is the command of sockeye, or the name of the program after it. */
static bool is_program(char *const *argv, int i)
{
	bool command = strcmp(argv[1], "connect") == 0 || strcmp(argv[1], "listen") == 0;

	return (i == 1 && command) || (i == (command ? 2 : 1) && strcmp(argv[i], "socat") == 0);
}

/* Reads the option argv[i] and returns the number of its words, or 0 if it is not an
 * option that can be translated or ignored. */
static int option_read(char *const *argv, int argc, int i, struct socat_times *times)
{
	const char *word = argv[i], *value;
	int used = 1;

	if (word[0] != '-' || word[1] == '\0')
		return 0;
	if (word[1] != 't' && word[1] != 'T')
		return strspn(word + 1, "dhuUvxs") == strlen(word + 1);
	value = word + 2;
	if (!*value && i + 1 < argc) {
		value = argv[i + 1];
		used = 2;
	}
	if (!*value || strspn(value, "0123456789.") != strlen(value))
		return 0;
	*(word[1] == 't' ? &times->after_eof : &times->idle) = value;
	return used;
}

/* Parses the options and one or two addresses. Returns false unless at least one address
 * is valid only for socat. */
static bool line_read(struct socat at[2], struct socat_times *times)
{
	char *const *argv;
	int argc, count = 0;

	argv = suggest_argv(&argc);
	at[1] = (struct socat){.kind = STDIO};
	for (int i = 1; i < argc; i++) {
		int used = option_read(argv, argc, i, times);

		if (used > 0)
			i += used - 1;
		else if (is_program(argv, i))
			continue;
		else if (count == 2 || !address_read(argv[i], &at[count++]))
			return false;
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

const char *translate_socat(struct suggestion *s)
{
	struct socat at[2] = {0}, swapped;
	struct socat_times times = {0};

	*s = (struct suggestion){0};
	if (!line_read(at, &times))
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
	if (at[0].kind == CONNECTS)
		add_pair(s, "--bind", at[0].bind);
	if (at[1].kind != ECHOES) {
		add_pair(s, "--timeout", times.idle);
		add_pair(s, "--wait-after-eof", times.after_eof);
	}
	suggest_word(s, at[0].url);
	return suggest_text(s);
}

const char *translate_line(struct suggestion *s)
{
	const char *text = translate_netcat(s);

	return text || s->why ? text : translate_socat(s);
}
