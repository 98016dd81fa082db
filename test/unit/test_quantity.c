/* test_quantity.c: parses sizes and times, exact to the byte and nanosecond. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sockeye/text.h>

#include "../rows.h"

#define UNTOUCHED UINT64_C(0xfeedfacefeedface)

struct row {
	const char *text;
	int err;
	uint64_t value;
};

static const struct row sizes[] = {
    {"0", 0, 0},
    {"1", 0, 1},
    {"65536", 0, 65536},
    {"0064", 0, 64},
    {"64k", 0, 64000},
    {"64Ki", 0, 65536},
    {"1M", 0, 1000000},
    {"1Mi", 0, 1048576},
    {"2G", 0, 2000000000},
    {"2Gi", 0, UINT64_C(2) << 30},
    {"3T", 0, UINT64_C(3000000000000)},
    {"3Ti", 0, UINT64_C(3) << 40},
    {"5B", 0, 5},
    {"5kB", 0, 5000},
    {"5KiB", 0, 5120},
    {"1.5M", 0, 1500000},
    {"1.5Ki", 0, 1536},
    {"1.0", 0, 1},
    {"1.00000000000000000000000000000", 0, 1},
    {"0.001k", 0, 1},
    {"0.0009765625Ki", 0, 1},
    {"2.000000000001T", 0, UINT64_C(2000000000001)},
    {"9223372036854775807", 0, INT64_MAX},
    {"9223372036854775.807k", 0, INT64_MAX},
    {"9223372036854775808", -ERANGE, 0},
    {"9223372036854775.808k", -ERANGE, 0},
    {"18446744073709551615", -ERANGE, 0},
    {"18446744073709551616", -ERANGE, 0},
    {"18446744073709552k", -ERANGE, 0}, /* 384 in 64 bits */
    {"99999999999999999999999999999", -ERANGE, 0},
    {"8388608Ti", -ERANGE, 0},
    {"8388607Ti", 0, UINT64_C(8388607) << 40},
    {"99999999999999999999999999999x", -EINVAL, 0},
    {"", -EINVAL, 0},
    {" 1", -EINVAL, 0},
    {"1 ", -EINVAL, 0},
    {"5 k", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"+1", -EINVAL, 0},
    {"1e9", -EINVAL, 0},
    {"0x10", -EINVAL, 0},
    {"inf", -EINVAL, 0},
    {"nan", -EINVAL, 0},
    {"k", -EINVAL, 0},
    {"B", -EINVAL, 0},
    {".", -EINVAL, 0},
    {"1.", -EINVAL, 0},
    {".5k", -EINVAL, 0},
    {"1.k", -EINVAL, 0},
    {"1.5.2", -EINVAL, 0},
    {"1,5k", -EINVAL, 0},
    {"1.5", -EINVAL, 0},
    {"0.0001k", -EINVAL, 0},
    {"1.1Ki", -EINVAL, 0},
    {"0.0000000000000000001T", -EINVAL, 0},
    {"0.18446744073709551617k", -EINVAL, 0}, /* more than 64 bits after the point */
    {"1K", -EINVAL, 0},                      /* 1000 or 1024? */
    {"1ki", -EINVAL, 0},
    {"1m", -EINVAL, 0},
    {"1BB", -EINVAL, 0},
    {"1Bk", -EINVAL, 0},
    {"1P", -EINVAL, 0},
    {"1s", -EINVAL, 0},
    {"\xd9\xa1", -EINVAL, 0}, /* a digit in another script */
};

static const struct row times[] = {
    {"0", 0, 0},
    {"2", 0, 2000000000},
    {"2s", 0, 2000000000},
    {"1.5", 0, 1500000000},
    {"500ms", 0, 500000000},
    {"250us", 0, 250000},
    {"10ns", 0, 10},
    {"3m", 0, UINT64_C(180000000000)},
    {"1h", 0, UINT64_C(3600000000000)},
    {"0.5h", 0, UINT64_C(1800000000000)},
    {"0.25ms", 0, 250000},
    {"1.000000001", 0, 1000000001},
    {"1.0000000010000000000000000000", 0, 1000000001},
    {"9223372036.854775807", 0, INT64_MAX},
    {"9223372036854775807ns", 0, INT64_MAX},
    {"2562047h", 0, UINT64_C(2562047) * 3600 * 1000000000},
    {"9223372036.854775808", -ERANGE, 0},
    {"2562048h", -ERANGE, 0},
    {"18446744074", -ERANGE, 0}, /* 290448384 in 64 bits */
    {"1.0000000005", -EINVAL, 0},
    {"0.5ns", -EINVAL, 0},
    {"", -EINVAL, 0},
    {" 1", -EINVAL, 0},
    {"5 s", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"1e9", -EINVAL, 0},
    {"1.5.2", -EINVAL, 0},
    {"1d", -EINVAL, 0},
    {"1S", -EINVAL, 0},
    {"1mss", -EINVAL, 0},
    {"ms", -EINVAL, 0},
    {"1h30m", -EINVAL, 0},
    {"1B", -EINVAL, 0},
    {"infinity", -EINVAL, 0},
};

static void check(const struct row *row, int (*parse)(const char *, uint64_t *))
{
	uint64_t value = UNTOUCHED;

	assert_int_equal(parse(row->text, &value), row->err);
	assert_int_equal(value, row->err < 0 ? UNTOUCHED : row->value);
}

static void test_sizes(void **state)
{
	(void)state;
	FOR_ROWS(i, sizes, "%s", sizes[i].text)
		check(&sizes[i], sockeye_size_parse);
}

static void test_times(void **state)
{
	(void)state;
	FOR_ROWS(i, times, "%s", times[i].text)
		check(&times[i], sockeye_duration_parse);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
