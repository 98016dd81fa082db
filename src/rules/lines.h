/*
 * lines.h: what the languages of rules have in common: a bounded file, lines of
 * words, what is wrong with a line.
 *
 * Words have blanks between them. A word in "double quotes" may have blanks in
 * it. A backslash takes the meaning that the byte behind it has here (blank,
 * quote, number sign); both stay in the word, for the language of patterns. From
 * a word that begins with # on, the line is a comment.
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

/* The first line that is wrong, from 1, and why; fit to be shown. */
struct sockeye__rules_error {
	unsigned line;
	char text[160];
};

struct sockeye__rules_lines {
	const char *at, *end; /* what is left of the text */
	unsigned line;        /* of the words returned last */
	size_t count;         /* of lines that had words */
	struct sockeye__rules_error *error;
};

/* The whole of a regular file of at most SOCKEYE__RULES_FILE_MAX bytes, with a
 * NUL behind it that does not count; the caller frees it. 0 or -errno: -EFBIG,
 * -EISDIR, -EINVAL for what else is no file. */
int sockeye__rules_file_read(const char *path, int dir_fd, char **out_text, size_t *out_len);

/* What to tell of a file that could not be read, or whose rules are wrong (then
 * err is -EINVAL, and *error says where and why). Returns the code for it. */
int sockeye__rules_file_fail(struct sockeye_fail *fail, const char *path, int err,
			     const struct sockeye__rules_error *error);

/* Begins with the lines of a text. Returns a copy of it, which its words are in
 * and the caller frees; NULL when memory is lacking. *out_most is how many rules
 * it has at most, at least 1. */
char *sockeye__rules_begin(struct sockeye__rules_lines *lines, const char *text, size_t len,
			   struct sockeye__rules_error *error, size_t *out_most);

/* The words of the next line that has any: how many, 0 at the end, or -EINVAL
 * with *lines->error filled in, for more than `max` of them too, and for the
 * line after SOCKEYE__RULES_MAX of them. */
int sockeye__rules_next(struct sockeye__rules_lines *lines, struct sockeye__slice *out_words,
			size_t max);

/* Says what is wrong with the line and returns -EINVAL. */
int sockeye__rules_fail(const struct sockeye__rules_lines *lines, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Part of a line with its control characters escaped, for a message. */
struct sockeye__rules_shown {
	char text[4 * 20 + 1];
};
struct sockeye__rules_shown sockeye__rules_show(struct sockeye__slice text);

bool sockeye__rules_word_is(struct sockeye__slice word, const char *text);

#endif
