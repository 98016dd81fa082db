/*
 * test_tftp_options.c: parses, grants, encodes and checks options.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../rows.h"
#include "tftp_script.h"

/* Returns "a=b c=d", or "". */
static const char *text_of(const struct sockeye__tftp_options *o)
{
	static char text[SOCKEYE__TFTP_OACK_MAX];
	ssize_t len = sockeye__tftp_options_encode((uint8_t *)text, sizeof text, o);

	assert_true(len >= 0);
	text[len > 0 ? len - 1 : 0] = '\0';
	for (ssize_t i = 0, odd = 0; i < len - 1; i++)
		if (text[i] == '\0')
			text[i] = odd++ % 2 == 0 ? '=' : ' ';
	return text;
}

static void test_asked(void **state)
{
	static const struct {
		const char *asked, *understood;
	} rows[] = {
	    {"", ""},
	    {"blksize=1432", "blksize=1432"},
	    {"BLKSIZE=1024", "blksize=1024"},
	    {"blksize=8", "blksize=8"},
	    {"blksize=7", ""},
	    {"blksize=0", ""},
	    {"blksize=-1", ""},
	    {"blksize=+9", ""},
	    {"blksize=9x", ""},
	    {"blksize=0x40", ""},
	    {"blksize=0512", "blksize=512"},
	    {"blksize=65464", "blksize=65464"},
	    {"blksize=65465", "blksize=65464"},
	    {"blksize=70000", "blksize=65464"},
	    {"blksize=99999999999999999999999", "blksize=65464"},
	    {"blksize=", ""},
	    {"timeout=1", "timeout=1"},
	    {"timeout=255", "timeout=255"},
	    {"timeout=0", ""},
	    {"timeout=256", ""}, /* the peer would still use 256 s */
	    {"timeout=abc", ""},
	    {"utimeout=20000", "utimeout=20000"},
	    {"utimeout=9999", ""},
	    {"tsize=0", "tsize=0"},
	    {"tsize=5368709120", "tsize=5368709120"},
	    {"tsize=99999999999999999999999", ""},
	    {"windowsize=1", "windowsize=1"},
	    {"windowsize=65535", "windowsize=65535"},
	    {"windowsize=0", ""},
	    {"windowsize=65536", ""},
	    {"windowsize=-1", ""},
	    {"rollover=0", "rollover=0"},
	    {"rollover=1", "rollover=1"},
	    {"rollover=2", ""},
	    {"multicast=", ""},
	    {"x=1 blksize=9 y=2", "blksize=9"},
	    {"blksize=9 blksize=10", "blksize=9"},
	    {"blksize=1 blksize=10", ""},
	    {"windowsize=4 tsize=0 blksize=9", "blksize=9 tsize=0 windowsize=4"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].asked) {
		struct sockeye__tftp_options o = script_options(rows[i].asked);

		assert_string_equal(text_of(&o), rows[i].understood);
	}
}

static void test_granted(void **state)
{
	static const uint64_t size = 5368709120, nothing = 0;
	static const struct {
		const char *asked, *granted;
		struct sockeye__tftp_policy policy;
		bool upload;
		const uint64_t *size;
	} rows[] = {
	    {"blksize=1432",
	     "blksize=1432",
	     {0},
	     false,
	     &size}, /* UEFI rejects a tsize it did not request */
	    {"blksize=1468", "blksize=1024", {.blksize_max = 1024}, false, &size},
	    {"blksize=512", "blksize=512", {.blksize_max = 1024}, false, &size},
	    {"blksize=1468 tsize=0",
	     "tsize=5368709120",
	     {.refused = SOCKEYE__TFTP_BIT(SOCKEYE__TFTP_BLKSIZE)},
	     false,
	     &size},
	    {"tsize=0", "", {0}, false, NULL},
	    {"tsize=0", "", {0}, false, &nothing}, /* curl fails on tsize=0 */
	    {"tsize=77", "tsize=77", {0}, true, NULL},
	    {"timeout=7", "timeout=7", {0}, false, &size},
	    {"windowsize=16", "windowsize=16", {0}, false, &size},
	    {"windowsize=65535", "windowsize=64", {0}, false, &size},
	    {"windowsize=65535", "windowsize=65535", {.window_max = 65535}, false, &size},
	    {"windowsize=65535 rollover=1",
	     "windowsize=65534 rollover=1",
	     {.window_max = 65535},
	     false,
	     &size},
	    {"windowsize=9", "windowsize=4", {.window_max = 4}, false, &size},
	    {"blksize2=1000", "blksize2=512", {0}, false, &size},
	    {"blksize2=65464", "blksize2=32768", {0}, false, &size},
	    {"blksize2=8", "blksize2=8", {0}, false, &size},
	    {"blksize2=2048", "blksize2=1024", {.blksize_max = 1468}, false, &size},
	    {"blksize2=1000 blksize=900", "blksize=900", {0}, false, &size},
	    {"blksize=900 timeout=1 tsize=0", "", {.refused = ~0u}, false, &size},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s", rows[i].asked) {
		struct sockeye__tftp_options asked = script_options(rows[i].asked);
		struct sockeye__tftp_options o = sockeye__tftp_options_negotiate(
		    &asked, &rows[i].policy, rows[i].upload, rows[i].size);

		assert_string_equal(text_of(&o), rows[i].granted);
	}
}

