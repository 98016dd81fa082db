/*
 * lines.h: reads rule files: their size limit, their lines and words, and the message
 * about a wrong line.
 *
 * Blanks separate words. A word in "double quotes" may contain blanks. A backslash
 * makes the next byte ordinary here (a blank, a quote, a number sign); both bytes
 * stay in the word, because patterns use backslashes too. A word that begins with
 * # starts a comment, which ends with the line.
 */
#ifndef SOCKEYE_RULES_LINES_H
#define SOCKEYE_RULES_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/error.h>

#include "base/slice.h"

#define SOCKEYE__RULES_FILE_MAX (1 << 20)
#define SOCKEYE__RULES_MAX      4096 /* rules in a file */

/* The first wrong line, counted from 1, and the reason, which is printable. */
struct sockeye__rules_error {
	unsigned line;
	char text[160];
};

struct sockeye__rules_lines {
	const char *at, *end; /* the rest of the text */
	unsigned line;        /* number of the line returned last */
	size_t count;         /* lines with words so far */
	struct sockeye__rules_error *error;
};

/* Reads a whole file of at most SOCKEYE__RULES_FILE_MAX bytes and appends a NUL,
 * which *out_len does not count. The caller frees the text. Returns 0 or -errno:
 * -EFBIG, -EISDIR, or -EINVAL if it is not a regular file. */
int sockeye__rules_file_read(const char *path, int dir_fd, char **out_text, size_t *out_len);

/* A language of rules. */
struct sockeye__rules_kind {
	/* Returns 0 with the rules in *out, -ENOMEM, or -EINVAL with *error filled in. */
	int (*parse)(const char *text, size_t len, void **out, struct sockeye__rules_error *error);
	void (*free)(void *rules);
};

/* The text of a file and the rules in it. */
struct sockeye__rules_source {
	char *text; /* NULL: there is no file */
	size_t len;
	void *rules; /* NULL: none */
};

/* Reads a file of rules. If `path` is NULL, there are no rules. Returns 0, or a negative
 * code with *fail filled in. */
int sockeye__rules_source_open(struct sockeye__rules_source *out, const char *path,
			       const struct sockeye__rules_kind *kind, struct sockeye_fail *fail);
/* Frees text and rules. Legal when zeroed. */
void sockeye__rules_source_close(struct sockeye__rules_source *source,
				 const struct sockeye__rules_kind *kind);

/* Fills in *fail for a file that could not be read, or whose rules are wrong: then
 * err is -EINVAL and *error has the line and the reason. Returns the code to
 * report. */
int sockeye__rules_file_fail(struct sockeye_fail *fail, const char *path, int err,
			     const struct sockeye__rules_error *error);

/* Starts to read the lines of a text. Returns a copy of the text, into which the words will
 * point and which the caller frees, or NULL if memory is short. *out_rules_max is the
 * largest number of rules that the text can have, at least 1. */
char *sockeye__rules_begin(struct sockeye__rules_lines *lines, const char *text, size_t len,
			   struct sockeye__rules_error *error, size_t *out_rules_max);

/* Returns the number of words of the next line that has words, 0 at the end of the
 * text, or -EINVAL with *lines->error filled in. More than `max` words and more
 * than SOCKEYE__RULES_MAX lines with words are errors. */
int sockeye__rules_next(struct sockeye__rules_lines *lines, struct sockeye__slice *out_words,
			size_t max);

/* Fills in *lines->error for the current line and returns -EINVAL. */
int sockeye__rules_fail(const struct sockeye__rules_lines *lines, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Part of a line with escaped control characters, for a message. */
struct sockeye__rules_shown {
	char text[4 * 20 + 1];
};
struct sockeye__rules_shown sockeye__rules_show(struct sockeye__slice text);

bool sockeye__rules_word_is(struct sockeye__slice word, const char *text);

#endif
