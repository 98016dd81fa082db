/*
 * clients.c: keeps one flow per client: finds the flow by the client's address, opens it,
 * and closes it when it is idle or another flow needs its memory or file descriptors.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/internal.h"

#define FNV_PRIME UINT64_C(0x100000001b3)

int sockeye__relay_flows_init(struct sockeye__relay_run *run)
{
	uint32_t max = run->opts.flows_max;

	run->chain_count = 1;
	while (run->chain_count < max)
		run->chain_count *= 2;
	run->flows = calloc(max, sizeof *run->flows);
	run->chains = calloc(run->chain_count, sizeof(struct sockeye__relay_flow *));
	if (run->flows == NULL || run->chains == NULL)
		return -ENOMEM;
	for (uint32_t i = max; i-- > 0;) {
		run->flows[i].chain = run->unused;
		run->unused = &run->flows[i];
	}
	return 0;
}

void sockeye__relay_flows_fini(struct sockeye__relay_run *run)
{
	while (run->oldest != NULL)
		sockeye__relay_flow_close(run, run->oldest);
	for (uint32_t i = 0; run->flows != NULL && i < run->opts.flows_max; i++)
		free(run->flows[i].dropped);
	free(run->flows);
	free(run->chains);
}

/* --- the list of flows by last use --- */

static void used_unlink(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	*(flow->newer != NULL ? &flow->newer->older : &run->newest) = flow->older;
	*(flow->older != NULL ? &flow->older->newer : &run->oldest) = flow->newer;
}

static void used_link(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	flow->newer = NULL;
	flow->older = run->newest;
	*(run->newest != NULL ? &run->newest->newer : &run->oldest) = flow;
	run->newest = flow;
}

void sockeye__relay_flow_touch(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	flow->used_ns = run->now_ns;
	if (run->newest == flow)
		return;
	used_unlink(run, flow);
	used_link(run, flow);
}

/* --- the hash table of flows by client --- */

/* FNV-1a. */
static uint64_t bytes_hash(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * FNV_PRIME;
	return hash;
}

static struct sockeye__relay_flow **chain_of(struct sockeye__relay_run *run,
					     const struct sockeye_sockaddr *peer)
{
	uint64_t hash = run->opts.seed;

	if (peer->u.sa.sa_family == AF_INET) {
		hash = bytes_hash(hash, &peer->u.in.sin_addr, sizeof peer->u.in.sin_addr);
		hash = bytes_hash(hash, &peer->u.in.sin_port, sizeof peer->u.in.sin_port);
	} else {
		hash = bytes_hash(hash, &peer->u.in6.sin6_addr, sizeof peer->u.in6.sin6_addr);
		hash = bytes_hash(hash, &peer->u.in6.sin6_port, sizeof peer->u.in6.sin6_port);
	}
	return &run->chains[(hash ^ hash >> 32) & (run->chain_count - 1)];
}

static bool is_of(const struct sockeye__relay_flow *flow,
		  const struct sockeye__relay_port *listener, const struct sockeye_dgram *client)
{
	return flow->mappings[0].port.fd == listener->fd &&
	       sockeye_sockaddr_equal(&flow->client.peer, &client->peer) &&
	       sockeye_sockaddr_equal(&flow->client.local, &client->local);
}

/* --- flows --- */

static void report(struct sockeye__relay_run *run, const struct sockeye__relay_event *event)
{
	if (run->opts.on_event != NULL)
		run->opts.on_event(run->opts.arg, event);
}

void sockeye__relay_flow_close(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	struct sockeye__relay_flow **at = chain_of(run, &flow->client.peer);

	sockeye__relay_flush(run); /* the outbox may use the flow's descriptors */
	sockeye__relay_held_drop(run, flow);
	while (*at != flow)
		at = &(*at)->chain;
	*at = flow->chain;
	used_unlink(run, flow);
	sockeye__relay_port_close(run, &flow->target);
	for (unsigned i = 1; i < SOCKEYE__RELAY_MAPPINGS_MAX; i++) {
		if (flow->mappings[i].target_port != 0)
			sockeye__relay_port_close(run, &flow->mappings[i].port);
		flow->mappings[i].target_port = 0;
	}
	report(run, &(struct sockeye__relay_event){.kind = SOCKEYE__RELAY_FLOW_CLOSED,
						   .flow = flow->number});
	flow->number = 0;
	flow->chain = run->unused;
	run->unused = flow;
	run->counts->flows_now--;
}

/* Clears the record of the TFTP blocks that the flow has dropped. The record is allocated
 * only if a rule needs it, and kept for the next flow in this struct. Returns 0 or
 * -ENOMEM. */
