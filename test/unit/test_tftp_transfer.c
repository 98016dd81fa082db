/*
 * test_tftp_transfer.c: the beginning, the end, errors and timeouts, at both ends and in
 * both directions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "../rows.h"
#include "tftp_script.h"

static void test_server_reads_without_options(void **state)
{
	struct script *s = script_start(true, true, "", 513);

	(void)state;
	script_expect(s, "DATA 1");
	script_turn(s, "ACK 1", "DATA 2");
	script_turn(s, "ACK 2", "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
	assert_true(sockeye__tftp_is_over(&s->x));
	assert_int_equal(s->x.count.resent, 0);
}

/* ACK 0 confirms an OACK; no DATA is sent before (uftpd lockstep.sh). */
static void test_server_reads_with_options(void **state)
{
	struct script *s = script_start(true, true, "blksize=8", 9);

	(void)state;
	script_expect(s, "OACK");
	script_turn(s, "ACK 1", "");
	script_wait(s, 900);
	script_expect(s, "");
	script_wait(s, 101);
	script_expect(s, "OACK");
	script_turn(s, "ACK 0", "DATA 1");
	script_turn(s, "ACK 0", ""); /* answers the second OACK */
	script_turn(s, "ACK 1", "DATA 2");
	script_turn(s, "ACK 2", "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
}

/* DATA 1 confirms a WRQ's OACK; ACK 0 is never sent (OpenNMS#8483). */
static void test_server_writes(void **state)
{
	struct script *s = script_start(true, false, "blksize=8", 0);

	(void)state;
	script_expect(s, "OACK");
	script_wait(s, 20);
	script_turn(s, "WRQ", "OACK");
	script_turn(s, "DATA 1 9", ""); /* longer than the granted blksize */
	script_wait(s, 1000);
	script_expect(s, "OACK");
	script_turn(s, "DATA 1 8", "ACK 1");
	script_turn(s, "DATA 2 3", "ACK 2");
	assert_true(s->got.end);
	assert_int_equal(s->bytes, 11);

	s = script_start(true, false, "", 0);
	script_expect(s, "ACK 0");
	script_turn(s, "DATA 1 0", "ACK 1");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
}

static void test_client_reads(void **state)
{
	struct script *s = script_start(false, false, "blksize=16 windowsize=4 tsize=0", 0);

	(void)state;
	script_expect(s, "request");
	script_turn(s, "OACK blksize=8 tsize=11", "ACK 0");
	assert_int_equal(s->x.blksize, 8);
	assert_int_equal(s->x.window, 1); /* not granted (renesas-rcar/u-boot#8) */
	script_turn(s, "OACK blksize=8 tsize=11", "");
	script_wait(s, 20);
	script_turn(s, "OACK blksize=8 tsize=11", "ACK 0"); /* ACK 0 was lost */
	script_turn(s, "DATA 1 8", "ACK 1");
	script_turn(s, "DATA 2 3", "ACK 2");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
	assert_false(sockeye__tftp_is_over(&s->x));
	script_turn(s, "DATA 2 3", "ACK 2"); /* RFC 1350 6: it dallies */
	script_wait(s, 14000);
	assert_true(sockeye__tftp_is_over(&s->x));
	script_turn(s, "DATA 2 3", "");
	assert_int_equal(s->bytes, 11);
}

/* The server does not know options. */
static void test_client_reads_from_old(void **state)
{
	struct script *s = script_start(false, false, "blksize=1432 windowsize=8", 0);

	(void)state;
	script_expect(s, "request");
	script_turn(s, "DATA 2 512", "");
	script_turn(s, "DATA 1 512", "ACK 1");
	assert_int_equal(s->x.blksize, 512);
	script_turn(s, "DATA 2 512", "ACK 2");
	script_turn(s, "DATA 3 0", "ACK 3");
	assert_int_equal(s->bytes, 1024);
}

static void test_client_writes(void **state)
{
	struct script *s = script_start(false, true, "blksize=8 tsize=9", 9);

	(void)state;
	script_expect(s, "request");
	script_turn(s, "OACK blksize=8 tsize=9", "DATA 1");
	script_turn(s, "ACK 1", "DATA 2");
	script_turn(s, "ACK 2", "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);

	s = script_start(false, true, "blksize=8", 9);
	script_expect(s, "request");
	script_turn(s, "ACK 0", "DATA 1"); /* no OACK: 512 bytes */
	assert_int_equal(s->x.blksize, 512);
	script_turn(s, "ACK 1", "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
}

static void test_bad_oacks(void **state)
{
	static const char *const bad[] = {
	    "OACK blksize=17", "OACK blksize=7",    "OACK blksize=x",
	    "OACK tsize=9",    "OACK windowsize=0", "OACK windowsize=5",
	};

	(void)state;
	FOR_ROWS(i, bad, "%s", bad[i]) {
		struct script *s = script_start(false, i % 2 == 0, "blksize=16 windowsize=4", 100);

		script_expect(s, "request");
		script_turn(s, bad[i], "ERROR 8");
		assert_int_equal(s->x.result, SOCKEYE__TFTP_BAD_OACK);
		assert_true(sockeye__tftp_is_over(&s->x));
		script_turn(s, "OACK blksize=16", "");
	}
}

static void test_block_zero_first(void **state)
{
	struct script *s = script_start(false, false, "", 0);

	(void)state;
	script_expect(s, "request");
	script_turn(s, "DATA 0 512", "ERROR 4");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_BAD_START);
}

/* An ERROR ends the transfer at once and is never answered. */
static void test_errors_of_the_peer(void **state)
{
	(void)state;
	for (int role = 0; role < 4; role++)
		for (int started = 0; started < 2; started++) {
			bool server = role & 1, sends = role & 2;
			struct script *s = script_start(server, sends, "blksize=8", 100);

			script_expect(s, server ? "OACK" : "request");
			if (started)
				script_turn(
				    s, server ? sends ? "ACK 0" : "DATA 1 8" : "OACK blksize=8",
				    sends    ? "DATA 1"
				    : server ? "ACK 1"
					     : "ACK 0");
			script_turn(s, "ERROR 8", "");
			assert_int_equal(s->got.code, 8);
			assert_int_equal(s->x.result, SOCKEYE__TFTP_PEER_ERROR);
			script_turn(s, "ERROR 8", "");
			script_wait(s, 100000);
			script_expect(s, "");
		}
}

static void test_abort(void **state)
{
	struct script *s = script_start(true, false, "", 0);

	(void)state;
	script_expect(s, "ACK 0");
	script_receive(s, "DATA 1 3");
	assert_true(s->got.end);
	sockeye__tftp_abort(&s->x, SOCKEYE__TFTP_DISK_FULL, "disk full"); /* replaces ACK 1 */
	script_expect(s, "ERROR 3");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_ABORTED);

	s = script_start(true, false, "", 0);
	script_expect(s, "ACK 0");
	script_turn(s, "DATA 1 3", "ACK 1");
	sockeye__tftp_abort(&s->x, SOCKEYE__TFTP_DISK_FULL, "disk full"); /* after ACK 1 */
	script_expect(s, "");
	assert_int_equal(s->x.result, SOCKEYE__TFTP_DONE);
}

/* Requests, packets of the other direction, and garbage are ignored. */
static void test_nonsense(void **state)
{
	static const char *const nonsense[] = {"RRQ",  "WRQ", "ACK 7",         "DATA 1 8",
					       "OACK", "ACK", "OACK blksize=8"};
	struct script *s = script_start(true, true, "", 2000);

	(void)state;
	script_expect(s, "DATA 1");
	script_turn(s, "ACK 1", "DATA 2");
	FOR_ROWS(i, nonsense, "%s", nonsense[i])
		script_turn(s, nonsense[i], "");
	for (size_t len = 0; len < 4; len++) {
		sockeye__tftp_datagram(&s->x, s->now_ns, "\0\4\0", len, &s->got);
		script_expect(s, "");
	}
	assert_int_equal(s->x.result, SOCKEYE__TFTP_RUNNING);
	script_turn(s, "ACK 2", "DATA 3");
}

/* A repeated request gets the same answer from the same transfer. */
static void test_request_again(void **state)
{
	struct script *s = script_start(true, true, "", 2000);

	(void)state;
	script_expect(s, "DATA 1");
	script_turn(s, "RRQ", ""); /* too soon: the network has doubled it */
	script_wait(s, 600);
	script_turn(s, "RRQ", "DATA 1");
	script_turn(s, "ACK 1", "DATA 2");
	script_wait(s, 600);
	script_turn(s, "RRQ", "");

	s = script_start(true, true, "blksize=8", 2000);
	script_expect(s, "OACK");
	script_turn(s, "RRQ", "");
	script_wait(s, 20);
	script_turn(s, "RRQ", "OACK");
}

/* A peer that never answers gets few packets, because its address may be forged. */
static void test_unconfirmed(void **state)
{
	static const char *const options[] = {"", "blksize=8"};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct script *s = script_start(true, i & 1, options[i / 2], 600);
		struct sockeye__tftp_send send;
		unsigned packets = 0;

		for (int k = 0; k < 100; k++, script_wait(s, 1000))
			while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send))
				packets += send.count > 0 ? send.count : 1;
		assert_int_equal(packets, 5);
		assert_int_equal(s->x.result, SOCKEYE__TFTP_TIMED_OUT);
		assert_int_equal(s->x.deadline_ns, 0);
	}
}

