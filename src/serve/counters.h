/*
 * counters.h: counters of the workers.
 *
 * A table of rows defines a struct with one uint64_t for each row, in that order. Each
 * worker has such a struct in shared memory. The supervisor adds the structs up row by
 * row, without knowing their fields. A service with its own event loop has its own table:
 *
 *     #define COUNTERS(X) X(sent, COUNTER, "parcels sent") X(open, GAUGE, "parcels open")
 *
 *     struct parcel_counters {
 *             COUNTERS(SOCKEYE__COUNTER_FIELD)
 *     };
 *     static const struct sockeye__counter_row rows[] = {COUNTERS(SOCKEYE__COUNTER_ROW)};
 *     static const struct sockeye__counter_table table = {rows, ...};
 */
#ifndef SOCKEYE_SERVE_COUNTERS_H
#define SOCKEYE_SERVE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include <sockeye/serve.h>

#define SOCKEYE__COUNTER_FIELD(name, kind, text) uint64_t name;
#define SOCKEYE__COUNTER_ROW(name, kind, text)   {#name, text, SOCKEYE_##kind},

struct sockeye__counter_row {
	const char *name, *text;
	enum sockeye_counter_kind kind;
};

struct sockeye__counter_table {
	const struct sockeye__counter_row *rows;
	size_t count;
};

/* The counters of every worker. */
struct sockeye__counters {
	SOCKEYE_COUNTERS(SOCKEYE__COUNTER_FIELD)
};
extern const struct sockeye__counter_table sockeye__counters_table;

static inline void sockeye__count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* Adds a worker's struct to the values of out[0..table->count). */
void sockeye__counters_add(const struct sockeye__counter_table *table, const uint64_t *values,
			   struct sockeye_counter *out);
/* Writes the rows to out[0..table->count), with value 0. */
void sockeye__counters_name(const struct sockeye__counter_table *table,
			    struct sockeye_counter *out);
/* Sets the gauges of a worker that died to 0. */
void sockeye__counters_clear_gauges(const struct sockeye__counter_table *table, uint64_t *values);

#endif
