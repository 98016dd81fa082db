/*
 * lines.c: reads a stream line by line, and the bytes after a line.
 */
#include <assert.h>
#include <string.h>

#include "net/net.h"

void sockeye_lines_init(struct sockeye_lines *lines, int fd, char *buf, size_t cap)
{
	assert(cap > 0);
	*lines = (struct sockeye_lines){.fd = fd, .buf = buf, .cap = cap};
}

/* Moves the unread bytes to the start of the buffer and reads more bytes after them.
 * Returns like sockeye_read_some(). */
static ssize_t read_ahead(struct sockeye_lines *l, uint64_t deadline_ns)
{
	ssize_t n;

	if (l->start > 0) {
		memmove(l->buf, l->buf + l->start, l->end - l->start);
		l->end -= l->start;
		l->start = 0;
	}
	n = sockeye_read_some(l->fd, l->buf + l->end, l->cap - l->end, deadline_ns);
	if (n > 0)
		l->end += (size_t)n;
	return n;
}

/* Takes a line up to the LF or, if lf is NULL, all buffered bytes. Returns 1 or 2, like
 * sockeye_readline(). */
static int line_take(struct sockeye_lines *l, const char *lf, const char **out_line,
		     size_t *out_len)
{
	const char *line = l->buf + l->start;

	*out_line = line;
	*out_len = (size_t)((lf != NULL ? lf : l->buf + l->end) - line);
	l->start += *out_len + (lf != NULL);
	return lf != NULL ? 1 : 2;
}

/* Discards the buffered part of a line that was too long, including its LF. */
static void line_skip(struct sockeye_lines *l)
{
	char *from = l->buf + l->start;
	char *lf = memchr(from, '\n', l->end - l->start);

	l->start += lf != NULL ? (size_t)(lf + 1 - from) : l->end - l->start;
	l->skipping = lf == NULL;
}

int sockeye_readline(struct sockeye_lines *lines, uint64_t deadline_ns, const char **out_line,
		     size_t *out_len)
{
	struct sockeye_lines *l = lines;
	size_t seen = 0; /* bytes after start that were searched for a LF */

	for (;;) {
		const char *from, *lf;
		ssize_t n;

		if (l->skipping)
			line_skip(l);
		from = l->buf + l->start + seen;
		lf = memchr(from, '\n', (size_t)(l->buf + l->end - from));
		if (lf != NULL)
			return line_take(l, lf, out_line, out_len);
		seen = l->end - l->start;
		if (seen == l->cap) {
			l->start = l->end;
			l->skipping = true;
			return SOCKEYE_E_LINE_TOO_LONG;
		}
		n = read_ahead(l, deadline_ns);
		if (n == 0 && l->end > l->start)
			return line_take(l, NULL, out_line, out_len);
		if (n <= 0)
			return (int)n;
	}
}

ssize_t sockeye_reader_read(struct sockeye_lines *lines, void *buf, size_t len,
			    uint64_t deadline_ns)
{
	size_t ahead = lines->end - lines->start;

	lines->skipping = false;
	if (ahead == 0)
		return sockeye_read_some(lines->fd, buf, len, deadline_ns);
	if (len > ahead)
		len = ahead;
	memcpy(buf, lines->buf + lines->start, len);
	lines->start += len;
	return (ssize_t)len;
}
