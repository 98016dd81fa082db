/*
 * test_tftp_receive.c: the receiver: which blocks it hands over, keeps and acknowledges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../rows.h"
#include "tftp_script.h"

/* Starts a client that has received its OACK after a round trip of 10 ms. */
static struct script *receiving_with(struct sockeye__tftp_config config, const char *options)
{
	struct script *s = script_start_with(config, options, 0);
	char oack[128];

	script_expect(s, "request");
	script_wait(s, 10);
	snprintf(oack, sizeof oack, "OACK %s", options);
	script_turn(s, oack, "ACK 0");
	script_wait(s, 10);
	return s;
}

static struct script *receiving(const char *options)
{
	return receiving_with((struct sockeye__tftp_config){0}, options);
}

/* RFC 1350: repeated DATA is acknowledged again and written once. */
static void test_lockstep(void **state)
{
	struct script *s = receiving("blksize=8");

	(void)state;
	script_turn(s, "DATA 1 8", "ACK 1");
	script_turn(s, "DATA 1 8", "ACK 1");
	assert_int_equal(s->bytes, 8);
	script_turn(s, "DATA 3 8", ""); /* not expected yet */
	script_turn(s, "DATA 0 8", "");
	script_turn(s, "DATA 2 9", ""); /* longer than blksize */
	script_turn(s, "DATA 2 8", "ACK 2");
	script_turn(s, "DATA 3 7", "ACK 3");
	assert_int_equal(s->bytes, 23);
	script_turn(s, "DATA 4 7", "");
	script_turn(s, "DATA 3 7", "ACK 3");
	assert_int_equal(s->bytes, 23);
}

static void test_windows(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=4");

	(void)state;
	script_turn(s, "DATA 1 8", "");
	script_turn(s, "DATA 2 8", "");
	script_turn(s, "DATA 3 8", "");
	script_turn(s, "DATA 4 8", "ACK 4");
	script_turn(s, "DATA 5 8", "");
	script_turn(s, "DATA 6 8", "");
	script_turn(s, "DATA 7 8", "");
	script_turn(s, "DATA 8 8", "ACK 8");
	script_turn(s, "DATA 9 0", "ACK 9"); /* the final block is empty */
	assert_true(s->got.end);
	assert_int_equal(s->bytes, 64);
	assert_int_equal(s->x.count.gaps, 0);
}

/* 1 3 2 4: no gap is reported. */
static void test_reordered(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=4");

	(void)state;
	script_turn(s, "DATA 1 8", "");
	script_turn(s, "DATA 3 8", "");
	script_turn(s, "DATA 3 8", "");
	script_turn(s, "DATA 2 8", "");
	assert_int_equal(s->got.count, 2);
	script_turn(s, "DATA 4 8", "ACK 4");
	assert_int_equal(s->bytes, 32);
	assert_int_equal(s->x.count.gaps, 0);
}

/* Each gap is reported once, after three later blocks. */
static void test_gap(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=8");

	(void)state;
	script_turn(s, "DATA 1 8", "");
	script_turn(s, "DATA 3 8", "");
	script_turn(s, "DATA 4 8", "");
	script_turn(s, "DATA 5 8", "ACK 1");
	script_turn(s, "DATA 6 8", "");
	script_turn(s, "DATA 7 8", "");
	script_turn(s, "DATA 8 8", "");
	script_turn(s, "DATA 2 8", "");
	assert_int_equal(s->bytes, 64);
	script_turn(s, "DATA 9 8", "ACK 9"); /* eight blocks after the last ACK */
	assert_int_equal(s->x.count.gaps, 1);
}

static void test_gap_at_the_end_of_a_window(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=4");

	(void)state;
	script_turn(s, "DATA 1 8", "");
	script_turn(s, "DATA 2 8", "");
	script_turn(s, "DATA 4 8", "ACK 2"); /* the last block of the window: no wait */
	script_turn(s, "DATA 3 8", "");
	script_turn(s, "DATA 5 8", "");
	script_turn(s, "DATA 6 8", "ACK 6");
}

static void test_gap_before_the_end(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=8");

	(void)state;
	script_turn(s, "DATA 1 8", "");
	script_turn(s, "DATA 3 2", "ACK 1");
	script_turn(s, "DATA 4 8", ""); /* after the final block */
	script_turn(s, "DATA 2 8", "ACK 3");
	assert_true(s->got.end);
	assert_int_equal(s->bytes, 18);
}

/* After one block ahead of a gap, the receiver waits a little for the late one. */
static void test_gap_by_time(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=8");

	(void)state;
	script_turn(s, "DATA 2 8", "");
	script_wait(s, 1);
	script_expect(s, "");
	script_wait(s, 2);
	script_expect(s, "ACK 0");
	assert_int_equal(s->x.count.timeouts, 0);
	script_wait(s, 2);
	script_expect(s, "");
	script_wait(s, 200);
	script_expect(s, "ACK 0"); /* the ACK or its answer was lost */
	assert_int_equal(s->x.count.timeouts, 1);
}

