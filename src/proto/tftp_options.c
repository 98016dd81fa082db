/*
 * tftp_options.c: one table of options, used to parse, print, grant and check them.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <sockeye/time.h>

#include "base/number.h"
#include "proto/tftp_options.h"

#define VALUE_TEXT_MAX 21 /* 2^64 - 1 and its NUL */

/* How a server's value may differ from the one requested. */
enum answer {
	EXACT, /* the server must grant the same value */
	LOWER, /* the server may grant a lower value */
	ANY,   /* the server may grant any value */
};

static const struct option {
	const char *name;
	uint64_t min, max;
	enum answer answer;
	bool lowered; /* a value above max counts as max; if false, such an option is ignored */
} options[SOCKEYE__TFTP_OPTIONS] = {
    [SOCKEYE__TFTP_BLKSIZE] = {"blksize", SOCKEYE__TFTP_BLKSIZE_MIN, SOCKEYE__TFTP_BLKSIZE_MAX,
			       LOWER, true},
    [SOCKEYE__TFTP_BLKSIZE2] = {"blksize2", SOCKEYE__TFTP_BLKSIZE_MIN, 32768, LOWER, true},
    [SOCKEYE__TFTP_TIMEOUT] = {"timeout", 1, 255, EXACT, false},
    [SOCKEYE__TFTP_UTIMEOUT] = {"utimeout", 10000, 255000000, EXACT, false},
    [SOCKEYE__TFTP_TSIZE] = {"tsize", 0, INT64_MAX, ANY, false},
    [SOCKEYE__TFTP_WINDOWSIZE] = {"windowsize", 1, 65535, LOWER, false},
    [SOCKEYE__TFTP_ROLLOVER] = {"rollover", 0, 1, EXACT, false},
};

uint16_t sockeye__tftp_blksize(const struct sockeye__tftp_options *o)
{
	if (sockeye__tftp_has(o, SOCKEYE__TFTP_BLKSIZE))
		return (uint16_t)o->value[SOCKEYE__TFTP_BLKSIZE];
	if (sockeye__tftp_has(o, SOCKEYE__TFTP_BLKSIZE2))
		return (uint16_t)o->value[SOCKEYE__TFTP_BLKSIZE2];
	return SOCKEYE__TFTP_BLKSIZE_DEFAULT;
}

uint16_t sockeye__tftp_windowsize(const struct sockeye__tftp_options *o)
{
	if (!sockeye__tftp_has(o, SOCKEYE__TFTP_WINDOWSIZE))
		return 1;
	return (uint16_t)o->value[SOCKEYE__TFTP_WINDOWSIZE];
}

uint64_t sockeye__tftp_timeout_ns(const struct sockeye__tftp_options *o)
{
	if (sockeye__tftp_has(o, SOCKEYE__TFTP_UTIMEOUT))
		return o->value[SOCKEYE__TFTP_UTIMEOUT] * 1000;
	if (sockeye__tftp_has(o, SOCKEYE__TFTP_TIMEOUT))
		return o->value[SOCKEYE__TFTP_TIMEOUT] * SOCKEYE_NS_PER_S;
	return 0;
}

/* Returns SOCKEYE__TFTP_OPTIONS if no option has the name. */
static enum sockeye__tftp_option option_find(struct sockeye__span name)
{
	int i;

	for (i = 0; i < SOCKEYE__TFTP_OPTIONS; i++)
		if (strlen(options[i].name) == name.len &&
		    strncasecmp(options[i].name, (const char *)name.at, name.len) == 0)
			break;
	return (enum sockeye__tftp_option)i;
}

int sockeye__tftp_option_named(const char *name, size_t len)
{
	enum sockeye__tftp_option i =
	    option_find((struct sockeye__span){(const uint8_t *)name, len});

	return i == SOCKEYE__TFTP_OPTIONS ? -EINVAL : (int)i;
}

const char *sockeye__tftp_option_name(enum sockeye__tftp_option option)
{
	return options[option].name;
}

/* False if the text is not a number. A number above 64 bits reads as UINT64_MAX,
 * which every option's maximum then rejects or lowers. */
static bool value_parse(struct sockeye__span text, uint64_t *out)
{
	struct sockeye__slice digits = {(const char *)text.at, text.len};
	int err = sockeye__number_parse(digits, 10, UINT64_MAX, out);

	if (err == -ERANGE)
		*out = UINT64_MAX;
	return err != -EINVAL;
}

struct sockeye__tftp_options sockeye__tftp_options_parse(struct sockeye__span pairs)
{
	struct sockeye__tftp_options o = {0};
	struct sockeye__tftp_pair pair;
	unsigned seen = 0;