/* After 30 s without progress the transfer ends; until then it repeats at growing
 * intervals. Duplicate ACKs do not postpone the end (tftpy#133), although each may
 * cause a repeat. */
static void give_up(bool strays)
{
	struct script *s = script_start(false, true, "", 2000);
	unsigned packets = 0;
	uint64_t last_ns, gap_ns = 0;

	script_expect(s, "request");
	script_wait(s, 1);
	script_turn(s, "ACK 0", "DATA 1");
	last_ns = s->now_ns;
	for (int ms = 0; ms < 60000 && !sockeye__tftp_is_over(&s->x); ms++) {
		struct sockeye__tftp_send send;

		if (strays)
			script_receive(s, "ACK 0");
		script_wait(s, 1);
		while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send)) {
			uint64_t ns = s->now_ns - last_ns;

			assert_true(strays || ns >= gap_ns - gap_ns / 7);
			gap_ns = ns;
			last_ns = s->now_ns;
			packets++;
		}
	}
	assert_true(sockeye__tftp_is_over(&s->x));
	assert_int_equal(s->x.result, SOCKEYE__TFTP_TIMED_OUT);
	assert_in_range(packets, 8, strays ? 40 : 20);
	assert_in_range(s->now_ns - s->x.progress_ns, 30 * UINT64_C(1000000000),
			36 * UINT64_C(1000000000));
}

