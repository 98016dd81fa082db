/* get.c: sockeye get. */
#include "commands.h"
#include "get_probe.h"
#include "cli/report.h"
#include "cli/standard_fds.h"
#include "cli/suggest.h"
#include "cli/translate.h"
#include "cli/words.h"
#include "get_put.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tftp/client/default_name.h"

struct opts {
	struct transfer_opts t;
	const char *output;
	bool probe;
};

static const struct cli_option options[] = {
    {.help = "Output:"},
    {"output", 'o', "FILE", CLI_TEXT, offsetof(struct opts, output),
     "write to FILE, to standard output (-), or to the directory DIR/ under the "
     "file's own name (default: the current directory)"},
    {"max-size", 0, "SIZE", CLI_SIZE, offsetof(struct opts, t.size_max),
     "reject a file of more than SIZE bytes (default: no limit)", .min = 1},
    {"probe", 0, NULL, CLI_FLAG, offsetof(struct opts, probe),
     "print the options that the server grants and the size of the file, without "
     "fetching it"},
    {NULL},
};

static bool is_folder(const char *path)
{
	size_t len = strlen(path);
	struct stat st;

	return (len > 0 && path[len - 1] == '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

/* Returns the directory of -o with a slash, "" for the current one, or NULL if -o names a
 * file. */
static const char *folder_of(const char *output, char *buf, size_t cap)
{
	size_t len = output ? strlen(output) : 0;

	if (!output)
		return "";
	if (!is_folder(output))
		return NULL;
	snprintf(buf, cap, "%s%s", output, output[len - 1] == '/' ? "" : "/");
	return buf;
}

/* Whether an earlier file on the command line has the same local path. */
static bool is_duplicate(const struct transfers *t, const struct transfer *file)
{
	for (size_t i = 0; i + 1 < t->count; i++)
		if (strcmp(t->list[i].path, file->path) == 0)
			return true;
	return false;
}

/* Reports an address without a file and returns 2. */
static int report_no_file(const struct transfers *t, const char *url)
{
	size_t len = strcspn(url + strlen("tftp://"), "/") + strlen("tftp://");
	char instead[SOCKEYE_ADDR_TEXT_MAX];
	struct suggestion s;

	snprintf(instead, sizeof instead, "%.*s/" FILE_EXAMPLE, (int)len, url);
	return cli_usage_try(&t->o->common, t->command, suggest_replace(&s, url, instead),
			     "'%s' names no file; write tftp://HOST/FILE", cli_shown(url).text);
}

#define HOST_FILES_MAX 16

/* Reports "get HOST [PORT] FILE...", the syntax of other clients, and returns 2; otherwise
 * CLI_GO. */
static int check_host_file(const struct cli_common *common, const struct cli_operands *words)
{
	char urls[HOST_FILES_MAX][SOCKEYE_ADDR_TEXT_MAX];
	struct suggest_edit edits[HOST_FILES_MAX];
	bool has_port = words->count > 2 && cli_is_number(words->v[1]);
	const int first_file = has_port ? 2 : 1;
	bool valid = true;
	struct sockeye_addr addr;
	struct suggestion s;

	if (words->count < 2 || words->count > HOST_FILES_MAX || strchr(words->v[0], '/'))
		return CLI_GO;
	for (int i = 0; i < words->count; i++) {
		const char *file = words->v[i];

		if (strstr(file, "://"))
			return CLI_GO;
		edits[i] = (struct suggest_edit){.at = file};
		if (i < first_file)
			continue;
		snprintf(urls[i], sizeof urls[i], "tftp://%s%s%s/%s", words->v[0],
			 has_port ? ":" : "", has_port ? words->v[1] : "", file + (*file == '/'));
		edits[i].text = urls[i];
		valid &= sockeye_addr_parse(urls[i], &addr, NULL) == 0 && addr.file[0];
	}
	return cli_usage_try(
	    common, &get_command, valid ? suggest_edit(&s, edits, (size_t)words->count) : NULL,
	    "'%s' is not a TFTP address; write tftp://HOST/FILE", cli_shown(words->v[0]).text);
}

/* Chooses the local path of a file. Returns CLI_GO or the exit code. */
static int choose_path(struct transfers *t, const struct opts *o, const char *folder,
		       const char *url, struct transfer *file)
{
	const struct cli_common *common = &t->o->common;

	if (file->addr.file[0] == '\0')
		return report_no_file(t, url);
	if (o->probe || (o->output && strcmp(o->output, "-") == 0))
		return CLI_GO;
	if (!folder) {
		snprintf(file->path, sizeof file->path, "%s", o->output);
		return CLI_GO;
	}
	if (sockeye__tftp_default_name_local(folder, file->addr.file, file->path,
					     sizeof file->path) < 0)
		return cli_usage(common, t->command, "'%s' gives no local file name; use -o FILE",
				 cli_shown(file->addr.file).text);
	if (is_duplicate(t, file))
		return cli_usage(common, t->command, "two files would be written to %s",
				 cli_shown(file->path).text);
	return CLI_GO;
}

/* Reports that -o names one file for several files, and returns 2. */
static int report_one_output(const struct opts *o)
{
	char folder[4096];
	struct suggestion s;

	snprintf(folder, sizeof folder, "%s/", o->output);
	return cli_usage_try(&o->t.common, &get_command, suggest_replace(&s, o->output, folder),
			     "several files need a directory, -o DIR/");
}

static int output_check(const struct opts *o, const char *folder, size_t count)
{
	bool to_stdout = o->output && strcmp(o->output, "-") == 0;

	if (o->probe && (o->output || o->t.no_options))
		return cli_usage(&o->t.common, &get_command,
				 "--probe cannot be combined with -o or --no-options");
	if (o->output && !*o->output)
		return cli_usage(&o->t.common, &get_command, "-o needs a file name");
	if (to_stdout && o->t.common.json)
		return cli_usage(&o->t.common, &get_command,
				 "-o - and --json both write to standard output");
	if (to_stdout && standard_fd_was_closed(STDOUT_FILENO))
		return report_error(&o->t.common, "write", "standard output", -EBADF, NULL);
	if (!folder && !to_stdout && count > 1)
		return report_one_output(o);
	return CLI_GO;
}

static int cmd_get(int argc, char **argv)
{
	struct opts o = {.t = TRANSFER_DEFAULTS};
	struct cli_operands urls;
	struct transfers t = {0};
	struct transfer *file;
	char buf[4096];
	const char *folder;
	int code = cli_parse(&get_command, argc, argv, &o, &urls);

	if (code == CLI_GO)
		code = check_host_file(&o.t.common, &urls);
	if (code != CLI_GO)
		return code;
	folder = folder_of(o.output, buf, sizeof buf);
	/* Files on standard output must not be mixed. */
	if (o.output && strcmp(o.output, "-") == 0)
		o.t.parallel = 1;
	code = output_check(&o, folder, (size_t)urls.count);
	if (code == CLI_GO)
		code = transfers_open(&t, &o.t, &get_command,
				      o.probe ? SOCKEYE__TFTP_PROBE : SOCKEYE__TFTP_GET,
				      (size_t)urls.count);
	t.addresses = &urls;
	for (int i = 0; i < urls.count && code == CLI_GO; i++) {
		code = transfers_add(&t, urls.v[i], &file);
		if (code == CLI_GO)
			code = choose_path(&t, &o, folder, urls.v[i], file);
	}
	if (code == CLI_GO)
		code = o.probe ? probe_run(&t) : transfers_run(&t);
	transfers_close(&t);
	return code;
}

const struct cli_command get_command = {
    .name = "get",
    .translate = translate_tftp,
    .aliases = transfer_aliases,
    .summary = "fetch files by TFTP",
    .operands = "tftp://HOST[:PORT]/FILE...",
    .example = "tftp://localhost/" FILE_EXAMPLE,
    .operands_min = 1,
    .operands_max = -1,
    .operand = transfers_operand,
    .options = options,
    .more_options = transfer_options,
    .run = cmd_get,
    .about = "A file appears under its name only when it is complete.\n"
	     "Exit status: 0 done, 3 host not found, 4 nothing listens on the port, 5 timeout\n"
	     "or no reply, 6 network error, 8 error from the server, 9 local error,\n"
	     "130 interrupted.",
};
