/* conf_lists.c: reads values with any number of words (conf_internal.h). */
#include "superserver/conf_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "base/out.h"

const char *const sockeye__conf_facilities[] = {
    "daemon", "auth",   "authpriv", "user",   "mail",   "lpr",    "news",   "uucp",   "ftp",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7", NULL};
const char *const sockeye__conf_levels[] = {"emerg",  "alert", "crit",  "err", "warning",
					    "notice", "info",  "debug", NULL};

#define LEVEL_INFO 6

int sockeye__conf_word_find(const char *const *words, struct sockeye__slice word)
{
	for (int i = 0; words[i] != NULL; i++)
		if (*words[i] != '\0' && sockeye__conf_word_is(word, words[i]))
			return i;
	return -1;
}

struct sockeye__conf_known sockeye__conf_known_words(const char *const *words)
{
	struct sockeye__conf_known known;
	struct sockeye__out out = sockeye__out_to(known.text, sizeof known.text);
	bool begun = false;

	for (size_t i = 0; words[i] != NULL; i++) {
		if (*words[i] == '\0')
			continue;
		if (begun)
			sockeye__out_text(&out, words[i + 1] != NULL ? ", " : " or ");
		sockeye__out_text(&out, words[i]);
		begun = true;
	}
	return known;
}

/* Whether a word looks like a comment; it is a value for xinetd. */
static bool is_comment(struct sockeye__slice word)
{
	return *word.at == '#';
}

#define COMMENT "# begins a comment only at the start of a line: put the comment on its own line"

static int wrong_word(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		      struct sockeye__slice word, const char *why)
{
	if (is_comment(word))
		why = COMMENT;
	SOCKEYE__CONF_PROBLEM(r, value->place, "%s: '%s': %s", value->info->name,
			      sockeye__conf_show(word).text, why);
	return -EINVAL;
}

static bool has_word(const struct sockeye__conf_list *list, const char *word)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->at[i], word) == 0)
			return true;
	return false;
}

/* Returns the old words, without those of `without`, and then those of `with`. */
static int list_join(struct sockeye__conf_reading *r, struct sockeye__conf_list *old,
		     const struct sockeye__conf_list *without,
		     const struct sockeye__conf_list *with)
{
	const char **at =
	    sockeye__conf_alloc(r, (old->count + with->count + 1) * sizeof(const char *));
	size_t count = 0;

	if (at == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < old->count; i++)
		if (!has_word(without, old->at[i]))
			at[count++] = old->at[i];
	for (size_t i = 0; i < with->count; i++)
		at[count++] = with->at[i];
	*old = (struct sockeye__conf_list){at, count};
	return 0;
}

/* Copies the words of a value. */
static int list_copy(struct sockeye__conf_reading *r, struct sockeye__slice words,
		     struct sockeye__conf_list *out)
{
	const char **at =
	    sockeye__conf_alloc(r, (sockeye__conf_words_count(words) + 1) * sizeof(const char *));
	struct sockeye__slice word;
	size_t count = 0;

	if (at == NULL)
		return -ENOMEM;
	while (sockeye__conf_word_take(&words, &word))
		at[count++] = sockeye__conf_text(r, word);
	*out = (struct sockeye__conf_list){at, count};
	return r->failed ? -ENOMEM : 0;
}

static int list_apply(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		      struct sockeye__conf_list *list)
{
	static const struct sockeye__conf_list none = {NULL, 0};
	struct sockeye__conf_list words;
	int err = list_copy(r, value->words, &words);

	if (err < 0)
		return err;
	if (value->op == SOCKEYE__CONF_SET)
		*list = words;
	else
		err = list_join(r, list, value->op == SOCKEYE__CONF_REMOVE ? &words : &none,
				value->op == SOCKEYE__CONF_ADD ? &words : &none);
	return err;
}

int sockeye__conf_words_read(struct sockeye__conf_reading *r,
			     const struct sockeye__conf_value *value, void *field)
{
	struct sockeye__slice rest = value->words, word;

	while (sockeye__conf_word_take(&rest, &word))
		if (is_comment(word)) {
			sockeye__conf_note(&r->conf->notes, SOCKEYE__CONF_WARNING, value->place,
					   "%s: '%s' and the words after it are values: " COMMENT,
					   value->info->name, sockeye__conf_show(word).text);
			break;
		}
	return list_apply(r, value, field);
}

