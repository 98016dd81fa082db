/* bench_reply.c: what sockeye bench sends and expects (bench_reply.h). */
#include "bench_reply.h"
#include "cli/report.h"

#include <stdlib.h>
#include <string.h>

#include <sockeye/error.h>
#include <sockeye/text.h>

#define REPLY_MAX (UINT64_C(64) << 20)

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;

	return at != NULL ? (int)(at - digits) % 16 : -1;
}

/* Reads the escape after a backslash. Returns its length, or 0 if it is not one. */
static size_t escape_read(const char *text, uint8_t *out)
{
	static const char names[] = "nrte0\\", bytes[] = "\n\r\t\033\0\\";
	const char *at = *text != '\0' ? strchr(names, *text) : NULL;

	if (at != NULL) {
		*out = (uint8_t)bytes[at - names];
		return 1;
	}
	if (*text != 'x' || hex_digit(text[1]) < 0 || hex_digit(text[2]) < 0)
		return 0;
	*out = (uint8_t)(hex_digit(text[1]) * 16 + hex_digit(text[2]));
	return 3;
}

/* Replaces the escapes of a text. Returns NULL if an escape is wrong or memory is short. */
static uint8_t *unescape(const char *text, size_t *out_len)
{
	uint8_t *bytes = malloc(strlen(text) + 1);
	size_t len = 0;

	for (; bytes != NULL && *text != '\0'; len++) {
		size_t n = 0;

		if (*text++ != '\\') {
			bytes[len] = (uint8_t)text[-1];
			continue;
		}
		n = escape_read(text, &bytes[len]);
		if (n == 0) {
			free(bytes);
			return NULL;
		}
		text += n;
	}
	*out_len = len;
	return bytes;
}

/* Returns the text after NAME= in the value of --expect, or NULL if it has another name. */
static const char *value_of(const char *expect, const char *name)
{
	size_t len = strlen(name);

	return strncmp(expect, name, len) == 0 && expect[len] == '=' ? expect + len + 1 : NULL;
}

static int text_read(const struct cli_common *common, const struct cli_command *command,
		     const char *text, struct sockeye__bench_opts *opts)
{
	opts->expect = SOCKEYE__BENCH_TEXT;
	opts->reply_text = unescape(text, &opts->reply_len);
	if (opts->reply_text == NULL || opts->reply_len == 0)
		return cli_usage_value(common, command, "expect",
				       "text= with \\n, \\r, \\t, \\e, \\0, \\\\ or \\xNN", text);
	return CLI_GO;
}

static int length_read(const struct cli_common *common, const struct cli_command *command,
		       const char *text, struct sockeye__bench_opts *opts)
{
	uint64_t len;

	if (sockeye_size_parse(text, &len) < 0 || len == 0 || len > REPLY_MAX)
		return cli_usage_value(common, command, "expect", "length=1 to length=64Mi", text);
	opts->expect = SOCKEYE__BENCH_LENGTH;
	opts->reply_len = (size_t)len;
	return CLI_GO;
}

static int regex_read(const struct cli_common *common, const struct cli_command *command,
		      const char *pattern, struct sockeye__bench_opts *opts)
{
	char why[128];

	opts->expect = SOCKEYE__BENCH_REGEX;
	opts->regex = sockeye__bench_regex_new(pattern, why, sizeof why);
	if (opts->regex != NULL)
		return CLI_GO;
	return cli_usage(common, command, "--expect regex=%s: %s", cli_shown(pattern).text, why);
}

static int expect_read(const struct cli_common *common, const struct cli_command *command,
		       const char *expect, struct sockeye__bench_opts *opts)
{
	static const char *const words[] = {"echo", "upper", "line"}; /* as in the enum */

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(expect, words[i]) == 0) {
			opts->expect = (enum sockeye__bench_expect)i;
			return CLI_GO;
		}
	if (value_of(expect, "text"))
		return text_read(common, command, value_of(expect, "text"), opts);
	if (value_of(expect, "length"))
		return length_read(common, command, value_of(expect, "length"), opts);
	if (value_of(expect, "regex"))
		return regex_read(common, command, value_of(expect, "regex"), opts);
	return cli_usage_value(common, command, "expect", BENCH_EXPECT_FORMS, expect);
}

int bench_reply_read(const struct cli_common *common, const struct cli_command *command,
		     const char *send, const char *expect, struct sockeye__bench_opts *opts)
{
	if (send != NULL) {
		opts->send = unescape(send, &opts->size);
		if (opts->send == NULL)
			return cli_usage_value(common, command, "send",
					       "a text with \\n, \\r, \\t, \\e, \\0, \\\\ or \\xNN",
					       send);
	}
	return expect != NULL ? expect_read(common, command, expect, opts) : CLI_GO;
}
