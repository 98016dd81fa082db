/* map_parse.c: read a map and report what is wrong with it (map.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tftp/server/map_internal.h"

#define GROUPS    10    /* \0 to \9 */
#define DEPTH_MAX 20000 /* nested steps of a match */
#define HEAP_MAX  2048  /* KiB for the nested steps */
#define SHOWN_MAX 20    /* bytes of a pattern in a message */

/* The last bytes of a text, few enough for a message. */
static struct sockeye__slice tail(const char *at, size_t len)
{
	size_t skipped = len > SHOWN_MAX ? len - SHOWN_MAX : 0;

	return (struct sockeye__slice){at + skipped, len - skipped};
}

/* Pairs of flags that contradict each other. */
static const char exclusive[][3] = {"es", "GP", "46", "g~", "ar", "al", "as", "ae"};

static int flags_check(const struct sockeye__rules_lines *lines, unsigned flags)
{
	for (size_t i = 0; i < sizeof exclusive / sizeof *exclusive; i++) {
		const char *pair = exclusive[i];
		unsigned a = 1u << (strchr(SOCKEYE__MAP_LETTERS, pair[0]) - SOCKEYE__MAP_LETTERS);
		unsigned b = 1u << (strchr(SOCKEYE__MAP_LETTERS, pair[1]) - SOCKEYE__MAP_LETTERS);

		if ((flags & a) && (flags & b))
			return sockeye__rules_fail(lines, "flags %c and %c exclude each other",
						   pair[0], pair[1]);
	}
	if ((flags & SOCKEYE__MAP_EVERY) && !(flags & SOCKEYE__MAP_REWRITE))
		return sockeye__rules_fail(lines, "flag g needs r");
	if ((flags & SOCKEYE__MAP_RESTART) && !(flags & (SOCKEYE__MAP_REWRITE | SOCKEYE__MAP_FOLD)))
		return sockeye__rules_fail(lines,
					   "flag s needs r or l: otherwise the rules never end");
	if (!(flags &
	      (SOCKEYE__MAP_REWRITE | SOCKEYE__MAP_FOLD | SOCKEYE__MAP_DENY | SOCKEYE__MAP_STOP)))
		return sockeye__rules_fail(lines, "no action: add flag r, l, a or e");
	return 0;
}

static int flags_parse(const struct sockeye__rules_lines *lines, struct sockeye__slice word,
		       unsigned *out)
{
	unsigned flags = 0;

	for (size_t i = 0; i < word.len; i++) {
		const char *letter = strchr(SOCKEYE__MAP_LETTERS, word.at[i]);
		unsigned bit;

		if (letter == NULL)
			return sockeye__rules_fail(
			    lines, "unknown flag '%s'; the flags are r g i e s a l ~ G P 4 6 m",
			    sockeye__rules_show((struct sockeye__slice){word.at + i, 1}).text);
		bit = 1u << (letter - SOCKEYE__MAP_LETTERS);
		if (flags & bit)
			return sockeye__rules_fail(lines, "flag %c twice", *letter);
		flags |= bit;
	}
	*out = flags;
	return flags_check(lines, flags);
}

/* Whether a pattern may begin with a lookahead. For such patterns, PCRE2 up to
 * 10.44 derives a wrong first or last byte and misses matches
 * (github.com/PCRE2Project/pcre2/pull/444), so that a rule to deny has no effect. */
static bool may_look_ahead(struct sockeye__slice word)
{
	return memmem(word.at, word.len, "(?=", 3) != NULL ||
	       memmem(word.at, word.len, "(?*", 3) != NULL ||
	       memmem(word.at, word.len, "(*", 2) != NULL;
}

static int pattern_compile(const struct sockeye__rules_lines *lines, struct sockeye__slice word,
			   struct sockeye__map_rule *rule)
{
	/* Names are bytes. A dot matches every byte, also LF, and $ matches only at the
	 * end, not before a final LF: authors of rules that deny rarely consider LF.
	 * NEVER_UTF forbids (*UTF) in a pattern. */
	uint32_t options = PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP;
	PCRE2_SIZE at;
	PCRE2_UCHAR why[100];
	int err;

	if (rule->flags & SOCKEYE__MAP_ANY_CASE)
		options |= PCRE2_CASELESS;
	if (may_look_ahead(word))
		options |= PCRE2_NO_START_OPTIMIZE;
	rule->code = pcre2_compile((PCRE2_SPTR)word.at, word.len, options, &err, &at, NULL);
	if (rule->code != NULL)
		return 0;
	if (err == PCRE2_ERROR_HEAP_FAILED)
		return -ENOMEM;
	pcre2_get_error_message(err, why, sizeof why);
	if (at == 0)
		return sockeye__rules_fail(lines, "pattern: %s", (const char *)why);
	return sockeye__rules_fail(lines, "pattern: %s (after '%s')", (const char *)why,
				   sockeye__rules_show(tail(word.at, at)).text);
}

