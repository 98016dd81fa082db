/*
 * daytime.c: the date and time in UTC as a line of text (RFC 867), in the form of a
 * mail header or of ctime(3). It does not use strftime(3), which depends on the locale.
 */
#include <stdio.h>

#include "service/service.h"

#define S_PER_DAY 86400
#define LINE_MAX  64

struct date {
	unsigned year;       /* 1677 to 2262: the range of 64 bits of nanoseconds */
	unsigned month, day; /* 0 to 11; 1 to 31 */
	unsigned weekday;    /* 0: Sunday */
	unsigned hour, min, s;
};

/* Sets the Gregorian date from the number of days since 1970-01-01. Years begin in
 * March here, so that the leap day is the last day of a year (H. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms", civil_from_days). */
static void date_set_day(struct date *d, int64_t days)
{
	unsigned z = (unsigned)(days + 719468); /* since 0000-03-01 */
	unsigned era = z / 146097, doe = z % 146097;
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153; /* 0: March */

	d->day = doy - (153 * mp + 2) / 5 + 1;
	d->month = (mp + 2) % 12;
	d->year = yoe + era * 400 + (mp >= 10);
	d->weekday = (z + 3) % 7; /* 0000-03-01 was a Wednesday */
}

static struct date date_of(int64_t real_ns)
{
	int64_t ns_per_s = (int64_t)SOCKEYE_NS_PER_S;
	int64_t s = real_ns / ns_per_s - (real_ns % ns_per_s < 0);
	int64_t days = s / S_PER_DAY - (s % S_PER_DAY < 0);
	unsigned rest = (unsigned)(s - days * S_PER_DAY);
	struct date d = {.hour = rest / 3600, .min = rest / 60 % 60, .s = rest % 60};

	date_set_day(&d, days);
	return d;
}

/* Writes the line and a NUL into room, which has at least LINE_MAX bytes. Returns the
 * length of the line. */
static size_t daytime_line(uint8_t *room, const void *config, struct sockeye_now now)
{
	const struct sockeye_builtin_config *c = config;
	const struct date d = date_of(now.real_ns);
	const char *weekday = &"SunMonTueWedThuFriSat"[3 * d.weekday];
	const char *month = &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * d.month];
	char *line = (char *)room;
	int len;

	if (c && c->daytime == SOCKEYE_DAYTIME_CTIME)
		len = snprintf(line, LINE_MAX, "%.3s %.3s %2u %02u:%02u:%02u %04u\r\n", weekday,
			       month, d.day, d.hour, d.min, d.s, d.year);
	else /* RFC 5322, section 3.3 */
		len = snprintf(line, LINE_MAX, "%.3s, %02u %.3s %04u %02u:%02u:%02u +0000\r\n",
			       weekday, d.day, month, d.year, d.hour, d.min, d.s);
	return (size_t)len;
}

static void daytime_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state;
	t->in_taken = t->in_len; /* RFC 867: "any data received is thrown away" */
	t->out = t->room;
	t->out_len = daytime_line(t->room, config, t->now);
	t->close = true;
}

static void daytime_datagram(const void *config, struct sockeye_answer *a)
{
	a->send = true;
	a->out = a->room;
	a->out_len = daytime_line(a->room, config, a->now);
}

/* In the order of enum sockeye_daytime_format. */
static const char *const formats[] = {"smtp", "ctime", NULL};

static const struct sockeye_option options[] = {
    {"format", 0, "FORM", "write the date as smtp (RFC 5322, default) or ctime",
     SOCKEYE_OPTION_CHOICE, offsetof(struct sockeye_builtin_config, daytime), .choices = formats},
    {NULL},
};

const struct sockeye_service sockeye__daytime = {
    .name = "daytime",
    .summary = "the date and time as text (RFC 867)",
    .port = 13,
    .uses_time = true,
    .speaks_first = true,
    .amplifies = true,
    .turn = daytime_turn,
    .datagram = daytime_datagram,
    .options = options,
};
