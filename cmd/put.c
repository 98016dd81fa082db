/* put.c: sockeye put. */
#include "commands.h"
#include "cli/report.h"
#include "cli/standard_fds.h"
#include "cli/suggest.h"
#include "cli/words.h"
#include "get_put.h"

#include <errno.h>
#include <unistd.h>
#include <stdio.h>
#include <string.h>

#include "tftp/client/default_name.h"

/* Whether the user wrote the port, which the parsed address has in any case. */
static bool has_port(const char *url)
{
	const char *host = strstr(url, "://") + strlen("://"), *end = host + strcspn(host, "/");

	while (end > host && end[-1] != ']' && end[-1] != ':')
		end--;
	return end > host && end[-1] == ':';
}

/* Shows the name that the file gets on the server, unless the user wrote it. */
static void address_complete(struct transfer *file, const char *name)
{
	struct sockeye_addr addr;

	if (strcmp(file->addr.file, name) == 0 ||
	    sockeye_addr_parse(file->address, &addr, NULL) < 0)
		return;
	addr.has_port = has_port(file->address);
	snprintf(addr.file, sizeof addr.file, "%s", name);
	sockeye_addr_print(&addr, file->address, sizeof file->address);
}

/* Chooses the name of a file on the server. Returns CLI_GO or the exit code. */
static int choose_name(struct transfers *t, const char *path, bool is_folder, struct transfer *file)
{
	const struct cli_common *common = &t->o->common;
	char name[sizeof file->addr.file], *to = file->addr.file;
	bool from_stdin = strcmp(path, "-") == 0;
	int len = sockeye__tftp_default_name_remote(to, is_folder, from_stdin ? "" : path, name,
						    sizeof name);

	if (len < 0 && from_stdin)
		return cli_usage(common, t->command,
				 "standard input has no name; write tftp://HOST/NAME");
	if (len < 0)
		return cli_usage(common, t->command,
				 "'%s' gives no name of at most 255 bytes on the server",
				 cli_shown(path).text);
	if (!from_stdin && strlen(path) >= sizeof file->path)
		return cli_usage(common, t->command, "path too long: %.40s...",
				 cli_shown(path).text);
	address_complete(file, name);
	memcpy(to, name, (size_t)len + 1);
	snprintf(file->path, sizeof file->path, "%s", from_stdin ? "" : path);
	return CLI_GO;
}

/* Reports HOST PORT instead of an address after the files, and returns 2; otherwise CLI_GO. */
static int host_port_check(const struct cli_common *common, const struct cli_operands *operands)
{
	char *const *v = operands->v + operands->count - 2;
	char host[SOCKEYE_ADDR_TEXT_MAX], url[SOCKEYE_ADDR_TEXT_MAX];
	const struct suggest_edit edits[] = {{.at = v[0], .text = url}, {.at = v[1]}};
	struct sockeye_addr addr;
	struct suggestion s;

	if (operands->count < 3 || !cli_is_host(v[0]) || !cli_is_number(v[1]))
		return CLI_GO;
	cli_host_port("tftp", v[0], v[1], host, sizeof host);
	snprintf(url, sizeof url, "%.*s/", (int)sizeof url - 2, host);
	return cli_usage_try(
	    common, &put_command,
	    sockeye_addr_parse(url, &addr, NULL) < 0 ? NULL : suggest_edit(&s, edits, 2),
	    "'%s' is not a TFTP address; write tftp://HOST/FILE", cli_shown(v[1]).text);
}

/* Reports a missing address, or one that is not the last operand. Returns CLI_GO or 2. */
static int operands_check(const struct cli_common *common, const struct cli_operands *operands)
{
	const char *first = operands->v[0], *last = operands->v[operands->count - 1];
	const struct suggest_edit edits[] = {{.at = first, .text = last},
					     {.at = last, .text = first}};
	struct suggestion s;
	const char *name;

	if (operands->count == 1 && strstr(first, "://")) {
		name = strrchr(first, '/') + 1;
		return cli_usage_try(common, &put_command,
				     suggest_insert(&s, *name ? name : FILE_EXAMPLE, first),
				     "no file to send to '%s'", cli_shown(first).text);
	}
	if (operands->count == 1)
		return cli_usage_try(common, &put_command,
				     suggest_append(&s, "tftp://localhost/", NULL),
				     "no address to send '%s' to", cli_shown(first).text);
	if (strstr(first, "://") && !strstr(last, "://"))
		return cli_usage_try(common, &put_command, suggest_edit(&s, edits, 2),
				     "the address must be the last operand");
	return host_port_check(common, operands);
}

static int cmd_put(int argc, char **argv)
{
	struct transfer_opts o = TRANSFER_DEFAULTS;
	struct cli_operands operands;
	struct transfers t = {0};
	struct transfer *file;
	int code = cli_parse(&put_command, argc, argv, &o, &operands), files, inputs = 0;

	if (code == CLI_GO)
		code = operands_check(&o.common, &operands);
	if (code != CLI_GO)
		return code;
	files = operands.count - 1;
	for (int i = 0; i < files; i++)
		inputs += strcmp(operands.v[i], "-") == 0;
	if (inputs > 1)
		return cli_usage(&o.common, &put_command,
				 "standard input (-) can be sent only once");
	if (inputs > 0 && standard_fd_was_closed(STDIN_FILENO))
		return report_error(&o.common, "read", "standard input", -EBADF, NULL);
	code = transfers_open(&t, &o, &put_command, SOCKEYE__TFTP_PUT, (size_t)files);
	for (int i = 0; i < files && code == CLI_GO; i++) {
		code = transfers_add(&t, operands.v[files], &file);
		if (code == CLI_GO)
			code = choose_name(&t, operands.v[i], files > 1, file);
	}
	if (code == CLI_GO)
		code = transfers_run(&t);
	transfers_close(&t);
	return code;
}

const struct cli_command put_command = {
    .name = "put",
    .aliases = transfer_aliases,
    .summary = "send files by TFTP",
    .operands = "FILE|-... tftp://HOST[:PORT]/NAME",
    .operands_min = 1,
    .operands_max = -1,
    .operand = transfers_operand,
    .takes_files = true,
    .example = FILE_EXAMPLE " tftp://localhost/",
    .more_options = transfer_options,
    .run = cmd_put,
    .about = "NAME is a directory on the server if it is empty or ends in /, or if there are\n"
	     "several files.\n"
	     "Exit status: 0 done, 3 host not found, 4 nothing listens on the port, 5 timeout\n"
	     "or no reply, 6 network error, 8 error from the server, 9 local error,\n"
	     "130 interrupted.",
};
