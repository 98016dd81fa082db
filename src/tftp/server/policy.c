/* policy.c: read a policy and apply it (policy.h). */
#include "tftp/server/policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "rules/clients.h"

#define WORDS 8

enum {
	NAME = 1 << 0,
	BLKSIZE = 1 << 1,
	WINDOW = 1 << 2,
	REFUSE = 1 << 3,
	DENY = 1 << 4,
	DEFAULT = 1 << 5,
	TRUSTED = 1 << 6,
	DENY_ONE = 1 << 7, /* deny=get or deny=put */
};

struct rule {
	unsigned line;
	unsigned has; /* its settings, bits of the enum */
	struct sockeye__rules_clients clients;
	const char *glob; /* of NAME; in the text */
	struct sockeye__tftp_terms terms;
};

struct sockeye__tftp_rules {
	char *text;
	struct rule *rules;
	size_t count;
};

static int number_parse(struct sockeye__slice word, unsigned min, unsigned max, unsigned *out)
{
	uint64_t v;
	int err = sockeye__number_parse(word, 10, max, &v);

	if (err < 0 || v < min)
		return err < 0 ? err : -ERANGE;
	*out = (unsigned)v;
	return 0;
}

static int clients_parse(const struct sockeye__rules_lines *lines, struct sockeye__slice word,
			 struct rule *rule)
{
	char why[SOCKEYE__RULES_WHY_MAX];

	if (sockeye__rules_clients_parse(word, &rule->clients, why) < 0)
		return sockeye__rules_fail(lines, "%s", why);
	return 0;
}

int sockeye__tftp_blksize_parse(const char *text, size_t len, uint16_t *out_blksize, bool *out_mtu)
{
	struct sockeye__slice word = {text, len};
	bool mtu = sockeye__rules_word_is(word, "mtu");
	unsigned v = 0;
	int err =
	    mtu ? 0 : number_parse(word, SOCKEYE__TFTP_BLKSIZE_MIN, SOCKEYE__TFTP_BLKSIZE_MAX, &v);

	if (err < 0)
		return err;
	*out_blksize = (uint16_t)v;
	*out_mtu = mtu;
	return 0;
}

int sockeye__tftp_refuse_parse(const char *text, size_t len, unsigned *out_refused,
			       struct sockeye__slice *out_wrong)
{
	const char *end = text + len;
	unsigned refused = 0;

	if (len == 4 && memcmp(text, "none", 4) == 0) {
		*out_refused = 0;
		return 0;
	}
	for (;;) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		size_t word_len = (size_t)((comma ? comma : end) - text);
		int option = sockeye__tftp_option_named(text, word_len);

		if (option < 0) {
			*out_wrong = (struct sockeye__slice){text, word_len};
			return option;
		}
		refused |= SOCKEYE__TFTP_BIT((unsigned)option);
		if (comma == NULL)
			break;
		text = comma + 1;
	}
	*out_refused = refused;
	return 0;
}

/* Whether every [ of a pattern has its ] and no backslash ends it. fnmatch(3) takes a [
 * without ] literally, so that a rule to deny would have no effect. */
static bool glob_is_closed(struct sockeye__slice glob)
{
	bool in_class = false;
	size_t first = 0; /* a ] here belongs to the class */

	for (size_t i = 0; i < glob.len; i++) {
		char c = glob.at[i];

		if (c == '\\' && ++i == glob.len)
			return false;
		if (c == '[' && !in_class) {
			in_class = true;
			first = i + 1;
			first += first < glob.len && strchr("!^", glob.at[first]) != NULL;
		} else if (c == ']' && in_class && i != first) {
			in_class = false;
		}
	}
	return !in_class;
}

static int name_set(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
		    struct rule *rule)
{
	if (value.len == 0)
		return sockeye__rules_fail(lines, "name= needs a pattern");
	if (!glob_is_closed(value))
		return sockeye__rules_fail(lines, "name=%s: missing ], or \\ at the end",
					   sockeye__rules_show(value).text);
	rule->glob = value.at;
	return 0;
}

