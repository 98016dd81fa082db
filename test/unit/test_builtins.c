/* test_builtins.c: the table of built-in services, and rules for all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../rows.h"
#include "session.h"

static const struct {
	const char *name;
	uint16_t port;
	bool uses_time, speaks_first, amplifies;
} rows[] = {
    {"echo", 7, false, false, false},  {"discard", 9, false, false, false},
    {"chargen", 19, true, true, true}, {"daytime", 13, true, true, true},
    {"time", 37, true, true, true},    {"upper", 1, false, false, false},
    {"reply", 2, true, false, true},
};

static void test_known_services(void **state)
{
	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].name) {
		const struct sockeye_service *s = sockeye_builtin_find(rows[i].name);

		assert_non_null(s);
		assert_int_equal(s->port, rows[i].port);
		assert_int_equal(s->uses_time, rows[i].uses_time);
		assert_int_equal(s->speaks_first, rows[i].speaks_first);
		assert_int_equal(s->amplifies, rows[i].amplifies);
	}
}

/* The program makes a command-line option of each of these. */
static void check_option(const struct sockeye_option *o)
{
	assert_true(strlen(o->help) > 0);
	assert_true((o->kind == SOCKEYE_OPTION_FLAG) == (o->value == NULL));
	assert_true((o->kind == SOCKEYE_OPTION_CHOICE) == (o->choices != NULL));
	assert_true(o->offset < sizeof(struct sockeye_builtin_config));
	assert_true(o->max == 0 || o->min <= o->max);
	assert_false(o->streams_only && o->datagrams_only);
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; sockeye_builtins[i] != NULL; i++) {
		const struct sockeye_service *s = sockeye_builtins[i];

		assert_true(s->state_size <= SOCKEYE_STATE_MAX);
		assert_true(strlen(s->summary) > 0);
		assert_non_null(s->turn);
		assert_non_null(s->datagram);
		assert_ptr_equal(sockeye_builtin_find(s->name), s);
		for (const struct sockeye_option *o = s->options; o && o->name; o++)
			check_option(o);
	}
}

static void test_find_unknown(void **state)
{
	static const char *const names[] = {"", "ech", "echoo", "ECHO", "tftp"};

	(void)state;
	FOR_ROWS(i, names, "%s", names[i]) {
		assert_null(sockeye_builtin_find(names[i]));
	}
}

/* The output is the same for input in pieces of any size. */
static void test_cuts(void **state)
{
	static uint8_t in[20000];
	struct dice dice = {.seed = 5};

	(void)state;
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (uint8_t)dice_pick(&dice, 0, 255);
	for (size_t i = 0; sockeye_builtins[i]; i++) {
		struct session s = {.service = sockeye_builtins[i]};
		struct session_out plain = session_run(&s, in, sizeof in);

		assert_null(plain.broken);
		for (uint64_t seed = 1; seed <= 20; seed++) {
			s.dice.seed = seed;
			s.in_max = seed % 2 ? 1500 : 0;
			struct session_out cut = session_run(&s, in, sizeof in);

			assert_null(cut.broken);
			if (strcmp(s.service->name, "chargen") != 0)
				assert_int_equal(cut.len, plain.len);
			if (plain.len > 0)
				assert_memory_equal(cut.ptr, plain.ptr,
						    cut.len < plain.len ? cut.len : plain.len);
			free(cut.ptr);
		}
		free(plain.ptr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known_services),
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_find_unknown),
	    cmocka_unit_test(test_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
