/* main.c: the table of the subcommands. */
#include "commands.h"
#include "cli/suggest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/error.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct cli_command *const commands[] = {
    &bench_command, &connect_command, &get_command,   &listen_command,
    &put_command,   &relay_command,   &serve_command, NULL,
};

static void usage(FILE *out)
{
	fprintf(out, "usage: sockeye COMMAND [OPTION]... [OPERAND]...\n"
		     "Serves, speaks, measures and shows every kind of socket.\n\n");
	for (size_t i = 0; commands[i]; i++)
		fprintf(out, "  %-10s%s\n", commands[i]->name, commands[i]->summary);
	fprintf(out, "\n  help COMMAND, --version, --completion bash|zsh\n"
		     "\nAddresses: sockeye-address(7). More: sockeye(1).\n");
}

static const struct cli_command *find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static int unknown(const char *word)
{
	static const char *const others[] = {"help", "--help", "--version", "--completion"};
	const char *names[ARRAY_LEN(commands) + ARRAY_LEN(others)], *near;
	size_t n = 0;

	for (; commands[n]; n++)
		names[n] = commands[n]->name;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		names[n++] = others[i];
	near = cli_nearest(word, names, n);
	if (near)
		return cli_usage(NULL, NULL, "unknown command '%.40s', did you mean %s?", word,
				 near);
	return cli_usage(NULL, NULL, "unknown command '%.40s'", word);
}

static int help(const char *name)
{
	const struct cli_command *command = name ? find(name) : NULL;

	if (name && !command)
		return unknown(name);
	if (command)
		cli_help(command, stdout);
	else
		usage(stdout);
	return SOCKEYE_EXIT_DONE;
}

static int completion(const char *shell)
{
	if (!shell || cli_completion(shell, commands) < 0)
		return cli_usage(NULL, NULL, "--completion takes bash or zsh");
	return SOCKEYE_EXIT_DONE;
}

static int dispatch(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL, *next = argc > 2 ? argv[2] : NULL;
	const struct cli_command *command;

	if (!word)
		return cli_usage(NULL, NULL, "a command is missing");
	command = find(word);
	if (command)
		return command->run(argc - 1, argv + 1);
	if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return help(next);
	if (strcmp(word, "--completion") == 0)
		return completion(next);
	if (strcmp(word, "--version") == 0) {
		puts("sockeye " SOCKEYE_VERSION);
		return SOCKEYE_EXIT_DONE;
	}
	return unknown(word);
}

static bool closed[STDERR_FILENO + 1];

bool was_closed(int fd)
{
	return closed[fd];
}

/* A socket must never become descriptor 0, 1 or 2 because the caller closed
 * them: words for the user would go to the peer. */
static void fill_standard_descriptors(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		closed[fd] = true;
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	int code;

	fill_standard_descriptors();
	signal(SIGPIPE, SIG_IGN); /* a reader of stdout that left is an error code, not a death */
	suggest_keep(argc, argv);
	code = dispatch(argc, argv);
	if (fflush(stdout) != 0 && code == SOCKEYE_EXIT_DONE)
		code = SOCKEYE_EXIT_LOCAL;
	return code;
}