	while (sockeye__tftp_pair_next(&pairs, &pair)) {
		enum sockeye__tftp_option i = option_find(pair.name);
		uint64_t v;

		if (i == SOCKEYE__TFTP_OPTIONS || (seen & SOCKEYE__TFTP_BIT(i)))
			continue;
		seen |= SOCKEYE__TFTP_BIT(i);
		if (!value_parse(pair.value, &v) || v < options[i].min)
			continue;
		if (v > options[i].max && options[i].lowered)
			v = options[i].max;
		if (v <= options[i].max)
			sockeye__tftp_set(&o, i, v);
	}
	return o;
}

/* Limits the block size, and grants only one of the two options for it. */
static void blksize_grant(struct sockeye__tftp_options *o, uint64_t most)
{
	uint64_t *blksize = &o->value[SOCKEYE__TFTP_BLKSIZE];
	uint64_t *power = &o->value[SOCKEYE__TFTP_BLKSIZE2];

	*blksize = sockeye__least(*blksize, most);
	*power = sockeye__least(*power, most);
	while ((*power & (*power - 1)) != 0)
		*power &= *power - 1;
	if (sockeye__tftp_has(o, SOCKEYE__TFTP_BLKSIZE))
		o->has &= ~SOCKEYE__TFTP_BIT(SOCKEYE__TFTP_BLKSIZE2);
}

static void window_grant(struct sockeye__tftp_options *o, uint64_t most)
{
	uint64_t *window = &o->value[SOCKEYE__TFTP_WINDOWSIZE];

	/* With rollover=1 numbers repeat after 65535 blocks. The first and the last
	 * block of a window of that length would have the same number. */
	if (sockeye__tftp_has(o, SOCKEYE__TFTP_ROLLOVER) && o->value[SOCKEYE__TFTP_ROLLOVER] == 1)
		most = sockeye__least(most, 65534);
	*window = sockeye__least(*window, most);
}

struct sockeye__tftp_options
sockeye__tftp_options_negotiate(const struct sockeye__tftp_options *asked,
				const struct sockeye__tftp_policy *policy, bool upload,
				const uint64_t *size)
{
	struct sockeye__tftp_options o = *asked;

	o.has &= ~policy->refused;
	if (sockeye__tftp_has(&o, SOCKEYE__TFTP_TSIZE) && !upload) {
		/* Do not grant tsize=0: curl treats it as an error. */
		if (size == NULL || *size == 0)
			o.has &= ~SOCKEYE__TFTP_BIT(SOCKEYE__TFTP_TSIZE);
		else
			o.value[SOCKEYE__TFTP_TSIZE] = *size;
	}
	blksize_grant(&o, policy->blksize_max ? policy->blksize_max : SOCKEYE__TFTP_BLKSIZE_MAX);
	window_grant(&o, policy->window_max ? policy->window_max : SOCKEYE__TFTP_WINDOW_CEILING);
	return o;
}

ssize_t sockeye__tftp_options_encode(uint8_t *buf, size_t cap,
				     const struct sockeye__tftp_options *o)
{
	size_t len = 0;

	for (enum sockeye__tftp_option i = 0; i < SOCKEYE__TFTP_OPTIONS; i++) {
		size_t name_len = strlen(options[i].name) + 1;
		char text[VALUE_TEXT_MAX];
		size_t text_len;

		if (!sockeye__tftp_has(o, i))
			continue;
		text_len = (size_t)snprintf(text, sizeof text, "%ju", (uintmax_t)o->value[i]) + 1;
		if (name_len + text_len > cap - len)
			return -ENOBUFS;
		memcpy(buf + len, options[i].name, name_len);
		memcpy(buf + len + name_len, text, text_len);
		len += name_len + text_len;
	}
	return (ssize_t)len;
}

static bool answer_fits(enum sockeye__tftp_option i, uint64_t asked, uint64_t v)
{
	if (v < options[i].min || v > options[i].max)
		return false;
	return options[i].answer == ANY || v == asked || (options[i].answer == LOWER && v < asked);
}

int sockeye__tftp_oack_check(const struct sockeye__tftp_options *asked, struct sockeye__span pairs,
			     struct sockeye__tftp_options *out)
{
	struct sockeye__tftp_options o = {0};
	struct sockeye__tftp_pair pair;

	while (sockeye__tftp_pair_next(&pairs, &pair)) {
		enum sockeye__tftp_option i = option_find(pair.name);
		uint64_t v;

		if (i == SOCKEYE__TFTP_OPTIONS || !sockeye__tftp_has(asked, i) ||
		    !value_parse(pair.value, &v) || !answer_fits(i, asked->value[i], v))
			return -EPROTO;
		if (!sockeye__tftp_has(&o, i))
			sockeye__tftp_set(&o, i, v);
	}
	*out = o;
	return 0;
}