/* Without memory, blocks ahead of a gap are not kept: go-back-N as in RFC 7440. */
static void test_no_memory(void **state)
{
	uint8_t none;
	struct script *s = receiving_with((struct sockeye__tftp_config){.memory = &none},
					  "blksize=8 windowsize=4");

	(void)state;
	script_turn(s, "DATA 1 8", "");
	script_turn(s, "DATA 3 8", "ACK 1");
	script_turn(s, "DATA 4 8", "");
	script_turn(s, "DATA 2 8", "");
	assert_int_equal(s->bytes, 16);
	script_turn(s, "DATA 3 8", "");
	script_turn(s, "DATA 4 8", "");
	script_turn(s, "DATA 5 8", "ACK 5");
}

/* The report of a gap was lost. Each block that the sender's timer sends again postpones the
 * receiver's timer, but one that arrives after a whole timeout shows that the report is due
 * again. */
static void test_gap_report_lost(void **state)
{
	uint8_t none;
	struct script *s = receiving_with((struct sockeye__tftp_config){.memory = &none},
					  "blksize=8 windowsize=4");
	double ms;

	(void)state;
	script_turn(s, "DATA 1 8", "");
	script_turn(s, "DATA 3 8", "ACK 1");
	ms = (double)s->x.rtt.rto_ns / 1e6 * 0.6;
	for (int i = 0; i < 3; i++) {
		script_wait(s, ms);
		script_turn(s, "DATA 3 8", "");
		script_wait(s, ms);
		script_turn(s, "DATA 3 8", "ACK 1");
	}
	assert_int_equal(s->x.count.timeouts, 0);
}

/* The ACK was lost and the window arrives again. The ACK is repeated twice, not for
 * each block. */
static void test_window_again(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=4");

	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		script_turn(s, "DATA 1 8", pass == 0 ? "" : "ACK 4");
		script_turn(s, "DATA 2 8", "");
		script_turn(s, "DATA 3 8", "");
		script_turn(s, "DATA 4 8", "ACK 4");
		script_wait(s, 20);
		script_expect(s, "");
	}
	assert_int_equal(s->bytes, 32);
	script_turn(s, "DATA 5 8", "");
	script_turn(s, "DATA 4 8", ""); /* late: the next window has begun */
}

/* A sender that resends on a duplicate ACK (atftp) sends one window twice, but not all
 * that follow. */
static void test_echo(void **state)
{
	struct script *s = receiving("blksize=8");

	(void)state;
	script_turn(s, "DATA 1 8", "ACK 1");
	script_wait(s, 100);
	script_expect(s, "ACK 1");
	script_turn(s, "DATA 2 8", "ACK 2");
	script_turn(s, "DATA 2 8", ""); /* answers the second ACK 1 */
	script_turn(s, "DATA 3 8", "ACK 3");
	script_turn(s, "DATA 3 8", "ACK 3"); /* no duplicate ACK explains it */

	/* A block that arrives as late as a timeout is not an echo. */
	script_wait(s, 200);
	script_expect(s, "ACK 3");
	script_turn(s, "DATA 4 7", "ACK 4");
	script_wait(s, 400);
	script_turn(s, "DATA 4 7", "ACK 4");
}

static void test_silence(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=4");
	unsigned acks = 0;

	(void)state;
	script_turn(s, "DATA 1 8", "");
	for (int ms = 0; ms < 60000 && !sockeye__tftp_is_over(&s->x); ms++) {
		struct sockeye__tftp_send send;

		script_wait(s, 1);
		while (sockeye__tftp_next(&s->x, s->now_ns, 1, &send))
			acks++;
	}
	assert_int_equal(s->x.result, SOCKEYE__TFTP_TIMED_OUT);
	assert_in_range(acks, 6, 20);
}