int sockeye__conf_env_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			   void *field)
{
	struct sockeye__slice rest = value->words, word;

	while (sockeye__conf_word_take(&rest, &word)) {
		const char *equals = memchr(word.at, '=', word.len);

		if (equals == NULL || equals == word.at)
			return wrong_word(r, value, word, "must be NAME=VALUE without blanks");
	}
	return list_apply(r, value, field);
}

int sockeye__conf_bits_read(struct sockeye__conf_reading *r,
			    const struct sockeye__conf_value *value, void *field)
{
	struct sockeye__slice rest = value->words, word;
	unsigned *bits = field, named = 0;

	while (sockeye__conf_word_take(&rest, &word)) {
		int row = sockeye__conf_word_find(value->info->words, word);
		char why[220];

		snprintf(why, sizeof why, "must be %s",
			 sockeye__conf_known_words(value->info->words).text);
		if (row < 0)
			return wrong_word(r, value, word, why);
		named |= 1u << row;
	}
	*bits = value->op == SOCKEYE__CONF_SET   ? named
		: value->op == SOCKEYE__CONF_ADD ? *bits | named
						 : *bits & ~named;
	return 0;
}

/* Reads the words into rules[], which has room for `max`. Returns their number, or
 * -EINVAL. */
static int addresses_parse(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			   struct sockeye__access_rule *rules, size_t max)
{
	struct sockeye__slice rest = value->words, word;
	size_t count = 0;

	while (sockeye__conf_word_take(&rest, &word)) {
		struct sockeye__access_rule found[SOCKEYE__ACCESS_WORD_MAX];
		char why[SOCKEYE__ACCESS_WHY_MAX];
		int n = sockeye__access_parse(word, r->compat, found, why);

		if (*why != '\0')
			SOCKEYE__CONF_PROBLEM(r, value->place, "%s: %s", value->info->name, why);
		if (n < 0)
			return n;
		for (int i = 0; i < n && count < max; i++) {
			if (found[i].kind != SOCKEYE__ACCESS_NET)
				found[i].name = sockeye__conf_text(r, word);
			rules[count++] = found[i];
		}
	}
	return (int)count;
}

/* Warns about a name that is not known, or rejects it. */
static int names_check(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		       const struct sockeye__access_rule *rules, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count && !r->failed; i++) {
		const char *name = rules[i].name;
		bool known;

		if (rules[i].kind != SOCKEYE__ACCESS_NAME)
			continue;
		known = r->world->name_known != NULL
			    ? r->world->name_known(r->world->context, name)
			    : strchr(name, '.') != NULL || strcmp(name, "localhost") == 0;
		if (known)
			continue;
		SOCKEYE__CONF_PROBLEM(
		    r, value->place,
		    "%s: '%.64s' is not an address and not the name of a known host or network%s",
		    value->info->name, name,
		    r->compat ? "; until it is, the server denies clients" : "");
		err = r->compat ? 0 : -EINVAL;
	}
	return err;
}

/* Removes the rules that equal one of the others. */
static size_t rules_remove(struct sockeye__access_rule *rules, size_t count,
			   const struct sockeye__access_rule *others, size_t other_count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		bool same = false;

		for (size_t j = 0; j < other_count && !same; j++)
			same = sockeye__access_same(&rules[i], &others[j]);
		if (!same)
			rules[kept++] = rules[i];
	}
	return kept;
}

/* Each comma in { } adds one rule to that of the word. */
static size_t commas_count(struct sockeye__slice text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.at[i] == ',';
	return count;
}

int sockeye__conf_addresses_read(struct sockeye__conf_reading *r,
				 const struct sockeye__conf_value *value, void *field)
{
	struct sockeye__access_list *list = field;
	size_t max = sockeye__conf_words_count(value->words) + commas_count(value->words);
	size_t old = value->op == SOCKEYE__CONF_SET ? 0 : list->count;
	struct sockeye__access_rule *rules, *added;
	int n, err;

	rules = sockeye__conf_alloc(r, (old + max + 1) * sizeof *rules);
	if (rules == NULL)
		return -ENOMEM;
	if (old > 0)
		memcpy(rules, list->rules, old * sizeof *rules);
	added = rules + old;
	n = addresses_parse(r, value, added, max);
	if (n < 0)
		return n;
	err = names_check(r, value, added, (size_t)n);
	if (err < 0 || r->failed)
		return err < 0 ? err : -ENOMEM;
	list->rules = rules;
	list->given = true;
	list->count = value->op == SOCKEYE__CONF_REMOVE ? rules_remove(rules, old, added, (size_t)n)
							: old + (size_t)n;
	return 0;
}

