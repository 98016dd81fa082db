/*
 * test_tftp_send.c: DATA out: windows, gaps, the sorcerer's apprentice, and
 * numbers that start again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "../rows.h"
#include "tftp_script.h"

/* A server that has had its ACK 0 after a round trip of 10 ms. */
static struct script *sending(const char *options, uint64_t bytes)
{
	struct script *s = script_start(true, true, options, bytes);

	script_says(s, "OACK");
	script_wait(s, 10);
	script_gets(s, "ACK 0");
	return s;
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *said;
		uint64_t last_len;
	} rows[] = {
	    {0, "DATA 1", 0},   {7, "DATA 1", 7},    {8, "DATA 1-2", 0},
	    {9, "DATA 1-2", 1}, {32, "DATA 1-4", 8}, {31, "DATA 1-4", 7},
	};

	(void)state;
	FOR_ROWS(i, rows, "%ju bytes", (uintmax_t)rows[i].bytes) {
		struct script *s = sending("blksize=8 windowsize=4", rows[i].bytes);
		struct sockeye__tftp_send send = {0};
		uint64_t bytes = 0, len = 0;

		while (sockeye__tftp_next(&s->x, s->now_ns, 1, &send)) {
			assert_int_equal(send.offset, bytes);
			bytes += len = send.bytes;
		}
		assert_int_equal(bytes, rows[i].bytes < 32 ? rows[i].bytes : 32);
		assert_int_equal(len, rows[i].last_len);

		s = sending("blksize=8 windowsize=4", rows[i].bytes);
		script_says(s, rows[i].said);
	}
}

/* Ten blocks, window 4: three ACKs. */
static void test_windows(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 75);

	(void)state;
	script_says(s, "DATA 1-4");
	script_turn(s, "ACK 4", "DATA 5-8");
	script_turn(s, "ACK 8", "DATA 9-10");
	script_turn(s, "ACK 10", "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
	assert_int_equal(s->x.count.resent, 0);
}

/* RFC 1123 4.2.3.1: an ACK that comes twice sends the next DATA once. */
static void test_doubled_acks(void **state)
{
	struct script *s = sending("blksize=8", 800);
	char ack[16], data[16];

	(void)state;
	script_says(s, "DATA 1");
	for (unsigned i = 1; i <= 100; i++) {
		script_wait(s, 10);
		snprintf(ack, sizeof ack, "ACK %u", i);
		snprintf(data, sizeof data, "DATA %u", i + 1);
		script_turn(s, ack, data);
		script_turn(s, ack, "");
		script_wait(s, 5);
		script_turn(s, ack, "");
	}
	assert_int_equal(s->x.count.resent, 0);
}

/* ... but from a peer that lost the DATA it is a question (uftpd#44). */
static void test_asked_again(void **state)
{
	struct script *s = sending("blksize=8", 800);

	(void)state;
	script_says(s, "DATA 1");
	script_wait(s, 10);
	script_turn(s, "ACK 1", "DATA 2");
	script_wait(s, 11);
	script_turn(s, "ACK 1", "DATA 2");
	script_turn(s, "ACK 1", ""); /* once for each gap and round trip */
	script_wait(s, 1);
	script_turn(s, "ACK 1", "");
	script_wait(s, 10);
	script_turn(s, "ACK 2", "DATA 3");
	assert_int_equal(s->x.count.timeouts, 0);
}

/* ... unless the block's own ACK comes before a repeated one could have one: then
 * ACKs come twice on this path, and late. */
/* A line that carries the window for longer than anything took before. Once its
 * round trip is known, nothing is repeated early either. */
static void test_slow_line(void **state)
{
	struct script *s = sending("blksize=1468 windowsize=32", 1468 * 96);

	(void)state;
	script_says(s, "DATA 1-32");
	script_wait(s, 300);
	script_says(s, "");
	script_turn(s, "ACK 32", "DATA 33-64");
	script_wait(s, 350);
	script_says(s, "");
	script_turn(s, "ACK 64", "DATA 65-96");
	assert_int_equal(s->x.count.timeouts, 0);
	assert_int_equal(s->x.count.resent, 0);
}

