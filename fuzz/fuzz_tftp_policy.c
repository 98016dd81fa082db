/*
 * Fuzz the rules for clients. A policy either fails with a line number and a
 * printable message, or gives valid terms for any client and name.
 *
 * Input: the client (1 byte: 4 or other, 16 bytes), the name up to a line
 * feed, the policy.
 */
#include <stdlib.h>
#include <string.h>

#include "tftp/server/policy.h"
#include "require.h"

#define CLIENT 17

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refused(const struct sockeye__rules_error *error)
{
	require(error->line >= 1 && error->text[0] != '\0', "no reason");
	for (const char *p = error->text; *p != '\0'; p++)
		require((unsigned char)*p >= 0x20 && *p != 0x7f, "not printable");
}

static struct sockeye_sockaddr client_of(const uint8_t *data)
{
	struct sockeye_sockaddr client = {.len = sizeof client.u.in6};

	if (data[0] == 4) {
		client.len = sizeof client.u.in;
		client.u.in.sin_family = AF_INET;
		memcpy(&client.u.in.sin_addr, data + 1, 4);
	} else {
		client.u.in6.sin6_family = AF_INET6;
		memcpy(&client.u.in6.sin6_addr, data + 1, 16);
	}
	return client;
}

static void ask(const struct sockeye__tftp_rules *rules, const uint8_t *client_bytes,
		const char *name)
{
	static const struct sockeye__tftp_terms defaults = {.policy = {1428, 16, 1}};
	struct sockeye_sockaddr client = client_of(client_bytes);
	struct sockeye__tftp_terms terms;
	unsigned line = sockeye__tftp_policy_terms(rules, &client, name, &defaults, &terms);

	require(terms.policy.blksize_max >= SOCKEYE__TFTP_BLKSIZE_MIN ||
		    (terms.blksize_mtu && terms.policy.blksize_max == 0),
		"blksize");
	require(terms.policy.blksize_max <= SOCKEYE__TFTP_BLKSIZE_MAX, "blksize");
	require(terms.policy.window_max > 0, "window");
	require(terms.policy.refused < SOCKEYE__TFTP_BIT(SOCKEYE__TFTP_OPTIONS), "refused");
	require(line > 0 || memcmp(&terms, &defaults, sizeof terms) == 0, "not the defaults");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *lf = size > CLIENT ? memchr(data + CLIENT, '\n', size - CLIENT) : NULL;
	struct sockeye__rules_error error = {0};
	struct sockeye__tftp_rules *rules = NULL;
	char name[512] = "", *text;
	size_t len;

	if (lf == NULL || lf - data - CLIENT >= (ptrdiff_t)sizeof name)
		return 0;
	memcpy(name, data + CLIENT, (size_t)(lf - data - CLIENT));
	len = (size_t)(data + size - lf - 1);
	text = malloc(len ? len : 1);
	if (text == NULL)
		return 0;
	memcpy(text, lf + 1, len);
	if (sockeye__tftp_policy_parse(text, len, &rules, &error) < 0)
		check_refused(&error);
	free(text);
	ask(rules, data, name);
	sockeye__tftp_policy_free(rules);
	return 0;
}
