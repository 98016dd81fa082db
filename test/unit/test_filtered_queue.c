/* test_flow.c: a flow is bounded, loses nothing, and keeps room for notes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "console/filtered_queue.h"

#define CAP 4096

static uint32_t random_state = 1;

static size_t random_below(size_t bound)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % bound;
}

/* Puts and takes by random amounts; what comes out is what went in. */
static void check_stream(const struct sockeye__filter *filter, unsigned factor)
{
	struct sockeye__filtered_queue flow;
	uint32_t in = 0, out = 0;

	assert_int_equal(sockeye__filtered_queue_init(&flow, CAP, filter), 0);
	for (int turn = 0; turn < 20000; turn++) {
		uint8_t *where;
		size_t room = sockeye__filtered_queue_room(&flow, &where), n;

		n = room ? random_below(room + 1) : 0;
		for (size_t i = 0; i < n; i++)
			where[i] = (uint8_t)in++;
		sockeye__filtered_queue_add(&flow, n);
		assert_in_range(sockeye__filtered_queue_waiting(&flow), 0, CAP);

		n = sockeye__filtered_queue_waiting(&flow);
		n = n ? random_below(n + 1) : 0;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(flow.buf[flow.start + i], (uint8_t)(out++ / factor));
		sockeye__filtered_queue_consume(&flow, n);
	}
	assert_in_range(out, 1000000, UINT32_MAX);
	sockeye__filtered_queue_fini(&flow);
}

static size_t thrice(void *arg, const uint8_t *in, size_t len, uint8_t *room)
{
	(void)arg;
	for (size_t i = 0; i < len; i++)
		memset(room + 3 * i, in[i], 3);
	return 3 * len;
}

static void test_nothing_is_lost(void **state)
{
	const struct sockeye__filter filter = {.factor = 3, .encode = thrice};

	(void)state;
	check_stream(NULL, 1);
	check_stream(&filter, 3);
}

static void test_full_has_room_for_a_note(void **state)
{
	struct sockeye__filtered_queue flow;
	uint8_t *where;
	size_t room;

	(void)state;
	assert_int_equal(sockeye__filtered_queue_init(&flow, CAP, NULL), 0);
	while ((room = sockeye__filtered_queue_room(&flow, &where)) > 0)
		sockeye__filtered_queue_add(&flow, room);
	assert_int_equal(sockeye__filtered_queue_waiting(&flow), CAP);
	memset(sockeye__filtered_queue_note_room(&flow), 'n', SOCKEYE__NOTE_ROOM);
	sockeye__filtered_queue_note_add(&flow, SOCKEYE__NOTE_ROOM);
	assert_int_equal(sockeye__filtered_queue_room(&flow, &where), 0);
	assert_int_equal(sockeye__filtered_queue_waiting(&flow), CAP + SOCKEYE__NOTE_ROOM);
	assert_int_equal(flow.buf[flow.end - 1], 'n');
	sockeye__filtered_queue_fini(&flow);
}

static size_t hold(void *arg, const uint8_t *in, size_t len, uint8_t *room)
{
	(void)in;
	(void)room;
	*(size_t *)arg += len;
	return 0;
}

static size_t let_go(void *arg, uint8_t *room)
{
	memset(room, '.', *(size_t *)arg);
	return *(size_t *)arg;
}

static void test_end_writes_what_was_held(void **state)
{
	size_t held = 0;
	const struct sockeye__filter filter = {1, hold, let_go, &held};
	struct sockeye__filtered_queue flow;
	uint8_t *where;

	(void)state;
	assert_int_equal(sockeye__filtered_queue_init(&flow, CAP, &filter), 0);
	assert_true(sockeye__filtered_queue_room(&flow, &where) >= 3);
	memcpy(where, "abc", 3);
	sockeye__filtered_queue_add(&flow, 3);
	assert_int_equal(sockeye__filtered_queue_waiting(&flow), 0);
	sockeye__filtered_queue_end(&flow);
	assert_int_equal(sockeye__filtered_queue_waiting(&flow), 3);
	assert_memory_equal(flow.buf + flow.start, "...", 3);
	sockeye__filtered_queue_fini(&flow);
}

static void test_fini_of_nothing(void **state)
{
	struct sockeye__filtered_queue flow = {0};

	(void)state;
	sockeye__filtered_queue_fini(&flow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_is_lost),
	    cmocka_unit_test(test_full_has_room_for_a_note),
	    cmocka_unit_test(test_end_writes_what_was_held),
	    cmocka_unit_test(test_fini_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