static void test_late_doubles(void **state)
{
	struct script *s = sending("blksize=8", 8000);
	struct sockeye__tftp_send send;
	char ack[16];

	(void)state;
	script_says(s, "DATA 1");
	for (unsigned i = 1; i <= 1000; i++) {
		double trip = i % 2 == 0 ? 14 : 10;

		snprintf(ack, sizeof ack, "ACK %u", i - 1);
		script_wait(s, trip - 3);
		script_gets(s, ack);
		while (sockeye__tftp_next(&s->x, s->now_ns, 1, &send))
			;
		snprintf(ack, sizeof ack, "ACK %u", i);
		script_wait(s, 3);
		script_gets(s, ack);
		while (sockeye__tftp_next(&s->x, s->now_ns, 1, &send))
			;
	}
	assert_in_range(s->x.count.resent, 1, 10);
	assert_int_equal(s->x.count.timeouts, 0);
}

static void test_acks_of_other_blocks(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 800);

	(void)state;
	script_says(s, "DATA 1-4");
	script_turn(s, "ACK 5", "");
	script_turn(s, "ACK 65535", "");
	script_turn(s, "ACK 4", "DATA 5-8");
	script_turn(s, "ACK 3", "");
	script_turn(s, "ACK 1", "");
	script_turn(s, "ACK 9", "");
	script_turn(s, "ACK 8", "DATA 9-12");
}

/* Block 2 of 4 is lost. It goes again with what is new: a peer that keeps what
 * was ahead has all, one that does not says so and gets the rest. */
static void test_gap(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 800);

	(void)state;
	script_says(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 1", "DATA 2, DATA 5");
	script_wait(s, 10);
	script_turn(s, "ACK 5", "DATA 6-9");
	assert_int_equal(s->x.count.resent, 1);

	s = sending("blksize=8 windowsize=4", 800);
	script_says(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 1", "DATA 2, DATA 5");
	script_wait(s, 10);
	script_turn(s, "ACK 2", "DATA 3, DATA 6");
	script_wait(s, 10);
	script_turn(s, "ACK 3", "DATA 4-7"); /* it is no longer believed */
	assert_int_equal(s->x.count.timeouts, 0);
}

/* The first block of a window: the ACK of the last window comes again. */
static void test_gap_at_the_first(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 800);

	(void)state;
	script_says(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 4", "DATA 5-8");
	script_wait(s, 10);
	script_turn(s, "ACK 4", "DATA 5-8");
	script_turn(s, "ACK 4", "");
	script_wait(s, 10);
	script_turn(s, "ACK 8", "DATA 9-12");
	assert_int_equal(s->x.count.timeouts, 0);
}

/* The last block: nobody can know, and the timer has to. */
static void test_gap_at_the_last(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 800);

	(void)state;
	script_says(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 4", "DATA 5-8");
	script_wait(s, 40);
	script_says(s, "DATA 5-8");
	script_wait(s, 10);
	script_turn(s, "ACK 8", "DATA 9-12");
	assert_int_equal(s->x.count.timeouts, 1);
}

/* A receiver that ACKs every block ahead of a gap (tftp-hpa) gets one pass. */
static void test_ack_storm(void **state)
{
	struct script *s = sending("blksize=8 windowsize=64", 64 * 8 * 3 + 1);

	(void)state;
	script_says(s, "DATA 1-64");
	script_wait(s, 10);
	script_gets(s, "ACK 20");
	for (int i = 0; i < 43; i++)
		script_gets(s, "ACK 20");
	script_says(s, "DATA 21, DATA 65-84");
	for (int i = 0; i < 43; i++)
		script_turn(s, "ACK 20", "");
	assert_int_equal(s->x.count.resent, 1);
}

/* Windows that lose again and again leave in shorter bursts, until they do not. */
static void test_bursts(void **state)
{
	struct script *s = sending("blksize=8 windowsize=16", 8 * 16 * 100);
	struct sockeye__tftp_send send;
	char ack[16];
	uint64_t block = 0;
	uint32_t least = 16;

	(void)state;
	for (int window = 0; window < 60; window++) {
		bool lossy = window < 20;

		for (int ms = 0; ms < 200 && s->x.sender.next < s->x.sender.una + 16; ms++) {
			while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send)) {
				assert_true(send.count <= s->x.sender.pacing.burst);
				block = send.block + send.count - 1;
			}
			script_wait(s, 0.5);
		}
		least = s->x.sender.pacing.burst < least ? s->x.sender.pacing.burst : least;
		script_wait(s, 8);
		if (lossy) {
			snprintf(ack, sizeof ack, "ACK %u", (unsigned)s->x.sender.una + 3);
			script_gets(s, ack);
			script_wait(s, 10);
			while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send))
				block = send.block + send.count - 1;
		}
		snprintf(ack, sizeof ack, "ACK %u", (unsigned)(s->x.sender.high - 1));
		script_gets(s, ack);
	}
	assert_true(block > 0);
	assert_true(least <= 4);
	assert_int_equal(s->x.sender.pacing.burst, 16);
}