static void test_give_up(void **state)
{
	(void)state;
	give_up(false);
	give_up(true);
}

/* The negotiated timeout is the first and the longest one. */
static void test_timeout_option(void **state)
{
	struct script *s = script_start(true, true, "timeout=2", 2000);

	(void)state;
	script_expect(s, "OACK");
	script_wait(s, 1999);
	script_expect(s, "");
	script_wait(s, 1);
	script_expect(s, "OACK");
	script_wait(s, 2000);
	script_expect(s, "OACK");

	s = script_start(true, true, "utimeout=20000", 2000);
	script_expect(s, "OACK");
	script_wait(s, 19.9);
	script_expect(s, "");
	script_wait(s, 0.1);
	script_expect(s, "OACK");
}

/* A transfer with a long timeout survives several of them. */
static void test_long_timeout(void **state)
{
	struct script *s = script_start(true, true, "timeout=255", 2000);

	(void)state;
	script_expect(s, "OACK");
	script_turn(s, "ACK 0", "DATA 1");
	for (int i = 0; i < 4; i++) {
		script_wait(s, 255000);
		script_expect(s, "DATA 1");
	}
	script_turn(s, "ACK 1", "DATA 2");
}

/* But an unconfirmed peer does not hold a slot for twenty minutes. */
static void test_unconfirmed_with_long_timeout(void **state)
{
	struct script *s = script_start(true, true, "timeout=255", 2000);

	(void)state;
	script_expect(s, "OACK");
	script_wait(s, 29999);
	assert_false(sockeye__tftp_is_over(&s->x));
	script_wait(s, 1);
	assert_int_equal(s->x.result, SOCKEYE__TFTP_TIMED_OUT);
}

