/* cli.c: parses command lines (cli.h). */
#include "cli/cli.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/error.h>
#include <sockeye/text.h>
#include <sockeye/time.h>

#include "cli/internal.h"
#include "cli/report.h"
#include "cli/suggest.h"

#define LONG_BASE 256 /* values of long options for getopt_long, above every letter */
#define OPERAND   1   /* getopt_long returns it for an operand, with "-" in its string */

static const char *const color_words[] = {"auto", "always", "never", NULL};

static const struct cli_option common_options[] = {
    {.help = "Common:"},
    {"json", 0, NULL, CLI_FLAG, offsetof(struct cli_common, json),
     .help = "print one JSON document per line, for errors, too"},
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

static void table_add(struct cli_table *t, const struct cli_option *options)
{
	for (const struct cli_option *o = options; o && (o->name || o->help); o++) {
		if (!o->name)
			continue;
		if (t->count == CLI_OPTIONS_MAX)
			abort(); /* CLI_OPTIONS_MAX is too small */
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

const struct cli_option *cli_table_find(const struct cli_table *t, int val)
{
	if (val >= LONG_BASE)
		return t->rows[val - LONG_BASE];
	for (size_t i = 0; i < t->count; i++)
		if (t->rows[i]->letter == val && val != 0)
			return t->rows[i];
	return NULL;
}

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

static int append(struct cli_list *list, const char *text)
{
	if (list->count == CLI_LIST_MAX)
		return -E2BIG;
	list->v[list->count++] = text;
	return 0;
}

/* Parses a number, size or time into its field. */
static int store_quantity(const struct cli_option *o, const char *text, void *field)
{
	uint64_t v;
	int err = cli_quantity_parse(o, text, &v);

	if (err == 0 && (v < o->min || v > cli_limit(o)))
		err = -ERANGE;
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

/* Looks for --json, so that errors before it on the command line are JSON, too. */
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
		return cli_too_few(common, command, count);
	if (command->operands_max >= 0 && count > command->operands_max)
		return cli_too_many(common, command, count);
	return CLI_GO;
}

bool cli_is_present(const struct cli_common *common, const struct cli_option *option)
{
	for (size_t i = 0; i < common->present_count; i++)
		if (common->present[i] == option)
			return true;
	return false;
}

static void note_present(struct cli_common *common, const struct cli_option *option)
{
	if (!cli_is_present(common, option))
		common->present[common->present_count++] = option;
}

/* getopt_long accepts "--port 7" as --port-range, but users of other programs mean a
 * port. Returns the name as typed if it is such a short form of `o`, or NULL. */
static const char *false_friend(const struct cli_option *o, int val, char **argv)
{
	static const char *const names[] = {"port", "host", "listen"};
	const char *word = optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];

	for (size_t i = 0; val >= LONG_BASE && i < sizeof names / sizeof names[0]; i++) {
		size_t len = strlen(names[i]);

		if (strcspn(word + 2, "=") == len && strncmp(word + 2, names[i], len) == 0 &&
		    strcmp(names[i], o->name) != 0)
			return word + 2;
	}
	return NULL;
}

int cli_parse(const struct cli_command *command, int argc, char **argv, void *opts,
	      struct cli_operands *out_operands)
{
	struct cli_common *common = opts, ahead;
	struct cli_table t = {.command = command,
			      .shorts =
				  "-:"}; /* "-": see OPERAND; ":": tells a missing value apart */
	struct cli_operands found = {.v = argv + 1};
	const struct cli_option *tables[CLI_TABLES_MAX];
	int c, err;

	for (size_t i = 0, n = cli_tables(command, tables); i < n; i++)
		table_add(&t, tables[i]);
	ahead = json_ahead(common, argc, argv);
	opterr = 0;
	optind = 0; /* restarts getopt_long (GNU) */
	while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		const struct cli_option *o;
		const char *wrong;

		if (c == OPERAND) {
			found.v[found.count++] = optarg;
			continue;
		}
		o = c == '?' || c == ':' ? NULL : cli_table_find(&t, c);
		if (!o)
			return cli_bad_option(&t, &ahead, c, argv);
		wrong = false_friend(o, c, argv);
		if (wrong)
			return cli_unknown_long(&t, &ahead, wrong);
		err = store(o, optarg, opts);
		if (err < 0)
			return cli_bad_value(&t, &ahead, o, optarg, err);
		note_present(common, o);
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

int cli_ready_fd(const struct cli_common *common, const struct cli_command *command,
		 uint32_t number, int *out_fd)
{
	int fd = (int)number;

	*out_fd = -1;
	if (number == 0)
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

int cli_ready_write(int fd, const char *lines)
{
	size_t len = strlen(lines);
	ssize_t n;

	if (fd < 0)
		return 0;
	for (; len > 0; lines += n, len -= (size_t)n) {
		n = write(fd, lines, len);
		if (n < 0 && errno != EINTR)
			return -errno;
		n = n < 0 ? 0 : n;
	}
	return close(fd) < 0 ? -errno : 0;
}
