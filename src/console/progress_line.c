/* progress_line.c: the progress and the rate of a transfer (progress_line.h). */
#include "console/progress_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/time.h>

#include "base/out.h"

#define WINDOW_NS    (3 * SOCKEYE_NS_PER_S)
#define BAR_MIN      10
#define BAR_MAX      40
#define NAME_MIN     8
#define BRACKETS     3            /* " [" and "]" */
#define LEFT_MAX     (100 * 3600) /* seconds; a longer estimate is not printed */
#define COLOR_BAR    "\033[32m"
#define COLOR_NORMAL "\033[0m"

void sockeye__progress_rate_add(struct sockeye__progress_rate *r, uint64_t now_ns, uint64_t bytes)
{
	unsigned expired = r->count == SOCKEYE__PROGRESS_RATE_SAMPLES ? 1 : 0;

	/* Keep one sample from before the window, so that the rate covers all of it. */
	while (expired + 1 < r->count && now_ns - r->samples[expired + 1].ns >= WINDOW_NS)
		expired++;
	memmove(r->samples, r->samples + expired, (r->count - expired) * sizeof r->samples[0]);
	r->count -= expired;
	r->samples[r->count].ns = now_ns;
	r->samples[r->count++].bytes = bytes;
}

double sockeye__progress_rate_per_s(const struct sockeye__progress_rate *r)
{
	uint64_t bytes, ns;

	if (r->count < 2)
		return 0;
	ns = r->samples[r->count - 1].ns - r->samples[0].ns;
	bytes = r->samples[r->count - 1].bytes - r->samples[0].bytes;
	/* A transfer that started over has fewer bytes than before. */
	if (ns == 0 || r->samples[r->count - 1].bytes < r->samples[0].bytes)
		return 0;
	return (double)bytes * 1e9 / (double)ns;
}

/* Prints v in the smallest unit in which it is less than step. */
static const char *scaled(double v, double step, const char *const *units, char *buf)
{
	while (v >= step - 0.5 && units[1] != NULL) {
		v /= step;
		units++;
	}
	snprintf(buf, SOCKEYE__QUANTITY_MAX, v < 99.95 && **units != 'B' ? "%.1f %s" : "%.0f %s", v,
		 *units);
	return buf;
}

const char *sockeye__bytes_print(uint64_t bytes, char buf[SOCKEYE__QUANTITY_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", NULL};

	return scaled((double)bytes, 1024, units, buf);
}

const char *sockeye__rate_print(double bytes_per_s, char buf[SOCKEYE__QUANTITY_MAX])
{
	static const char *const units[] = {"B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s", NULL};

	return scaled(bytes_per_s, 1024, units, buf);
}

/* Returns the width of UTF-8 text whose characters are one column wide each. */
static size_t columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xC0) != 0x80;
	return n;
}

/* Prints the name in at most `room` columns, with its end replaced by three dots if it
 * is longer. */
static void name_put(struct sockeye__out *out, const char *name, size_t room)
{
	bool fits = columns(name) <= room;
	size_t keep = fits ? room : room - 3;

	for (; *name != '\0'; name++) {
		if ((*name & 0xC0) != 0x80 && keep-- == 0)
			break;
		sockeye__out_piece(out, name, 1);
	}
	sockeye__out_text(out, fits ? "" : "...");
}

static void bar_put(struct sockeye__out *out, const struct sockeye__progress_line *line,
		    size_t width)
{
	double part = (double)line->bytes / (double)line->size;
	size_t full = (size_t)((double)width * (part > 1 ? 1 : part));

	sockeye__out_text(out, " [");
	sockeye__out_text(out, line->color ? COLOR_BAR : "");
	for (size_t i = 0; i < width; i++)
		sockeye__out_text(out, i < full ? "=" : i == full ? ">" : " ");
	sockeye__out_text(out, line->color ? COLOR_NORMAL : "");
	sockeye__out_text(out, "]");
}

/* Prints " 3.2 MiB, 11.3 MiB/s, 0:04 left". */
static void pace_print(const struct sockeye__progress_line *line, char *buf, size_t cap)
{
	char bytes[SOCKEYE__QUANTITY_MAX], rate[SOCKEYE__QUANTITY_MAX];
	uint64_t left = line->size > line->bytes ? line->size - line->bytes : 0;
	double seconds = line->rate > 0 ? (double)left / line->rate + 0.999 : LEFT_MAX;
	int n = snprintf(buf, cap, " %s, %s", sockeye__bytes_print(line->bytes, bytes),
			 sockeye__rate_print(line->rate, rate));
	unsigned s = seconds < LEFT_MAX ? (unsigned)seconds : 0;

	if (line->size == 0 || seconds >= LEFT_MAX)
		return;
	if (s >= 3600)
		snprintf(buf + n, cap - (size_t)n, ", %u:%02u:%02u left", s / 3600, s / 60 % 60,
			 s % 60);
	else
		snprintf(buf + n, cap - (size_t)n, ", %u:%02u left", s / 60, s % 60);
}

size_t sockeye__progress_line_print(const struct sockeye__progress_line *line, char *buf,
				    size_t cap)
{
	struct sockeye__out out = sockeye__out_to(buf, cap);
	char percent[16] = "", pace[96];
	size_t room = line->width > 1 ? line->width - 1 : 0, used, name, bar = 0;

	if (line->size > 0)
		snprintf(percent, sizeof percent, " %3.0f%%",
			 line->bytes < line->size ? 100.0 * (double)line->bytes / (double)line->size
						  : 100.0);
	pace_print(line, pace, sizeof pace);
	if (columns(percent) + columns(pace) > room)
		pace[0] = '\0';
	if (columns(percent) > room)
		percent[0] = '\0';
	used = columns(percent) + columns(pace);
	name = columns(line->name);
	if (line->size > 0 && used + name + BRACKETS + BAR_MIN <= room)
		bar = room - used - name - BRACKETS;
	if (used + name > room)
		name = used + NAME_MIN <= room ? room - used : 0;
	if (name > 0)
		name_put(&out, line->name, name);
	sockeye__out_text(&out, percent);
	if (bar > 0)
		bar_put(&out, line, bar < BAR_MAX ? bar : BAR_MAX);
	sockeye__out_text(&out, pace);
	return out.len;
}
