/* complain.c: reports a wrong command line, and proposes a valid one. */
#include "cli/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/text.h>
#include <sockeye/time.h>

#include "cli/report.h"
#include "cli/suggest.h"

#define WORD_SHOWN 96

int cli_usage_try(const struct cli_common *common, const struct cli_command *command,
		  const char *try, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	return report_usage(common, command ? command->name : NULL, text, try);
}

int cli_usage_value(const struct cli_common *common, const struct cli_command *command,
		    const char *option, const char *wanted, const char *value)
{
	char shown[96];

	sockeye_escape(value, strlen(value), shown, sizeof shown);
	return cli_usage(common, command, "--%s takes %s, not '%s'", option, wanted, shown);
}

struct cli_shown cli_shown(const char *word)
{
	struct cli_shown s;

	sockeye_escape(word, strlen(word), s.text, sizeof s.text);
	return s;
}

static const char *shown(const char *word, size_t len, char buf[WORD_SHOWN])
{
	sockeye_escape(word, len, buf, WORD_SHOWN);
	return buf;
}

static const struct cli_alias *alias_find(const struct cli_alias *aliases, const char *word)
{
	for (const struct cli_alias *a = aliases; a->foreign; a++) {
		size_t len = strlen(a->foreign);

		/* "-B512", "--blocksize=512" */
		if (strncmp(word, a->foreign, len) == 0 &&
		    (!word[len] || (a->own && (len == 2 || word[len] == '='))))
			return a;
	}
	return NULL;
}

static void alias_value_add(struct suggestion *s, const struct cli_alias *alias, const char *value)
{
	char text[64], *colon;

	snprintf(text, sizeof text, "%s%s", value, alias->value == CLI_ALIAS_US ? "us" : "");
	colon = strchr(text, ':');
	if (colon && alias->value == CLI_ALIAS_RANGE)
		*colon = '-';
	suggest_word(s, text);
}

/* Returns the command line with options of other programs replaced, or NULL if it has none. */
static const char *aliases_replaced(const struct cli_command *command, struct suggestion *s)
{
	bool found = false, operand = !command->alias_operand;
	char *const *argv;
	int argc;

	argv = suggest_argv(&argc);
	for (int i = 1; command->aliases && i < argc; i++) {
		const struct cli_alias *a = i > 1 ? alias_find(command->aliases, argv[i]) : NULL;
		const char *value = a ? argv[i] + strlen(a->foreign) : NULL;

		operand |= command->alias_operand && strcmp(argv[i], command->alias_operand) == 0;
		found |= a != NULL;
		if (!a)
			suggest_word(s, argv[i]);
		if (!a || !a->own)
			continue;
		if (!*value && i + 1 == argc)
			return NULL;
		suggest_word(s, a->own);
		alias_value_add(s, a, !*value ? argv[++i] : value + (*value == '='));
	}
	return found && operand ? suggest_text(s) : NULL;
}

/* Translates the command line if it belongs to another program. */
static const char *translated(const struct cli_command *command, struct suggestion *s)
{
	const char *text;

	*s = (struct suggestion){0};
	text = command->translate ? command->translate(s) : NULL;
	if (text || s->why)
		return text;
	*s = (struct suggestion){0};
	text = aliases_replaced(command, s);
	if (!text)
		*s = (struct suggestion){0};
	return text;
}

/* Writes the translation's remark about an option, " (reason)", or "". Returns buf. */
static const char *reason(const struct suggestion *s, char letter, char buf[SUGGEST_REMARK_MAX])
{
	suggest_remark(s, buf);
	if (!buf[0] && letter && strchr(s->letters, letter))
		snprintf(buf, SUGGEST_REMARK_MAX, " (nc's -%c has another meaning)", letter);
	return buf;
}

/* --- values --- */

/* Units as other programs spell them. */
struct unit {
	const char *from, *to;
};

static const struct unit time_units[] = {
    {"S", "s"},       {"sec", "s"},           {"secs", "s"},   {"second", "s"},
    {"seconds", "s"}, {"ms.", "ms"},          {"msec", "ms"},  {"msecs", "ms"},
    {"millis", "ms"}, {"milliseconds", "ms"}, {"usec", "us"},  {"microseconds", "us"},
    {"min", "m"},     {"mins", "m"},          {"minute", "m"}, {"minutes", "m"},
    {"hr", "h"},      {"hrs", "h"},           {"hour", "h"},   {"hours", "h"},
};

static const struct unit size_units[] = {
    {"K", "k"},    {"kb", "k"},  {"KB", "k"},   {"ki", "Ki"},  {"kib", "Ki"}, {"m", "M"},
    {"mb", "M"},   {"mi", "Mi"}, {"mib", "Mi"}, {"g", "G"},    {"gb", "G"},   {"gi", "Gi"},
    {"gib", "Gi"}, {"b", ""},    {"byte", ""},  {"bytes", ""},
};

