/* cli.c: parses command lines (cli.h). */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/error.h>

#include "cli/internal.h"
#include "cli/report.h"
#include "cli/suggest.h"

#define OPERAND 1 /* returned for an operand if the option string starts with '-' */

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

/* Looks ahead for --json, so that errors in earlier options are printed as JSON too. */
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

/* getopt_long accepts "--port 7" as an abbreviation of --port-range, but users of other
 * programs mean --port. Returns the name as typed if it is such an abbreviation of `o`, or
 * NULL. */
static const char *false_friend(const struct cli_option *o, int val, char **argv)
{
	static const char *const names[] = {"port", "host", "listen"};
	const char *word = optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];

	for (size_t i = 0; val >= CLI_LONG_BASE && i < sizeof names / sizeof names[0]; i++) {
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
	/* '-': return operands as OPERAND; ':': return ':' for a missing value */
	struct cli_table t = {.command = command, .shorts = "-:"};
	struct cli_operands found = {.v = argv + 1};
	const struct cli_option *tables[CLI_TABLES_MAX];
	int c, err;

	for (size_t i = 0, n = cli_tables(command, tables); i < n; i++)
		cli_table_add(&t, tables[i]);
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
		return cli_usage(common, command, "--ready-fd: file descriptor %d is not open", fd);
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
