/*
 * fuzz_quantity.c: compares sizes and times with strtold(), whose fraction has 64 bits.
 *
 * Input: the quantity, up to its first NUL.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/text.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNTOUCHED UINT64_C(0xfeedfacefeedface)

struct unit {
	const char *name;
	long double factor;
};

static const struct unit sizes[] = {
    {"", 1},          {"k", 1e3L},         {"M", 1e6L},
    {"G", 1e9L},      {"T", 1e12L},        {"Ki", 1024},
    {"Mi", 1048576},  {"Gi", 1073741824},  {"Ti", 1099511627776},
    {"B", 1},         {"kB", 1e3L},        {"MB", 1e6L},
    {"GB", 1e9L},     {"TB", 1e12L},       {"KiB", 1024},
    {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776},
    {NULL, 0},
};

static const struct unit times[] = {
    {"", 1e9L},  {"ns", 1},    {"us", 1e3L},   {"ms", 1e6L},
    {"s", 1e9L}, {"m", 6e10L}, {"h", 3.6e12L}, {NULL, 0},
};

static void require(bool holds, const char *what, const char *text)
{
	if (holds)
		return;
	fprintf(stderr, "%s: \"%s\"\n", what, text);
	abort();
}

/* Returns the value of the text, or -1 if it is not a quantity. */
static long double meaning(const char *text, const struct unit *units)
{
	size_t whole = strspn(text, "0123456789");
	size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
	size_t len = whole + (text[whole] == '.') + fraction;

	if (whole == 0 || (text[whole] == '.' && fraction == 0))
		return -1;
	for (; units->name != NULL; units++)
		if (strcmp(text + len, units->name) == 0) {
			char *number =
			    strndup(text, len); /* strtold() would also read "1e" and "0x" */
			long double v = strtold(number, NULL) * units->factor;

			free(number);
			return v;
		}
	return -1;
}

static void check(const char *text, const struct unit *units,
		  int (*parse)(const char *, uint64_t *))
{
	uint64_t value = UNTOUCHED;
	int err = parse(text, &value);
	long double want = meaning(text, units), error = (long double)value - want;

	if (err < 0)
		require(value == UNTOUCHED, "wrote to the output after a failure", text);
	if (err == -EINVAL && want >= 0)
		require(strchr(text, '.') != NULL, "refused", text);
	else if (err == -EINVAL)
		require(want < 0, "refused", text);
	else if (err == -ERANGE)
		require(want >= 0x1p63L * (1 - 0x1p-62L), "reported as too large", text);
	else
		require(err == 0 && value <= INT64_MAX && want >= 0 &&
			    (error < 0 ? -error : error) <= want * 0x1p-62L,
			"another value", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check(text, sizes, sockeye_size_parse);
	check(text, times, sockeye_duration_parse);
	free(text);
	return 0;
}
