/* table.c: the tables of options: their rows, limits and values (internal.h). */
#include "cli/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/text.h>
#include <sockeye/time.h>

static const char *const color_words[] = {"auto", "always", "never", NULL};

static const struct cli_option common_options[] = {
    {.help = "Common:"},
    {"json", 0, NULL, CLI_FLAG, offsetof(struct cli_common, json),
     .help = "print one JSON document per line, including errors"},
    {"color", 0, "WHEN", CLI_CHOICE, offsetof(struct cli_common, color), .choices = color_words,
     .help = "use colors: auto (default; honors NO_COLOR), always or never"},
    {"verbose", 'v', NULL, CLI_COUNT, offsetof(struct cli_common, verbose),
     .help = "print more messages"},
    {"quiet", 'q', NULL, CLI_FLAG, offsetof(struct cli_common, quiet), .help = "print only errors"},
    {"help", 'h', NULL, CLI_FLAG, offsetof(struct cli_common, help), .help = "print this help"},
    {NULL},
};

size_t cli_tables(const struct cli_command *command, const struct cli_option *out[CLI_TABLES_MAX])
{
	const struct cli_option *table;
	size_t n = 0;

	out[n++] = command->options;
	if (command->more_options != NULL)
		out[n++] = command->more_options;
	for (size_t i = 0; command->table != NULL && (table = command->table(i)) != NULL; i++) {
		assert(n + 1 < CLI_TABLES_MAX);
		out[n++] = table;
	}
	out[n++] = common_options;
	return n;
}

static void table_add_letter(struct cli_table *t, const struct cli_option *o)
{
	size_t len = strlen(t->shorts);

	t->shorts[len++] = o->letter;
	if (o->value)
		t->shorts[len++] = ':';
	t->shorts[len] = '\0';
}

void cli_table_add(struct cli_table *t, const struct cli_option *options)
{
	for (const struct cli_option *o = options; o && (o->name || o->help); o++) {
		if (!o->name)
			continue;
		if (t->count == CLI_OPTIONS_MAX)
			abort(); /* CLI_OPTIONS_MAX is too small */
		t->longs[t->count] = (struct option){
		    .name = o->name,
		    .has_arg = o->value ? required_argument : no_argument,
		    .val = CLI_LONG_BASE + (int)t->count,
		};
		t->rows[t->count++] = o;
		if (o->letter)
			table_add_letter(t, o);
	}
}

const struct cli_option *cli_table_find(const struct cli_table *t, int val)
{
	if (val >= CLI_LONG_BASE)
		return t->rows[val - CLI_LONG_BASE];
	for (size_t i = 0; i < t->count; i++)
		if (t->rows[i]->letter == val && val != 0)
			return t->rows[i];
	return NULL;
}

static int uint_parse(const char *text, uint64_t *out)
{
	char *end;
	unsigned long long v;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno)
		return -ERANGE;
	*out = v;
	return 0;
}

uint64_t cli_limit(const struct cli_option *o)
{
	if (o->max)
		return o->max;
	return o->kind == CLI_UINT ? UINT32_MAX : UINT64_MAX;
}

void cli_range_text(const struct cli_option *o, const char *separator, char *buf, size_t cap)
{
	double unit = o->kind == CLI_TIME ? (double)SOCKEYE_NS_PER_S : 1;
	const char *s = o->kind == CLI_TIME ? " s" : "";

	if (cli_limit(o) < UINT64_MAX)
		snprintf(buf, cap, "%.10g%s%.10g%s", (double)o->min / unit, separator,
			 (double)cli_limit(o) / unit, s);
	else
		snprintf(buf, cap, "at least %.10g%s", (double)o->min / unit, s);
}

int cli_quantity_parse(const struct cli_option *o, const char *text, uint64_t *out)
{
	switch (o->kind) {
	case CLI_UINT:
		return uint_parse(text, out);
	case CLI_SIZE:
		return sockeye_size_parse(text, out);
	default:
		return sockeye_duration_parse(text, out);
	}
}
