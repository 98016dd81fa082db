/* test_filtered_queue.c: a queue is bounded, loses no byte, and reserves room for notes. */
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

/* Adds and consumes random amounts. The output must be the input, with each byte
 * `factor` times. */
static void check_stream(const struct sockeye__filter *filter, unsigned factor)
{
	struct sockeye__filtered_queue q;
	uint32_t in = 0, out = 0;

	assert_int_equal(sockeye__filtered_queue_init(&q, CAP, filter), 0);
	for (int turn = 0; turn < 20000; turn++) {
		uint8_t *where;
		size_t room = sockeye__filtered_queue_room(&q, &where), n;

		n = room ? random_below(room + 1) : 0;
		for (size_t i = 0; i < n; i++)
			where[i] = (uint8_t)in++;
		sockeye__filtered_queue_add(&q, n);
		assert_in_range(sockeye__filtered_queue_waiting(&q), 0, CAP);

		n = sockeye__filtered_queue_waiting(&q);
		n = n ? random_below(n + 1) : 0;
		for (size_t i = 0; i < n; i++)
			assert_int_equal(q.buf[q.start + i], (uint8_t)(out++ / factor));
		sockeye__filtered_queue_consume(&q, n);
	}
	assert_in_range(out, 1000000, UINT32_MAX);
	sockeye__filtered_queue_fini(&q);
}

static size_t triple(void *arg, const uint8_t *in, size_t len, uint8_t *room)
{
	(void)arg;
	for (size_t i = 0; i < len; i++)
		memset(room + 3 * i, in[i], 3);
	return 3 * len;
}

static void test_nothing_is_lost(void **state)
{
	const struct sockeye__filter filter = {.factor = 3, .encode = triple};

	(void)state;
	check_stream(NULL, 1);
	check_stream(&filter, 3);
}

static void test_full_queue_has_room_for_a_note(void **state)
{
	struct sockeye__filtered_queue q;
	uint8_t *where;
	size_t room;

	(void)state;
	assert_int_equal(sockeye__filtered_queue_init(&q, CAP, NULL), 0);
	while ((room = sockeye__filtered_queue_room(&q, &where)) > 0)
		sockeye__filtered_queue_add(&q, room);
	assert_int_equal(sockeye__filtered_queue_waiting(&q), CAP);
	memset(sockeye__filtered_queue_note_room(&q), 'n', SOCKEYE__FILTERED_QUEUE_NOTE_ROOM);
	sockeye__filtered_queue_note_add(&q, SOCKEYE__FILTERED_QUEUE_NOTE_ROOM);
	assert_int_equal(sockeye__filtered_queue_room(&q, &where), 0);
	assert_int_equal(sockeye__filtered_queue_waiting(&q),
			 CAP + SOCKEYE__FILTERED_QUEUE_NOTE_ROOM);
	assert_int_equal(q.buf[q.end - 1], 'n');
	sockeye__filtered_queue_fini(&q);
}

static size_t hold(void *arg, const uint8_t *in, size_t len, uint8_t *room)
{
	(void)in;
	(void)room;
	*(size_t *)arg += len;
	return 0;
}

static size_t release(void *arg, uint8_t *room)
{
	memset(room, '.', *(size_t *)arg);
	return *(size_t *)arg;
}

static void test_end_queues_the_held_bytes(void **state)
{
	size_t held = 0;
	const struct sockeye__filter filter = {1, hold, release, &held};
	struct sockeye__filtered_queue q;
	uint8_t *where;

	(void)state;
	assert_int_equal(sockeye__filtered_queue_init(&q, CAP, &filter), 0);
	assert_true(sockeye__filtered_queue_room(&q, &where) >= 3);
	memcpy(where, "abc", 3);
	sockeye__filtered_queue_add(&q, 3);
	assert_int_equal(sockeye__filtered_queue_waiting(&q), 0);
	sockeye__filtered_queue_end(&q);
	assert_int_equal(sockeye__filtered_queue_waiting(&q), 3);
	assert_memory_equal(q.buf + q.start, "...", 3);
	sockeye__filtered_queue_fini(&q);
}

static void test_fini_of_zero(void **state)
{
	struct sockeye__filtered_queue q = {0};

	(void)state;
	sockeye__filtered_queue_fini(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_is_lost),
	    cmocka_unit_test(test_full_queue_has_room_for_a_note),
	    cmocka_unit_test(test_end_queues_the_held_bytes),
	    cmocka_unit_test(test_fini_of_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
