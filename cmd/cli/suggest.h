/*
 * suggest.h: builds the command line that a message proposes, quoted so that it can be
 * pasted into sh, bash and zsh.
 */
#ifndef SOCKEYE_CMD_CLI_SUGGEST_H
#define SOCKEYE_CMD_CLI_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>

struct suggestion {
	char text[1024];
	size_t len;
	bool failed; /* too long, or a word has control characters: propose nothing */

	/* Set by cli/translate.h. */
	char letters[16]; /* options that have another meaning in the other program */
	const char *why;  /* why sockeye has no equivalent command line, or NULL */
	char lost[96];    /* options of that program that the text leaves out, or empty */
};

/* Keeps the command line of the process for the functions below. main() calls it once;
 * the strings must stay valid. */
void suggest_keep(int argc, char **argv);

/* Returns the command line of the process, including argv[0]. */
char *const *suggest_argv(int *out_argc);

/* Appends one word, quoted if necessary. The first word follows "sockeye". */
void suggest_word(struct suggestion *s, const char *word);

/* Appends text without quotes, such as "</dev/null". */
void suggest_shell(struct suggestion *s, const char *text);

/* Adds an option of another program that sockeye does not have to s->lost. */
void suggest_lost(struct suggestion *s, const char *option, size_t len);

/* Writes s->why or the options in s->lost as a remark for a message, " (reason)", or "".
 * Returns buf. */
#define SUGGEST_REMARK_MAX 160
const char *suggest_remark(const struct suggestion *s, char buf[SUGGEST_REMARK_MAX]);

/* Returns the command line, or NULL if there is none. */
const char *suggest_text(const struct suggestion *s);

/* A change to one word of the command line of the process. */
struct suggest_edit {
	const char *at;     /* points into the word */
	const char *text;   /* replaces the word from `at` on; NULL removes the word */
	const char *before; /* a word to insert before it, or NULL */
};

/* Stores the edited command line of the process in *s. Returns the text, or NULL if
 * s->failed is set or a word was not found. */
const char *suggest_edit(struct suggestion *s, const struct suggest_edit *edits, size_t count);

/* The same with one edit, or with one or two appended words (`another` may be NULL). */
const char *suggest_replace(struct suggestion *s, const char *at, const char *text);
const char *suggest_insert(struct suggestion *s, const char *word, const char *at);
const char *suggest_append(struct suggestion *s, const char *word, const char *another);

#endif
