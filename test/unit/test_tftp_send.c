/*
 * test_tftp_send.c: the sender: windows, losses, the Sorcerer's Apprentice, and block
 * numbers that wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "../rows.h"
#include "tftp_script.h"

/* Starts a server that has received ACK 0 after a round trip of 10 ms. */
static struct script *sending(const char *options, uint64_t bytes)
{
	struct script *s = script_start(true, true, options, bytes);

	script_expect(s, "OACK");
	script_wait(s, 10);
	script_receive(s, "ACK 0");
	return s;
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *sent;
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
		script_expect(s, rows[i].sent);
	}
}

/* Ten blocks with a window of 4 need three ACKs. */
static void test_windows(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 75);

	(void)state;
	script_expect(s, "DATA 1-4");
	script_turn(s, "ACK 4", "DATA 5-8");
	script_turn(s, "ACK 8", "DATA 9-10");
	script_turn(s, "ACK 10", "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
	assert_int_equal(s->x.count.resent, 0);
}

/* RFC 1123, section 4.2.3.1: a duplicate ACK does not send DATA again. */
static void test_doubled_acks(void **state)
{
	struct script *s = sending("blksize=8", 800);
	char ack[16], data[16];

	(void)state;
	script_expect(s, "DATA 1");
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

/* But a peer that lost the DATA asks for it with a duplicate ACK (uftpd#44). */
static void test_asked_again(void **state)
{
	struct script *s = sending("blksize=8", 800);

	(void)state;
	script_expect(s, "DATA 1");
	script_wait(s, 10);
	script_turn(s, "ACK 1", "DATA 2");
	script_wait(s, 11);
	script_turn(s, "ACK 1", "DATA 2");
	script_turn(s, "ACK 1", ""); /* once for each loss and round trip */
	script_wait(s, 1);
	script_turn(s, "ACK 1", "");
	script_wait(s, 10);
	script_turn(s, "ACK 2", "DATA 3");
	assert_int_equal(s->x.count.timeouts, 0);
}

/* A window takes longer on a slow line than any packet before. No block is sent again
 * too early, also after the round-trip time of a window was measured. */
static void test_slow_line(void **state)
{
	struct script *s = sending("blksize=1468 windowsize=32", 1468 * 96);

	(void)state;
	script_expect(s, "DATA 1-32");
	script_wait(s, 300);
	script_expect(s, "");
	script_turn(s, "ACK 32", "DATA 33-64");
	script_wait(s, 350);
	script_expect(s, "");
	script_turn(s, "ACK 64", "DATA 65-96");
	assert_int_equal(s->x.count.timeouts, 0);
	assert_int_equal(s->x.count.resent, 0);
}

/* If the ACK of a block arrives too soon after its repeat to answer it, ACKs arrive
 * twice on this path, and late. */
static void test_late_doubles(void **state)
{
	struct script *s = sending("blksize=8", 8000);
	struct sockeye__tftp_send send;
	char ack[16];

	(void)state;
	script_expect(s, "DATA 1");
	for (unsigned i = 1; i <= 1000; i++) {
		double trip = i % 2 == 0 ? 14 : 10;

		snprintf(ack, sizeof ack, "ACK %u", i - 1);
		script_wait(s, trip - 3);
		script_receive(s, ack);
		while (sockeye__tftp_next(&s->x, s->now_ns, 1, &send))
			;
		snprintf(ack, sizeof ack, "ACK %u", i);
		script_wait(s, 3);
		script_receive(s, ack);
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
	script_expect(s, "DATA 1-4");
	script_turn(s, "ACK 5", "");
	script_turn(s, "ACK 65535", "");
	script_turn(s, "ACK 4", "DATA 5-8");
	script_turn(s, "ACK 3", "");
	script_turn(s, "ACK 1", "");
	script_turn(s, "ACK 9", "");
	script_turn(s, "ACK 8", "DATA 9-12");
}

/* Block 2 of 4 is lost and sent again by a single repeat, with a new block. A peer that
 * keeps blocks then has all. One that does not asks again and gets the rest. */
static void test_gap(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 800);

	(void)state;
	script_expect(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 1", "DATA 2, DATA 5");
	script_wait(s, 10);
	script_turn(s, "ACK 5", "DATA 6-9");
	assert_int_equal(s->x.count.resent, 1);

	s = sending("blksize=8 windowsize=4", 800);
	script_expect(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 1", "DATA 2, DATA 5");
	script_wait(s, 10);
	script_turn(s, "ACK 2", "DATA 3, DATA 6");
	script_wait(s, 10);
	script_turn(s, "ACK 3", "DATA 4-7"); /* go-back-N: it seems to keep none */
	assert_int_equal(s->x.count.timeouts, 0);
}

/* The first block of a window is lost: the ACK of the last window arrives again. */
static void test_gap_at_the_first(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 800);

	(void)state;
	script_expect(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 4", "DATA 5-8");
	script_wait(s, 10);
	script_turn(s, "ACK 4", "DATA 5-8");
	script_turn(s, "ACK 4", "");
	script_wait(s, 10);
	script_turn(s, "ACK 8", "DATA 9-12");
	assert_int_equal(s->x.count.timeouts, 0);
}

/* The last block is lost: only the timer can detect that. */
static void test_gap_at_the_last(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 800);

	(void)state;
	script_expect(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 4", "DATA 5-8");
	script_wait(s, 40);
	script_expect(s, "DATA 8");
	script_wait(s, 10);
	script_turn(s, "ACK 8", "DATA 9-12");
	assert_int_equal(s->x.count.timeouts, 1);
}

/* All blocks of a window are lost. The answer to the last one shows that. */
static void test_window_lost(void **state)
{
	struct script *s = sending("blksize=8 windowsize=4", 800);

	(void)state;
	script_expect(s, "DATA 1-4");
	script_wait(s, 10);
	script_turn(s, "ACK 4", "DATA 5-8");
	script_wait(s, 40);
	script_expect(s, "DATA 8");
	script_wait(s, 10);
	script_turn(s, "ACK 4", "DATA 5-8");
	script_wait(s, 10);
	script_turn(s, "ACK 8", "DATA 9-12");
	assert_int_equal(s->x.count.timeouts, 1);
}

/* A peer pauses for 200 ms. It costs a window and a few blocks, and later pauses of this
 * length cost nothing. */
static void test_pause(void **state)
{
	struct script *s = sending("blksize=8 windowsize=16", 80000);
	struct sockeye__tftp_send send;
	char ack[16];

	(void)state;
	for (unsigned window = 0; window < 20; window++) {
		uint64_t before = s->x.count.resent;

		for (int ms = 0; ms < (window == 3 || window > 10 ? 200 : 2); ms++) {
			while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send))
				;
			script_wait(s, 1);
		}
		if (window == 3)
			assert_in_range(s->x.count.resent, 1, 16 + 6);
		else
			assert_int_equal(s->x.count.resent, before);
		snprintf(ack, sizeof ack, "ACK %u", (window + 1) * 16);
		script_receive(s, ack);
		assert_int_equal(s->x.sender.pacing.burst, 16);
	}
}

/* A peer with room for two blocks that never reports a gap gets bursts of two. */
static void test_silent_peer(void **state)
{
	struct script *s = sending("blksize=8 windowsize=8", 80000);
	struct sockeye__tftp_send send;
	unsigned next = 1, acked = 0, got = 0;
	char ack[16];

	(void)state;
	for (unsigned ms = 0; acked < 160 * 8; ms++) {
		got = 0;
		while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send))
			for (unsigned i = 0; i < send.count && got < 2; i++, got++)
				next += send.block + i == next;
		script_wait(s, 2);
		if (next - 1 - acked == 8) {
			acked = next - 1;
			snprintf(ack, sizeof ack, "ACK %u", acked);
			script_receive(s, ack);
		}
		assert_true(ms < 160 * 16);
	}
	assert_in_range(s->x.count.timeouts, 4, 8);
}

