/* main.c: the table of subcommands, and the first word of the command line. */
#include "commands.h"
#include "cli/address.h"
#include "cli/standard_fds.h"
#include "cli/translate.h"
#include "cli/suggest.h"
#include "cli/words.h"
#include "serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>

static const struct cli_command *const commands[] = {
    &bench_command, &check_command, &connect_command, &get_command, &listen_command,
    &put_command,   &relay_command, &serve_command,   NULL,
};

static const char *const top_words[] = {"help", "--help", "--version", "--completion", NULL};

/* Prints the commands and examples. */
static void first_screen(FILE *out)
{
	fprintf(out, "usage: sockeye COMMAND [OPTION]... [OPERAND]...\n"
		     "Connect, listen, serve, transfer and measure over any kind of socket.\n\n");
	for (size_t i = 0; commands[i]; i++)
		fprintf(out, "  %-10s%s\n", commands[i]->name, commands[i]->summary);
	fprintf(out,
		"\n"
		"Try:\n"
		"  sockeye serve echo               serve echo on 127.0.0.1:7007\n"
		"  sockeye connect localhost 7007   connect to it in another terminal\n"
		"  sockeye bench localhost 7007     measure its rate and latency\n"
		"  sockeye serve tftp --root .      serve this directory on udp://127.0.0.1:7069\n"
		"\n"
		"  help COMMAND, --version, --completion " CLI_SHELLS "\n"
		"\n"
		"Addresses: sockeye-address(7). More: sockeye(1).\n");
}

