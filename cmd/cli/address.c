/* address.c: reads operands that are addresses (address.h). */
#include "cli/address.h"

#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>

#include "cli/report.h"
#include "cli/suggest.h"
#include "cli/translate.h"
#include "cli/words.h"

#define DIGITS "0123456789"

/* Returns what to use instead of a scheme without sockets, or NULL for other schemes. */
static const char *missing_scheme(enum sockeye_scheme scheme)
{
	switch (scheme) {
	case SOCKEYE_TFTP:
		return "for TFTP, use sockeye get, put and serve tftp";
	case SOCKEYE_TLS:
		return "sockeye has no TLS";
	case SOCKEYE_ICMP:
		return "sockeye sends no ICMP; use ping";
	default:
		return NULL;
	}
}

/* Parses `text`, which stands for `word` on the command line and, unless `another` is NULL,
 * for the port in that word. Returns CLI_GO or the exit code. */
static int read_text(const struct cli_common *common, const struct cli_command *command,
		     const char *text, const char *word, const char *another, enum cli_use use,
		     struct sockeye_addr *out)
{
	char instead[SOCKEYE_ADDR_TEXT_MAX];
	const struct suggest_edit edits[] = {{.at = word, .text = instead}, {.at = another}};
	const char *try = NULL;
	struct sockeye_fail fail;
	struct suggestion s = {0};
	char remark[SUGGEST_REMARK_MAX];

	if (!cli_has_scheme(text) && translate_is_socat(text)) {
		try = translate_socat(&s);
		return cli_usage_try(common, command, try, "'%s' is an address of socat%s",
				     cli_shown(text).text, suggest_remark(&s, remark));
	}
	if (sockeye_addr_parse(text, out, &fail) == 0) {
		if (use != CLI_FETCHES && missing_scheme(out->scheme))
			return report_error(common, command->name, text,
					    SOCKEYE_E_SCHEME_UNSUPPORTED,
					    missing_scheme(out->scheme));
		if (!cli_is_port_zero(out, use))
			return CLI_GO;
		fail = (struct sockeye_fail){.op = "parse address",
					     .err = SOCKEYE_E_PORT,
					     .detail = "port 0 is only for listening"};
		sockeye_escape(text, strlen(text), fail.address, sizeof fail.address);
	}
	if (command->translate)
		try = command->translate(&s);
	if (!try && s.why)
		return cli_usage(common, command, "cannot use '%s'%s", cli_shown(text).text,
				 suggest_remark(&s, remark));
	if (!try && cli_address_corrected(text, use, instead, sizeof instead))
		try = suggest_edit(&s, edits, another ? 2 : 1);
	return report_fail_try(common, &fail, try);
}

int cli_address(const struct cli_common *common, const struct cli_command *command,
		const char *word, enum cli_use use, struct sockeye_addr *out)
{
	return read_text(common, command, word, word, NULL, use, out);
}

/* --- ADDRESS, or HOST PORT --- */

/* Prints a note for every option that means something else to nc. */
static void note_letters(const struct cli_common *common, const struct cli_command *command)
{
	const struct cli_option *tables[CLI_TABLES_MAX];
	struct suggestion s;

	if (!command->translate || !command->translate(&s) || !s.letters[0])
		return;
	for (size_t i = 0, n = cli_tables(command, tables); i < n; i++)
		for (const struct cli_option *o = tables[i]; o && (o->name || o->help); o++)
			if (o->name && o->letter && strchr(s.letters, o->letter))
				report_info(common, "%s: -%c is --%s here; for nc's -%c: %s",
					    command->name, o->letter, o->name, o->letter, s.text);
}

/* Reads HOST PORT. Returns CLI_GO or the exit code. */
static int read_host_port(const struct cli_common *common, const struct cli_command *command,
			  char *const v[2], enum cli_use use, const char *bare,
			  struct sockeye_addr *out)
{
	bool ipv6 = v[0][0] != '[' && strchr(v[0], ':') != NULL;
	char text[SOCKEYE_ADDR_TEXT_MAX];
	int code;

	snprintf(text, sizeof text, "%s://%s%s%s:%s", bare, ipv6 ? "[" : "", v[0], ipv6 ? "]" : "",
		 v[1]);
	code = read_text(common, command, text, v[0], v[1], use, out);
	if (code == CLI_GO)
		note_letters(common, command);
	return code;
}

/* Writes WORD:PORT if that is an address, or a corrected address without the port. */
static bool join(const char *word, const char *port, enum cli_use use, char *out, size_t cap)
{
	struct sockeye_addr addr;

	size_t len = strcspn(word, "?");

	snprintf(out, cap, "%.*s:%s%s", (int)len, word, port, word + len);
	return sockeye_addr_parse(out, &addr, NULL) == 0 ||
	       cli_address_corrected(word, use, out, cap);
}

/* Writes to `why` what is wrong with two operands that are not HOST PORT, and stores the
 * corrected command line in *s. */
