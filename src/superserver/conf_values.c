/* conf_values.c: reads values with a fixed number of words (conf_internal.h). */
#include "superserver/conf_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>

#include "base/ascii.h"
#include "base/number.h"

#define MANY SIZE_MAX

/* Reports that the value is not what it must be. Returns -EINVAL. */
static int must_be(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		   const char *what)
{
	SOCKEYE__CONF_PROBLEM(r, value->place, "%s = %s: must be %s", value->info->name,
			      sockeye__conf_show(value->words).text, what);
	return -EINVAL;
}

/* Returns the first word. */
static struct sockeye__slice first(const struct sockeye__conf_value *value)
{
	struct sockeye__slice rest = value->words, word = {"", 0};

	sockeye__conf_word_take(&rest, &word);
	return word;
}

static int yes_no_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		       void *field)
{
	bool yes = sockeye__conf_word_is(first(value), "yes");

	if (!yes && !sockeye__conf_word_is(first(value), "no"))
		return must_be(r, value, "yes or no");
	*(bool *)field = yes;
	return 0;
}

static int word_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		     void *field)
{
	*(const char **)field = sockeye__conf_text(r, first(value));
	return r->failed ? -ENOMEM : 0;
}

static int path_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		     void *field)
{
	if (!r->compat && *first(value).at != '/')
		return must_be(r, value, "a path that begins with /");
	return word_read(r, value, field);
}

static int stderr_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		       void *field)
{
	static const char *const places[] = {"client", "log", "null", NULL};
	int place = sockeye__conf_word_find(places, first(value));

	if (place >= 0) {
		*(const char **)field = places[place];
		return 0;
	}
	if (*first(value).at != '/')
		return must_be(r, value, "client, log, null or a path that begins with /");
	return word_read(r, value, field);
}

/* Reads a whole number with an optional sign. */
static int integer_parse(struct sockeye__slice text, int64_t min, int64_t max, int64_t *out)
{
	bool minus = text.len > 0 && *text.at == '-';
	bool sign = minus || (text.len > 0 && *text.at == '+');
	struct sockeye__slice digits = {text.at + sign, text.len - sign};
	uint64_t v;
	int64_t n;

	if (sockeye__number_parse(digits, 10, INT64_MAX, &v) < 0)
		return -EINVAL;
	n = minus ? -(int64_t)v : (int64_t)v;
	if (n < min || n > max)
		return -ERANGE;
	*out = n;
	return 0;
}

static int must_be_number(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			  const char *more)
{
	char what[100];

	snprintf(what, sizeof what, "%lld to %lld%s%s%s", (long long)value->info->min,
		 (long long)value->info->max, value->info->unit ? " " : "",
		 value->info->unit ? value->info->unit : "", more);
	return must_be(r, value, what);
}

static int number_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		       void *field)
{
	bool nice = value->info == &sockeye__conf_infos[SOCKEYE__CONF_A_NICE];
	int64_t *out = field;
	int err;

	if (integer_parse(first(value), value->info->min, value->info->max, out) == 0)
		return 0;
	err = must_be_number(r, value, "");
	/* The kernel limits the value for xinetd. */
	if (!r->compat || !nice || integer_parse(first(value), INT32_MIN, INT32_MAX, out) < 0)
		return err;
	*out = *out < 0 ? value->info->min : value->info->max;
	return 0;
}

/* Reads UNLIMITED, or a number; a factor may follow if `factors`. */
static int limit_parse(struct sockeye__slice word, bool factors, int64_t *out)
{
	int64_t factor = 1, n;
	char last;

	if (sockeye__conf_word_is(word, "UNLIMITED")) {
		*out = SOCKEYE__CONF_UNLIMITED;
		return 0;
	}
	last = word.len > 0 ? sockeye__ascii_lower(word.at[word.len - 1]) : '\0';
	if (factors && (last == 'k' || last == 'm')) {
		factor = last == 'k' ? 1024 : 1024 * 1024;
		word.len--;
	}
	if (integer_parse(word, 0, INT64_MAX - 1, &n) < 0 || __builtin_mul_overflow(n, factor, &n))
		return -EINVAL;
	*out = n;
	return 0;
}

static int limit_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		      void *field)
{
	if (limit_parse(first(value), false, field) < 0)
		return must_be(r, value, "a whole number or UNLIMITED");
	return 0;
}

static int bytes_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		      void *field)
{
	if (limit_parse(first(value), true, field) < 0)
		return must_be(r, value,
			       "a whole number, K (1024) or M (1048576) may follow, or UNLIMITED");
	return 0;
}

