/* test_message_input.c: the input is split in the same places for reads of any size. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../rows.h"
#include "talk/message_input.h"

#define MESSAGES_MAX 8

static const struct {
	enum sockeye__message_per per;
	size_t size;
	const char *in;
	const char *out[MESSAGES_MAX];
} rows[] = {
    {SOCKEYE__MESSAGE_PER_LINE, 0, "", {0}},
    {SOCKEYE__MESSAGE_PER_LINE, 0, "a\nbc\n", {"a\n", "bc\n"}},
    {SOCKEYE__MESSAGE_PER_LINE, 0, "a\n\n\nlast", {"a\n", "\n", "\n", "last"}},
    {SOCKEYE__MESSAGE_PER_ALL, 0, "", {0}},
    {SOCKEYE__MESSAGE_PER_ALL, 0, "a\nb\n", {"a\nb\n"}},
    {SOCKEYE__MESSAGE_PER_SIZE, 3, "123456", {"123", "456"}},
    {SOCKEYE__MESSAGE_PER_SIZE, 3, "12345", {"123", "45"}},
    {SOCKEYE__MESSAGE_PER_SIZE, 1, "\n\n", {"\n", "\n"}},
};

static void expect(struct sockeye__message_input *input, const char *const **want)
{
	const uint8_t *data;
	size_t len;

	while (sockeye__message_input_next(input, &data, &len)) {
		assert_non_null(**want);
		assert_int_equal(len, strlen(**want));
		assert_memory_equal(data, **want, len);
		sockeye__message_input_consume(input, len);
		++*want;
	}
}

/* Writes the input in pieces of `step` bytes and consumes the complete messages after
 * each. */
static void check(size_t row, size_t step)
{
	const char *in = rows[row].in, *const *want = rows[row].out;
	struct sockeye__message_input input;
	size_t len = strlen(in);
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(
	    sockeye__message_input_init(&input, NULL, 0, fds[0], rows[row].per, rows[row].size), 0);
	assert_int_equal(sockeye__message_input_read(&input), -EAGAIN);
	for (size_t done = 0; done < len; done += step) {
		size_t n = len - done < step ? len - done : step;

		assert_int_equal(write(fds[1], in + done, n), n);
		assert_int_equal(sockeye__message_input_read(&input), 0);
		assert_false(sockeye__message_input_done(&input));
		expect(&input, &want);
	}
	close(fds[1]);
	assert_int_equal(sockeye__message_input_read(&input), 0);
	expect(&input, &want);
	assert_null(*want);
	assert_true(sockeye__message_input_done(&input));
	sockeye__message_input_fini(&input);
	close(fds[0]);
}

static void test_pieces_of_every_size(void **state)
{
	(void)state;
	FOR_ROWS(row, rows, "%s", rows[row].in) {
		for (size_t step = 1; step <= strlen(rows[row].in) + 1; step++)
			check(row, step);
	}
}

static void test_words_may_be_empty(void **state)
{
	static const char *const words[] = {"one", "", "three"};
	struct sockeye__message_input input;
	const uint8_t *data;
	size_t len;

	(void)state;
	assert_int_equal(
	    sockeye__message_input_init(&input, words, 3, 0, SOCKEYE__MESSAGE_PER_LINE, 0), 0);
	for (size_t i = 0; i < 3; i++) {
		assert_false(sockeye__message_input_done(&input));
		assert_true(sockeye__message_input_next(&input, &data, &len));
		assert_int_equal(len, strlen(words[i]));
		sockeye__message_input_consume(&input, len);
	}
	assert_false(sockeye__message_input_next(&input, &data, &len));
	assert_true(sockeye__message_input_done(&input));
	sockeye__message_input_fini(&input);
}

static void test_line_that_is_too_long(void **state)
{
	struct sockeye__message_input input;
	static char block[32768];
	int fds[2], err = 0;

	(void)state;
	memset(block, 'x', sizeof block);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(
	    sockeye__message_input_init(&input, NULL, 0, fds[0], SOCKEYE__MESSAGE_PER_LINE, 0), 0);
	for (size_t sent = 0; sent <= SOCKEYE__MESSAGE_MAX && err == 0; sent += sizeof block) {
		assert_int_equal(write(fds[1], block, sizeof block), sizeof block);
		err = sockeye__message_input_read(&input);
	}
	assert_int_equal(err, -EMSGSIZE);
	sockeye__message_input_fini(&input);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pieces_of_every_size),
	    cmocka_unit_test(test_words_may_be_empty),
	    cmocka_unit_test(test_line_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
