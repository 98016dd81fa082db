/*
 * suggest.h: command lines that a message proposes. They are quoted so that sh,
 * bash and zsh run them as they stand.
 */
#ifndef SOCKEYE_CMD_CLI_SUGGEST_H
#define SOCKEYE_CMD_CLI_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

struct suggestion {
	char text[1024];
	size_t len;
	bool failed; /* too long, or a word that cannot be shown: propose nothing */

	/* Of a guess (cli/others.h). */
	char letters[16]; /* options that mean something else here */
	const char *why;  /* what this program does not do, or NULL */
};

/* Keeps the command line of the process for suggest_edit() and suggest_argv().
 * main() calls it once; the strings must last. */
void suggest_keep(int argc, char **argv);

/* The command line as it was typed, argv[0] included. */
char *const *suggest_argv(int *out_argc);

/* Appends one word with the quotes it needs. The first word appended to a zeroed
 * suggestion follows "sockeye". */
void suggest_word(struct suggestion *s, const char *word);

/* Appends shell text as it is, such as "</dev/null". */
void suggest_shell(struct suggestion *s, const char *text);

/* The text, or NULL when it failed. */
const char *suggest_text(const struct suggestion *s);

/* One change to the command line as it was typed. */
struct suggest_edit {
	const char *at;     /* points into the word to change */
	const char *text;   /* replaces that word from `at` on; NULL removes the word */
	const char *before; /* a word to insert before it, or NULL */
};

/* Fills *s with the command line as it was typed, edited. Returns its text, or
 * NULL when there is none to propose. */
const char *suggest_edit(struct suggestion *s, const struct suggest_edit *edits, size_t count);

/* The same with one edit, or with one or two words at the end (another may be NULL). */
const char *suggest_replace(struct suggestion *s, const char *at, const char *text);
const char *suggest_insert(struct suggestion *s, const char *word, const char *at);
const char *suggest_append(struct suggestion *s, const char *word, const char *another);

#endif
