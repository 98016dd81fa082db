/*
 * access_rules.h: the lists of only_from and no_access in xinetd's language: their forms of
 * addresses, and which clients they match. Pure; the caller owns the memory.
 *
 *	192.0.2.7         an address; bytes of 0 at its end match any: 10.1.0.0 is 10.1.0.0/16
 *	192.0.2.0/24      a prefix; also IPv6
 *	2001:db8::7       an IPv6 address
 *	192.0.2.{7,9}     several addresses; 10.{1,2} is 10.1.0.0/16 and 10.2.0.0/16
 *	.example.org      the hosts of a domain
 *	host.example.org  a host, or a network of networks(5)
 *
 * Names need a lookup, which the caller does in another process: sockeye__access_check()
 * first decides without one, and reports if it needs it.
 */
#ifndef SOCKEYE_SUPERSERVER_ACCESS_RULES_H
#define SOCKEYE_SUPERSERVER_ACCESS_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "rules/clients.h"

#define SOCKEYE__ACCESS_WORD_MAX 64  /* rules in one word */
#define SOCKEYE__ACCESS_WHY_MAX  200 /* bytes of a message */

enum sockeye__access_kind {
	SOCKEYE__ACCESS_NET,        /* an address or a prefix */
	SOCKEYE__ACCESS_DOMAIN,     /* .example.org */
	SOCKEYE__ACCESS_NAME,       /* a host or a network */
	SOCKEYE__ACCESS_UNREADABLE, /* in no_access, matches every client; in only_from, none */
};

struct sockeye__access_rule {
	enum sockeye__access_kind kind;
	struct sockeye__rules_clients net; /* NET */
	const char *name;                  /* other kinds: the text, NUL-terminated */
};

struct sockeye__access_list {
	const struct sockeye__access_rule *rules;
	size_t count;
	bool given; /* an only_from that is given and empty denies every client */
};

/* Reads one word. Returns the number of rules in out[], whose `name` points to the word's
 * first byte and is not terminated, or -EINVAL with the reason in `why`.
 *
 * The strict reader rejects forms that do not mean what they seem to mean: 192.168 is
 * 192.0.0.168 for xinetd. The compatible reader reads them as xinetd does and has the reason
 * in `why`, otherwise ""; it returns -EINVAL only if xinetd disables the service, and an
 * UNREADABLE rule where xinetd would go on without the rule. */
int sockeye__access_parse(struct sockeye__slice word, bool compat,
			  struct sockeye__access_rule out[static SOCKEYE__ACCESS_WORD_MAX],
			  char why[static SOCKEYE__ACCESS_WHY_MAX]);

/* Whether -= with one rule removes the other: both match the same clients. */
bool sockeye__access_same(const struct sockeye__access_rule *a,
			  const struct sockeye__access_rule *b);

enum sockeye__access {
	SOCKEYE__ACCESS_ALLOWED,
	SOCKEYE__ACCESS_NOT_LISTED, /* denied: not in only_from */
	SOCKEYE__ACCESS_LISTED,     /* denied: in no_access */
	SOCKEYE__ACCESS_UNKNOWN,    /* denied if the lookup failed; otherwise look up names */
};

/* Looks up whether the client is the host, or belongs to the domain or network, of the rule.
 * Returns 1, 0, or a negative code if the lookup failed. */
struct sockeye__access_lookup {
	int (*is)(void *context, const struct sockeye__access_rule *rule,
		  const struct sockeye__rules_client *client);
	void *context;
};

/* Decides whether a client may connect. no_access has precedence over only_from, as in
 * xinetd's code (its manual promises the better match). If `lookup` is NULL, it returns
 * SOCKEYE__ACCESS_UNKNOWN when the answer depends on a name; otherwise a failed lookup
 * denies. */
enum sockeye__access sockeye__access_check(const struct sockeye__access_list *only_from,
					   const struct sockeye__access_list *no_access,
					   const struct sockeye__rules_client *client,
					   const struct sockeye__access_lookup *lookup);

/* Minutes of the day, both included. */
struct sockeye__access_span {
	uint16_t from, to;
};

/* Reads "8:30-17:45". Returns 0, or -EINVAL with the reason in `why`. */
int sockeye__access_span_parse(struct sockeye__slice word, struct sockeye__access_span *out,
			       char why[static SOCKEYE__ACCESS_WHY_MAX]);

/* Whether the minute of the day is in one of the spans. */
bool sockeye__access_spans_match(const struct sockeye__access_span *spans, size_t count,
				 unsigned minute);

#endif