static void test_dally_ends(void **state)
{
	struct script *s = receiving("blksize=8");

	(void)state;
	script_turn(s, "DATA 1 0", "ACK 1");
	for (int i = 0; i < 1000 && !sockeye__tftp_is_over(&s->x); i++) {
		script_receive(s, "DATA 1 0");
		script_wait(s, 100);
		while (sockeye__tftp_next(&s->x, s->now_ns, 1, &(struct sockeye__tftp_send){0}))
			;
	}
	assert_true(sockeye__tftp_is_over(&s->x)); /* although the peer keeps repeating */
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *options;
		uint64_t size_max;
		bool check;
		unsigned len; /* of the second block */
		const char *sent;
		enum sockeye__tftp_result result;
	} rows[] = {
	    {"blksize=8 tsize=11", 0, true, 3, "ACK 2", SOCKEYE__TFTP_DONE},
	    {"blksize=8 tsize=11", 0, true, 2, "ERROR 0", SOCKEYE__TFTP_WRONG_SIZE},
	    {"blksize=8 tsize=11", 0, true, 8, "ERROR 0", SOCKEYE__TFTP_WRONG_SIZE},
	    {"blksize=8 tsize=11", 0, false, 2, "ACK 2", SOCKEYE__TFTP_DONE},
	    {"blksize=8 tsize=0", 0, true, 3, "ACK 2",
	     SOCKEYE__TFTP_DONE}, /* the size is unknown */
	    {"blksize=8", 11, true, 3, "ACK 2", SOCKEYE__TFTP_DONE},
	    {"blksize=8", 11, true, 4, "ERROR 3", SOCKEYE__TFTP_TOO_LARGE},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, %u bytes", rows[i].options, rows[i].len) {
		struct script *s =
		    receiving_with((struct sockeye__tftp_config){.size_max = rows[i].size_max,
								 .check_size = rows[i].check},
				   rows[i].options);
		char data[16];

		script_turn(s, "DATA 1 8", "ACK 1");
		snprintf(data, sizeof data, "DATA 2 %u", rows[i].len);
		script_turn(s, data, rows[i].sent);
		assert_int_equal(s->x.result, rows[i].result);
		assert_int_equal(s->got.end, rows[i].result == SOCKEYE__TFTP_DONE);
	}
}

/* Block numbers wrap within a window, with a loss there. */
static void test_rollover(void **state)
{
	static const char *const options[] = {"blksize=8 windowsize=7 rollover=0",
					      "blksize=8 windowsize=7 rollover=1"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct script *s = receiving(options[i]);
		uint64_t last = 65545, late = 65536;
		struct sockeye__tftp_send send;
		char data[24];

		for (uint64_t n = 1; n <= last; n++) {
			snprintf(data, sizeof data, "DATA %u %u", sockeye__tftp_number(&s->x, n),
				 n == last ? 3 : 8);
			if (n != late)
				script_receive(s, data);
			if (n == late + 1) {
				snprintf(data, sizeof data, "DATA %u 8",
					 sockeye__tftp_number(&s->x, late));
				script_receive(s, data);
			}
			while (sockeye__tftp_next(&s->x, s->now_ns, 1, &send))
				;
		}
		assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
		assert_int_equal(s->bytes, (last - 1) * 8 + 3);
	}
}

/* The largest window, in reverse order. */
static void test_largest_window(void **state)
{
	struct script *s = receiving("blksize=8 windowsize=65535");
	char data[24];

	(void)state;
	for (unsigned n = 65535; n >= 1; n--) {
		struct sockeye__tftp_send send;

		snprintf(data, sizeof data, "DATA %u 8", n);
		script_receive(s, data);
		while (sockeye__tftp_next(&s->x, s->now_ns, 1, &send))
			;
	}
	assert_int_equal(s->bytes, 65535 * 8);
}

/* sockeye__tftp_memory() bytes have room for a whole window. With less memory the
 * receiver has as many slots as fit, and never writes after its memory. */
static void test_memory(void **state)
{
	static uint8_t memory[2048];

	(void)state;
	for (uint16_t window = 1; window < 64; window++) {
		size_t all = sockeye__tftp_memory(8, window);

		for (size_t len = 0; len <= all; len++) {
			char options[64];
			struct script *s;
			uint32_t slots;

			snprintf(options, sizeof options, "blksize=8 windowsize=%u", window);
			memset(memory, 0x55, sizeof memory);
			s = receiving_with(
			    (struct sockeye__tftp_config){.memory = memory, .memory_len = len},
			    options);
			slots = s->x.receiver.slots;
			assert_true(slots * 8 + (slots + 7) / 8 <= len);
			assert_true(slots == window - 1u ||
				    (slots + 1) * 8 + (slots + 8) / 8 > len);
			assert_int_equal(memory[len], 0x55);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lockstep),
	    cmocka_unit_test(test_windows),
	    cmocka_unit_test(test_reordered),
	    cmocka_unit_test(test_gap),
	    cmocka_unit_test(test_gap_at_the_end_of_a_window),
	    cmocka_unit_test(test_gap_before_the_end),
	    cmocka_unit_test(test_gap_by_time),
	    cmocka_unit_test(test_gap_report_lost),
	    cmocka_unit_test(test_no_memory),
	    cmocka_unit_test(test_window_again),
	    cmocka_unit_test(test_echo),
	    cmocka_unit_test(test_silence),
	    cmocka_unit_test(test_dally_ends),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_rollover),
	    cmocka_unit_test(test_largest_window),
	    cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