/* A receiver that sends an ACK for every block ahead of a gap (tftp-hpa) causes one
 * pass. */
static void test_ack_storm(void **state)
{
	struct script *s = sending("blksize=8 windowsize=64", 64 * 8 * 3 + 1);

	(void)state;
	script_expect(s, "DATA 1-64");
	script_wait(s, 10);
	script_receive(s, "ACK 20");
	for (int i = 0; i < 43; i++)
		script_receive(s, "ACK 20");
	script_expect(s, "DATA 21, DATA 65-84");
	for (int i = 0; i < 43; i++)
		script_turn(s, "ACK 20", "");
	assert_int_equal(s->x.count.resent, 1);
}

/* Bursts get shorter while each window has a loss, and long again afterwards. */
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
			script_receive(s, ack);
			script_wait(s, 10);
			while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send))
				block = send.block + send.count - 1;
		}
		snprintf(ack, sizeof ack, "ACK %u", (unsigned)(s->x.sender.high - 1));
		script_receive(s, ack);
	}
	assert_true(block > 0);
	assert_true(least <= 4);
	assert_int_equal(s->x.sender.pacing.burst, 16);
}

/* With data from a pipe, only full blocks are sent before its end. */
static void test_dribble(void **state)
{
	struct script *s =
	    script_start_with((struct sockeye__tftp_config){.server = true, .sends = true},
			      "blksize=8 windowsize=4", 0);

	(void)state;
	s->x.sender.complete = false;
	script_expect(s, "OACK");
	script_wait(s, 10);
	script_turn(s, "ACK 0", "");
	assert_int_equal(s->x.deadline_ns, 0); /* it waits for its driver, not for the peer */
	sockeye__tftp_available(&s->x, 7, false);
	script_expect(s, "");
	sockeye__tftp_available(&s->x, 17, false);
	script_expect(s, "DATA 1-2");
	sockeye__tftp_available(&s->x, 24, false);
	script_expect(s, "DATA 3");
	sockeye__tftp_available(&s->x, 24, true);
	script_expect(s, "DATA 4");
	script_turn(s, "ACK 4", "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
}

/* Sends whole files whose block numbers wrap. */
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
			script_receive(s, ack);
		}
		assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
		assert_int_equal(bytes, rows[i].bytes);
		assert_int_equal(block, rows[i].bytes / 8 + 1);
	}
}

/* Offsets and sizes above 4 GiB. */
static void test_large(void **state)
{
	uint64_t size = UINT64_C(5) << 30, bytes = 0;
	struct script *s =
	    script_start_with((struct sockeye__tftp_config){.server = true, .sends = true},
			      "blksize=65464 windowsize=64", size);
	struct sockeye__tftp_send send;
	char ack[16];

	(void)state;
	script_expect(s, "OACK");
	script_receive(s, "ACK 0");
	while (s->x.result == SOCKEYE__TFTP_RUNNING) {
		uint64_t block = 0;

		while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send)) {
			assert_int_equal(send.offset, bytes);
			bytes += send.bytes;
			block = send.block + send.count - 1;
		}
		snprintf(ack, sizeof ack, "ACK %u", sockeye__tftp_number(&s->x, block));
		script_receive(s, ack);
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
	    cmocka_unit_test(test_window_lost),
	    cmocka_unit_test(test_pause),
	    cmocka_unit_test(test_silent_peer),
	    cmocka_unit_test(test_ack_storm),
	    cmocka_unit_test(test_bursts),
	    cmocka_unit_test(test_dribble),
	    cmocka_unit_test(test_rollover),
	    cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
