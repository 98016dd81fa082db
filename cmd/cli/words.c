/* words.c: classifies words of the command line (words.h). */
#include "cli/words.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

bool cli_is_ipv6(const char *text, size_t len)
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
		return cli_is_ipv6(word, strcspn(word, "%"));
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

size_t cli_scheme_len(const char *word, enum sockeye_scheme *out)
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
	size_t len = cli_scheme_len(word, &scheme);

	return len > 0 && word[len] == ':';
}

/* Whether this build can open sockets of the scheme. */
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