static int octal_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		      void *field)
{
	uint64_t v;

	if (sockeye__number_parse(first(value), 8, (uint64_t)value->info->max, &v) < 0)
		return must_be(r, value, "octal, 0 to 0777");
	*(int64_t *)field = (int64_t)v;
	return 0;
}

/* Reads a decimal number above 0 with up to three digits after the point. */
static int thousandths_parse(struct sockeye__slice word, int64_t *out)
{
	const char *point = memchr(word.at, '.', word.len);
	size_t whole_len = point != NULL ? (size_t)(point - word.at) : word.len;
	struct sockeye__slice fraction = {word.at + word.len, 0};
	uint64_t whole, part = 0;

	if (point != NULL)
		fraction = (struct sockeye__slice){point + 1, word.len - whole_len - 1};
	if (sockeye__number_parse((struct sockeye__slice){word.at, whole_len}, 10, 1000000,
				  &whole) < 0 ||
	    fraction.len > 3 || (point != NULL && fraction.len == 0) ||
	    (point != NULL && sockeye__number_parse(fraction, 10, 999, &part) < 0))
		return -EINVAL;
	for (size_t i = fraction.len; i < 3; i++)
		part *= 10;
	*out = (int64_t)(1000 * whole + part);
	return *out > 0 ? 0 : -ERANGE;
}

static int thousandths_read(struct sockeye__conf_reading *r,
			    const struct sockeye__conf_value *value, void *field)
{
	int64_t n;

	if (thousandths_parse(first(value), &n) < 0)
		return must_be(r, value, "a number above 0, such as 2.5");
	*(int64_t *)field = n;
	return 0;
}

static int minutes_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			void *field)
{
	struct sockeye__slice word = first(value);

	if (sockeye__conf_word_is(word, "FOREVER"))
		*(int64_t *)field = SOCKEYE__CONF_UNLIMITED;
	else if (sockeye__conf_word_is(word, "NEVER"))
		*(int64_t *)field = 0;
	else if (integer_parse(word, 0, INT32_MAX, field) < 0)
		return must_be(r, value, "a number of minutes, FOREVER or NEVER");
	return 0;
}

static int time_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		     void *field)
{
	struct sockeye__slice word = first(value);
	char text[40] = "";
	uint64_t ns = 0;

	if (word.len < sizeof text)
		memcpy(text, word.at, word.len);
	if (!sockeye__conf_word_is(word, "never") && sockeye_duration_parse(text, &ns) < 0)
		return must_be(r, value, "a time such as 30s, 5m or 1h, or never");
	*(int64_t *)field = (int64_t)ns;
	return 0;
}

static int pair_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		     void *field)
{
	struct sockeye__slice rest = value->words, a, b;
	int64_t pair[2];

	sockeye__conf_word_take(&rest, &a);
	sockeye__conf_word_take(&rest, &b);
	if (integer_parse(a, value->info->min, value->info->max, &pair[0]) < 0 ||
	    integer_parse(b, value->info->min, value->info->max, &pair[1]) < 0)
		return must_be_number(r, value, ", twice");
	memcpy(field, pair, sizeof pair);
	return 0;
}

/* Reads a rate, such as 20/s or 256/m, and its burst (default: the rate). */
static int rate_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		     void *field)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}};
	struct sockeye__slice rest = value->words, a, b;
	int64_t rate[3] = {0, 1, 0};

	sockeye__conf_word_take(&rest, &a);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (a.len > 2 && a.at[a.len - 2] == '/' && a.at[a.len - 1] == units[i].unit) {
			rate[1] = units[i].seconds;
			a.len -= 2;
		}
	}
	b = a;
	sockeye__conf_word_take(&rest, &b);
	if (integer_parse(a, value->info->min, value->info->max, &rate[0]) < 0 ||
	    integer_parse(b, value->info->min, value->info->max, &rate[2]) < 0)
		return must_be(r, value, "a rate, such as 20/s, 256/m or 1000/h, and a burst");
	memcpy(field, rate, sizeof rate);
	return 0;
}