int sockeye__conf_spans_read(struct sockeye__conf_reading *r,
			     const struct sockeye__conf_value *value, void *field)
{
	struct sockeye__conf_spans *list = field;
	struct sockeye__slice rest = value->words, word;
	struct sockeye__access_span *spans =
	    sockeye__conf_alloc(r, sockeye__conf_words_count(rest) * sizeof *spans);
	size_t count = 0;

	if (spans == NULL)
		return -ENOMEM;
	while (sockeye__conf_word_take(&rest, &word)) {
		char why[SOCKEYE__ACCESS_WHY_MAX];

		if (sockeye__access_span_parse(word, &spans[count++], why) < 0) {
			SOCKEYE__CONF_PROBLEM(r, value->place, "%s: %s", value->info->name,
					      is_comment(word) ? COMMENT : why);
			return -EINVAL;
		}
	}
	*list = (struct sockeye__conf_spans){spans, count};
	return 0;
}

/* Reads "FILE path [soft [hard]]" after its first word. */
static int log_file_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			 struct sockeye__slice rest, struct sockeye__conf_log *log)
{
	struct sockeye__slice word;
	uint64_t size[2] = {0, 0};
	unsigned count = 0;

	if (!sockeye__conf_word_take(&rest, &word))
		return wrong_word(r, value, value->words, "write FILE PATH [SOFT [HARD]]");
	log->kind = SOCKEYE__CONF_LOG_FILE;
	log->path = sockeye__conf_text(r, word);
	while (count < 2 && sockeye__conf_word_take(&rest, &word)) {
		uint64_t factor = 1;

		if (word.len > 1 && (word.at[word.len - 1] | 0x20) == 'k')
			factor = 1024;
		if (word.len > 1 && (word.at[word.len - 1] | 0x20) == 'm')
			factor = 1024 * 1024;
		word.len -= factor > 1;
		if (sockeye__number_parse(word, 10, INT64_MAX / (1024 * 1024), &size[count]) < 0)
			return wrong_word(r, value, word, "the limits of a file are sizes");
		size[count++] *= factor;
	}
	/* xinetd's default: 1 % more, but from 5 to 20 KiB. */
	if (count == 1)
		size[1] = size[0] + sockeye__least(sockeye__most(size[0] / 100, 5120), 20480);
	if (size[1] < size[0])
		return wrong_word(r, value, value->words, "the second limit is below the first");
	log->soft = (int64_t)size[0];
	log->hard = (int64_t)size[1];
	return r->failed ? -ENOMEM : 0;
}

int sockeye__conf_log_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			   void *field)
{
	struct sockeye__slice rest = value->words, kind, word;
	struct sockeye__conf_log log = {.kind = SOCKEYE__CONF_LOG_SYSLOG, .level = LEVEL_INFO};
	int row;

	sockeye__conf_word_take(&rest, &kind);
	if (sockeye__conf_word_is(kind, "FILE")) {
		int err = log_file_read(r, value, rest, &log);

		if (err == 0)
			*(struct sockeye__conf_log *)field = log;
		return err;
	}
	if (!sockeye__conf_word_is(kind, "SYSLOG") || !sockeye__conf_word_take(&rest, &word))
		return wrong_word(r, value, value->words,
				  "write SYSLOG FACILITY [LEVEL] or FILE PATH [SOFT [HARD]]");
	row = sockeye__conf_word_find(sockeye__conf_facilities, word);
	if (row < 0)
		return wrong_word(r, value, word, "is not a facility, such as daemon or local0");
	log.facility = (unsigned)row;
	if (sockeye__conf_word_take(&rest, &word)) {
		row = sockeye__conf_word_find(sockeye__conf_levels, word);
		if (row < 0)
			return wrong_word(r, value, word,
					  sockeye__conf_known_words(sockeye__conf_levels).text);
		log.level = (unsigned)row;
	}
	if (sockeye__conf_word_take(&rest, &word))
		return wrong_word(r, value, word, "is after the level: remove it");
	*(struct sockeye__conf_log *)field = log;
	return 0;
}
