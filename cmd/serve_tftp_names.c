/* serve_tftp_names.c: --map-test of sockeye serve tftp: prints how rules change a name. */
#include "commands.h"
#include "cli/report.h"
#include "serve.h"
#include "tftp/server/client_folder.h"
#include "tftp/server/lookup.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>

/* A name for output. It is escaped only if it has control characters, so that backslashes
 * stay readable. */
struct shown {
	char text[1024];
};

static struct shown shown(const char *at, size_t len)
{
	size_t backslashes = 0;
	struct shown s;

	for (size_t i = 0; i < len; i++)
		backslashes += at[i] == '\\';
	if (len < sizeof s.text && sockeye_escape(at, len, NULL, 0) == len + backslashes)
		snprintf(s.text, sizeof s.text, "%.*s", (int)len, at);
	else
		sockeye_escape(at, len, s.text, sizeof s.text);
	return s;
}

/* Returns a rule as written in the file, with blanks instead of tabs. */
static struct shown rule_shown(const struct sockeye__tftp_map_step *step)
{
	char rule[256];
	size_t len = step->rule_len < sizeof rule ? step->rule_len : sizeof rule;

	for (size_t i = 0; i < len; i++)
		rule[i] = step->rule[i] == '\t' ? ' ' : step->rule[i];
	return shown(rule, len);
}

static void show_step(void *arg, const struct sockeye__tftp_map_step *step)
{
	static const struct {
		const char *word, *before, *after; /* around the name */
	} fates[] = {
	    [SOCKEYE__TFTP_MAP_SKIPPED] = {"for others", NULL, NULL}, /* other clients */
	    [SOCKEYE__TFTP_MAP_NO_MATCH] = {"no match", NULL, NULL},
	    [SOCKEYE__TFTP_MAP_APPLIED] = {"goes on", "-> ", ""},
	    [SOCKEYE__TFTP_MAP_STOPS] = {"stops", "-> ", ", stop"},
	    [SOCKEYE__TFTP_MAP_RESTARTS] = {"starts again", "-> ", ", restart"},
	    [SOCKEYE__TFTP_MAP_DENIES] = {"denies", NULL, NULL},
	};
	const struct serve *s = arg;
	struct shown rule = rule_shown(step), name = shown(step->name, strlen(step->name));
	const char *word = fates[step->effect].word, *before = fates[step->effect].before;

	if (s->common.json)
		report_json(json_pack("{s:s, s:i, s:s, s:s, s:s}", "event", "rule", "line",
				      (int)step->line, "rule", rule.text, "fate", word, "name",
				      name.text));
	else if (before == NULL)
		printf("line %-4u %-36s  %s\n", step->line, rule.text, word);
	else
		printf("line %-4u %-36s  %s%s%s\n", step->line, rule.text, before, name.text,
		       fates[step->effect].after);
}

/* Writes the terms in the syntax of a policy. */
static void terms_print(const struct sockeye__tftp_terms *terms, char *out, size_t cap)
{
	const struct sockeye__tftp_policy *p = &terms->policy;
	const char *comma = "";
	size_t len = 0;

	*out = '\0';
	if (terms->blksize_mtu)
		len += (size_t)snprintf(out + len, cap - len, " blksize=mtu");
	else if (p->blksize_max != 0)
		len += (size_t)snprintf(out + len, cap - len, " blksize=%u", p->blksize_max);
	if (terms->deny_get || terms->deny_put)
		len += (size_t)snprintf(out + len, cap - len, " deny=%s",
					terms->deny_get ? "get" : "put");
	if (p->window_max != 0)
		len += (size_t)snprintf(out + len, cap - len, " window=%u", p->window_max);
	if (p->refused != 0)
		len += (size_t)snprintf(out + len, cap - len, " refuse=");
	for (enum sockeye__tftp_option i = 0; i < SOCKEYE__TFTP_OPTIONS; i++) {
		if (!(p->refused & SOCKEYE__TFTP_BIT(i)))
			continue;
		len += (size_t)snprintf(out + len, cap - len, "%s%s", comma,
					sockeye__tftp_option_name(i));
		comma = ",";
	}
	if (terms->trusted)
		snprintf(out + len, cap - len, " trusted");
}

/* Prints the terms for the name. Returns CLI_GO or the exit code. */
static int policy_test(const struct serve *s, const struct sockeye_sockaddr *client,
		       struct sockeye__tftp_mapped *mapped)
{
	struct sockeye__tftp_terms found, defaults = {0};
	struct sockeye__rules_source policy;
	struct sockeye_fail fail;
	char text[160];
	unsigned line;
	int code = serve_tftp_terms(s, &defaults);

