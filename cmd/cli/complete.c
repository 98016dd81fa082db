/* complete.c: prints completion scripts for bash, zsh and fish from the tables of the
 * subcommands. */
#include "cli/cli.h"

#include <string.h>

static const struct cli_command *const *all;
static const char *const *top;

typedef void visit_option(const struct cli_option *o);

static void each_option(const struct cli_command *command, visit_option *f)
{
	const struct cli_option *tables[CLI_TABLES_MAX];

	for (size_t i = 0, n = cli_tables(command, tables); i < n; i++)
		for (const struct cli_option *o = tables[i]; o && (o->name || o->help); o++)
			if (o->name)
				f(o);
}

/* Whether the value of the option is a path. */
static bool takes_path(const struct cli_option *o)
{
	return o->value && (strcmp(o->value, "FILE") == 0 || strcmp(o->value, "DIR") == 0);
}

/* --- lists of words, separated by blanks --- */

static void print_choices(const struct cli_option *o)
{
	for (size_t i = 0; o->kind == CLI_CHOICE && o->choices[i]; i++)
		printf("%s%s", i ? " " : "", o->choices[i]);
}

/* Prints the words that an operand can be, or start with. */
static void print_operands(const struct cli_command *command)
{
	const char *word;

	for (size_t i = 0; command->operand && (word = command->operand(i)) != NULL; i++)
		printf("%s%s", i ? " " : "", word);
}

static void print_names(void)
{
	for (size_t i = 0; all[i]; i++)
		printf("%s%s", i ? " " : "", all[i]->name);
}

static void print_shells(void)
{
	for (size_t i = 0; cli_shells[i]; i++)
		printf("%s%s", i ? " " : "", cli_shells[i]);
}

static void print_top_words(void)
{
	for (size_t i = 0; top[i]; i++)
		printf("%s%s", i ? " " : "", top[i]);
}

/* --- bash --- */

static void bash_name(const struct cli_option *o)
{
	printf(" --%s", o->name);
	if (o->letter)
		printf(" -%c", o->letter);
}

static void bash_value(const struct cli_option *o)
{
	if (!o->value)
		return;
	printf("\t\t--%s", o->name);
	if (o->letter)
		printf("|-%c", o->letter);
	printf(") words='");
	print_choices(o);
	printf("' ;;\n");
}

static void bash_command(const struct cli_command *command)
{
	printf("\t%s)\n\t\twords='", command->name);
	print_operands(command);
	each_option(command, bash_name);
	printf("'\n\t\tcase $prev in\n");
	each_option(command, bash_value);
	printf("\t\tesac ;;\n");
}

/* Readline splits words at colons, so words after "tcp:" are not completed. If no word
 * matches, bash completes file names (-o default). */
static void bash(void)
{
	printf("_sockeye() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
	       "\tif ((COMP_CWORD == 1)); then\n\t\twords='");
	print_names();
	printf(" ");
	print_top_words();
	printf("'\n\telse case ${COMP_WORDS[1]} in\n\thelp)\n"
	       "\t\t((COMP_CWORD > 2)) || words='");
	print_names();
	printf("' ;;\n\t--completion)\n\t\twords='");
	print_shells();
	printf("' ;;\n");
	for (size_t i = 0; all[i]; i++)
		bash_command(all[i]);
	printf("\tesac; fi\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	       "\t[[ ${COMPREPLY-} != *[:/] ]] || compopt -o nospace 2>/dev/null\n"
	       "}\ncomplete -o default -F _sockeye sockeye\n");
}

/* --- zsh --- */

/* Prints text up to the first newline, escaped for a single-quoted argument of _arguments
 * or _describe. */
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
		print_choices(o);
		printf(")");
	} else if (takes_path(o)) {
		printf("_files");
	}
	printf("'");
}

static void zsh_command(const struct cli_command *command)
{
	printf("\t%s)\n\t\toperands=(", command->name);
	print_operands(command);
	printf(")\n\t\t_arguments -s");
	each_option(command, zsh_option);
	printf(" \\\n\t\t'*:operand:_sockeye_operand' ;;\n");
}

