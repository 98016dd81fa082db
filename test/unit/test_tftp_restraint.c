/* The sender of a TFTP transfer whose peer may be forged sends little without replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tftp_script.h"

/* Starts a single-port server whose peer, which may be forged, has sent ACK 0. */
static struct script *sending_to_forgeable(const char *options, uint64_t bytes)
{
	struct script *s = script_start_with(
	    (struct sockeye__tftp_config){.server = true, .sends = true, .forgeable = true},
	    options, bytes);

	script_expect(s, "OACK");
	script_wait(s, 10);
	script_receive(s, "ACK 0");
	return s;
}

/* A forged request and a forged ACK 0: a window and three blocks, however long the peer
 * is silent. */
static void test_forged_ack(void **state)
{
	struct script *s = sending_to_forgeable("blksize=1428 windowsize=8 timeout=2", 1428 * 1000);
	struct sockeye__tftp_send send;
	unsigned blocks = 0;

	(void)state;
	script_expect(s, "DATA 1-8");
	for (int ms = 0; ms < 60000; ms += 10) {
		script_wait(s, 10);
		while (sockeye__tftp_next(&s->x, s->now_ns, UINT32_MAX, &send)) {
			assert_int_equal(send.block, 1);
			blocks += send.count;
		}
	}
	assert_int_equal(blocks, 3);
	assert_int_equal(s->x.result, SOCKEYE__TFTP_TIMED_OUT);
}

/* After the tries a peer that was away still gets its file: each ACK that it repeats gets
 * one block, and a new one ends the restraint. */
static void test_forgeable_peer_returns(void **state)
{
	struct script *s = sending_to_forgeable("blksize=8 windowsize=4", 800);
	struct sockeye__tftp_send send;

	(void)state;
	script_expect(s, "DATA 1-4");
	for (int i = 0; i < 3; i++) {
		script_wait(s, 7000);
		script_expect(s, "DATA 1");
		script_turn(s, "ACK 0", ""); /* in flight */
	}
	script_wait(s, 7000);
	script_expect(s, "");
	script_turn(s, "ACK 0", "DATA 1");
	script_turn(s, "ACK 0", "");
	script_wait(s, 1000);
	script_expect(s, "");
	script_turn(s, "ACK 0", "DATA 1");
	script_receive(s, "ACK 1");
	assert_true(sockeye__tftp_next(&s->x, s->now_ns, UINT32_MAX, &send));
	assert_int_equal(send.block, 2);
	assert_int_equal(send.count, 4);
}

/* A new ACK ends the restraint. */
static void test_restraint_ends(void **state)
{
	struct script *s = sending_to_forgeable("blksize=8 windowsize=4", 800);

	(void)state;
	script_expect(s, "DATA 1-4");
	script_wait(s, 2000);
	script_expect(s, "DATA 1");
	script_turn(s, "ACK 3", "DATA 4-7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_forged_ack),
	    cmocka_unit_test(test_forgeable_peer_returns),
	    cmocka_unit_test(test_restraint_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