	if (code != CLI_GO || s->tftp.policy == NULL || mapped->denied)
		return code;
	if (sockeye__rules_source_open(&policy, s->tftp.policy, &sockeye__tftp_policy_kind, &fail) <
	    0)
		return report_fail(&s->common, &fail);
	line = sockeye__tftp_policy_terms(policy.rules, client, mapped->name, &defaults, &found);
	sockeye__rules_source_close(&policy, &sockeye__tftp_policy_kind);
	terms_print(&found, text, sizeof text);
	mapped->denied = s->tftp.map_put ? found.deny_put : found.deny_get;
	if (mapped->denied)
		snprintf(mapped->text, sizeof mapped->text, "policy, line %u", line);
	else if (s->common.json)
		report_json(json_pack("{s:s, s:i, s:s}", "event", "policy", "line", (int)line,
				      "terms", text[0] != '\0' ? text + 1 : ""));
	else if (line > 0)
		printf("policy, line %u:%s\n", line, text[0] != '\0' ? text : " default");
	return CLI_GO;
}

static int client_read(const struct serve *s, struct sockeye_sockaddr *out)
{
	const char *text = s->tftp.map_client != NULL ? s->tftp.map_client : "192.0.2.1";

	*out = (struct sockeye_sockaddr){.len = sizeof out->u.in};
	out->u.in.sin_family = AF_INET;
	if (inet_pton(AF_INET, text, &out->u.in.sin_addr) == 1)
		return CLI_GO;
	out->len = sizeof out->u.in6;
	out->u.in6.sin6_family = AF_INET6;
	if (inet_pton(AF_INET6, text, &out->u.in6.sin6_addr) == 1)
		return CLI_GO;
	return cli_usage_value(&s->common, &serve_command, "map-client",
			       "an address such as 192.0.2.1 or 2001:db8::1", text);
}

static int map_test(struct serve *s, const struct sockeye_sockaddr *client,
		    struct sockeye__tftp_mapped *out)
{
	const struct serve_tftp *t = &s->tftp;
	const struct sockeye__tftp_store_config config = {.root = t->root,
							  .links = (enum sockeye__links)t->links};
	const struct sockeye__tftp_map_watch watch = {.step = show_step, .arg = s};
	const struct sockeye__span asked = {(const uint8_t *)t->map_test, strlen(t->map_test)};
	const enum sockeye__tftp_unique_root unique = serve_tftp_unique_root(t);
	struct sockeye__tftp_neighbors *neighbors = NULL;
	char folder[SOCKEYE__TFTP_FOLDER_MAX];
	struct sockeye__tftp_store store = {0};
	struct sockeye__rules_source map;
	struct sockeye_fail fail;

	if (unique == SOCKEYE__TFTP_UNIQUE_MAC)
		(void)sockeye__tftp_neighbors_open(&neighbors);
	sockeye__tftp_client_folder(unique, neighbors, client, folder);
	sockeye__tftp_neighbors_close(neighbors);
	if (sockeye__rules_source_open(&map, t->map, &sockeye__tftp_map_kind, &fail) < 0)
		return report_fail(&s->common, &fail);
	if (t->root != NULL && sockeye__tftp_store_open(&store, &config, &fail) < 0) {
		sockeye__rules_source_close(&map, &sockeye__tftp_map_kind);
		return report_fail(&s->common, &fail);
	}
	const struct sockeye__tftp_lookup lookup = {
	    .map = map.rules,
	    .store = t->root != NULL ? &store : NULL,
	    .names = serve_tftp_names(t),
	    .fold_case = t->fold_case,
	    .folder = unique != SOCKEYE__TFTP_UNIQUE_NONE ? folder : NULL,
	};

	if (sockeye__tftp_lookup(&lookup, client, t->map_put, asked, &watch, out) < 0)
		out->denied = true; /* out->text has the reason */
	sockeye__tftp_store_close(&store);
	sockeye__rules_source_close(&map, &sockeye__tftp_map_kind);
	return CLI_GO;
}

int serve_tftp_map_test(struct serve *s)
{
	struct sockeye__tftp_mapped mapped = {0};
	struct sockeye_sockaddr client;
	int code = client_read(s, &client);

	if (code == CLI_GO)
		code = map_test(s, &client, &mapped);
	if (code == CLI_GO)
		code = policy_test(s, &client, &mapped);
	if (code != CLI_GO)
		return code;
	struct shown name = shown(mapped.name, strlen(mapped.name));
	struct shown text = shown(mapped.text, strlen(mapped.text));

	if (s->common.json)
		report_json(json_pack("{s:s, s:s, s:b, s:s, s:i}", "event", "mapped", "name",
				      name.text, "denied", mapped.denied, "text", text.text, "line",
				      (int)mapped.rule));
	else if (mapped.denied)
		printf("denied%s%s\n", text.text[0] != '\0' ? ": " : "", text.text);
	else
		printf("%s\n", name.text);
	return mapped.denied ? SOCKEYE_EXIT_FAILURE : SOCKEYE_EXIT_DONE;
}
