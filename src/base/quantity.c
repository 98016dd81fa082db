/*
 * quantity.c: parses sizes, times and chances, using integers only. strtod() depends on
 * the locale, rounds, and accepts "1e9", "inf" and "0x1p3".
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <sockeye/text.h>
#include <sockeye/time.h>

#include "base/chance.h"
#include "base/number.h"

#define QUANTITY_MAX        INT64_MAX
#define FRACTION_DIGITS_MAX 18 /* 10^18 fits in 64 bits */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit sizes[] = {
    {"", 1},
    {"k", 1000},
    {"M", 1000000},
    {"G", 1000000000},
    {"T", 1000000000000},
    {"Ki", UINT64_C(1) << 10},
    {"Mi", UINT64_C(1) << 20},
    {"Gi", UINT64_C(1) << 30},
    {"Ti", UINT64_C(1) << 40},
    {NULL, 0},
};

static const struct unit times[] = {
    {"", SOCKEYE_NS_PER_S},
    {"ns", 1},
    {"us", 1000},
    {"ms", SOCKEYE_NS_PER_MS},
    {"s", SOCKEYE_NS_PER_S},
    {"m", 60 * SOCKEYE_NS_PER_S},
    {"h", 3600 * SOCKEYE_NS_PER_S},
    {NULL, 0},
};

static const struct unit chances[] = {
    {"", SOCKEYE__CHANCE_ALWAYS},
    {"%", SOCKEYE__CHANCE_ALWAYS / 100},
    {NULL, 0},
};

static struct sockeye__slice digits_take(const char **text)
{
	struct sockeye__slice d = {*text, strspn(*text, "0123456789")};

	*text += d.len;
	return d;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Computes 0.DIGITS * factor. Returns 0, or -EINVAL if it is not a whole number. */
static int fraction_value(struct sockeye__slice d, uint64_t factor, uint64_t *out_value)
{
	uint64_t fraction = 0, scale = 1, common;

	while (d.len > 0 && d.at[d.len - 1] == '0')
		d.len--;
	if (d.len > FRACTION_DIGITS_MAX)
		return -EINVAL;
	for (size_t i = 0; i < d.len; i++)
		scale *= 10;
	(void)sockeye__number_parse(d, 10, UINT64_MAX, &fraction);

	/* fraction * factor / scale, reduced first so that nothing overflows */
	common = common_divisor(factor, scale);
	if (fraction % (scale / common) != 0)
		return -EINVAL;
	*out_value = fraction / (scale / common) * (factor / common);
	return 0;
}

static const struct unit *unit_find(const struct unit *units, const char *name, size_t len)
{
	for (; units->name != NULL; units++)
		if (strlen(units->name) == len && memcmp(units->name, name, len) == 0)
			return units;
	return NULL;
}

/* Parses DIGITS [ "." DIGITS ] UNIT [ tail ]. Rejects ".5" and "1.". */
static int quantity_parse(const char *text, const struct unit *units, char tail,
			  uint64_t *out_value)
{
	struct sockeye__slice whole = digits_take(&text), fraction = {0};
	const struct unit *unit;
	uint64_t v, part = 0;
	size_t len;

	if (whole.len == 0)
		return -EINVAL;
	if (*text == '.') {
		text++;
		fraction = digits_take(&text);
		if (fraction.len == 0)
			return -EINVAL;
	}
	len = strlen(text);
	if (len > 0 && text[len - 1] == tail)
		len--;
	unit = unit_find(units, text, len);
	if (unit == NULL || fraction_value(fraction, unit->factor, &part) < 0)
		return -EINVAL;
	if (sockeye__number_parse(whole, 10, QUANTITY_MAX, &v) < 0 ||
	    __builtin_mul_overflow(v, unit->factor, &v) || __builtin_add_overflow(v, part, &v) ||
	    v > QUANTITY_MAX)
		return -ERANGE;
	*out_value = v;
	return 0;
}

int sockeye_size_parse(const char *text, uint64_t *out_bytes)
{
	return quantity_parse(text, sizes, 'B', out_bytes);
}

int sockeye_duration_parse(const char *text, uint64_t *out_ns)
{
	return quantity_parse(text, times, '\0', out_ns);
}

int sockeye__chance_parse(const char *text, uint32_t *out_chance)
{
	uint64_t v = 0;
	int err = quantity_parse(text, chances, '\0', &v);

	if (err == 0 && v > SOCKEYE__CHANCE_ALWAYS)
		err = -ERANGE;
	if (err == 0)
		*out_chance = (uint32_t)v;
	return err;
}
