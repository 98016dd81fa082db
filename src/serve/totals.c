/*
 * totals.c: adds up the counters of all workers, and reports them.
 *
 * The rows are those of every server (counters.h), then each table of a spec once.
 */
#include "serve/internal.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdlib.h>

/* Adds the datagrams that the kernel has dropped since the last call because a queue
 * was full. */
static void site_drops_update(struct sockeye__site *site)
{
	for (unsigned i = 0; i < site->fd_count && !site->stream; i++) {
		uint32_t mem[SK_MEMINFO_VARS] = {0};
		socklen_t len = sizeof mem;

		if (getsockopt(site->fds[i], SOL_SOCKET, SO_MEMINFO, mem, &len) < 0)
			continue;
		site->drops += mem[SK_MEMINFO_DROPS] - site->drops_seen[i];
		site->drops_seen[i] = mem[SK_MEMINFO_DROPS];
	}
}

static uint64_t queue_drops(const struct sockeye__server *server)
{
	uint64_t drops = 0;

	for (size_t c = 0; c < server->crew_count; c++)
		for (size_t i = 0; i < server->crews[c].site_count; i++) {
			site_drops_update(&server->crews[c].sites[i]);
			drops += server->crews[c].sites[i].drops;
		}
	return drops;
}

/* The table of crew c, or NULL if an earlier crew has the same table. */
static const struct sockeye__counter_table *table_of(const struct sockeye__server *server, size_t c)
{
	const struct sockeye__counter_table *table = sockeye__crew_counters(&server->crews[c]);

	for (size_t i = 0; i < c; i++)
		if (sockeye__crew_counters(&server->crews[i]) == table)
			return NULL;
	return table;
}

int sockeye__totals_init(struct sockeye__totals *t, const struct sockeye__server *server)
{
	t->count = sockeye__counters_table.count;
	for (size_t c = 0; c < server->crew_count; c++)
		if (table_of(server, c) != NULL)
			t->count += table_of(server, c)->count;
	t->rows = calloc(t->count, sizeof *t->rows);
	t->reported = calloc(t->count, sizeof *t->reported);
	return t->rows != NULL && t->reported != NULL ? 0 : -ENOMEM;
}

void sockeye__totals_fini(struct sockeye__totals *t)
{
	free(t->rows);
	free(t->reported);
}

/* Sets the rows of every server. */
static void general_add(struct sockeye__server *server, struct sockeye_counter *rows)
{
	sockeye__counters_name(&sockeye__counters_table, rows);
	for (unsigned i = 0; i < server->seats; i++)
		sockeye__counters_add(&sockeye__counters_table,
				      (uint64_t *)sockeye__counters_of(server->shared, i), rows);
	rows[offsetof(struct sockeye__counters, dropped_queue) / sizeof(uint64_t)].value +=
	    queue_drops(server);
}

/* Sets the rows of a spec's table from the workers of all crews that have it. */
static void table_add(const struct sockeye__server *server,
		      const struct sockeye__counter_table *table, struct sockeye_counter *rows)
{
	sockeye__counters_name(table, rows);
	for (size_t c = 0; c < server->crew_count; c++) {
		const struct sockeye__crew *crew = &server->crews[c];

		for (unsigned k = 0; sockeye__crew_counters(crew) == table && k < crew->seats; k++)
			sockeye__counters_add(
			    table, sockeye__spec_counters_of(server->shared, crew->first + k),
			    rows);
	}
}

/* Raises each counter to its last reported value. The uring model counts some sends when
 * it submits them, and later subtracts bytes that the kernel did not accept; a scraper
 * would mistake a falling counter for a restart of the server. */
static void hold(struct sockeye__totals *t)
{
	for (size_t i = 0; i < t->count; i++) {
		struct sockeye_counter *row = &t->rows[i];

		if (row->kind == SOCKEYE_COUNTER && row->value < t->reported[i])
			row->value = t->reported[i];
		t->reported[i] = row->value;
	}
}

void sockeye__totals_report(struct sockeye__totals *t, struct sockeye__server *server)
{
	struct sockeye_counter *rows = t->rows;

	general_add(server, rows);
	rows += sockeye__counters_table.count;
	for (size_t c = 0; c < server->crew_count; c++) {
		const struct sockeye__counter_table *table = table_of(server, c);

		if (table == NULL)
			continue;
		table_add(server, table, rows);
		rows += table->count;
	}
	hold(t);
	sockeye__event(server->opts, &(struct sockeye_event){.kind = SOCKEYE_EVENT_COUNTERS,
							     .counters = t->rows,
							     .counter_count = t->count});
}