static int blksize_set(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
		       struct rule *rule)
{
	if (sockeye__tftp_blksize_parse(value.at, value.len, &rule->terms.policy.blksize_max,
					&rule->terms.blksize_mtu) < 0)
		return sockeye__rules_fail(lines, "blksize=%s: must be %d to %d or mtu",
					   sockeye__rules_show(value).text,
					   SOCKEYE__TFTP_BLKSIZE_MIN, SOCKEYE__TFTP_BLKSIZE_MAX);
	return 0;
}

static int window_set(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
		      struct rule *rule)
{
	unsigned v;

	if (number_parse(value, 1, UINT16_MAX, &v) < 0)
		return sockeye__rules_fail(lines, "window=%s: must be 1 to %d",
					   sockeye__rules_show(value).text, UINT16_MAX);
	rule->terms.policy.window_max = (uint16_t)v;
	return 0;
}

static int refuse_set(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
		      struct rule *rule)
{
	struct sockeye__slice wrong;
	char known[100];
	size_t len = 0;

	if (sockeye__tftp_refuse_parse(value.at, value.len, &rule->terms.policy.refused, &wrong) ==
	    0)
		return 0;
	for (enum sockeye__tftp_option i = 0; i < SOCKEYE__TFTP_OPTIONS; i++)
		len += (size_t)snprintf(known + len, sizeof known - len, "%s ",
					sockeye__tftp_option_name(i));
	return sockeye__rules_fail(lines, "refuse: unknown option '%.20s'; the options are %snone",
				   sockeye__rules_show(wrong).text, known);
}

static int deny_set(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
		    struct rule *rule)
{
	(void)lines;
	(void)value;
	rule->terms.deny_get = rule->terms.deny_put = true;
	return 0;
}

static int deny_one_set(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
			struct rule *rule)
{
	rule->terms.deny_get = sockeye__rules_word_is(value, "get");
	rule->terms.deny_put = sockeye__rules_word_is(value, "put");
	if (!rule->terms.deny_get && !rule->terms.deny_put)
		return sockeye__rules_fail(lines, "deny=%s: must be get or put",
					   sockeye__rules_show(value).text);
	return 0;
}

static int trusted_set(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
		       struct rule *rule)
{
	(void)lines;
	(void)value;
	rule->terms.trusted = true;
	return 0;
}

static int default_set(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
		       struct rule *rule)
{
	(void)lines;
	(void)value;
	(void)rule;
	return 0;
}

static const struct setting {
	const char *word;
	unsigned bit;
	int (*set)(const struct sockeye__rules_lines *lines, struct sockeye__slice value,
		   struct rule *rule);
} settings[] = {
    {"name=", NAME, name_set},         {"blksize=", BLKSIZE, blksize_set},
    {"window=", WINDOW, window_set},   {"refuse=", REFUSE, refuse_set},
    {"deny", DENY, deny_set},          {"default", DEFAULT, default_set},
    {"trusted", TRUSTED, trusted_set}, {"deny=", DENY_ONE, deny_one_set},
};

static int setting_parse(const struct sockeye__rules_lines *lines, struct sockeye__slice word,
			 struct rule *rule)
{
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const struct setting *s = &settings[i];
		size_t len = strlen(s->word);

		if (word.len < len || memcmp(word.at, s->word, len) != 0 ||
		    (s->word[len - 1] != '=' && word.len > len))
			continue;
		if (rule->has & s->bit)
			return sockeye__rules_fail(lines, "%s is given twice", s->word);
		rule->has |= s->bit;
		return s->set(lines, (struct sockeye__slice){word.at + len, word.len - len}, rule);
	}
	return sockeye__rules_fail(
	    lines,
	    "unknown setting '%s'; the settings are name= blksize= window= refuse= trusted deny "
	    "deny= default",
	    sockeye__rules_show(word).text);
}

static int rule_parse(const struct sockeye__rules_lines *lines, const struct sockeye__slice *words,
		      int count, struct rule *rule)
{
	unsigned set;
	int err;

	*rule = (struct rule){.line = lines->line};
	err = clients_parse(lines, words[0], rule);
	for (int i = 1; i < count && err == 0; i++)
		err = setting_parse(lines, words[i], rule);
	if (err < 0)
		return err;
	set = rule->has & ~(unsigned)NAME;
	if (set == 0)
		return sockeye__rules_fail(
		    lines, "no setting: add blksize=, window=, refuse=, trusted, deny or default");
	if ((set & DENY) && set != DENY)
		return sockeye__rules_fail(lines, "deny excludes other settings");
	if ((set & DEFAULT) && set != DEFAULT)
		return sockeye__rules_fail(lines, "default excludes other settings");
	return 0;
}

