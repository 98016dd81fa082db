/*
 * cli.h: command lines from tables. The one table of a subcommand drives its
 * parsing, its --help and its shell completion, so that they cannot disagree.
 *
 *     struct opts {
 *             struct cli_common common; // first: every subcommand has these
 *             bool hex;
 *             uint32_t count;
 *     };
 *     static const struct cli_option options[] = {
 *             { "hex", 'x', NULL, CLI_FLAG, offsetof(struct opts, hex), .help = "show ..." },
 *             { "count", 'n', "N", CLI_UINT, offsetof(struct opts, count), .min = 1,
 *               .help = "leave after N messages" },
 *             { NULL },
 *     };
 *     const struct cli_command ping_command = { "ping", "measure ...", .operands = "ADDRESS",
 *             .operands_min = 1, .operands_max = 1, .options = options, .run = cmd_ping };
 *
 *     static int cmd_ping(int argc, char **argv)
 *     {
 *             struct opts o = { .count = 3 };
 *             struct cli_operands operands;
 *             int code = cli_parse(&ping_command, argc, argv, &o, &operands);
 *
 *             if (code != CLI_GO)
 *                     return code;
 */
#ifndef SOCKEYE_CMD_CLI_CLI_H
#define SOCKEYE_CMD_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct suggestion; /* cli/suggest.h */

enum cli_kind {
	CLI_FLAG,   /* bool, set to true */
	CLI_COUNT,  /* unsigned, one more each time: -vv */
	CLI_UINT,   /* uint32_t in min..max */
	CLI_SIZE,   /* uint64_t bytes in min..max: 64k, 1Ki */
	CLI_TIME,   /* uint64_t nanoseconds in min..max: 500ms, 2s, 1.5 */
	CLI_TEXT,   /* const char * */
	CLI_LIST,   /* struct cli_list: may be given several times */
	CLI_CHOICE, /* unsigned, index of the word in choices */
};

#define CLI_LIST_MAX 64

struct cli_list {
	size_t count;
	const char *v[CLI_LIST_MAX];
};

/* A row with a NULL name and a help text is a heading; one with neither ends
 * the table. What is not given on the command line is left as it was. */
struct cli_option {
	const char *name;  /* long, without "--" */
	char letter;       /* short, 0 none */
	const char *value; /* what --help calls the value: "N", "TIME"; NULL for flags */
	enum cli_kind kind;
	size_t offset;              /* of the field in the subcommand's struct */
	const char *help;           /* a phrase; --help wraps it */
	uint64_t min, max;          /* CLI_UINT, CLI_SIZE, CLI_TIME; CLI_TEXT: max bytes.
				     * max 0: no limit */
	const char *const *choices; /* CLI_CHOICE, ended by NULL */
};

enum cli_color { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER };

#define CLI_OPTIONS_MAX 128 /* of one subcommand, the common ones included */

/* Must be the first member of every subcommand's struct. */
struct cli_common {
	bool json;
	bool quiet;
	bool help;
	unsigned verbose;
	unsigned color; /* enum cli_color */
	/* The rows of the options that the command line has, each once. */
	const struct cli_option *given[CLI_OPTIONS_MAX];
	size_t given_count;
};

struct cli_command {
	const char *name;
	const char *summary;            /* one line */
	const char *operands;           /* for the usage line: "ADDRESS", "[SERVICE ADDRESS]..." */
	int operands_min, operands_max; /* max < 0: any number */
	const struct cli_option *options;
	const struct cli_option *more_options; /* shared with another subcommand; may be NULL */
	/* Table i of those that are put together at run time, NULL after the last. May
	 * be NULL. */
	const struct cli_option *(*table)(size_t i);
	int (*run)(int argc, char **argv); /* argv[0] is the subcommand; returns the exit code */
	const char *about;                 /* more for --help, after the options; may be NULL */
	const char *example;               /* operands to propose when there are none */
	bool takes_files;                  /* an operand can be the name of a file */

	/* Word i that an operand can be or, with a colon or slash at its end, begin with;
	 * NULL after the last. For completion; may be NULL. */
	const char *(*operand)(size_t i);

	/* Fills in and returns the command line that the user of another program (nc,
	 * socat) meant, or NULL when this is not one. May be NULL. */
	const char *(*guess)(struct suggestion *s);
};

struct cli_operands {
	int count;
	char **v; /* inside argv */
};

#define CLI_GO (-1)

/* Reads argv[1..] into *opts. Options may stand behind operands; "--" ends
 * them. Returns CLI_GO, or the exit code to leave with: 0 after --help, 2 after
 * a line that says what is wrong. */
int cli_parse(const struct cli_command *command, int argc, char **argv, void *opts,
	      struct cli_operands *out_operands);

/* Whether the command line has the option of this row. */
bool cli_is_given(const struct cli_common *common, const struct cli_option *option);

/* Says what is wrong with the command line (one line, with a pointer to
 * --help) and returns 2. */
int cli_usage(const struct cli_common *common, const struct cli_command *command, const char *fmt,
	      ...) __attribute__((format(printf, 3, 4)));

/* The same with a command line to type instead (may be NULL) in place of --help. */
int cli_usage_try(const struct cli_common *common, const struct cli_command *command,
		  const char *try, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* The same about the value of an option, which need not be fit to be seen. */
int cli_usage_value(const struct cli_common *common, const struct cli_command *command,
		    const char *option, const char *wanted, const char *value);

/* A word of the command line, escaped so that it can be shown. */
struct cli_shown {
	char text[96];
};
struct cli_shown cli_shown(const char *word);

/* Makes --ready-fd's descriptor (0: not given) one to write to and close. To be
 * called before anything is opened that could get its number; the standard
 * streams stay open, so those are duplicated. *out_fd is -1 without one. CLI_GO
 * or the exit code. */
int cli_ready_fd(const struct cli_common *common, const struct cli_command *command, uint32_t given,
		 int *out_fd);

/* Below: for main.c and the other cli files. */

#define CLI_TABLES_MAX 16

/* The tables of a subcommand in the order of --help, the common one last.
 * Returns how many there are. */
size_t cli_tables(const struct cli_command *command, const struct cli_option *out[CLI_TABLES_MAX]);

void cli_help(const struct cli_command *command, FILE *out);
/* The shells that cli_completion() writes a script for, ended by NULL, and the same
 * for --help. */
extern const char *const cli_shells[];
#define CLI_SHELLS "bash|zsh|fish"

/* What may stand in place of a subcommand, ended by NULL: "help", "--version" ... */
extern const char *const cli_top_options[];

/* Writes the completion script of a shell on standard output; -1 when it knows none. */
int cli_completion(const char *shell, const struct cli_command *const *commands);

/* The name nearest to `word` (edit distance at most a third of its length and
 * 2), or NULL. */
const char *cli_nearest(const char *word, const char *const *names, size_t count);

#endif