/* A short timeout does not send hundreds of windows to a silent peer. */
static void test_silent_with_short_timeout(void **state)
{
	struct script *s = script_start(true, true, "blksize=8 utimeout=10000", 2000);
	struct sockeye__tftp_send send;
	unsigned packets = 0;

	(void)state;
	script_expect(s, "OACK");
	script_turn(s, "ACK 0", "DATA 1");
	for (int ms = 0; ms < 60000 && !sockeye__tftp_is_over(&s->x); ms++, script_wait(s, 1))
		while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send))
			packets++;
	assert_int_equal(s->x.result, SOCKEYE__TFTP_TIMED_OUT);
	assert_in_range(packets, 8, 25);
}

static void test_last_ack_missing(void **state)
{
	struct script *s = script_start(true, true, "", 600);

	(void)state;
	script_expect(s, "DATA 1");
	script_turn(s, "ACK 1", "DATA 2");
	for (int i = 0; i < 100; i++) {
		struct sockeye__tftp_send send;

		script_wait(s, 1000);
		while (sockeye__tftp_next(&s->x, s->now_ns, 64, &send))
			assert_int_equal(send.block, 2);
	}
	assert_int_equal(s->x.result, SOCKEYE__TFTP_LAST_ACK_MISSING);
}

static void test_numbers(void **state)
{
	static const struct {
		const char *options;
		uint64_t block;
		unsigned number;
	} rows[] = {
	    {"blksize=8", 0, 0},      {"blksize=8", 65535, 65535},  {"blksize=8", 65536, 0},
	    {"blksize=8", 65537, 1},  {"blksize=8", 131072, 0},     {"rollover=0", 65536, 0},
	    {"rollover=1", 0, 0},     {"rollover=1", 65535, 65535}, {"rollover=1", 65536, 1},
	    {"rollover=1", 65537, 2}, {"rollover=1", 131071, 1},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, block %ju", rows[i].options, (uintmax_t)rows[i].block) {
		struct script *s = script_start(true, true, rows[i].options, 0);

		assert_int_equal(sockeye__tftp_number(&s->x, rows[i].block), rows[i].number);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_server_reads_without_options),
	    cmocka_unit_test(test_server_reads_with_options),
	    cmocka_unit_test(test_server_writes),
	    cmocka_unit_test(test_client_reads),
	    cmocka_unit_test(test_client_reads_from_old),
	    cmocka_unit_test(test_client_writes),
	    cmocka_unit_test(test_bad_oacks),
	    cmocka_unit_test(test_block_zero_first),
	    cmocka_unit_test(test_errors_of_the_peer),
	    cmocka_unit_test(test_abort),
	    cmocka_unit_test(test_nonsense),
	    cmocka_unit_test(test_request_again),
	    cmocka_unit_test(test_unconfirmed),
	    cmocka_unit_test(test_give_up),
	    cmocka_unit_test(test_timeout_option),
	    cmocka_unit_test(test_long_timeout),
	    cmocka_unit_test(test_unconfirmed_with_long_timeout),
	    cmocka_unit_test(test_silent_with_short_timeout),
	    cmocka_unit_test(test_last_ack_missing),
	    cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
