/* test_lines.c: reads lines that arrive in pieces of every length. */
#include "help.h"

struct want {
	int result;
	const char *line;
	size_t len;
};

#define LINE(s) \
	{ \
		1, (s), sizeof(s) - 1 \
	}
#define LAST(s) \
	{ \
		2, (s), sizeof(s) - 1 \
	}
#define TOO_LONG \
	{ \
		SOCKEYE_E_LINE_TOO_LONG, NULL, 0 \
	}

static const struct {
	const char *in;
	size_t in_len, cap;
	struct want want[8]; /* and the end, twice */
	size_t count;
} rows[] = {
#define ROW(in, cap, ...) \
	{ \
		in, sizeof(in) - 1, cap, {__VA_ARGS__}, \
		    sizeof((struct want[]){__VA_ARGS__}) / sizeof(struct want) \
	}
    {"", 0, 8, {{0}}, 0},
    ROW("a\n", 8, LINE("a")),
    ROW("a\nb\n\nc\n", 8, LINE("a"), LINE("b"), LINE(""), LINE("c")),
    ROW("a\r\nb", 8, LINE("a\r"), LAST("b")),
    ROW("\n", 8, LINE("")),
    ROW("x", 8, LAST("x")),
    ROW("a\0b\n\0\n", 8, LINE("a\0b"), LINE("\0")),
    ROW("1234567\n", 8, LINE("1234567")),
    ROW("12345678\nab\n", 8, TOO_LONG, LINE("ab")),
    ROW("12345678", 8, TOO_LONG),
    ROW("123456789012345678901234567890\n\nab", 8, TOO_LONG, LINE(""), LAST("ab")),
    ROW("12345678\n12345678\nx\n", 8, TOO_LONG, TOO_LONG, LINE("x")),
    ROW("a\n", 1, TOO_LONG),
    ROW("\n\n", 1, LINE(""), LINE("")),
};

/* Reads a row. Each piece of `piece` bytes is written after a read has timed out. */
static void run(size_t row, size_t piece)
{
	char buf[64];
	struct sockeye_lines lines;
	size_t sent = 0, got = 0, ends = 0;
	int fds[2];

	pair_open(SOCK_STREAM, fds);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	sockeye_lines_init(&lines, fds[0], buf, rows[row].cap);
	while (ends < 2) {
		const char *line = NULL;
		size_t len = 0;
		int result = sockeye_readline(&lines, 1, &line, &len); /* a deadline in the past */

		if (result == -ETIMEDOUT) {
			size_t left = rows[row].in_len - sent;
			size_t n = piece < left ? piece : left;

			assert_int_equal(write(fds[1], rows[row].in + sent, n), n);
			sent += n;
			if (n == 0)
				shutdown(fds[1], SHUT_WR);
		} else if (result == 0) {
			ends++;
		} else {
			assert_true(got < rows[row].count);
			assert_int_equal(result, rows[row].want[got].result);
			assert_int_equal(len, rows[row].want[got].len);
			if (len > 0)
				assert_memory_equal(line, rows[row].want[got].line, len);
			got++;
		}
	}
	assert_int_equal(got, rows[row].count);
	close(fds[0]);
	close(fds[1]);
}

static void test_rows(void **state)
{
	(void)state;
	FOR_ROWS(row, rows, "%.*s", (int)rows[row].in_len, rows[row].in)
		for (size_t piece = 1; piece <= 40; piece++)
			run(row, piece);
}

/* Bytes that were read ahead belong to the reader of their descriptor. */
static void test_two_readers(void **state)
{
	char buf[2][32];
	struct sockeye_lines lines[2];
	int fds[2][2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_return_code(pipe(fds[i]), errno);
		sockeye_lines_init(&lines[i], fds[i][0], buf[i], sizeof buf[i]);
		dprintf(fds[i][1], "%d one\n%d two\n", i, i);
		close(fds[i][1]);
	}
	for (int turn = 0; turn < 2; turn++)
		for (int i = 0; i < 2; i++) {
			char want[16];
			const char *line;
			size_t len;

			snprintf(want, sizeof want, "%d %s", i, turn ? "two" : "one");
			assert_int_equal(sockeye_readline(&lines[i], 0, &line, &len), 1);
			assert_int_equal(len, strlen(want));
			assert_memory_equal(line, want, len);
		}
	close(fds[0][0]);
	close(fds[1][0]);
}

