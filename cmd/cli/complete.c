/* complete.c: bash and zsh completion from the tables of the subcommands. */
#include "cli/cli.h"

#include <string.h>

typedef void visit(const struct cli_option *o);

static void each_option(const struct cli_command *command, visit *f)
{
	const struct cli_option *tables[CLI_TABLES_MAX];

	for (size_t i = 0, n = cli_tables(command, tables); i < n; i++)
		for (const struct cli_option *o = tables[i]; o && (o->name || o->help); o++)
			if (o->name)
				f(o);
}

static void print_name(const struct cli_option *o)
{
	printf(" --%s", o->name);
	if (o->letter)
		printf(" -%c", o->letter);
}

/* What may follow an option that takes a value: its words, or anything. */
static void bash_value(const struct cli_option *o)
{
	if (!o->value)
		return;
	printf("\t\t--%s", o->name);
	if (o->letter)
		printf("|-%c", o->letter);
	printf(") words='");
	for (size_t i = 0; o->kind == CLI_CHOICE && o->choices[i]; i++)
		printf("%s%s", i ? " " : "", o->choices[i]);
	printf("' ;;\n");
}

static void bash(const struct cli_command *const *commands)
{
	printf("_sockeye() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
	       "\tif ((COMP_CWORD == 1)); then\n\t\twords='");
	for (size_t i = 0; commands[i]; i++)
		printf("%s ", commands[i]->name);
	printf("help --help --version'\n\telse case ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; commands[i]; i++) {
		printf("\t%s)\n\t\twords='", commands[i]->name);
		each_option(commands[i], print_name);
		printf("'\n\t\tcase $prev in\n");
		each_option(commands[i], bash_value);
		printf("\t\tesac ;;\n");
	}
	printf("\tesac; fi\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	       "}\ncomplete -o default -F _sockeye sockeye\n");
}

/* Text inside '...' inside _arguments or _describe: up to the first newline. */
static void zsh_text(const char *text)
{
	for (; *text && *text != '\n'; text++) {
		if (*text == '\'')
			printf("'\\'");
		else if (strchr("[]:\\", *text))
			putchar('\\');
		putchar(*text);
	}
}

static void zsh_option(const struct cli_option *o)
{
	printf(" \\\n\t\t'*'");
	if (o->letter)
		printf("{-%c,--%s}", o->letter, o->name);
	else
		printf("--%s", o->name);
	printf("'[");
	zsh_text(o->help);
	printf("]");
	if (o->value) {
		printf(":");
		zsh_text(o->value);
		printf(":");
	}
	if (o->kind == CLI_CHOICE) {
		printf("(");
		for (size_t i = 0; o->choices[i]; i++)
			printf("%s%s", i ? " " : "", o->choices[i]);
		printf(")");
	}
	printf("'");
}

static void zsh(const struct cli_command *const *commands)
{
	printf("#compdef sockeye\n_sockeye() {\n"
	       "\tlocal -a commands\n\tcommands=(");
	for (size_t i = 0; commands[i]; i++) {
		printf(" \\\n\t\t'%s:", commands[i]->name);
		zsh_text(commands[i]->summary);
		printf("'");
	}
	printf(")\n\tif ((CURRENT == 2)); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n"
	       "\tshift words\n\t((CURRENT--))\n\tcase $words[1] in\n");
	for (size_t i = 0; commands[i]; i++) {
		printf("\t%s)\n\t\t_arguments -s", commands[i]->name);
		each_option(commands[i], zsh_option);
		printf(" \\\n\t\t'*:operand:_default' ;;\n");
	}
	printf("\tesac\n}\n_sockeye \"$@\"\n");
}

int cli_completion(const char *shell, const struct cli_command *const *commands)
{
	if (strcmp(shell, "bash") == 0)
		bash(commands);
	else if (strcmp(shell, "zsh") == 0)
		zsh(commands);
	else
		return -1;
	return 0;
}
