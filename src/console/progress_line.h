/*
 * progress_line.h: the progress and the rate of a transfer as one line of text. Pure:
 * the caller passes the time and prints the line.
 */
#ifndef SOCKEYE_CONSOLE_PROGRESS_LINE_H
#define SOCKEYE_CONSOLE_PROGRESS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCKEYE__PROGRESS_RATE_SAMPLES 32

/* Samples of the last seconds. Zero is the initial state. */
struct sockeye__progress_rate {
	struct {
		uint64_t ns, bytes;
	} samples[SOCKEYE__PROGRESS_RATE_SAMPLES]; /* oldest first */
	unsigned count;
};

/* Adds a sample: `bytes` have been transferred by now_ns. */
void sockeye__progress_rate_add(struct sockeye__progress_rate *r, uint64_t now_ns, uint64_t bytes);

/* Returns the bytes per second over the last three seconds, 0 if there are too few
 * samples. */
double sockeye__progress_rate_per_s(const struct sockeye__progress_rate *r);

struct sockeye__progress_line {
	const char *name;     /* printable */
	uint64_t bytes, size; /* size 0: unknown */
	double rate;          /* bytes per second */
	unsigned width;       /* of the terminal; the line leaves the last column free */
	bool color;
};

/* Prints "vmlinuz  43% [=====>       ] 3.2 MiB, 11.3 MiB/s, 0:04 left" and returns its
 * length like snprintf(). Omits parts that do not fit: first the bar, then the end of
 * the name or all of it, then bytes and rate. */
size_t sockeye__progress_line_print(const struct sockeye__progress_line *line, char *buf,
				    size_t cap);

/* Print "980 B", "42.1 KiB", "3.2 MiB" and "850 B/s", "2.1 MiB/s". Return buf. */
#define SOCKEYE__QUANTITY_MAX 24
const char *sockeye__bytes_print(uint64_t bytes, char buf[SOCKEYE__QUANTITY_MAX]);
const char *sockeye__rate_print(double bytes_per_s, char buf[SOCKEYE__QUANTITY_MAX]);

#endif
