/*
 * line_reader.c: connects and prints lines, no matter how the network splits
 * them. Each line must be complete within the given number of milliseconds.
 *
 *     line_reader tcp://127.0.0.1:7013 1000
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <sockeye.h>

#define LINE_MAX 80

static int complain(const struct sockeye_fail *why)
{
	char text[1024];

	sockeye_fail_text(why, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
	return sockeye_error_exit(why->err);
}

/* Prints lines. Returns 0 at the end of the stream, or a negative code. */
static int read_lines(int fd, uint64_t patience_ms)
{
	char buf[LINE_MAX + 1], shown[4 * LINE_MAX + 1];
	struct sockeye_lines lines;
	const char *line;
	size_t len;

	sockeye_lines_init(&lines, fd, buf, sizeof(buf));
	for (int number = 1;; number++) {
		int got = sockeye_readline(&lines, sockeye_deadline_ms(patience_ms), &line, &len);

		if (got == SOCKEYE_E_LINE_TOO_LONG) {
			printf("%d: too long\n", number);
			continue;
		}
		if (got <= 0)
			return got;
		sockeye_escape(line, len, shown,
			       sizeof(shown)); /* it may have control characters */
		printf("%d: %s%s\n", number, shown, got == 2 ? " (no newline)" : "");
	}
}

int main(int argc, char **argv)
{
	struct sockeye_addr addr;
	struct sockeye_fail why;

	if (argc != 3) {
		fprintf(stderr, "usage: line_reader ADDRESS MILLISECONDS\n");
		return SOCKEYE_EXIT_USAGE;
	}
	if (sockeye_addr_parse(argv[1], &addr, &why) < 0)
		return complain(&why);
	int fd = sockeye_connect(&addr, NULL, &why);
	if (fd < 0)
		return complain(&why);
	int err = read_lines(fd, strtoul(argv[2], NULL, 10));

	close(fd);
	puts(err == 0 ? "end" : err == -ETIMEDOUT ? "timed out" : sockeye_error_text(err));
	return sockeye_error_exit(err);
}