/* Terminates the pattern in the rules' copy of the text, whose line has been read. */
static void glob_end(struct sockeye__tftp_rules *rules, const struct sockeye__slice *words,
		     int count, const struct rule *rule)
{
	for (int i = 1; i < count; i++)
		if (rule->glob >= words[i].at && rule->glob < words[i].at + words[i].len)
			rules->text[words[i].at + words[i].len - rules->text] = '\0';
}

static int rules_parse(struct sockeye__tftp_rules *rules, struct sockeye__rules_lines *lines)
{
	struct sockeye__slice words[WORDS];
	int count, err;

	while ((count = sockeye__rules_next(lines, words, WORDS)) > 0) {
		struct rule *rule = &rules->rules[rules->count++];

		err = rule_parse(lines, words, count, rule);
		if (err < 0)
			return err;
		if (rule->glob != NULL)
			glob_end(rules, words, count, rule);
	}
	return count;
}

int sockeye__tftp_policy_parse(const char *text, size_t len, struct sockeye__tftp_rules **out,
			       struct sockeye__rules_error *error)
{
	struct sockeye__tftp_rules *rules = calloc(1, sizeof *rules);
	struct sockeye__rules_lines lines;
	size_t rules_max;
	int err = -ENOMEM;

	if (rules == NULL)
		return err;
	rules->text = sockeye__rules_begin(&lines, text, len, error, &rules_max);
	rules->rules = rules->text != NULL ? calloc(rules_max, sizeof *rules->rules) : NULL;
	if (rules->rules != NULL)
		err = rules_parse(rules, &lines);
	if (err < 0) {
		sockeye__tftp_policy_free(rules);
		return err;
	}
	*out = rules;
	return 0;
}

size_t sockeye__tftp_policy_count(const struct sockeye__tftp_rules *rules)
{
	return rules != NULL ? rules->count : 0;
}

void sockeye__tftp_policy_free(struct sockeye__tftp_rules *rules)
{
	if (rules == NULL)
		return;
	free(rules->rules);
	free(rules->text);
	free(rules);
}

static int kind_parse(const char *text, size_t len, void **out, struct sockeye__rules_error *error)
{
	struct sockeye__tftp_rules *rules;
	int err = sockeye__tftp_policy_parse(text, len, &rules, error);

	if (err == 0)
		*out = rules;
	return err;
}

static void kind_free(void *rules)
{
	sockeye__tftp_policy_free(rules);
}

const struct sockeye__rules_kind sockeye__tftp_policy_kind = {kind_parse, kind_free};

static void terms_set(const struct rule *rule, struct sockeye__tftp_terms *terms)
{
	if (rule->has & BLKSIZE) {
		terms->policy.blksize_max = rule->terms.policy.blksize_max;
		terms->blksize_mtu = rule->terms.blksize_mtu;
	}
	if (rule->has & WINDOW)
		terms->policy.window_max = rule->terms.policy.window_max;
	if (rule->has & REFUSE)
		terms->policy.refused = rule->terms.policy.refused;
	if (rule->has & (DENY | DENY_ONE)) {
		terms->deny_get = rule->terms.deny_get;
		terms->deny_put = rule->terms.deny_put;
	}
	if (rule->has & TRUSTED)
		terms->trusted = true;
}

unsigned sockeye__tftp_policy_terms(const struct sockeye__tftp_rules *rules,
				    const struct sockeye_sockaddr *client, const char *name,
				    const struct sockeye__tftp_terms *defaults,
				    struct sockeye__tftp_terms *out)
{
	struct sockeye__rules_client address = sockeye__rules_client_of(client);

	*out = *defaults;
	for (size_t i = 0; rules != NULL && i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];

		if (!sockeye__rules_clients_match(&rule->clients, 1, &address) ||
		    (rule->glob != NULL && fnmatch(rule->glob, name, 0) != 0))
			continue;
		terms_set(rule, out);
		return rule->line;
	}
	return 0;
}
