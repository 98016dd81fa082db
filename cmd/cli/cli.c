/* cli.c: reading a command line by its table. */
#include "cli/cli.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/error.h>
#include <sockeye/text.h>

#include "cli/report.h"

#define LONG_BASE 256 /* getopt values of options: above every letter */
#define OPERAND   1   /* what getopt returns for an operand under "-" */

static const char *const color_words[] = {"auto", "always", "never", NULL};

static const struct cli_option common_options[] = {
    {.help = "Common:"},
    {"json", 0, NULL, CLI_FLAG, offsetof(struct cli_common, json),
     .help = "one JSON document a line on standard output, errors included"},
    {"color", 0, "WHEN", CLI_CHOICE, offsetof(struct cli_common, color), .choices = color_words,
     .help = "auto, always or never (auto minds NO_COLOR)"},
    {"verbose", 'v', NULL, CLI_COUNT, offsetof(struct cli_common, verbose),
     .help = "say more on standard error"},
    {"quiet", 'q', NULL, CLI_FLAG, offsetof(struct cli_common, quiet),
     .help = "say nothing but errors"},
    {"help", 'h', NULL, CLI_FLAG, offsetof(struct cli_common, help), .help = "this text"},
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

/* The rows of all tables, and getopt's view of them. */
struct table {
	const struct cli_command *command;
	const struct cli_option *rows[CLI_OPTIONS_MAX];
	size_t count;
	struct option longs[CLI_OPTIONS_MAX + 1];
	char shorts[2 * CLI_OPTIONS_MAX + 3];
};

static void table_add_letter(struct table *t, const struct cli_option *o)
{
	size_t len = strlen(t->shorts);

	t->shorts[len++] = o->letter;
	if (o->value)
		t->shorts[len++] = ':';
	t->shorts[len] = '\0';
}

static void table_add(struct table *t, const struct cli_option *options)
{
	for (const struct cli_option *o = options; o && (o->name || o->help); o++) {
		if (!o->name)
			continue;
		if (t->count == CLI_OPTIONS_MAX)
			abort(); /* our own table is too long */
		t->longs[t->count] = (struct option){
		    .name = o->name,
		    .has_arg = o->value ? required_argument : no_argument,
		    .val = LONG_BASE + (int)t->count,
		};
		t->rows[t->count++] = o;
		if (o->letter)
			table_add_letter(t, o);
	}
}

static const struct cli_option *table_find(const struct table *t, int val)
{
	if (val >= LONG_BASE)
		return t->rows[val - LONG_BASE];
	for (size_t i = 0; i < t->count; i++)
		if (t->rows[i]->letter == val && val != 0)
			return t->rows[i];
	return NULL;
}

int cli_usage(const struct cli_common *common, const struct cli_command *command, const char *fmt,
	      ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return report_usage(common, command ? command->name : NULL, text);
}

int cli_usage_value(const struct cli_common *common, const struct cli_command *command,
		    const char *option, const char *wanted, const char *value)
{
	char shown[96];

	sockeye_escape(value, strlen(value), shown, sizeof(shown));
	return cli_usage(common, command, "--%s takes %s, not '%s'", option, wanted, shown);
}

static int number(const char *text, uint64_t *out)
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

static int choice(const struct cli_option *o, const char *text, unsigned *out)
{
	for (unsigned i = 0; o->choices[i]; i++) {
		if (strcmp(o->choices[i], text) == 0) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

static uint64_t limit(const struct cli_option *o)
{
	if (o->max)
		return o->max;
	return o->kind == CLI_UINT ? UINT32_MAX : UINT64_MAX;
}

static int in_range(const struct cli_option *o, uint64_t v)
{
	return v < o->min || v > limit(o) ? -ERANGE : 0;
}

static int append(struct cli_list *list, const char *text)
{
	if (list->count == CLI_LIST_MAX)
		return -E2BIG;
	list->v[list->count++] = text;
	return 0;
}

/* Reads a number, size or time into its field. */
static int store_quantity(const struct cli_option *o, const char *text, void *field)
{
	uint64_t v;
	int err;

	if (o->kind == CLI_UINT)
		err = number(text, &v);
	else if (o->kind == CLI_SIZE)
		err = sockeye_size_parse(text, &v);
	else
		err = sockeye_duration_parse(text, &v);
	if (err == 0)
		err = in_range(o, v);
	if (err < 0)
		return err;
	if (o->kind == CLI_UINT)
		*(uint32_t *)field = (uint32_t)v;
	else
		*(uint64_t *)field = v;
	return 0;
}

static int store(const struct cli_option *o, const char *text, void *opts)
{
	void *field = (char *)opts + o->offset;

	switch (o->kind) {
	case CLI_FLAG:
		*(bool *)field = true;
		return 0;
	case CLI_COUNT:
		++*(unsigned *)field;
		return 0;
	case CLI_TEXT:
		if (o->max > 0 && strlen(text) > o->max)
			return -ERANGE;
		*(const char **)field = text;
		return 0;
	case CLI_LIST:
		return append(field, text);
	case CLI_CHOICE:
		return choice(o, text, field);
	case CLI_UINT:
	case CLI_SIZE:
	case CLI_TIME:
		break;
	}
	return store_quantity(o, text, field);
}

static const char *const what_is_wanted[] = {
    [CLI_UINT] = "a whole number",
    [CLI_SIZE] = "a size such as 512, 64k or 1Mi",
    [CLI_TIME] = "a time such as 500ms, 2s or 1.5",
};

/* "lo to hi", in the unit of the option. */
static void range_text(const struct cli_option *o, char *buf, size_t cap)
{
	double unit = o->kind == CLI_TIME ? 1e9 : 1;
	const char *s = o->kind == CLI_TIME ? " s" : "";

	if (limit(o) < UINT64_MAX)
		snprintf(buf, cap, "%.10g to %.10g%s", (double)o->min / unit,
			 (double)limit(o) / unit, s);
	else
		snprintf(buf, cap, "at least %.10g%s", (double)o->min / unit, s);
}

static int complain(const struct table *t, const struct cli_common *common,
		    const struct cli_option *o, const char *text, int err)
{
	char wanted[160];
	size_t len = 0;

	if (err == -E2BIG) {
		snprintf(wanted, sizeof(wanted), "at most %d times", CLI_LIST_MAX);
	} else if (o->kind == CLI_CHOICE) {
		for (unsigned i = 0; o->choices[i] && len < sizeof(wanted); i++)
			len += (size_t)snprintf(wanted + len, sizeof(wanted) - len, "%s%s",
						i ? ", " : "one of ", o->choices[i]);
	} else if (o->kind == CLI_TEXT) {
		snprintf(wanted, sizeof(wanted), "at most %ju bytes", (uintmax_t)o->max);
	} else if (err == -ERANGE) {
		range_text(o, wanted, sizeof(wanted));
	} else {
		snprintf(wanted, sizeof(wanted), "%s", what_is_wanted[o->kind]);
	}
	return cli_usage_value(common, t->command, o->name, wanted, text);
}

static int unknown_long(const struct table *t, const struct cli_common *common, const char *word)
{
	const char *names[CLI_OPTIONS_MAX], *near;
	char name[64];
	size_t len = strcspn(word, "="), alike = 0;

	if (len >= sizeof(name))
		len = sizeof(name) - 1;
	sockeye_escape(word, len, name, sizeof(name));
	for (size_t i = 0; i < t->count; i++) {
		names[i] = t->rows[i]->name;
		alike += strncmp(names[i], name, strlen(name)) == 0;
	}
	if (alike > 1)
		return cli_usage(common, t->command, "option --%s is ambiguous", name);
	near = cli_nearest(name, names, t->count);
	if (near)
		return cli_usage(common, t->command, "unknown option --%s, did you mean --%s?",
				 name, near);
	return cli_usage(common, t->command, "unknown option --%s", name);
}

/* Says what getopt did not like about the word before optind. */
static int bad_option(const struct table *t, const struct cli_common *common, int code, char **argv)
{
	const struct cli_option *o = table_find(t, optopt);
	char letter[8];

	if (o && code == ':')
		return cli_usage(common, t->command, "--%s needs %s", o->name, o->value);
	if (o)
		return cli_usage(common, t->command, "--%s takes no value", o->name);
	if (optopt == 0)
		return unknown_long(t, common, argv[optind - 1] + 2);
	sockeye_escape(&(char){(char)optopt}, 1, letter, sizeof(letter));
	return cli_usage(common, t->command, "unknown option -%s", letter);
}

/* --json counts for complaints about what stands before it, too. */
static struct cli_common json_ahead(const struct cli_common *common, int argc, char **argv)
{
	struct cli_common ahead = *common;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		ahead.json |= strcmp(argv[i], "--json") == 0;
	return ahead;
}

static int check_operands(const struct cli_common *common, const struct cli_command *command,
			  int count)
{
	if (count < command->operands_min)
		return cli_usage(common, command, "%s is missing", command->operands);
	if (command->operands_max >= 0 && count > command->operands_max)
		return cli_usage(common, command, "too many operands (%d, at most %d)", count,
				 command->operands_max);
	return CLI_GO;
}

bool cli_is_given(const struct cli_common *common, const struct cli_option *option)
{
	for (size_t i = 0; i < common->given_count; i++)
		if (common->given[i] == option)
			return true;
	return false;
}

static void note_given(struct cli_common *common, const struct cli_option *option)
{
	if (!cli_is_given(common, option))
		common->given[common->given_count++] = option;
}

int cli_parse(const struct cli_command *command, int argc, char **argv, void *opts,
	      struct cli_operands *out_operands)
{
	struct cli_common *common = opts, ahead;
	struct table t = {.command = command, .shorts = "-:"}; /* operands in order; ':' */
	struct cli_operands found = {.v = argv + 1};
	const struct cli_option *tables[CLI_TABLES_MAX];
	int c, err;

	for (size_t i = 0, n = cli_tables(command, tables); i < n; i++)
		table_add(&t, tables[i]);
	ahead = json_ahead(common, argc, argv);
	opterr = 0;
	optind = 0; /* glibc: start afresh */
	while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		const struct cli_option *o;

		if (c == OPERAND) {
			found.v[found.count++] = optarg;
			continue;
		}
		o = c == '?' || c == ':' ? NULL : table_find(&t, c);
		if (!o)
			return bad_option(&t, &ahead, c, argv);
		err = store(o, optarg, opts);
		if (err < 0)
			return complain(&t, &ahead, o, optarg, err);
		note_given(common, o);
		if (common->help) {
			cli_help(command, stdout);
			return SOCKEYE_EXIT_DONE;
		}
	}
	while (optind < argc)
		found.v[found.count++] = argv[optind++];
	*out_operands = found;
	return check_operands(common, command, found.count);
}

int cli_ready_fd(const struct cli_common *common, const struct cli_command *command, uint32_t given,
		 int *out_fd)
{
	int fd = (int)given;

	*out_fd = -1;
	if (given == 0)
		return CLI_GO;
	if (fcntl(fd, F_GETFD) < 0)
		return cli_usage(common, command, "--ready-fd: descriptor %d is not open", fd);
	if (fd <= STDERR_FILENO)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd < 0)
		return report_error(common, "dup", "--ready-fd", -errno, NULL);
	*out_fd = fd;
	return CLI_GO;
}