/* A deadline within a line loses no byte of it. */
static void test_deadline_keeps(void **state)
{
	char buf[32];
	struct sockeye_lines lines;
	const char *line;
	size_t len;
	int fds[2];

	(void)state;
	pair_open(SOCK_STREAM, fds);
	sockeye_lines_init(&lines, fds[0], buf, sizeof buf);
	assert_int_equal(write(fds[1], "hel", 3), 3);
	assert_int_equal(sockeye_readline(&lines, MS(10), &line, &len), -ETIMEDOUT);
	assert_int_equal(write(fds[1], "lo\n", 3), 3);
	assert_int_equal(sockeye_readline(&lines, MS(LONG_MS), &line, &len), 1);
	assert_int_equal(len, 5);
	assert_memory_equal(line, "hello", 5);
	close(fds[1]);
	close(fds[0]);
	assert_int_equal(sockeye_readline(&lines, 0, &line, &len), -EBADF);
}

/* A header of lines, and then bytes that are none, in any number of reads. */
static void test_bytes_after_a_line(void **state)
{
	static const char in[] = "GET\nlength 9\n\n\n\0binary\n";
	const size_t header = 14;

	(void)state;
	for (size_t ahead = 1; ahead < sizeof in; ahead++)
		for (size_t piece = 1; piece < 12; piece++) {
			char buf[32], got[32];
			struct sockeye_lines lines;
			const char *line;
			size_t len, n = 0;
			ssize_t more;
			int fds[2];

			pair_open(SOCK_STREAM, fds);
			sockeye_lines_init(&lines, fds[0], buf, sizeof buf);
			assert_int_equal(write(fds[1], in, ahead), ahead);
			if (ahead < sizeof in - 1)
				assert_int_equal(write(fds[1], in + ahead, sizeof in - 1 - ahead),
						 sizeof in - 1 - ahead);
			shutdown(fds[1], SHUT_WR);
			for (int i = 0; i < 3; i++)
				assert_int_equal(sockeye_readline(&lines, 0, &line, &len), 1);
			assert_int_equal(len, 0);
			while ((more = sockeye_reader_read(&lines, got + n, piece, 0)) > 0)
				n += (size_t)more;
			assert_int_equal(more, 0);
			assert_int_equal(n, sizeof in - 1 - header);
			assert_memory_equal(got, in + header, n);
			close(fds[0]);
			close(fds[1]);
		}
}

static void test_bytes_and_lines_in_turn(void **state)
{
	char buf[8], got[8];
	struct sockeye_lines lines;
	const char *line;
	size_t len;
	int fds[2];

	(void)state;
	pair_open(SOCK_STREAM, fds);
	sockeye_lines_init(&lines, fds[0], buf, sizeof buf);
	assert_int_equal(write(fds[1], "a\nxyzb\n123456789\n", 17), 17);
	assert_int_equal(sockeye_readline(&lines, 0, &line, &len), 1);
	assert_int_equal(sockeye_reader_read(&lines, got, 3, 0), 3);
	assert_memory_equal(got, "xyz", 3);
	assert_int_equal(sockeye_readline(&lines, 0, &line, &len), 1);
	assert_memory_equal(line, "b", 1);
	assert_int_equal(sockeye_readline(&lines, 0, &line, &len), SOCKEYE_E_LINE_TOO_LONG);
	assert_int_equal(sockeye_reader_read(&lines, got, sizeof got, 0), 2);
	assert_memory_equal(got, "9\n", 2);
	assert_int_equal(sockeye_reader_read(&lines, got, 1, MS(10)), -ETIMEDOUT);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(sockeye_reader_read(&lines, got, 1, 0), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_two_readers),
	    cmocka_unit_test(test_deadline_keeps),
	    cmocka_unit_test(test_bytes_after_a_line),
	    cmocka_unit_test(test_bytes_and_lines_in_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
