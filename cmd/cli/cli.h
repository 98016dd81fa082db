/*
 * cli.h: parses command lines by option tables. --help and shell completion are made
 * from the same tables, so they always agree with the parser.
 *
 *     struct opts {
 *             struct cli_common common; // must come first
 *             bool hex;
 *             uint32_t count;
 *     };
 *     static const struct cli_option options[] = {
 *             { "hex", 'x', NULL, CLI_FLAG, offsetof(struct opts, hex), .help = "show ..." },
 *             { "count", 'n', "N", CLI_UINT, offsetof(struct opts, count), .min = 1,
 *               .help = "exit after N messages" },
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
	CLI_FLAG,   /* bool: set to true */
	CLI_COUNT,  /* unsigned: incremented each time, as in -vv */
	CLI_UINT,   /* uint32_t in min..max */
	CLI_SIZE,   /* uint64_t bytes in min..max: 64k, 1Ki */
	CLI_TIME,   /* uint64_t nanoseconds in min..max: 500ms, 2s, 1.5 */
	CLI_TEXT,   /* const char * */
	CLI_LIST,   /* struct cli_list: the option may be repeated */
	CLI_CHOICE, /* unsigned: index of the word in choices */
};

#define CLI_LIST_MAX 64

struct cli_list {
	size_t count;
	const char *v[CLI_LIST_MAX];
};

/* A row without a name is a heading in --help; a row without name and help ends the
 * table. The field of an option that is not on the command line is not changed. */
struct cli_option {
	const char *name;  /* long name, without "--" */
	char letter;       /* short name, or 0 */
	const char *value; /* the value in --help: "N", "TIME"; NULL for flags */
	enum cli_kind kind;
	size_t offset;              /* of the field in the subcommand's struct */
	const char *help;           /* --help wraps it */
	uint64_t min, max;          /* CLI_UINT, CLI_SIZE, CLI_TIME; CLI_TEXT: max bytes.
				     * A max of 0 means no limit. */
	const char *const *choices; /* CLI_CHOICE: terminated by NULL */
};

enum cli_color { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER };

#define CLI_OPTIONS_MAX 128 /* per subcommand, including the common options */

/* Must be the first member of every subcommand's struct. */
struct cli_common {
	bool json;
	bool quiet;
	bool help;
	unsigned verbose;
	unsigned color; /* enum cli_color */
	/* The table rows of the options on the command line, each once. */
	const struct cli_option *present[CLI_OPTIONS_MAX];
	size_t present_count;
};

/* An option of another program, such as "-B" or "--blocksize", and the option of sockeye
 * with the same value, or NULL if sockeye always does what it does. */
struct cli_alias {
	const char *foreign, *own;
	enum {
		CLI_ALIAS_SAME,
		CLI_ALIAS_RANGE, /* the value "A:B" becomes "A-B" */
		CLI_ALIAS_US,    /* the value is in microseconds */
	} value;
};

struct cli_command {
	const char *name;
	const char *summary;            /* one line for --help */
	const char *operands;           /* for the usage line: "ADDRESS", "[SERVICE ADDRESS]..." */
	int operands_min, operands_max; /* max < 0: no limit */
	const struct cli_option *options;
	const struct cli_option *more_options; /* shared with another subcommand; may be NULL */
	/* Returns the i-th table that is built at run time, or NULL after the last. May be
	 * NULL. */
	const struct cli_option *(*table)(size_t i);
	int (*run)(int argc, char **argv); /* argv[0] is the subcommand; returns the exit code */
	const char *about;                 /* printed after the options by --help; may be NULL */
	const char *example;               /* operands to propose if all are missing; may be NULL */
	bool takes_files;                  /* operands can be file names */

	/* For completion: returns the i-th word that an operand can be or, if the word
	 * ends in a colon or slash, can start with. Returns NULL after the last. May be
	 * NULL. */
	const char *(*operand)(size_t i);

	/* Translates a command line of another program (nc, socat) into *s and returns
	 * the text, or NULL if this is not such a line. May be NULL. */
	const char *(*translate)(struct suggestion *s);

	/* Options to propose in place of unknown ones, up to a NULL name; may be NULL. If
	 * `alias_operand` is set, only for command lines with that word. */
	const struct cli_alias *aliases;
	const char *alias_operand;
};

struct cli_operands {
	int count;
	char **v; /* points into argv */
};

#define CLI_GO (-1)

/* Parses argv[1..] into *opts. Options may follow operands; "--" ends the options.
 * Returns CLI_GO, or the exit code: 0 after --help, 2 after reporting an error. */
int cli_parse(const struct cli_command *command, int argc, char **argv, void *opts,
	      struct cli_operands *out_operands);

/* Whether the option of this table row is on the command line. */
bool cli_is_present(const struct cli_common *common, const struct cli_option *option);

/* Reports in one line what is wrong with the command line, refers to --help, and
 * returns 2. */
#define cli_usage(common, command, ...) cli_usage_try(common, command, NULL, __VA_ARGS__)

/* Like cli_usage(), but proposes the command line `try` instead of --help, unless `try` is
 * NULL. */
int cli_usage_try(const struct cli_common *common, const struct cli_command *command,
		  const char *try, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Reports that there are only `count` operands, and returns 2: for a command whose
 * operands_min is smaller because a service manager can pass the sockets. */
int cli_too_few(const struct cli_common *common, const struct cli_command *command, int count);

/* Reports "--option takes wanted, not 'value'" with the value escaped, and returns 2. */
int cli_usage_value(const struct cli_common *common, const struct cli_command *command,
		    const char *option, const char *wanted, const char *value);

/* A word of the command line, escaped for messages. */
struct cli_shown {
	char text[96];
};
struct cli_shown cli_shown(const char *word);

/* Checks the file descriptor of --ready-fd (0: no such option) and stores in *out_fd a
 * file descriptor to write to and close, or -1. A standard stream is duplicated, because
 * it has to stay open. Call this before opening other files, which could get the same
 * number. Returns CLI_GO or the exit code. */
int cli_ready_fd(const struct cli_common *common, const struct cli_command *command,
		 uint32_t number, int *out_fd);

/* Writes the lines, the bound addresses, to the file descriptor of --ready-fd, and closes
 * it. Does nothing if fd is -1. Returns 0 or -errno. */
int cli_ready_write(int fd, const char *lines);

/* --- for main.c and the other files of cmd/cli --- */

#define CLI_TABLES_MAX 16

/* Stores the tables of a subcommand in the order of --help, the common options last,
 * and returns their number. */
size_t cli_tables(const struct cli_command *command, const struct cli_option *out[CLI_TABLES_MAX]);

void cli_help(const struct cli_command *command, FILE *out);
/* The shells that cli_completion() supports, terminated by NULL, and the same list for
 * --help. */
extern const char *const cli_shells[];
#define CLI_SHELLS "bash|zsh|fish"

/* Prints the completion script for a shell. `top_words` are the words other than
 * subcommands that the first word can be ("help", "--version"), terminated by NULL.
 * Returns 0, or -1 for an unknown shell. */
int cli_completion(const char *shell, const struct cli_command *const *commands,
		   const char *const *top_words);

/* Returns the name that is most similar to `word`: they differ by at most 2 edits and at
 * most a third of the length. Returns NULL if no name is similar. */
const char *cli_nearest(const char *word, const char *const *names, size_t count);

#endif
