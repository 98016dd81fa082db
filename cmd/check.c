/* check.c: sockeye check. */
#include "commands.h"
#include "cli/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/text.h>

#include "superserver/conf_files.h"

#define DEFAULT_FILE "/etc/xinetd.conf"
#define INETD        "inetd:" /* before a file: it is in the language of inetd.conf */

enum { COMPAT_NONE, COMPAT_XINETD };

struct opts {
	struct cli_common common;
	const char *config;
	unsigned compat;
};

static const char *const compats[] = {"none", "xinetd", NULL};

static const struct cli_option options[] = {
    {"config", 'f', "FILE", CLI_TEXT, offsetof(struct opts, config),
     .help = "check FILE, a configuration of xinetd, or inetd:FILE, an inetd.conf (default "
	     "/etc/xinetd.conf)"},
    {"compat", 0, "READER", CLI_CHOICE, offsetof(struct opts, compat), .choices = compats,
     .help = "reject every mistake (none, default), or read as xinetd does and warn (xinetd)"},
    {NULL},
};

/* A file name, escaped for messages. */
struct shown_file {
	char text[512];
};

static struct shown_file file_shown(const char *file)
{
	struct shown_file shown;

	sockeye_escape(file, strlen(file), shown.text, sizeof shown.text);
	return shown;
}

static const char *severity(const struct sockeye__conf_note *note)
{
	return note->severity == SOCKEYE__CONF_WARNING ? "warning" : "error";
}

static void notes_print(const struct opts *o, const struct sockeye__conf_notes *notes)
{
	for (size_t i = 0; i < notes->count; i++) {
		const struct sockeye__conf_note *note = &notes->list[i];

		if (o->common.json)
			report_json(json_pack(
			    "{s:s, s:s, s:o, s:I, s:o}", "event", "note", "severity",
			    severity(note), "file", report_string(note->place.file), "line",
			    (json_int_t)note->place.line, "text", report_string(note->text)));
		else if (!o->common.quiet || note->severity != SOCKEYE__CONF_WARNING)
			fprintf(stderr, "%s:%u: %s: %s\n", file_shown(note->place.file).text,
				note->place.line, severity(note), note->text);
	}
	if (notes->left_out > 0 && !o->common.json)
		fprintf(stderr, "sockeye: %zu more errors and warnings\n", notes->left_out);
}

static size_t enabled_count(const struct sockeye__conf *conf)
{
	size_t count = 0;

	for (size_t i = 0; i < conf->count; i++)
		count += conf->services[i].state == SOCKEYE__CONF_ENABLED;
	return count;
}

/* Prints the services. Returns 0 or -ENOMEM. */
static int services_print(const struct opts *o, const struct sockeye__conf *conf)
{
	const struct sockeye__conf_notes *notes = &conf->notes;
	json_int_t errors = (json_int_t)notes->errors + (json_int_t)notes->broken;
	char *text = sockeye__conf_print(conf);

	if (text == NULL)
		return -ENOMEM;
	if (o->common.json)
		report_json(json_pack("{s:s, s:I, s:I, s:I, s:o}", "event", "configuration",
				      "errors", errors, "warnings", (json_int_t)notes->warnings,
				      "enabled", (json_int_t)enabled_count(conf), "text",
				      report_string(text)));
	else if (!o->common.quiet)
		fputs(text, stdout);
	free(text);
	return 0;
}

static int exit_code(const struct sockeye__conf_notes *notes)
{
	if (sockeye__conf_notes_fatal(notes))
		return SOCKEYE_EXIT_LOCAL;
	return notes->warnings > 0 ? SOCKEYE_EXIT_FAILURE : SOCKEYE_EXIT_DONE;
}

static int check(const struct opts *o, const char *file)
{
	size_t prefix = strlen(INETD);
	bool inetd = strncmp(file, INETD, prefix) == 0;
	struct sockeye__conf *conf = NULL;
	int err, code;

	file += inetd ? prefix : 0;
	err = sockeye__conf_read(file, inetd ? SOCKEYE__CONF_INETD : SOCKEYE__CONF_XINETD,
				 o->compat == COMPAT_XINETD, &sockeye__conf_files, &conf);
	if (err < 0)
		return report_error(&o->common, "read", file, err, NULL);
	notes_print(o, &conf->notes);
	err = services_print(o, conf);
	code = exit_code(&conf->notes);
	sockeye__conf_free(conf);
	return err < 0 ? report_error(&o->common, "print", file, err, NULL) : code;
}

static int cmd_check(int argc, char **argv)
{
	struct opts o = {.config = NULL};
	struct cli_operands operands;
	int code = cli_parse(&check_command, argc, argv, &o, &operands);

	if (code != CLI_GO)
		return code;
	if (o.config != NULL && operands.count > 0)
		return cli_usage(&o.common, &check_command,
				 "--config and an operand name two files");
	if (operands.count > 0)
		o.config = operands.v[0];
	return check(&o, o.config != NULL ? o.config : DEFAULT_FILE);
}

const struct cli_command check_command = {
    .name = "check",
    .summary = "check a configuration of xinetd or inetd",
    .operands = "[FILE]",
    .operands_max = 1,
    .options = options,
    .takes_files = true,
    .run = cmd_check,
};