static const char *unit_corrected(enum cli_kind kind, const char *unit)
{
	const struct unit *units = kind == CLI_TIME ? time_units : size_units;
	size_t count = kind == CLI_TIME ? sizeof time_units / sizeof time_units[0]
					: sizeof size_units / sizeof size_units[0];

	for (size_t i = 0; i < count; i++)
		if (strcmp(units[i].from, unit) == 0)
			return units[i].to;
	return kind == CLI_UINT ? "" : unit;
}

/* Writes a valid value that is similar to `text`: "10s" for "10 sec", and the nearest
 * valid value for one that is out of range. Returns NULL if there is none. */
static const char *quantity_corrected(const struct cli_option *o, const char *text, int err,
				      char *buf, size_t cap)
{
	size_t digits = strspn(text, "0123456789."), blanks = strspn(text + digits, " ");
	uint64_t v;

	if (err == -ERANGE) {
		v = cli_quantity_parse(o, text, &v) == 0 && v < o->min ? o->min : cli_limit(o);
		if (o->kind == CLI_TIME)
			snprintf(buf, cap, "%.10gs", (double)v / (double)SOCKEYE_NS_PER_S);
		else
			snprintf(buf, cap, "%" PRIu64, v);
	} else if (digits > 0) {
		snprintf(buf, cap, "%.*s%s", (int)digits, text,
			 unit_corrected(o->kind, text + digits + blanks));
	} else {
		return NULL;
	}
	/* If the option sets no limit for a time or size, the text is not a valid value. */
	return cli_quantity_parse(o, buf, &v) == 0 && v >= o->min && v <= cli_limit(o) ? buf : NULL;
}

static const char *value_corrected(const struct cli_option *o, const char *text, int err, char *buf,
				   size_t cap)
{
	size_t count = 0;
	const char *near;

	switch (o->kind) {
	case CLI_UINT:
	case CLI_SIZE:
	case CLI_TIME:
		return quantity_corrected(o, text, err, buf, cap);
	case CLI_CHOICE:
		while (o->choices[count])
			count++;
		near = cli_nearest(text, o->choices, count);
		return near ? near : o->choices[0];
	default:
		return NULL;
	}
}

static void wanted_text(const struct cli_option *o, int err, char *buf, size_t cap)
{
	static const char *const words[] = {
	    [CLI_UINT] = "a whole number",
	    [CLI_SIZE] = "a size such as 512, 64k or 1Mi",
	    [CLI_TIME] = "a time such as 500ms, 2s or 1.5",
	};
	size_t len = 0;

	if (o->kind == CLI_TEXT) {
		snprintf(buf, cap, "at most %" PRIu64 " bytes", o->max);
	} else if (o->kind == CLI_CHOICE) {
		for (unsigned i = 0; o->choices[i] && len < cap; i++)
			len += (size_t)snprintf(buf + len, cap - len, "%s%s", i ? ", " : "one of ",
						o->choices[i]);
	} else if (err == -ERANGE) {
		cli_range_text(o, " to ", buf, cap);
	} else {
		snprintf(buf, cap, "%s", words[o->kind]);
	}
}

int cli_bad_value(const struct cli_table *t, const struct cli_common *common,
		  const struct cli_option *o, const char *text, int err)
{
	char wanted[160], corrected[WORD_SHOWN], value[WORD_SHOWN], why[SUGGEST_REMARK_MAX];
	const char *try, *instead;
	struct suggestion s;

	if (err == -E2BIG)
		return cli_usage(common, t->command, "--%s can be given at most %d times", o->name,
				 CLI_LIST_MAX);
	wanted_text(o, err, wanted, sizeof wanted);
	try = translated(t->command, &s);
	instead = try ? NULL : value_corrected(o, text, err, corrected, sizeof corrected);
	if (instead)
		try = suggest_replace(&s, text, instead);
	return cli_usage_try(common, t->command, try, "--%s takes %s, not '%s'%s", o->name, wanted,
			     shown(text, strlen(text), value), reason(&s, o->letter, why));
}

/* --- options --- */

/* Returns a valid value for an example, or NULL. */
static const char *value_example(const struct cli_option *o, char *buf, size_t cap)
{
	switch (o->kind) {
	case CLI_UINT:
		snprintf(buf, cap, "%" PRIu64, o->min > 3 ? o->min : cli_limit(o) < 3 ? 1 : 3);
		return buf;
	case CLI_SIZE:
		return "64k";
	case CLI_TIME:
		return "2s";
	case CLI_CHOICE:
		return o->choices[0];
	default:
		return NULL;
	}
}

/* Returns the word that follows the word of the command line at `at`, or NULL. */
static const char *word_after(const char *at)
{
	char *const *argv;
	int argc;

	argv = suggest_argv(&argc);
	for (int i = 1; i + 1 < argc; i++)
		if (at >= argv[i] && at <= argv[i] + strlen(argv[i]))
			return argv[i + 1];
	return NULL;
}

/* Whether the option accepts that value. */
static bool takes(const struct cli_option *o, const char *value)
{
	uint64_t v;

	if (!o->value || !value)
		return !o->value && !value;
	if (o->kind == CLI_UINT || o->kind == CLI_SIZE || o->kind == CLI_TIME)
		return cli_quantity_parse(o, value, &v) == 0 && v >= o->min && v <= cli_limit(o);
	for (size_t i = 0; o->kind == CLI_CHOICE && o->choices[i]; i++)
		if (strcmp(o->choices[i], value) == 0)
			return true;
	return o->kind != CLI_CHOICE;
}

