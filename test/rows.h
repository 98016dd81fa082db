/*
 * rows.h: loops over tables whose failed assertions name the row.
 *
 *	FOR_ROWS(i, rows, "%s", rows[i].text)
 *		assert_int_equal(parse(rows[i].text), rows[i].err);
 *
 * prints, besides cmocka's message:
 *
 *	../test/unit/test_addr.c:164: rows[3]: tcp://h:7
 *
 * The text after the table is a format of printf() that identifies the row.
 *
 * A failed assertion leaves the loop through longjmp(), which skips the cleanup
 * of the loop's variable. The test's teardown then finds the loop unfinished and
 * reports its row. This header adds that teardown to cmocka_unit_test(); a test
 * with a teardown function calls row_report() there. Include this header after
 * <cmocka.h>.
 */
#ifndef SOCKEYE_TEST_ROWS_H
#define SOCKEYE_TEST_ROWS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define ROW_LOOPS_MAX 4 /* nested */

struct row_loop {
	const char *table;
	const char *file;
	int line;
	size_t row;
	char text[256];
};

static struct row_loop row_loops[ROW_LOOPS_MAX];
static size_t row_depth;

static inline size_t row_loop_begin(const char *table, const char *file, int line)
{
	assert_true(row_depth < ROW_LOOPS_MAX);
	row_loops[row_depth++] = (struct row_loop){.table = table, .file = file, .line = line};
	return 0;
}

static inline void row_loop_end(const size_t *row)
{
	(void)row;
	row_depth--;
}

__attribute__((format(printf, 2, 3))) static inline bool row_is(size_t row, const char *format, ...)
{
	struct row_loop *loop = &row_loops[row_depth - 1];
	va_list args;

	loop->row = row;
	va_start(args, format);
	vsnprintf(loop->text, sizeof loop->text, format, args);
	va_end(args);
	/* A row may hold control characters, which would act on the terminal. */
	for (char *c = loop->text; *c != '\0'; c++)
		*c = (unsigned char)*c < ' ' ? '?' : *c;
	return true;
}

/* Runs the body once for each element of the array `rows`, with its index in i.
 * The body may leave the loop with break or return. */
#define FOR_ROWS(i, rows, ...) \
	for (size_t i \
	     __attribute__((cleanup(row_loop_end))) = row_loop_begin(#rows, __FILE__, __LINE__); \
	     i < COUNT(rows) && row_is(i, __VA_ARGS__); i++)

/* Prints the rows of the loops that a failed assertion has left. Returns 0. */
static inline int row_report(void **state)
{
	(void)state;
	for (size_t i = 0; i < row_depth; i++)
		print_error("%s:%d: %s[%zu]: %s\n", row_loops[i].file, row_loops[i].line,
			    row_loops[i].table, row_loops[i].row, row_loops[i].text);
	row_depth = 0;
	return 0;
}

#undef cmocka_unit_test
#define cmocka_unit_test(test) cmocka_unit_test_teardown(test, row_report)

#endif
