/*
 * progress_line.h: how far something is and how fast, in one line of words. No clock,
 * no output.
 */
#ifndef SOCKEYE_CONSOLE_PROGRESS_LINE_H
#define SOCKEYE_CONSOLE_PROGRESS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOCKEYE__PROGRESS_RATE_SAMPLES 32

/* Zero is the beginning. */
struct sockeye__progress_rate {
	struct {
		uint64_t ns, bytes;
	} samples[SOCKEYE__PROGRESS_RATE_SAMPLES]; /* of the last seconds, oldest first */
	unsigned count;
};

void sockeye__progress_rate_add(struct sockeye__progress_rate *m, uint64_t now_ns, uint64_t bytes);

/* Bytes a second over the last three seconds; 0 when there is no telling. */
double sockeye__progress_rate_per_s(const struct sockeye__progress_rate *m);

struct sockeye__progress_line {
	const char *name;     /* fit to be seen */
	uint64_t bytes, size; /* size 0: unknown */
	double rate;
	unsigned width; /* columns; the line is shorter by one */
	bool color;
};

/* "vmlinuz  43% [=====>       ] 3.2 MiB, 11.3 MB/s, 0:04 left", by the rules of
 * snprintf. What does not fit is left out: the bar, the name's end, the pace. */
size_t sockeye__progress_line_print(const struct sockeye__progress_line *v, char *buf, size_t cap);

/* "980 B", "42.1 KiB", "3.2 MiB" and "850 B/s", "2.1 MB/s". */
#define SOCKEYE__QUANTITY_MAX 24
const char *sockeye__bytes_print(uint64_t bytes, char buf[SOCKEYE__QUANTITY_MAX]);
const char *sockeye__rate_print(double bytes_per_s, char buf[SOCKEYE__QUANTITY_MAX]);

#endif
