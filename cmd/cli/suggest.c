/* suggest.c: builds the command line that a message proposes (suggest.h). */
#include "cli/suggest.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/text.h>

static char **line;
static int line_len;

void suggest_keep(int argc, char **argv)
{
	free(line);
	/* A copy, because cli_parse() moves the operands to the front of argv. */
	line_len = 0;
	line = calloc((size_t)argc + 1, sizeof *line);
	if (!line)
		return;
	memcpy(line, argv, (size_t)argc * sizeof *line);
	line_len = argc;
}

char *const *suggest_argv(int *out_argc)
{
	*out_argc = line_len;
	return line;
}

static void append(struct suggestion *s, const char *text, size_t len)
{
	if (s->len + len >= sizeof s->text)
		s->failed = true;
	if (s->failed)
		return;
	memcpy(s->text + s->len, text, len);
	s->len += len;
	s->text[s->len] = '\0';
}

static void begin_word(struct suggestion *s)
{
	if (s->len == 0)
		append(s, "sockeye", strlen("sockeye"));
	append(s, " ", 1);
}

/* Whether the word needs no quotes. zsh expands a leading '=', and all shells expand a
 * leading '~'. */
static bool is_plain(const char *word)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "_./:@%+,-=~";

	return *word && *word != '=' && *word != '~' && word[strspn(word, safe)] == '\0';
}

/* Whether the word has no control characters; sockeye_escape() also changes backslashes. */
static bool is_visible(const char *word)
{
	size_t backslashes = 0;

	for (const char *p = word; *p; p++)
		backslashes += *p == '\\';
	return sockeye_escape(word, strlen(word), NULL, 0) == strlen(word) + backslashes;
}

void suggest_word(struct suggestion *s, const char *word)
{
	if (!is_visible(word))
		s->failed = true;
	begin_word(s);
	if (is_plain(word)) {
		append(s, word, strlen(word));
		return;
	}
	append(s, "'", 1);
	for (; *word; word++)
		append(s, *word == '\'' ? "'\\''" : word, *word == '\'' ? 4 : 1);
	append(s, "'", 1);
}

void suggest_shell(struct suggestion *s, const char *text)
{
	begin_word(s);
	append(s, text, strlen(text));
}

void suggest_lost(struct suggestion *s, const char *option, size_t len)
{
	size_t used = strlen(s->lost);
	char shown[32];

	sockeye_escape(option, len, shown, sizeof shown);
	snprintf(s->lost + used, sizeof s->lost - used, "%s%s", used > 0 ? ", " : "", shown);
}

const char *suggest_remark(const struct suggestion *s, char buf[SUGGEST_REMARK_MAX])
{
	buf[0] = '\0';
	if (s->why)
		snprintf(buf, SUGGEST_REMARK_MAX, " (%s)", s->why);
	else if (s->lost[0])
		snprintf(buf, SUGGEST_REMARK_MAX, " (sockeye has no counterpart of %s)", s->lost);
	return buf;
}

const char *suggest_text(const struct suggestion *s)
{
	return s->failed || s->len == 0 ? NULL : s->text;
}

static const struct suggest_edit *edit_of(const char *word, const struct suggest_edit *edits,
					  size_t count)
{
	uintptr_t first = (uintptr_t)word, last = first + strlen(word);

	for (size_t i = 0; i < count; i++)
		if ((uintptr_t)edits[i].at >= first && (uintptr_t)edits[i].at <= last)
			return &edits[i];
	return NULL;
}

static void word_edited(struct suggestion *s, const char *word, const struct suggest_edit *edit)
{
	size_t kept = (size_t)(edit->at - word);
	char changed[sizeof s->text];

	if (edit->before)
		suggest_word(s, edit->before);
	if (!edit->text)
		return;
	if (kept + strlen(edit->text) >= sizeof changed) {
		s->failed = true;
		return;
	}
	memcpy(changed, word, kept);
	memcpy(changed + kept, edit->text, strlen(edit->text) + 1);
	suggest_word(s, changed);
}

const char *suggest_edit(struct suggestion *s, const struct suggest_edit *edits, size_t count)
{
	size_t found = 0;

	*s = (struct suggestion){0};
	for (int i = 1; i < line_len; i++) {
		const struct suggest_edit *edit = edit_of(line[i], edits, count);

		if (edit)
			word_edited(s, line[i], edit);
		else
			suggest_word(s, line[i]);
		found += edit != NULL;
	}
	return found < count ? NULL : suggest_text(s);
}

const char *suggest_replace(struct suggestion *s, const char *at, const char *text)
{
	return suggest_edit(s, &(struct suggest_edit){at, text, NULL}, 1);
}

const char *suggest_insert(struct suggestion *s, const char *word, const char *at)
{
	return suggest_edit(s, &(struct suggest_edit){at, at, word}, 1);
}

const char *suggest_append(struct suggestion *s, const char *word, const char *another)
{
	suggest_edit(s, NULL, 0);
	suggest_word(s, word);
	if (another)
		suggest_word(s, another);
	return suggest_text(s);
}
