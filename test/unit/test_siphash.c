/*
 * test_siphash.c: SipHash-1-3 against CPython's, whose hash of bytes it is: with
 * PYTHONHASHSEED=0 the key is zero, with 1 it is what its generator makes of 1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../rows.h"
#include "base/siphash.h"

static const struct sockeye__hash_key zero,
    one = {{UINT64_C(0xaed66ce184be2329), UINT64_C(0xebe9bbf1f1499052)}};

/* Of the bytes 0, 1, 2 and so on. */
static const struct {
	size_t len;
	uint64_t zero, one;
} rows[] = {
    {1, UINT64_C(0x68a914128e01e473), UINT64_C(0xecd3e5afcecda4b9)},
    {7, UINT64_C(0x2f098ab0c751325a), UINT64_C(0xfd15e78052a69ddf)},
    {8, UINT64_C(0xead411e67ebe2eea), UINT64_C(0xc0b5739e7e28dd01)},
    {9, UINT64_C(0x75927f9d95124362), UINT64_C(0x208a1a5a0cbbf778)},
    {15, UINT64_C(0xf30eb725bb91c9ea), UINT64_C(0xfa87985f39e97a53)},
    {16, UINT64_C(0x8972188433a5c5b7), UINT64_C(0x12e9d283f9f37002)},
    {17, UINT64_C(0x4883c49a2c009c1d), UINT64_C(0x9f5bb4237f61907f)},
    {63, UINT64_C(0x385d3e39e5f37359), UINT64_C(0x542052345bc68274)},
};

static void test_known_hashes(void **state)
{
	uint8_t bytes[64];

	(void)state;
	for (uint8_t i = 0; i < sizeof bytes; i++)
		bytes[i] = i;
	FOR_ROWS(i, rows, "%zu bytes", rows[i].len) {
		assert_true(sockeye__siphash(&zero, bytes, rows[i].len) == rows[i].zero);
		assert_true(sockeye__siphash(&one, bytes, rows[i].len) == rows[i].one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_known_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