/* Reads N or N-M. */
static int range_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		      void *field)
{
	struct sockeye__slice word = first(value);
	const char *dash = memchr(word.at, '-', word.len);
	size_t len = dash != NULL ? (size_t)(dash - word.at) : word.len;
	struct sockeye__slice from = {word.at, len}, to = from;
	int64_t pair[2];

	if (dash != NULL)
		to = (struct sockeye__slice){dash + 1, word.len - len - 1};
	if (integer_parse(from, value->info->min, value->info->max, &pair[0]) < 0 ||
	    integer_parse(to, value->info->min, value->info->max, &pair[1]) < 0 ||
	    pair[0] > pair[1])
		return must_be(r, value, "a version N, or versions N-M");
	memcpy(field, pair, sizeof pair);
	return 0;
}

static int choice_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		       void *field)
{
	int row = sockeye__conf_word_find(value->info->words, first(value));

	if (row < 0)
		return must_be(r, value, sockeye__conf_known_words(value->info->words).text);
	*(unsigned *)field = (unsigned)row;
	return 0;
}

/* Reads pairs of host and port. */
static int targets_read(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
			void *field)
{
	size_t count = sockeye__conf_words_count(value->words);

	if (count % 2 != 0)
		return must_be(r, value, "a host and a port");
	return sockeye__conf_words_read(r, value, field);
}

static const struct {
	struct sockeye__conf_arity arity;
	size_t size; /* of the field */
	int (*read)(struct sockeye__conf_reading *r, const struct sockeye__conf_value *value,
		    void *field);
} kinds[] = {
    [SOCKEYE__CONF_K_YES_NO] = {{1, 1}, sizeof(bool), yes_no_read},
    [SOCKEYE__CONF_K_WORD] = {{1, 1}, sizeof(const char *), word_read},
    [SOCKEYE__CONF_K_PATH] = {{1, 1}, sizeof(const char *), path_read},
    [SOCKEYE__CONF_K_WORDS] = {{0, MANY},
			       sizeof(struct sockeye__conf_list),
			       sockeye__conf_words_read},
    [SOCKEYE__CONF_K_ENV] = {{0, MANY}, sizeof(struct sockeye__conf_list), sockeye__conf_env_read},
    [SOCKEYE__CONF_K_NUMBER] = {{1, 1}, sizeof(int64_t), number_read},
    [SOCKEYE__CONF_K_LIMIT] = {{1, 1}, sizeof(int64_t), limit_read},
    [SOCKEYE__CONF_K_BYTES] = {{1, 1}, sizeof(int64_t), bytes_read},
    [SOCKEYE__CONF_K_OCTAL] = {{1, 1}, sizeof(int64_t), octal_read},
    [SOCKEYE__CONF_K_THOUSANDTHS] = {{1, 1}, sizeof(int64_t), thousandths_read},
    [SOCKEYE__CONF_K_MINUTES] = {{1, 1}, sizeof(int64_t), minutes_read},
    [SOCKEYE__CONF_K_TIME] = {{1, 1}, sizeof(int64_t), time_read},
    [SOCKEYE__CONF_K_PAIR] = {{2, 2}, sizeof(int64_t[2]), pair_read},
    [SOCKEYE__CONF_K_RATE] = {{1, 2}, sizeof(int64_t[3]), rate_read},
    [SOCKEYE__CONF_K_RANGE] = {{1, 1}, sizeof(int64_t[2]), range_read},
    [SOCKEYE__CONF_K_CHOICE] = {{1, 1}, sizeof(unsigned), choice_read},
    [SOCKEYE__CONF_K_BITS] = {{0, MANY}, sizeof(unsigned), sockeye__conf_bits_read},
    [SOCKEYE__CONF_K_ADDRESSES] = {{0, MANY},
				   sizeof(struct sockeye__access_list),
				   sockeye__conf_addresses_read},
    [SOCKEYE__CONF_K_SPANS] = {{1, MANY},
			       sizeof(struct sockeye__conf_spans),
			       sockeye__conf_spans_read},
    [SOCKEYE__CONF_K_LOG] = {{1, 4}, sizeof(struct sockeye__conf_log), sockeye__conf_log_read},
    [SOCKEYE__CONF_K_TARGETS] = {{2, MANY}, sizeof(struct sockeye__conf_list), targets_read},
    [SOCKEYE__CONF_K_STDERR] = {{1, 1}, sizeof(const char *), stderr_read},
};

size_t sockeye__conf_kind_size(enum sockeye__conf_kind kind)
{
	return kinds[kind].size;
}

struct sockeye__conf_arity sockeye__conf_kind_arity(enum sockeye__conf_kind kind)
{
	return kinds[kind].arity;
}

int sockeye__conf_value_read(struct sockeye__conf_reading *r,
			     const struct sockeye__conf_value *value, void *field)
{
	return kinds[value->info->kind].read(r, value, field);
}
