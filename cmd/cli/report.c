/* report.c: failures, messages and JSON documents (report.h). */
#include "cli/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sockeye/text.h>

/* Writes a line with one write(2), so that the lines of several processes do not mix. */
static void print_line(const char *fmt, va_list args) __attribute__((format(printf, 1, 0)));
static void print_line(const char *fmt, va_list args)
{
	char line[2048] = "sockeye: ";
	size_t len = strlen(line);

	vsnprintf(line + len, sizeof line - len - 1, fmt, args);
	len = strlen(line);
	line[len] = '\n';
	fwrite(line, 1, len + 1, stderr);
}

void report_info(const struct cli_common *common, const char *fmt, ...)
{
	va_list args;

	if (common->quiet || common->json)
		return;
	va_start(args, fmt);
	print_line(fmt, args);
	va_end(args);
}

void report_verbose(const struct cli_common *common, const char *fmt, ...)
{
	va_list args;

	if (!common->verbose || common->quiet || common->json)
		return;
	va_start(args, fmt);
	print_line(fmt, args);
	va_end(args);
}

static void print_failure(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void print_failure(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_line(fmt, args);
	va_end(args);
}

/* A constant, because jansson would allocate memory. */
static const char no_memory[] =
    "{\"event\":\"error\",\"op\":\"report\",\"address\":\"\",\"error\":\"ENOMEM\","
    "\"text\":\"Cannot allocate memory\",\"exit\":9}\n";

void report_json(json_t *event)
{
	char *text = event ? json_dumps(event, REPORT_JSON_FORM) : NULL;

	if (text)
		printf("%s\n", text);
	else
		fputs(no_memory, stdout);
	/* If stdout fails, print on stderr: the document may report that failure. */
	if (fflush(stdout) != 0 && text)
		fprintf(stderr, "%s\n", text);
	free(text);
	json_decref(event);
}

json_t *report_string(const char *text)
{
	json_t *string = json_string(text);
	char escaped[1024];

	if (string)
		return string;
	sockeye_escape(text, strlen(text), escaped, sizeof escaped);
	return json_string(escaped);
}

static void base64(const uint8_t *in, size_t len, char *out)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (; len > 0; in += 3) {
		size_t n = len < 3 ? len : 3;
		uint32_t v = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) |
			     (n > 2 ? in[2] : 0u);

		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = n > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = n > 2 ? digits[v & 63] : '=';
		len -= n;
	}
	*out = '\0';
}

void report_set_bytes(json_t *object, const void *data, size_t len)
{
	json_t *text = json_stringn(len ? data : "", len);
	char *coded;

	if (text) {
		json_object_set_new(object, "data", text);
		return;
	}
	coded = malloc((len + 2) / 3 * 4 + 1);
	if (!coded)
		return;
	base64(data, len, coded);
	json_object_set_new(object, "data_base64", json_string(coded));
	free(coded);
}

int report_error(const struct cli_common *common, const char *op, const char *address, int err,
		 const char *detail)
{
	struct sockeye_fail fail = {.op = op, .err = err};

	if (address)
		snprintf(fail.address, sizeof fail.address, "%s", address);
	if (detail)
		snprintf(fail.detail, sizeof fail.detail, "%s", detail);
	return report_fail(common, &fail);
}

json_t *report_error_event(const char *op, const char *address, int err, int exit_code)
{
	return json_pack("{ss ss so ss ss si}", "event", "error", "op", op, "address",
			 report_string(address), "error", sockeye_error_name(err), "text",
			 sockeye_error_text(err), "exit", exit_code);
}

int report_fail(const struct cli_common *common, const struct sockeye_fail *fail)
{
	return report_fail_try(common, fail, NULL);
}

int report_fail_try(const struct cli_common *common, const struct sockeye_fail *fail,
		    const char *try)
{
	int code = sockeye_error_exit(fail->err);
	char text[768];
	json_t *event;

	if (!common->json) {
		sockeye_fail_text(fail, text, sizeof text);
		print_failure("%s%s%s", text, try ? "; try: " : "", try ? try : "");
		return code;
	}
	event = report_error_event(fail->op, fail->address, fail->err, code);
	if (event && fail->detail[0])
		json_object_set_new(event, "detail", report_string(fail->detail));
	if (event && try)
		json_object_set_new(event, "try", report_string(try));
	report_json(event);
	return code;
}

int report_usage(const struct cli_common *common, const char *command, const char *text,
		 const char *try)
{
	const char *blank = command ? " " : "", *colon = command ? ": " : "";
	json_t *event;

	command = command ? command : "";
	if (common && common->json) {
		event = json_pack("{ss ss ss ss so si}", "event", "error", "op", "usage", "address",
				  "", "error", "USAGE", "text", report_string(text), "exit",
				  SOCKEYE_EXIT_USAGE);
		if (event && try)
			json_object_set_new(event, "try", report_string(try));
		report_json(event);
	} else if (try) {
		print_failure("%s%s%s; try: %s", command, colon, text, try);
	} else {
		print_failure("%s%s%s (see sockeye%s%s --help)", command, colon, text, blank,
			      command);
	}
	return SOCKEYE_EXIT_USAGE;
}

bool report_color(const struct cli_common *common, int fd)
{
	const char *none = getenv("NO_COLOR");

	if (common->color != CLI_COLOR_AUTO)
		return common->color == CLI_COLOR_ALWAYS;
	return !(none && *none) && isatty(fd);
}