static void test_oack(void **state)
{
	static const struct {
		const char *asked, *answer;
		int err;
		const char *in_force;
	} rows[] = {
	    {"blksize=1432 tsize=0", "blksize=1432 tsize=100", 0, "blksize=1432 tsize=100"},
	    {"blksize=1432", "BlkSize=8", 0, "blksize=8"},
	    {"blksize=1432 tsize=0", "tsize=9", 0, "tsize=9"},
	    {"blksize=1432", "", 0, ""},
	    {"blksize=1432", "blksize=1433", -EPROTO, ""},
	    {"blksize=1432", "blksize=7", -EPROTO, ""},
	    {"blksize=1432", "blksize=x", -EPROTO, ""},
	    {"blksize=1432", "blksize=", -EPROTO, ""},
	    {"blksize=1432", "blksize=18446744073709551624", -EPROTO, ""}, /* 8 in 64 bits */
	    {"blksize=1432", "tsize=9", -EPROTO, ""},
	    {"blksize=1432", "color=9", -EPROTO, ""},
	    {"timeout=3", "timeout=3", 0, "timeout=3"},
	    {"timeout=3", "timeout=2", -EPROTO, ""},
	    {"windowsize=8", "windowsize=4", 0, "windowsize=4"},
	    {"windowsize=8", "windowsize=9", -EPROTO, ""},
	    {"windowsize=8", "windowsize=0", -EPROTO, ""},
	    {"rollover=0", "rollover=1", -EPROTO, ""},
	    {"blksize=1432", "blksize=1000 blksize=900", 0, "blksize=1000"},
	};

	(void)state;
	FOR_ROWS(i, rows, "%s, granted %s", rows[i].asked, rows[i].answer) {
		struct sockeye__tftp_options asked = script_options(rows[i].asked), o = {0};
		char packet[256];
		size_t len = strlen(rows[i].answer) + (*rows[i].answer != '\0');

		memcpy(packet, rows[i].answer, len);
		for (size_t k = 0; k < len; k++)
			if (packet[k] == '=' || packet[k] == ' ')
				packet[k] = '\0';
		assert_int_equal(sockeye__tftp_oack_check(
				     &asked, (struct sockeye__span){(uint8_t *)packet, len}, &o),
				 rows[i].err);
		assert_string_equal(text_of(&o), rows[i].in_force);
	}
}

/* Tivoli's PXE server appends garbage. */
static void test_garbage_after_oack(void **state)
{
	struct sockeye__tftp_options asked = script_options("blksize=1432"), o;
	static const uint8_t packet[] = "blksize\0001432\0\0\0\xffgarbage";

	(void)state;
	assert_int_equal(
	    sockeye__tftp_oack_check(&asked, (struct sockeye__span){packet, sizeof packet - 1}, &o),
	    0);
	assert_int_equal(sockeye__tftp_blksize(&o), 1432);
}

static void test_encoded_to_the_byte(void **state)
{
	struct sockeye__tftp_options o = script_options("windowsize=4 blksize=1432"), all;
	uint8_t buf[SOCKEYE__TFTP_OACK_MAX];

	(void)state;
	assert_int_equal(sockeye__tftp_options_encode(buf, sizeof buf, &o), 26);
	assert_memory_equal(buf, "blksize\0001432\0windowsize\0004\0", 26);
	for (size_t cap = 0; cap < 26; cap++)
		assert_int_equal(sockeye__tftp_options_encode(buf, cap, &o), -ENOBUFS);

	/* The longest options fit in an OACK. */
	all = script_options("blksize=65464 blksize2=32768 timeout=255 utimeout=255000000 "
			     "tsize=9223372036854775807 windowsize=65535 rollover=1");
	assert_in_range(sockeye__tftp_options_encode(buf, sizeof buf - 2, &all), 100,
			sizeof buf - 2);
}

static void test_defaults(void **state)
{
	struct sockeye__tftp_options none = {0}, some = script_options("timeout=3 utimeout=10000");

	(void)state;
	assert_int_equal(sockeye__tftp_blksize(&none), 512);
	assert_int_equal(sockeye__tftp_windowsize(&none), 1);
	assert_int_equal(sockeye__tftp_timeout_ns(&none), 0);
	assert_int_equal(sockeye__tftp_timeout_ns(&some), 10000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_asked),
	    cmocka_unit_test(test_granted),
	    cmocka_unit_test(test_oack),
	    cmocka_unit_test(test_garbage_after_oack),
	    cmocka_unit_test(test_encoded_to_the_byte),
	    cmocka_unit_test(test_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
