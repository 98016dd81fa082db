/* clients.c: the clients that a rule is for (clients.h). Pure. */
#include "rules/clients.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>

#include "base/number.h"

#define MAPPED_BYTES 12 /* of an IPv4-mapped address, before the IPv4 address */

/* Turns an IPv4-mapped address into the IPv4 address in it. Returns false if it is not
 * IPv4-mapped. */
static bool unmap(struct sockeye__rules_client *client)
{
	static const uint8_t mapped[MAPPED_BYTES] = {[10] = 0xff, [11] = 0xff};

	if (client->len != 16 || memcmp(client->bytes, mapped, sizeof mapped) != 0)
		return false;
	memmove(client->bytes, client->bytes + MAPPED_BYTES, 4);
	client->len = 4;
	return true;
}

struct sockeye__rules_client sockeye__rules_client_of(const struct sockeye_sockaddr *name)
{
	struct sockeye__rules_client client = {.len = 0};

	if (name->len >= sizeof name->u.in && name->u.sa.sa_family == AF_INET) {
		memcpy(client.bytes, &name->u.in.sin_addr, 4);
		client.len = 4;
	} else if (name->len >= sizeof name->u.in6 && name->u.sa.sa_family == AF_INET6) {
		memcpy(client.bytes, &name->u.in6.sin6_addr, 16);
		client.len = 16;
		unmap(&client);
	}
	return client;
}

static int address_parse(struct sockeye__slice text, struct sockeye__rules_client *out)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (text.len >= sizeof host)
		return -EINVAL;
	memcpy(host, text.at, text.len);
	if (inet_pton(AF_INET, host, out->bytes) == 1)
		out->len = 4;
	else if (inet_pton(AF_INET6, host, out->bytes) == 1)
		out->len = 16;
	else
		return -EINVAL;
	return 0;
}

/* Clears the bits after the prefix. Returns false if one of them was set. */
static bool mask(struct sockeye__rules_clients *clients)
{
	struct sockeye__rules_client *net = &clients->net;
	bool clear = true;

	for (unsigned i = 0; i < net->len; i++) {
		unsigned bits = clients->bits > 8 * i ? clients->bits - 8 * i : 0;
		unsigned keep = bits >= 8 ? 0xff : (0xff00u >> bits) & 0xff;

		clear = clear && (net->bytes[i] & ~keep) == 0;
		net->bytes[i] = (uint8_t)(net->bytes[i] & keep);
	}
	return clear;
}

int sockeye__rules_clients_parse(struct sockeye__slice text, struct sockeye__rules_clients *out,
				 char why[static SOCKEYE__RULES_WHY_MAX])
{
	const char *slash = memchr(text.at, '/', text.len);
	struct sockeye__slice host = {text.at, slash ? (size_t)(slash - text.at) : text.len};
	struct sockeye__rules_clients clients = {.bits = 0};
	char shown[64];
	uint64_t bits;

	sockeye_escape(text.at, text.len, shown, sizeof shown);
	if (text.len == 1 && text.at[0] == '*') {
		*out = clients;
		return 0;
	}
	if (address_parse(host, &clients.net) < 0) {
		snprintf(why, SOCKEYE__RULES_WHY_MAX, "'%s' is not an address, a prefix or *",
			 shown);
		return -EINVAL;
	}
	bits = 8u * clients.net.len;
	if (slash &&
	    sockeye__number_parse((struct sockeye__slice){slash + 1, text.len - host.len - 1}, 10,
				  bits, &bits) < 0) {
		snprintf(why, SOCKEYE__RULES_WHY_MAX, "'%s': a prefix has 0 to %u bits", shown,
			 (unsigned)bits);
		return -EINVAL;
	}
	clients.bits = (uint8_t)bits;
	if (!mask(&clients)) {
		char net[INET6_ADDRSTRLEN];

		inet_ntop(clients.net.len == 4 ? AF_INET : AF_INET6, clients.net.bytes, net,
			  sizeof net);
		snprintf(why, SOCKEYE__RULES_WHY_MAX,
			 "'%s' has bits set after its prefix: write %s/%u", shown, net,
			 clients.bits);
		return -EINVAL;
	}
	/* ::ffff:192.0.2.0/120 is 192.0.2.0/24. */
	if (clients.bits >= 8 * MAPPED_BYTES && unmap(&clients.net))
		clients.bits = (uint8_t)(clients.bits - 8 * MAPPED_BYTES);
	*out = clients;
	return 0;
}

static bool is_in(const struct sockeye__rules_client *client,
		  const struct sockeye__rules_clients *clients)
{
	const struct sockeye__rules_client *net = &clients->net;
	unsigned bytes = clients->bits / 8, rest = clients->bits % 8;

	if (net->len == 0)
		return true;
	if (net->len != client->len || memcmp(net->bytes, client->bytes, bytes) != 0)
		return false;
	return rest == 0 || ((net->bytes[bytes] ^ client->bytes[bytes]) >> (8 - rest)) == 0;
}

bool sockeye__rules_clients_match(const struct sockeye__rules_clients *list, size_t count,
				  const struct sockeye__rules_client *client)
{
	for (size_t i = 0; i < count; i++)
		if (is_in(client, &list[i]))
			return true;
	return false;
}