static void zsh(void)
{
	printf("#compdef sockeye\n"
	       "_sockeye_operand() {\n"
	       "\tcompadd -S '' -- ${(M)operands:#*[:/]}\n"
	       "\tcompadd -- ${operands:#*[:/]}\n"
	       "\t_files\n"
	       "}\n"
	       "_sockeye() {\n"
	       "\tlocal -a commands operands\n\tcommands=(");
	for (size_t i = 0; all[i]; i++) {
		printf(" \\\n\t\t'%s:", all[i]->name);
		zsh_text(all[i]->summary);
		printf("'");
	}
	printf(")\n\tif ((CURRENT == 2)); then\n\t\t_describe command commands\n"
	       "\t\tcompadd -- ");
	print_top_words();
	printf("\n\t\treturn\n\tfi\n\tshift words\n\t((CURRENT--))\n"
	       "\tcase $words[1] in\n"
	       "\thelp) ((CURRENT > 2)) || _describe command commands ;;\n"
	       "\t--completion) compadd -- ");
	print_shells();
	printf(" ;;\n");
	for (size_t i = 0; all[i]; i++)
		zsh_command(all[i]);
	printf("\tesac\n}\n"
	       /* zsh autoloads the file as the function _sockeye; eval only defines it */
	       "if [[ $funcstack[1] = _sockeye ]]; then\n\t_sockeye \"$@\"\n"
	       "else\n\tcompdef _sockeye sockeye\nfi\n");
}

/* --- fish --- */

/* Prints text up to the first newline, escaped for single quotes. */
static void fish_text(const char *text)
{
	for (; *text && *text != '\n'; text++) {
		if (strchr("'\\", *text))
			putchar('\\');
		putchar(*text);
	}
}

static const char *fish_command_name;

static void fish_option(const struct cli_option *o)
{
	printf("complete -c sockeye -n '__sockeye_is %s' -l %s", fish_command_name, o->name);
	if (o->letter)
		printf(" -s %c", o->letter);
	if (o->value)
		printf(takes_path(o) ? " -rF" : " -x");
	if (o->kind == CLI_CHOICE) {
		printf(" -a '");
		print_choices(o);
		printf("'");
	}
	printf(" -d '");
	fish_text(o->help);
	printf("'\n");
}

static void fish_command(const struct cli_command *command)
{
	fish_command_name = command->name;
	printf("complete -c sockeye -n __sockeye_first -a %s -d '", command->name);
	fish_text(command->summary);
	printf("'\n");
	if (command->operand) {
		printf("complete -c sockeye -n '__sockeye_is %s' -a '", command->name);
		print_operands(command);
		printf("'\n");
	}
	if (command->takes_files)
		printf("complete -c sockeye -n '__sockeye_is %s' -F\n", command->name);
	each_option(command, fish_option);
}

static void fish(void)
{
	printf("function __sockeye_first\n"
	       "\ttest (count (commandline -opc)) -eq 1\n"
	       "end\n"
	       "function __sockeye_is\n"
	       "\tset -l words (commandline -opc)\n"
	       "\ttest (count $words) -gt 1 -a \"$words[2]\" = $argv[1]\n"
	       "end\n"
	       "complete -c sockeye -f\n"
	       "complete -c sockeye -n __sockeye_first -a '");
	print_top_words();
	printf("'\ncomplete -c sockeye -n '__sockeye_is help' -a '");
	print_names();
	printf("'\ncomplete -c sockeye -n '__sockeye_is --completion' -a '");
	print_shells();
	printf("'\n");
	for (size_t i = 0; all[i]; i++)
		fish_command(all[i]);
}

const char *const cli_shells[] = {"bash", "zsh", "fish", NULL};

int cli_completion(const char *shell, const struct cli_command *const *commands,
		   const char *const *top_words)
{
	static void (*const scripts[])(void) = {bash, zsh, fish};

	all = commands;
	top = top_words;
	for (size_t i = 0; cli_shells[i]; i++) {
		if (strcmp(cli_shells[i], shell) != 0)
			continue;
		scripts[i]();
		return 0;
	}
	return -1;
}