/* Data comes from a pipe, and only full blocks leave before its end. */
static void test_dribble(void **state)
{
	struct script *s =
	    script_start_with((struct sockeye__tftp_config){.server = true, .sends = true},
			      "blksize=8 windowsize=4", 0);

	(void)state;
	s->x.sender.complete = false;
	script_says(s, "OACK");
	script_wait(s, 10);
	script_turn(s, "ACK 0", "");
	assert_int_equal(s->x.deadline_ns, 0); /* the peer is not to blame */
	sockeye__tftp_available(&s->x, 7, false);
	script_says(s, "");
	sockeye__tftp_available(&s->x, 17, false);
	script_says(s, "DATA 1-2");
	sockeye__tftp_available(&s->x, 24, false);
	script_says(s, "DATA 3");
	sockeye__tftp_available(&s->x, 24, true);
	script_says(s, "DATA 4");
	script_turn(s, "ACK 4", "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
}

/* Whole files whose numbers start again, block by block. */
static void test_rollover(void **state)
{
	static const struct {
		const char *options;
		uint64_t bytes;
	} rows[] = {
	    {"blksize=8", 65541 * 8 + 5},
	    {"blksize=8", 65535 * 8},
	    {"blksize=8", 65536 * 8},
	    {"blksize=8 rollover=1", 65541 * 8 + 5},
	    {"blksize=8 rollover=1", 65535 * 8},
	    {"blksize=8 windowsize=60", 200000 * 8 + 1},
	    {"blksize=8 windowsize=64 rollover=1", 200000 * 8},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, %ju bytes", rows[i].options, (uintmax_t)rows[i].bytes) {
		struct script *s = sending(rows[i].options, rows[i].bytes);
		struct sockeye__tftp_send send;
		uint64_t block = 0, bytes = 0;
		char ack[16];

		while (s->x.result == SOCKEYE__TFTP_RUNNING) {
			while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send)) {
				assert_int_equal(send.block, block + 1);
				block += send.count;
				bytes += send.bytes;
			}
			snprintf(ack, sizeof ack, "ACK %u", sockeye__tftp_number(&s->x, block));
			script_gets(s, ack);
		}
		assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
		assert_int_equal(bytes, rows[i].bytes);
		assert_int_equal(block, rows[i].bytes / 8 + 1);
	}
}

/* Past 4 GiB: offsets and sizes. */
static void test_large(void **state)
{
	uint64_t size = UINT64_C(5) << 30, bytes = 0;
	struct script *s =
	    script_start_with((struct sockeye__tftp_config){.server = true, .sends = true},
			      "blksize=65464 windowsize=64", size);
	struct sockeye__tftp_send send;
	char ack[16];

	(void)state;
	script_says(s, "OACK");
	script_gets(s, "ACK 0");
	while (s->x.result == SOCKEYE__TFTP_RUNNING) {
		uint64_t block = 0;

		while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send)) {
			assert_int_equal(send.offset, bytes);
			bytes += send.bytes;
			block = send.block + send.count - 1;
		}
		snprintf(ack, sizeof ack, "ACK %u", sockeye__tftp_number(&s->x, block));
		script_gets(s, ack);
	}
	assert_true(bytes == size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_windows),
	    cmocka_unit_test(test_doubled_acks),
	    cmocka_unit_test(test_asked_again),
	    cmocka_unit_test(test_late_doubles),
	    cmocka_unit_test(test_slow_line),
	    cmocka_unit_test(test_acks_of_other_blocks),
	    cmocka_unit_test(test_gap),
	    cmocka_unit_test(test_gap_at_the_first),
	    cmocka_unit_test(test_gap_at_the_last),
	    cmocka_unit_test(test_ack_storm),
	    cmocka_unit_test(test_bursts),
	    cmocka_unit_test(test_dribble),
	    cmocka_unit_test(test_rollover),
	    cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
