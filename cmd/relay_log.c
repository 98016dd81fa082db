/* relay_log.c: the log of a relay (relay_log.h). */
#include "relay_log.h"

#include <inttypes.h>
#include <stdio.h>

#include <sockeye/error.h>
#include <sockeye/sockaddr.h>

#include "cli/report.h"

static const char *const direction_words[] = {
    [SOCKEYE__FAULT_UP] = "up",
    [SOCKEYE__FAULT_DOWN] = "down",
};

static json_t *direction_json(const struct sockeye__relay_counts *counts, int direction)
{
	return json_pack("{"
#define FORMAT(name) "sI"
			 SOCKEYE__RELAY_COUNTERS(FORMAT)
#undef FORMAT
			     "}"
#define PAIR(name) , #name, (json_int_t)counts->direction[direction].name
			 SOCKEYE__RELAY_COUNTERS(PAIR)
#undef PAIR
	);
}

void log_relay_counts(void *arg, const struct sockeye__relay_counts *counts)
{
	const struct log_relay *log = arg;

	if (log->common->json)
		report_json(json_pack(
		    "{ss so so sI sI sI sI sI sI sI}", "event", "counters", "up",
		    direction_json(counts, SOCKEYE__FAULT_UP), "down",
		    direction_json(counts, SOCKEYE__FAULT_DOWN), "flows", (json_int_t)counts->flows,
		    "flows_now", (json_int_t)counts->flows_now, "reused",
		    (json_int_t)counts->reused, "strangers", (json_int_t)counts->strangers,
		    "refused", (json_int_t)counts->refused, "waiting",
		    (json_int_t)counts->queued_now, "seed", (json_int_t)log->seed));
	for (int direction = 0; direction < SOCKEYE__FAULT_DIRECTIONS; direction++)
		report_info(
		    log->common,
		    "%s: %" PRIu64 " in, %" PRIu64 " out, %" PRIu64 " bytes, %" PRIu64
		    " dropped, %" PRIu64 " duplicated, %" PRIu64 " reordered, %" PRIu64
		    " corrupted, %" PRIu64 " lost",
		    direction_words[direction], counts->direction[direction].in,
		    counts->direction[direction].out, counts->direction[direction].out_bytes,
		    counts->direction[direction].dropped, counts->direction[direction].duplicated,
		    counts->direction[direction].reordered, counts->direction[direction].corrupted,
		    counts->direction[direction].lost);
	report_info(log->common,
		    "flows: %" PRIu64 ", %" PRIu32 " now, %" PRIu64 " reused; %" PRIu32
		    " packets queued, %" PRIu64 " from other hosts, %" PRIu64 " refused",
		    counts->flows, counts->flows_now, counts->reused, counts->queued_now,
		    counts->strangers, counts->refused);
}

static const char *const fate_words[] = {
    [SOCKEYE__FAULT_PASSED] = "passed",
    [SOCKEYE__FAULT_DROPPED] = "dropped",
    [SOCKEYE__FAULT_DROPPED_NTH] = "dropped by number",
    [SOCKEYE__FAULT_DROPPED_DATA] = "dropped by block",
    [SOCKEYE__FAULT_DROPPED_ACK] = "dropped by ack",
};

static void log_packet(const struct log_relay *log, const struct sockeye__relay_event *e)
{
	const struct sockeye__fault_verdict *v = e->verdict;
	bool plain =
	    v->fate == SOCKEYE__FAULT_PASSED && !v->duplicate && !v->hold && !v->corrupt_mask;
	char what[320], damage[48] = "", held[32] = "";

	if (plain && log->common->verbose < 2)
		return;
	sockeye__fault_packet_text(e->data, e->len, what, sizeof what);
	if (log->common->json) {
		report_json(json_pack("{ss sI ss sI sI so ss sb si sb}", "event", "packet", "flow",
				      (json_int_t)e->flow, "way", direction_words[e->direction],
				      "number", (json_int_t)e->number, "bytes", (json_int_t)e->len,
				      "what", report_string(what), "fate", fate_words[v->fate],
				      "duplicated", (int)v->duplicate, "held", (int)v->hold,
				      "corrupted", (int)(v->corrupt_mask != 0)));
		return;
	}
	if (v->corrupt_mask)
		snprintf(damage, sizeof damage, ", byte %zu corrupted", v->corrupt_byte);
	if (v->hold)
		snprintf(held, sizeof held, ", held for %u more", v->hold);
	report_verbose(log->common, "flow %" PRIu64 " %s %" PRIu64 ": %s%s%s%s%s%s, %zu bytes",
		       e->flow, direction_words[e->direction], e->number, fate_words[v->fate],
		       v->duplicate ? " twice" : "", held, damage, what[0] ? ", " : "", what,
		       e->len);
}

void log_relay_event(void *arg, const struct sockeye__relay_event *e)
{
	const struct log_relay *log = arg;
	const struct cli_common *common = log->common;
	char client[SOCKEYE_ADDR_TEXT_MAX];

	switch (e->kind) {
	case SOCKEYE__RELAY_JUDGED:
		log_packet(log, e);
		break;
	case SOCKEYE__RELAY_FLOW_OPENED:
		sockeye_sockaddr_print(e->client, client, sizeof client);
		if (common->json)
			report_json(json_pack("{ss sI so}", "event", "flow", "flow",
					      (json_int_t)e->flow, "client",
					      report_string(client)));
		report_verbose(common, "flow %" PRIu64 ": client %s", e->flow, client);
		break;
	case SOCKEYE__RELAY_MAPPING_OPENED:
		if (common->json)
			report_json(json_pack("{ss sI si si}", "event", "port", "flow",
					      (json_int_t)e->flow, "target", (int)e->target_port,
					      "relay", (int)e->relay_port));
		report_verbose(common,
			       "flow %" PRIu64 ": port %u of the target is port %u of the relay",
			       e->flow, e->target_port, e->relay_port);
		break;
	case SOCKEYE__RELAY_FLOW_CLOSED:
		if (common->json)
			report_json(
			    json_pack("{ss sI}", "event", "flow-end", "flow", (json_int_t)e->flow));
		report_verbose(common, "flow %" PRIu64 ": closed", e->flow);
		break;
	}
}

void log_relay_lost(void *arg, uint64_t flow, enum sockeye__fault_direction direction, int err)
{
	struct log_relay *log = arg;
	const char *text = sockeye_error_text(err);

	if (log->common->json && (!log->lost || log->common->verbose > 0))
		report_json(json_pack("{ss sI ss ss ss}", "event", "lost", "flow", (json_int_t)flow,
				      "direction", direction_words[direction], "error",
				      sockeye_error_name(err), "text", text));
	(log->lost ? report_verbose : report_info)(
	    log->common, "flow %" PRIu64 ": cannot send packets to the %s: %s", flow,
	    direction == SOCKEYE__FAULT_UP ? "target" : "client", text);
	log->lost = true;
}

void log_relay_refused(void *arg, uint64_t flow, uint16_t target_port, int err)
{
	struct log_relay *log = arg;
	const char *text = sockeye_error_text(err);

	if (log->common->json && (!log->refused || log->common->verbose > 0))
		report_json(json_pack("{ss sI si ss ss}", "event", "refused", "flow",
				      (json_int_t)flow, "target", (int)target_port, "error",
				      sockeye_error_name(err), "text", text));
	(log->refused ? report_verbose : report_info)(
	    log->common, "flow %" PRIu64 ": port %u of the target: %s", flow, target_port, text);
	log->refused = true;
}
