/*
 * Fuzz the option tables of all subcommands. Any words are parsed, or rejected with exit code
 * 2. Operands are words of the command line, as many as the subcommand takes, and each
 * number is within the limits of its row.
 *
 * Input: a byte that chooses the subcommand, and its words, each ended by a NUL byte.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/suggest.h"
#include "commands.h"
#include "require.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 32

static const struct cli_command *const commands[] = {
    &serve_command, &connect_command, &listen_command, &get_command,
    &put_command,   &relay_command,   &bench_command,  &check_command,
};

static _Alignas(16) char opts[1 << 16];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* Only stdout: libFuzzer reports on stderr. */
	return freopen("/dev/null", "w", stdout) != NULL ? 0 : 1;
}

static void check_number(const struct cli_option *option)
{
	uint64_t value = 0;

	if (option->kind == CLI_UINT)
		value = *(const uint32_t *)(const void *)(opts + option->offset);
	else if (option->kind == CLI_SIZE || option->kind == CLI_TIME)
		value = *(const uint64_t *)(const void *)(opts + option->offset);
	else
		return;
	require(value >= option->min, "a value below the minimum");
	require(option->max == 0 || value <= option->max, "a value above the maximum");
}

static void check_parsed(const struct cli_command *command, const struct cli_operands *operands)
{
	const struct cli_common *common = (const struct cli_common *)(const void *)opts;

	require(operands->count >= command->operands_min, "too few operands");
	require(command->operands_max < 0 || operands->count <= command->operands_max,
		"too many operands");
	for (int i = 0; i < operands->count; i++)
		require(operands->v[i] != NULL, "no operand");
	require(common->present_count <= CLI_OPTIONS_MAX, "too many options");
	for (size_t i = 0; i < common->present_count; i++)
		check_number(common->present[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cli_command *command;
	struct cli_operands operands = {0};
	char *text, *argv[WORDS_MAX + 2];
	char *line[WORDS_MAX + 3] = {"sockeye"};
	int argc = 1, code;

	if (size < 2 || data[size - 1] != '\0')
		return 0;
	command = commands[data[0] % (sizeof commands / sizeof commands[0])];
	text = malloc(size - 1);
	require(text != NULL, "memory");
	memcpy(text, data + 1, size - 1);
	argv[0] = (char *)(uintptr_t)command->name;
	for (size_t at = 0; at < size - 1 && argc <= WORDS_MAX; at += strlen(text + at) + 1)
		argv[argc++] = text + at;
	argv[argc] = NULL;
	memcpy(line + 1, argv, (size_t)(argc + 1) * sizeof argv[0]);
	suggest_keep(argc + 1, line);
	memset(opts, 0, sizeof opts);
	code = cli_parse(command, argc, argv, opts, &operands);
	require(code == CLI_GO || code == 0 || code == 2, "another exit code");
	if (code == CLI_GO)
		check_parsed(command, &operands);
	free(text);
	return 0;
}