static void explain_two(char *const v[2], enum cli_use use, char *why, size_t cap,
			struct suggestion *s)
{
	struct suggest_edit edits[2] = {{.at = v[0]}, {.at = v[1]}};
	enum sockeye_scheme scheme;
	struct sockeye_addr addr;
	const struct cli_shown first = cli_shown(v[0]), second = cli_shown(v[1]);
	char text[SOCKEYE_ADDR_TEXT_MAX];
	size_t len = cli_scheme_len(v[0], &scheme);

	if (!v[0][0]) {
		snprintf(why, cap, "HOST is empty");
		edits[0].text = use == CLI_LISTENS ? "*" : "localhost";
		suggest_edit(s, edits, 1);
	} else if (cli_is_number(v[0]) && cli_is_host(v[1]) && !cli_is_number(v[1])) {
		snprintf(why, cap, "the port follows the host");
		edits[0].text = v[1];
		edits[1].text = v[0];
		suggest_edit(s, edits, 2);
	} else if (len > 0 && v[0][len] == '\0') {
		snprintf(why, cap, "'%s' and '%s' belong to one address", first.text, second.text);
		snprintf(text, sizeof text, "%s%s%s", v[0],
			 sockeye_scheme_is_unix(scheme) ? ":" : "://", v[1]);
		edits[1].text = text;
		suggest_edit(s, edits, 2);
	} else if (sockeye_addr_parse(v[0], &addr, NULL) == 0) {
		snprintf(why, cap, "'%s' is an address, and '%s' is one operand too many",
			 first.text, second.text);
		suggest_edit(s, &edits[1], 1);
	} else if (cli_is_port(v[1])) {
		snprintf(why, cap, "'%s' is not a HOST that a PORT can follow", first.text);
		edits[0].text = text;
		if (join(v[0], v[1], use, text, sizeof text))
			suggest_edit(s, edits, 2);
	} else {
		snprintf(why, cap, "'%s' is not a PORT: a number or a service name", second.text);
		snprintf(text, sizeof text, "%.*s", (int)strspn(v[1], DIGITS), v[1]);
		if (!*text || v[1][strlen(text)] != '-')
			snprintf(text, sizeof text, "%d", CLI_EXAMPLE_PORT);
		edits[1].text = text;
		if (cli_is_host(v[0]))
			suggest_edit(s, &edits[1], 1);
	}
}

/* Stores the command line with "udp localhost 7" as one address in *s. */
static void join_three(char *const v[3], struct suggestion *s)
{
	char text[SOCKEYE_ADDR_TEXT_MAX];
	const struct suggest_edit edits[] = {
	    {.at = v[0]}, {.at = v[1]}, {.at = v[2], .text = text}};
	enum sockeye_scheme scheme;
	size_t len = cli_scheme_len(v[0], &scheme);

	if (len == 0 || v[0][len] != '\0' || !cli_is_host(v[1]) || !cli_is_port(v[2]))
		return;
	cli_host_port(v[0], v[1], v[2], text, sizeof text);
	suggest_edit(s, edits, 3);
}

/* Reports operands that are neither one address nor HOST PORT, and returns 2. */
static int bad_operands(const struct cli_common *common, const struct cli_command *command,
			const struct cli_operands *operands, enum cli_use use)
{
	struct suggestion s = {0};
	char why[320], remark[SUGGEST_REMARK_MAX];
	const char *try = command->translate ? command->translate(&s) : NULL;

	if (try || s.why || operands->count != 2)
		snprintf(why, sizeof why, "%d operands, but %s takes one address, or HOST PORT%s",
			 operands->count, command->name, suggest_remark(&s, remark));
	if (!try && s.why)
		return cli_usage(common, command, "%s", why);
	if (!try && operands->count == 2)
		explain_two(operands->v, use, why, sizeof why, &s);
	else if (!try && operands->count == 3)
		join_three(operands->v, &s);
	return cli_usage_try(common, command, suggest_text(&s), "%s", why);
}

int cli_address_only(const struct cli_common *common, const struct cli_command *command,
		     const struct cli_operands *operands, enum cli_use use, const char *bare,
		     struct sockeye_addr *out)
{
	char *const *v = operands->v, text[SOCKEYE_ADDR_TEXT_MAX];

	if (operands->count == 2 && cli_is_host(v[0]) && !cli_is_number(v[0]) && cli_is_port(v[1]))
		return read_host_port(common, command, v, use, bare, out);
	if (operands->count != 1)
		return bad_operands(common, command, operands, use);
	if (strcmp(bare, "tcp") == 0 || cli_has_scheme(v[0]) || strchr("/.@", *v[0]))
		return cli_address(common, command, v[0], use, out);
	snprintf(text, sizeof text, "%s://%s", bare, v[0]);
	return read_text(common, command, text, v[0], NULL, use, out);
}