static int dropped_clear(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	const struct sockeye__fault_rules *rules = run->opts.rules;
	size_t lists = 0;

	for (int direction = 0; direction < SOCKEYE__FAULT_DIRECTIONS; direction++)
		lists += rules[direction].drop_data.count + rules[direction].drop_ack.count;
	if (lists == 0)
		return 0;
	if (flow->dropped == NULL)
		flow->dropped = malloc(sizeof *flow->dropped);
	if (flow->dropped == NULL)
		return -ENOMEM;
	memset(flow->dropped, 0, sizeof *flow->dropped);
	return 0;
}

static void oldest_close(struct sockeye__relay_run *run)
{
	run->counts->reused++;
	sockeye__relay_flow_close(run, run->oldest);
}

/* Prepares the first unused flow and opens its socket towards the target. Returns 0 or
 * -errno. */
static int unused_prepare(struct sockeye__relay_run *run)
{
	int err;

	if (run->unused == NULL)
		oldest_close(run);
	err = dropped_clear(run, run->unused);
	return err == 0 ? sockeye__relay_target_open(run, run->unused) : err;
}

static struct sockeye__relay_flow *flow_open(struct sockeye__relay_run *run,
					     struct sockeye__relay_port *listener,
					     const struct sockeye_dgram *client)
{
	struct sockeye__relay_flow *flow, **chain = chain_of(run, &client->peer);
	int err = unused_prepare(run);

	if ((err == -EMFILE || err == -ENFILE) && run->oldest != NULL) {
		oldest_close(run);
		err = unused_prepare(run);
	}
	if (err < 0)
		return NULL;
	flow = run->unused;
	run->unused = flow->chain;
	flow->chain = *chain;
	*chain = flow;
	flow->client = *client;
	flow->number = ++run->counts->flows;
	flow->used_ns = run->now_ns;
	flow->refusal_reported = false;
	memset(flow->queued, 0, sizeof flow->queued);
	flow->mappings[0] = (struct sockeye__relay_mapping){
	    .port = *listener,
	    .target_port = run->asked_port,
	};
	for (unsigned direction = 0; direction < SOCKEYE__FAULT_DIRECTIONS; direction++)
		sockeye__fault_stream_init(&flow->streams[direction], run->opts.seed, flow->number,
					   (enum sockeye__fault_direction)direction, flow->dropped);
	used_link(run, flow);
	run->counts->flows_now++;
	report(run, &(struct sockeye__relay_event){.kind = SOCKEYE__RELAY_FLOW_OPENED,
						   .flow = flow->number,
						   .client = &flow->client.peer});
	return flow;
}

struct sockeye__relay_flow *sockeye__relay_flow_of(struct sockeye__relay_run *run,
						   struct sockeye__relay_port *listener,
						   const struct sockeye_dgram *client)
{
	struct sockeye__relay_flow *flow = run->newest;

	if (flow != NULL && is_of(flow, listener, client))
		return flow;
	for (flow = *chain_of(run, &client->peer); flow != NULL; flow = flow->chain)
		if (is_of(flow, listener, client))
			return flow;
	return flow_open(run, listener, client);
}

struct sockeye__relay_mapping *sockeye__relay_mapping_of(struct sockeye__relay_run *run,
							 struct sockeye__relay_flow *flow,
							 uint16_t port)
{
	struct sockeye__relay_mapping *mapping = &flow->mappings[1];
	struct sockeye_sockaddr name;
	int err;

	for (unsigned i = 0; i < SOCKEYE__RELAY_MAPPINGS_MAX; i++) {
		if (flow->mappings[i].target_port == port) {
			flow->mappings[i].last_use = ++run->use_count;
			return &flow->mappings[i];
		}
		if (i > 0 &&
		    (flow->mappings[i].target_port == 0 ||
		     (mapping->target_port != 0 && flow->mappings[i].last_use < mapping->last_use)))
			mapping = &flow->mappings[i];
	}
	if (mapping->target_port != 0) {
		sockeye__relay_flush(run);
		sockeye__relay_port_close(run, &mapping->port);
		mapping->target_port = 0;
	}
	err = sockeye__relay_mapping_open(run, flow, mapping);
	if (err == -EMFILE || err == -ENFILE) {
		sockeye__relay_flow_touch(run, flow); /* so that another flow is closed */
		if (run->oldest == flow)
			return NULL;
		oldest_close(run);
		err = sockeye__relay_mapping_open(run, flow, mapping);
	}
	if (err < 0)
		return NULL;
	mapping->target_port = port;
	mapping->last_use = ++run->use_count;
	if (run->opts.on_event != NULL && sockeye_local_name(mapping->port.fd, &name) == 0)
		report(run,
		       &(struct sockeye__relay_event){.kind = SOCKEYE__RELAY_MAPPING_OPENED,
						      .flow = flow->number,
						      .target_port = port,
						      .relay_port = sockeye_sockaddr_port(&name)});
	return mapping;
}
