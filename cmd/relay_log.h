/*
 * relay_log.h: the log of a relay, as text or JSON. The functions are callbacks of
 * relay/relay.h; their argument is a struct log_relay.
 */
#ifndef SOCKEYE_CMD_RELAY_LOG_H
#define SOCKEYE_CMD_RELAY_LOG_H

#include "cli/cli.h"
#include "relay/relay.h"

struct log_relay {
	const struct cli_common *common;
	uint64_t seed;
	bool refused; /* a refusal has been logged; further ones are logged only with -v */
	bool lost;    /* likewise for a packet that could not be sent */
};

void log_relay_counts(void *arg, const struct sockeye__relay_counts *counts);
void log_relay_event(void *arg, const struct sockeye__relay_event *event);
void log_relay_lost(void *arg, uint64_t flow, enum sockeye__fault_direction direction, int err);
void log_relay_refused(void *arg, uint64_t flow, uint16_t target_port, int err);

#endif