/* Checks the byte after a backslash. Punctuation stands for itself. */
static int escape_check(const struct sockeye__rules_lines *lines,
			const struct sockeye__map_rule *rule, char c, unsigned groups)
{
	if (c >= '0' && c <= '9') {
		if (c != '0' && (rule->flags & SOCKEYE__MAP_NOT))
			return sockeye__rules_fail(lines, "\\%c has no value with flag ~", c);
		if ((unsigned)(c - '0') > groups)
			return sockeye__rules_fail(lines, "\\%c: the pattern has %u group%s", c,
						   groups, &"s"[groups == 1]);
		return 0;
	}
	if (strchr("ixULE", c) != NULL)
		return 0;
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80)
		return sockeye__rules_fail(
		    lines,
		    "unknown '\\%s' in a replacement; use \\0 to \\9 \\i \\x \\U \\L \\E \\\\",
		    sockeye__rules_show((struct sockeye__slice){&c, 1}).text);
	return 0;
}

static int replacement_check(const struct sockeye__rules_lines *lines,
			     const struct sockeye__map_rule *rule)
{
	const struct sockeye__slice *word = &rule->replacement;
	uint32_t groups = 0;
	int err = 0;

	if (word->at == NULL)
		return 0;
	if (!(rule->flags & (SOCKEYE__MAP_REWRITE | SOCKEYE__MAP_DENY)))
		return sockeye__rules_fail(lines, "a replacement needs flag r or a");
	pcre2_pattern_info(rule->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	for (size_t i = 0; i < word->len && err == 0; i++) {
		if (word->at[i] != '\\')
			continue;
		if (++i == word->len)
			return sockeye__rules_fail(lines, "the replacement ends in a single \\");
		err = escape_check(lines, rule, word->at[i], groups);
	}
	return err;
}

static int rule_parse(const struct sockeye__rules_lines *lines, const struct sockeye__slice *words,
		      int count, struct sockeye__map_rule *rule)
{
	const char *end = words[count - 1].at + words[count - 1].len;
	int err;

	if (*end == '"')
		end++;
	*rule = (struct sockeye__map_rule){.line = lines->line};
	rule->source = (struct sockeye__slice){words[0].at, (size_t)(end - words[0].at)};
	err = flags_parse(lines, words[0], &rule->flags);
	if (err < 0)
		return err;
	if (count < 2)
		return sockeye__rules_fail(lines, "missing pattern");
	if (count > 2)
		rule->replacement = words[2];
	err = pattern_compile(lines, words[1], rule);
	return err < 0 ? err : replacement_check(lines, rule);
}

static int rules_parse(struct sockeye__tftp_map *map, struct sockeye__rules_lines *lines)
{
	struct sockeye__slice words[3];
	int count, err;

	while ((count = sockeye__rules_next(lines, words, 3)) > 0) {
		/* counted also on failure, so that its pattern is freed */
		err = rule_parse(lines, words, count, &map->rules[map->count++]);
		if (err < 0)
			return err;
	}
	return count;
}

int sockeye__tftp_map_parse(const char *text, size_t len, struct sockeye__tftp_map **out,
			    struct sockeye__rules_error *error)
{
	struct sockeye__tftp_map *map = calloc(1, sizeof *map);
	struct sockeye__rules_lines lines;
	size_t rules_max;
	int err = -ENOMEM;

	if (map == NULL)
		return err;
	map->text = sockeye__rules_begin(&lines, text, len, error, &rules_max);
	map->rules = map->text != NULL ? calloc(rules_max, sizeof *map->rules) : NULL;
	map->limits = pcre2_match_context_create(NULL);
	map->match = pcre2_match_data_create(GROUPS, NULL);
	if (map->rules != NULL && map->limits != NULL && map->match != NULL) {
		pcre2_set_depth_limit(map->limits, DEPTH_MAX);
		pcre2_set_heap_limit(map->limits, HEAP_MAX);
		err = rules_parse(map, &lines);
	}
	if (err < 0) {
		sockeye__tftp_map_free(map);
		return err;
	}
	*out = map;
	return 0;
}

size_t sockeye__tftp_map_count(const struct sockeye__tftp_map *map)
{
	return map != NULL ? map->count : 0;
}

void sockeye__tftp_map_free(struct sockeye__tftp_map *map)
{
	if (map == NULL)
		return;
	for (size_t i = 0; i < map->count; i++)
		pcre2_code_free(map->rules[i].code);
	pcre2_match_data_free(map->match);
	pcre2_match_context_free(map->limits);
	free(map->rules);
	free(map->text);
	free(map);
}

static int kind_parse(const char *text, size_t len, void **out, struct sockeye__rules_error *error)
{
	struct sockeye__tftp_map *map;
	int err = sockeye__tftp_map_parse(text, len, &map, error);

	if (err == 0)
		*out = map;
	return err;
}

static void kind_free(void *map)
{
	sockeye__tftp_map_free(map);
}

const struct sockeye__rules_kind sockeye__tftp_map_kind = {kind_parse, kind_free};
