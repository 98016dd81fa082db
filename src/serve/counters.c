/* counters.c: adds up the counters of the workers (counters.h). */
#include "serve/counters.h"

static const struct sockeye__counter_row rows[] = {SOCKEYE_COUNTERS(SOCKEYE__COUNTER_ROW)};

const struct sockeye__counter_table sockeye__counters_table = {
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};

void sockeye__counters_name(const struct sockeye__counter_table *table, struct sockeye_counter *out)
{
	for (size_t i = 0; i < table->count; i++)
		out[i] = (struct sockeye_counter){
		    .name = table->rows[i].name,
		    .text = table->rows[i].text,
		    .kind = table->rows[i].kind,
		};
}

void sockeye__counters_add(const struct sockeye__counter_table *table, const uint64_t *values,
			   struct sockeye_counter *out)
{
	for (size_t i = 0; i < table->count; i++)
		out[i].value += __atomic_load_n(&values[i], __ATOMIC_RELAXED);
}

void sockeye__counters_clear_gauges(const struct sockeye__counter_table *table, uint64_t *values)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].kind == SOCKEYE_GAUGE)
			__atomic_store_n(&values[i], 0, __ATOMIC_RELAXED);
}
