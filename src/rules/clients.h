/*
 * clients.h: the clients that a rule is for: all, one address, or a prefix.
 *
 * An IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) counts as the IPv4 address
 * in it, in a rule and as a client, because dual-stack sockets report IPv4 clients in
 * this form.
 */
#ifndef SOCKEYE_RULES_CLIENTS_H
#define SOCKEYE_RULES_CLIENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/sockaddr.h>

#include "base/slice.h"

/* The address of one client. */
struct sockeye__rules_client {
	uint8_t bytes[16];
	uint8_t len; /* 4 or 16; 0: not an Internet address */
};

/* The clients of one rule. Zeroed: all. */
struct sockeye__rules_clients {
	struct sockeye__rules_client net;
	uint8_t bits; /* length of the prefix */
};

#define SOCKEYE__RULES_WHY_MAX 160

/* Returns the client with this address. */
struct sockeye__rules_client sockeye__rules_client_of(const struct sockeye_sockaddr *name);

/* Reads `*`, an address, or ADDRESS/BITS. Returns 0, or -EINVAL with a printable
 * reason in `why`. */
int sockeye__rules_clients_parse(struct sockeye__slice text, struct sockeye__rules_clients *out,
				 char why[static SOCKEYE__RULES_WHY_MAX]);

/* Whether the client is in one of `count` entries. A client without an Internet
 * address matches only the entry for all. */
bool sockeye__rules_clients_match(const struct sockeye__rules_clients *list, size_t count,
				  const struct sockeye__rules_client *client);

#endif
