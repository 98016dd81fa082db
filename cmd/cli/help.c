/* help.c: prints --help from the option tables, and finds similar words. */
#include "cli/cli.h"
#include "cli/internal.h"

#include <string.h>

#define HELP_COLUMN 28
#define WIDTH       80
#define WORD_MAX    31

/* Prints the words of `text` starting at HELP_COLUMN, in lines of at most WIDTH columns. */
static void print_wrapped(const char *text, FILE *out)
{
	int column = HELP_COLUMN;

	while (*text) {
		int blank = (int)strspn(text, " "), word = (int)strcspn(text + blank, " \n");

		if (text[0] == '\n' || column + blank + word > WIDTH) {
			fprintf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
			text += text[0] == '\n' ? 1 : blank;
			continue;
		}
		fprintf(out, "%.*s", blank + word, text);
		column += blank + word;
		text += blank + word;
	}
	fputc('\n', out);
}

/* Prints an option. Adds the range to the help of a number, size or time. */
static void print_option(const struct cli_option *o, FILE *out)
{
	char left[80], range[64], text[512];
	int n;

	n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
		      : snprintf(left, sizeof left, "      --%s", o->name);
	if (o->value)
		n += snprintf(left + n, sizeof left - (size_t)n, " %s", o->value);
	fprintf(out, "%-*s", HELP_COLUMN, left);
	if (n >= HELP_COLUMN)
		fprintf(out, "\n%*s", HELP_COLUMN, "");
	if ((o->kind == CLI_UINT || o->kind == CLI_SIZE || o->kind == CLI_TIME) && o->max) {
		cli_range_text(o, "-", range, sizeof range);
		snprintf(text, sizeof text, "%s [%s]", o->help, range);
		print_wrapped(text, out);
	} else {
		print_wrapped(o->help, out);
	}
}

static void print_options(const struct cli_option *options, FILE *out)
{
	for (const struct cli_option *o = options; o && (o->name || o->help); o++) {
		if (o->name)
			print_option(o, out);
		else
			fprintf(out, "\n%s\n", o->help);
	}
}

void cli_help(const struct cli_command *command, FILE *out)
{
	const struct cli_option *tables[CLI_TABLES_MAX];

	fprintf(out, "usage: sockeye %s [OPTION]... %s\n%s\n", command->name, command->operands,
		command->summary);
	for (size_t i = 0, n = cli_tables(command, tables); i < n; i++)
		print_options(tables[i], out);
	if (command->about)
		fprintf(out, "\n%s\n", command->about);
	fprintf(out, "\nAddresses: sockeye-address(7). More: sockeye-%s(1).\n", command->name);
}

static bool is_swap(const char *a, const char *b)
{
	return a[0] == b[1] && a[1] == b[0];
}

/* Returns the Levenshtein distance of two words of at most WORD_MAX bytes. Exchanging two
 * neighboring letters counts as one change. */
static size_t distance(const char *a, const char *b)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1], la = strlen(a), lb = strlen(b);

	for (size_t i = 0; i <= la; i++)
		for (size_t j = 0; j <= lb; j++) {
			size_t best = i + j; /* for the first row and column */

			if (i > 0 && j > 0)
				best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (i > 0 && d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (j > 0 && d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && is_swap(a + i - 2, b + j - 2) &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	return d[la][lb];
}

const char *cli_nearest(const char *word, const char *const *names, size_t count)
{
	size_t limit = strlen(word) / 3, best;
	const char *near = NULL;

	if (strlen(word) > WORD_MAX)
		return NULL;
	best = (limit > 2 ? 2 : limit) + 1;
	for (size_t i = 0; i < count; i++) {
		size_t d = strlen(names[i]) > WORD_MAX ? best : distance(word, names[i]);

		if (d < best) {
			best = d;
			near = names[i];
		}
	}
	return near;
}
