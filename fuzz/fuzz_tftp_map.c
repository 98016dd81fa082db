/*
 * Fuzz the rules for names. A map either fails with a line number and a printable
 * message, or turns any name into a clean one or an error with a reason, and does
 * the same a second time.
 *
 * Input: flags (1 upload, 2 IPv6, 4 backslash, 8 fold_case, 16 strip_high), the
 * name up to a line feed, the map.
 */
#include <stdlib.h>
#include <string.h>

#include "tftp/server/map.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refused(const struct sockeye__rules_error *error, const char *text, size_t len)
{
	unsigned lines = 1;

	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	require(error->line >= 1 && error->line <= lines, "no such line");
	require(error->text[0] != '\0', "no reason");
	for (const char *p = error->text; *p != '\0'; p++)
		require((unsigned char)*p >= 0x20 && *p != 0x7f, "not printable");
}

static void check_name(const char *name)
{
	size_t len = strlen(name);

	require(len > 0 && name[0] != '/' && name[len - 1] != '/', "slash at an end, or empty");
	require(strstr(name, "//") == NULL && strstr(name, "/./") == NULL, "not clean");
	require(strncmp(name, "./", 2) != 0, "not clean");
	require(strncmp(name, "../", 3) != 0 && strstr(name, "/../") == NULL,
		"leads above the root");
	require(strcmp(name, "..") != 0 && (len < 3 || strcmp(name + len - 3, "/..") != 0),
		"leads above the root");
}

struct steps {
	unsigned count, last;
	enum sockeye__tftp_map_effect effect;
};

static bool has_odd_length(void *arg, const char *name)
{
	(void)arg;
	return strlen(name) % 2 == 1;
}

static void count(void *arg, const struct sockeye__tftp_map_step *step)
{
	struct steps *steps = arg;

	require(step->line > steps->last || steps->effect == SOCKEYE__TFTP_MAP_RESTARTS, "order");
	require(steps->effect != SOCKEYE__TFTP_MAP_STOPS, "a step after the last one");
	require(step->rule_len > 0 && memchr(step->rule, '\n', step->rule_len) == NULL, "rule");
	steps->last = step->line;
	steps->effect = step->effect;
	steps->count++;
}

static void ask(const struct sockeye__tftp_map *map, unsigned flags, struct sockeye__span name)
{
	const struct sockeye__tftp_name_rules rules = {flags & 4, flags & 16};
	struct sockeye_sockaddr client = {.len = sizeof client.u.in};
	struct sockeye__tftp_mapped out, again;
	struct steps steps = {0};
	const struct sockeye__tftp_map_watch watch = {count, &steps};
	const struct sockeye__tftp_map_files some = {has_odd_length, NULL};
	const struct sockeye__tftp_map_files *files = flags & 8 ? &some : NULL;
	int err;

	client.u.in.sin_family = AF_INET;
	client.u.in.sin_addr.s_addr = 0x5b0200c0;
	if (flags & 2) {
		client.len = sizeof client.u.in6;
		client.u.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
		client.u.in6.sin6_addr.s6_addr[0] = 0xfe;
	}
	err = sockeye__tftp_map_request(map, &rules, &client, flags & 1, name, files, &watch, &out);
	require(memchr(out.name, '\0', sizeof out.name) && memchr(out.text, '\0', sizeof out.text),
		"not terminated");
	require(err <= 0 && (err == 0 || out.text[0] != '\0'), "no reason");
	if (err == 0 && !out.denied)
		check_name(out.name);
	require(sockeye__tftp_map_request(map, &rules, &client, flags & 1, name, files, NULL,
					  &again) == err,
		"the second result differs");
	require(strcmp(out.name, again.name) == 0 && strcmp(out.text, again.text) == 0 &&
		    out.denied == again.denied && out.rule == again.rule,
		"the second name differs");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *lf = size > 0 ? memchr(data, '\n', size) : NULL;
	struct sockeye__rules_error error = {0};
	struct sockeye__tftp_map *map = NULL;
	char *text; /* of the exact size, so that ASan finds reads after its end */
	size_t len;

	if (lf == NULL || lf == data)
		return 0;
	len = (size_t)(data + size - lf - 1);
	text = malloc(len ? len : 1);
	if (text == NULL)
		return 0;
	memcpy(text, lf + 1, len);
	if (sockeye__tftp_map_parse(text, len, &map, &error) < 0)
		check_refused(&error, text, len);
	free(text); /* the map has a copy */
	ask(map, data[0], (struct sockeye__span){data + 1, (size_t)(lf - data - 1)});
	sockeye__tftp_map_free(map);
	return 0;
}
