/* clients.c: translates command lines of tftp clients and sockperf (translate.h). */
#include "cli/translate.h"

#include <stdio.h>
#include <string.h>

#include <sockeye/addr.h>

#include "cli/words.h"

/* The values of the one-letter options on the command line, and its operands. */
struct letters {
	const char *value['z' + 1]; /* "" for an option without a value; NULL: not given */
	const char *operands[3];
	int operand_count;
	bool tcp;
};

/* Parses the words after the subcommand. `with_value` and `without` are the letters that the
 * other program has. Returns false for any other option, or too many operands. */
static bool letters_read(struct letters *l, const char *with_value, const char *without)
{
	char *const *argv;
	int argc;

	argv = suggest_argv(&argc);
	for (int i = 2; i < argc; i++) {
		const char *word = argv[i];
		unsigned char letter = word[0] == '-' ? (unsigned char)word[1] : '\0';

		if (letter == '\0' && l->operand_count < 3) {
			l->operands[l->operand_count++] = word;
		} else if (strcmp(word, "--tcp") == 0) {
			l->tcp = true;
		} else if (letter != '\0' && strchr(without, letter) && word[2] == '\0') {
			l->value[letter] = "";
		} else if (letter != '\0' && strchr(with_value, letter) &&
			   (word[2] || i + 1 < argc)) {
			l->value[letter] = word[2] ? word + 2 : argv[++i];
		} else {
			return false;
		}
	}
	return true;
}

const char *translate_tftp(struct suggestion *s)
{
	struct letters l = {0};
	char at[SOCKEYE_ADDR_TEXT_MAX], url[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;
	const char *file;

	*s = (struct suggestion){0};
	if (!letters_read(&l, "rl", "g") || !l.value['g'] || !l.value['r'] || l.operand_count < 1 ||
	    l.operand_count > 2 || !cli_is_host(l.operands[0]) ||
	    (l.operand_count == 2 && !cli_is_number(l.operands[1])))
		return NULL;
	file = l.value['r'] + (l.value['r'][0] == '/');
	cli_host_port("tftp", l.operands[0], l.operand_count == 2 ? l.operands[1] : "69", at,
		      sizeof at);
	if (l.operand_count == 1)
		*strrchr(at, ':') = '\0';
	if (snprintf(url, sizeof url, "%s/%s", at, file) >= (int)sizeof url ||
	    sockeye_addr_parse(url, &addr, NULL) < 0 || !addr.file[0])
		return NULL;
	suggest_word(s, "get");
	suggest_word(s, url);
	if (l.value['l']) {
		suggest_word(s, "-o");
		suggest_word(s, l.value['l']);
	}
	return suggest_text(s);
}

const char *translate_sockperf(struct suggestion *s)
{
	struct letters l = {0};
	char url[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;

	*s = (struct suggestion){0};
	if (!letters_read(&l, "ipmt", "") || !l.value['i'] || !cli_is_host(l.value['i']))
		return NULL;
	if (l.operand_count > 1 ||
	    (l.operand_count == 1 && strcmp(l.operands[0], "ping-pong") != 0 &&
	     strcmp(l.operands[0], "pp") != 0))
		return NULL;
	/* The default port of sockperf is 11111. */
	cli_host_port(l.tcp ? "tcp" : "udp", l.value['i'], l.value['p'] ? l.value['p'] : "11111",
		      url, sizeof url);
	if (sockeye_addr_parse(url, &addr, NULL) < 0)
		return NULL;
	suggest_word(s, "bench");
	for (const char *letter = "mt"; *letter; letter++) {
		const char *value = l.value[(unsigned char)*letter];

		if (!value)
			continue;
		if (!cli_is_number(value))
			return NULL;
		suggest_word(s, *letter == 'm' ? "--size" : "--time");
		suggest_word(s, value);
	}
	suggest_word(s, url);
	return suggest_text(s);
}
