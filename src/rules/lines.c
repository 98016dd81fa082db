/* lines.c: reads rule files (lines.h). */
#include "rules/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sockeye/text.h>

#include "net/net.h"

/* Returns the number of bytes, -EFBIG if there are more than max, or -errno. Does
 * not rely on st_size: files in /proc have size 0. */
static ssize_t read_all(int fd, char *buf, size_t max)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = read(fd, buf + len, max + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return (ssize_t)len;
		len += (size_t)n;
		if (len > max)
			return -EFBIG;
	}
}

static int read_regular(int fd, char **out_text, size_t *out_len)
{
	struct stat st;
	char *text;
	ssize_t len;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	text = malloc(SOCKEYE__RULES_FILE_MAX + 1);
	if (text == NULL)
		return -ENOMEM;
	len = read_all(fd, text, SOCKEYE__RULES_FILE_MAX);
	if (len < 0) {
		free(text);
		return (int)len;
	}
	text[len] = '\0';
	*out_text = text;
	*out_len = (size_t)len;
	return 0;
}

int sockeye__rules_file_read(const char *path, int dir_fd, char **out_text, size_t *out_len)
{
	/* Nonblocking, so that opening a FIFO does not wait for its writer. */
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int err;

	if (fd < 0)
		return -errno;
	err = read_regular(fd, out_text, out_len);
	close(fd);
	return err;
}

int sockeye__rules_source_open(struct sockeye__rules_source *out, const char *path,
			       const struct sockeye__rules_kind *kind, struct sockeye_fail *fail)
{
	struct sockeye__rules_source source = {.text = NULL};
	struct sockeye__rules_error error = {0};
	int err =
	    path != NULL ? sockeye__rules_file_read(path, AT_FDCWD, &source.text, &source.len) : 0;

	if (err == 0 && path != NULL)
		err = kind->parse(source.text, source.len, &source.rules, &error);
	if (err < 0) {
		free(source.text);
		return sockeye__rules_file_fail(fail, path, err, &error);
	}
	*out = source;
	return 0;
}

void sockeye__rules_source_close(struct sockeye__rules_source *source,
				 const struct sockeye__rules_kind *kind)
{
	if (source->rules != NULL)
		kind->free(source->rules);
	free(source->text);
	*source = (struct sockeye__rules_source){.text = NULL};
}

int sockeye__rules_file_fail(struct sockeye_fail *fail, const char *path, int err,
			     const struct sockeye__rules_error *error)
{
	char place[sizeof fail->address];

	if (error->line > 0) {
		snprintf(place, sizeof place, "%.300s:%u", path, error->line);
		sockeye__fail_set(fail, "read rules", place, SOCKEYE_E_RULES);
		sockeye__fail_detail(fail, "%s", error->text);
		return SOCKEYE_E_RULES;
	}
	err = err == -EINVAL ? SOCKEYE_E_RULES : err;
	sockeye__fail_set(fail, "read rules", path, err);
	if (err == SOCKEYE_E_RULES)
		sockeye__fail_detail(fail, "not a regular file");
	if (err == -EFBIG)
		sockeye__fail_detail(fail, "a rule file can have at most %d KiB",
				     SOCKEYE__RULES_FILE_MAX / 1024);
	return err;
}

int sockeye__rules_fail(const struct sockeye__rules_lines *lines, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	lines->error->line = lines->line;
	vsnprintf(lines->error->text, sizeof lines->error->text, fmt, args);
	va_end(args);
	return -EINVAL;
}

struct sockeye__rules_shown sockeye__rules_show(struct sockeye__slice text)
{
	struct sockeye__rules_shown shown;

	sockeye_escape(text.at, text.len, shown.text, sizeof shown.text);
	return shown;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Removes one word from the line [*at, end), which does not begin with a blank. */
static int word_next(const struct sockeye__rules_lines *lines, const char **at, const char *end,
		     struct sockeye__slice *out)
{
	bool quoted = **at == '"';
	const char *start = *at + quoted, *p = start;

	while (p < end && (quoted ? *p != '"' : !is_blank(*p)))
		p += *p == '\\' && p + 1 < end ? 2 : 1;
	*out = (struct sockeye__slice){start, (size_t)(p - start)};
	*at = p + quoted;
	if (quoted && p == end)
		return sockeye__rules_fail(lines, "missing closing quote");
	if (*at < end && !is_blank(**at))
		return sockeye__rules_fail(lines, "missing blank after a closing quote");
	return 0;
}

static int words_of(const struct sockeye__rules_lines *lines, const char *at, const char *end,
		    struct sockeye__slice *out_words, size_t max)
{
	size_t count = 0;

	for (;;) {
		int err;

		while (at < end && is_blank(*at))
			at++;
		if (at == end || *at == '#')
			return (int)count;
		if (count == max)
			return sockeye__rules_fail(
			    lines, "more than %zu words (put a word with blanks in quotes)", max);
		err = word_next(lines, &at, end, &out_words[count++]);
		if (err < 0)
			return err;
	}
}

char *sockeye__rules_begin(struct sockeye__rules_lines *lines, const char *text, size_t len,
			   struct sockeye__rules_error *error, size_t *out_rules_max)
{
	static const char bom[] = "\xef\xbb\xbf"; /* begins UTF-8 files of Windows editors */
	size_t skipped = len >= 3 && memcmp(text, bom, 3) == 0 ? 3 : 0, newlines = 0;
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	for (size_t i = 0; i < len && newlines < SOCKEYE__RULES_MAX - 1; i++)
		newlines += copy[i] == '\n';
	*lines =
	    (struct sockeye__rules_lines){.at = copy + skipped, .end = copy + len, .error = error};
	*out_rules_max = newlines + 1;
	return copy;
}

int sockeye__rules_next(struct sockeye__rules_lines *lines, struct sockeye__slice *out_words,
			size_t max)
{
	int count = 0;

	while (count == 0 && lines->at < lines->end) {
		const char *start = lines->at;
		const char *end = memchr(start, '\n', (size_t)(lines->end - start));

		if (end == NULL)
			end = lines->end;
		lines->at = end < lines->end ? end + 1 : end;
		lines->line++;
		if (memchr(start, '\0', (size_t)(end - start)) != NULL)
			return sockeye__rules_fail(lines, "NUL byte: not a text file");
		if (end > start && end[-1] == '\r') /* a Windows editor */
			end--;
		count = words_of(lines, start, end, out_words, max);
	}
	if (count > 0 && lines->count++ == SOCKEYE__RULES_MAX)
		return sockeye__rules_fail(lines, "more than %d rules", SOCKEYE__RULES_MAX);
	return count;
}

bool sockeye__rules_word_is(struct sockeye__slice word, const char *text)
{
	return word.len == strlen(text) && memcmp(word.at, text, word.len) == 0;
}