static const struct cli_command *find(const char *name)
{
	for (size_t i = 0; commands[i]; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* --- a first word that is not a subcommand --- */

/* Returns the command whose name is similar to the word, or of which the word is a synonym.
 * Returns NULL if there is none. */
static const char *command_near(const char *word)
{
	static const struct {
		const char *word, *command;
	} synonyms[] = {
	    {"client", "connect"},    {"nc", "connect"},
	    {"ncat", "connect"},      {"server", "serve"},
	    {"download", "get"},      {"fetch", "get"},
	    {"upload", "put"},        {"send", "put"},
	    {"forward", "relay"},     {"proxy", "relay"},
	    {"load", "bench"},        {"measure", "bench"},
	    {"version", "--version"}, {"-V", "--version"},
	    {"-v", "--version"},      {"completion", "--completion"},
	};
	const char
	    *names[sizeof commands / sizeof commands[0] + sizeof top_words / sizeof top_words[0]];
	size_t n = 0;

	for (size_t i = 0; i < sizeof synonyms / sizeof synonyms[0]; i++)
		if (strcmp(synonyms[i].word, word) == 0)
			return synonyms[i].command;
	for (; commands[n]; n++)
		names[n] = commands[n]->name;
	for (size_t i = 0; top_words[i]; i++)
		names[n++] = top_words[i];
	return cli_nearest(word, names, n);
}

/* The kind of a word that is not a command, and the command that takes it. */
struct operand {
	const char *what, *command;
	char text[SOCKEYE_ADDR_TEXT_MAX]; /* the word or, if it is a bad address, the correction */
};

/* Recognizes an address, a file, a host or a service by its form. Returns false for any
 * other word. */
static bool operand_recognize(int count, char *const *words, struct operand *out)
{
	const char *first = words[0], *last = words[count - 1];
	struct sockeye_addr addr;

	*out = (struct operand){.what = "an address", .command = "connect"};
	if (snprintf(out->text, sizeof out->text, "%s", first) >= (int)sizeof out->text)
		return false;
	if (strncmp(first, "tftp://", strlen("tftp://")) == 0) {
		out->command = "get";
	} else if (strncmp(last, "tftp://", strlen("tftp://")) == 0) {
		out->what = "a file";
		out->command = "put";
	} else if (sockeye_addr_parse(first, &addr, NULL) == 0) {
		cli_address_corrected(first, CLI_CONNECTS, out->text, sizeof out->text);
	} else if (strchr(first, '/')) {
		return cli_address_corrected(first, CLI_CONNECTS, out->text, sizeof out->text);
	} else if (count > 1 && cli_is_host(first) && !cli_is_number(first) &&
		   cli_is_port(words[1]) && !command_near(first)) {
		out->what = "a host";
	} else if (serve_service_find(first)) {
		out->what = "a service";
		out->command = "serve";
	} else {
		return false;
	}
	return true;
}

/* Reports that `word`, argv[1] or the operand of help, is not a command. Returns 2. */
static int unknown(const char *word)
{
	const char *near, *try;
	struct operand operand;
	struct suggest_edit edit = {.at = word};
	struct suggestion s;
	char remark[SUGGEST_REMARK_MAX];
	char *const *argv;
	int argc;

	argv = suggest_argv(&argc);
	try = translate_line(&s);
	if (try || s.why)
		return cli_usage_try(NULL, NULL, try, "unknown command '%s'%s",
				     cli_shown(word).text, suggest_remark(&s, remark));
	if (word == argv[1] && operand_recognize(argc - 1, argv + 1, &operand)) {
		edit.text = operand.text;
		edit.before = operand.command;
		return cli_usage_try(NULL, NULL, suggest_edit(&s, &edit, 1),
				     "'%s' is %s, not a command", cli_shown(word).text,
				     operand.what);
	}
	near = serve_service_find(word) ? "serve" : command_near(word);
	return cli_usage_try(NULL, NULL, near ? suggest_replace(&s, word, near) : NULL,
			     "unknown command '%s'", cli_shown(word).text);
}

static int help(const char *name)
{
	const struct cli_command *command = name ? find(name) : NULL;

	if (name && !command)
		return unknown(name);
	if (command)
		cli_help(command, stdout);
	else
		first_screen(stdout);
	return SOCKEYE_EXIT_DONE;
}

static int completion(const char *shell)
{
	if (!shell || cli_completion(shell, commands, top_words) < 0)
		return cli_usage_try(NULL, NULL, "sockeye --completion bash",
				     "--completion takes " CLI_SHELLS);
	return SOCKEYE_EXIT_DONE;
}

static int dispatch(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL, *next = argc > 2 ? argv[2] : NULL;
	const struct cli_command *command;

	if (!word) {
		first_screen(stderr);
		return SOCKEYE_EXIT_USAGE;
	}
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

/* A process inherits ignored and blocked signals. Resets them, except signals that users
 * ignore on purpose: SIGHUP under nohup(1), SIGINT in background jobs, job control. */
static void signals_set(void)
{
	static const int defaults[] = {SIGTERM, SIGUSR1, SIGCHLD, SIGALRM};
	sigset_t none;

	for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
		signal(defaults[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN); /* writing to a closed pipe fails with EPIPE instead, */
	signal(SIGXFSZ, SIG_IGN); /* and beyond RLIMIT_FSIZE with EFBIG */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Whether standard output is a pipe whose reader has closed it, which is not an error. */
static bool reader_left(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

/* Reports output that was lost because of a full disk or a limit on the file size. Returns
 * whether output was lost. */
static bool output_failed(void)
{
	bool before = ferror(stdout) != 0;
	int err = fflush(stdout) != 0 ? errno : 0;

	if (err == 0 && !before)
		return false;
	if (!reader_left())
		fprintf(stderr, "sockeye: write standard output: %s\n",
			err != 0 ? strerror(err) : "some output was lost");
	return true;
}

int main(int argc, char **argv)
{
	int code;

	standard_fds_fill();
	signals_set();
	suggest_keep(argc, argv);
	code = dispatch(argc, argv);
	if (code == SOCKEYE_EXIT_DONE && output_failed())
		code = SOCKEYE_EXIT_LOCAL;
	return code;
}