/* Lists the options that start with `name`. Returns the first one that accepts the value
 * on the command line, or NULL. */
static const char *ambiguous(const struct cli_table *t, const char *name, const char *word,
			     char *list, size_t cap)
{
	const char *value = word[strlen(name)] == '=' ? word + strlen(name) + 1 : NULL, *fit = NULL;
	size_t len = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct cli_option *o = t->rows[i];

		if (strncmp(o->name, name, strlen(name)) != 0)
			continue;
		if (len < cap)
			len += (size_t)snprintf(list + len, cap - len, "%s--%s", len ? ", " : "",
						o->name);
		if (!fit && takes(o, o->value && !value ? word_after(word) : value))
			fit = o->name;
	}
	return fit;
}

int cli_unknown_long(const struct cli_table *t, const struct cli_common *common, const char *word)
{
	const char *names[CLI_OPTIONS_MAX], *try, *near;
	size_t len = strcspn(word, "="), alike = 0;
	char name[WORD_SHOWN], list[160] = "", instead[WORD_SHOWN * 2], why[SUGGEST_REMARK_MAX];
	struct suggestion s;

	shown(word, len, name);
	for (size_t i = 0; i < t->count; i++) {
		names[i] = t->rows[i]->name;
		alike += strncmp(names[i], name, strlen(name)) == 0;
	}
	/* getopt_long accepts a prefix of exactly one name. */
	near = alike > 1 ? ambiguous(t, name, word, list, sizeof list)
			 : cli_nearest(name, names, t->count);
	try = translated(t->command, &s);
	reason(&s, '\0', why);
	if (!try && near) {
		snprintf(instead, sizeof instead, "%s%s", near, word + len);
		try = suggest_replace(&s, word, instead);
	}
	if (alike > 1)
		return cli_usage_try(common, t->command, try, "--%s is ambiguous: %s%s", name, list,
				     why);
	return cli_usage_try(common, t->command, try, "unknown option --%s%s", name, why);
}

/* Corrects a long option with one dash, as in -json. Returns NULL if no word is such an
 * option. */
static const char *one_dash(const struct cli_table *t, struct suggestion *s)
{
	char instead[WORD_SHOWN];
	char *const *argv;
	int argc;

	argv = suggest_argv(&argc);
	for (int i = 2; i < argc; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '-')
			continue;
		for (size_t k = 0; k < t->count; k++) {
			if (strcmp(argv[i] + 1, t->rows[k]->name) != 0)
				continue;
			snprintf(instead, sizeof instead, "--%s", t->rows[k]->name);
			return suggest_replace(s, argv[i], instead);
		}
	}
	return NULL;
}

static int unknown_letter(const struct cli_table *t, const struct cli_common *common, char letter)
{
	struct suggestion s;
	char text[WORD_SHOWN], why[SUGGEST_REMARK_MAX];
	const char *try = translated(t->command, &s);

	reason(&s, '\0', why);
	if (!try)
		try = one_dash(t, &s);
	shown(&letter, 1, text);
	return cli_usage_try(common, t->command, try, "unknown option -%s%s", text, why);
}

int cli_bad_option(const struct cli_table *t, const struct cli_common *common, int code,
		   char **argv)
{
	const struct cli_option *o = cli_table_find(t, optopt);
	char buf[32];
	struct suggestion s;
	const char *value, *try = NULL, *word = argv[optind - 1];

	if (o && code == ':') {
		value = value_example(o, buf, sizeof buf);
		if (value)
			try = suggest_append(&s, value, NULL);
		return cli_usage_try(common, t->command, try, "--%s needs %s", o->name, o->value);
	}
	if (o) {
		word += strcspn(word, "=");
		return cli_usage_try(common, t->command, suggest_replace(&s, word, ""),
				     "--%s takes no value", o->name);
	}
	if (optopt == 0)
		return cli_unknown_long(t, common, word + 2);
	return unknown_letter(t, common, (char)optopt);
}

/* --- operands --- */

int cli_too_few(const struct cli_common *common, const struct cli_command *command, int count)
{
	struct suggestion s;
	const char *try = translated(command, &s);

	if (!try && count == 0 && command->example) {
		suggest_edit(&s, NULL, 0);
		suggest_shell(&s, command->example);
		try = suggest_text(&s);
	}
	if (count == 0)
		return cli_usage_try(common, command, try, "no operand; %s takes %s", command->name,
				     command->operands);
	return cli_usage_try(common, command, try, "only %d operand%s; %s takes %s", count,
			     count == 1 ? "" : "s", command->name, command->operands);
}

int cli_too_many(const struct cli_common *common, const struct cli_command *command, int count)
{
	struct suggestion s;
	const char *try = translated(command, &s);
	char why[SUGGEST_REMARK_MAX];

	return cli_usage_try(common, command, try, "%d operands; %s takes %s%s", count,
			     command->name, command->operands, suggest_remark(&s, why));
}
