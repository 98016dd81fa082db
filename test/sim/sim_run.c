/*
 * sim_run.c: advances the time, delivers packets and calls the timers.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

#define STEPS_MAX 4000000

const char *const sim_ends[] = {"client", "server"};
const char *const sim_results[] = {"running",    "done",     "last ACK missing", "timed out",
				   "peer error", "bad OACK", "bad start",        "too large",
				   "wrong size", "aborted"};

void sim_wrong(struct sim *s, const char *format, ...)
{
	va_list args;

	if (s->failure[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(s->failure, sizeof s->failure, format, args);
	va_end(args);
}

static uint8_t byte_at(const struct sim *s, uint64_t offset)
{
	return (uint8_t)((offset * 0x9e37 + s->seed) >> 3 ^ offset);
}

static void trace_packet(const struct sim *s, const char *what, enum end end, const uint8_t *p,
			 size_t len)
{
	static const char *const names[] = {"?", "RRQ", "WRQ", "DATA", "ACK", "ERROR", "OACK"};
	unsigned opcode = len >= 2 ? sockeye__tftp_get16(p) : 0;

	printf("%10.3f ms  %s %-8s %s", (double)(s->now_ns - START_NS) / 1e6, sim_ends[end], what,
	       names[opcode <= 6 ? opcode : 0]);
	if (opcode >= 3 && opcode <= 5 && len >= 4)
		printf(" %u", sockeye__tftp_get16(p + 2));
	printf(" (%zu)\n", len);
}

/* Sends one packet of an end. */
static void put(struct sim *s, enum end from, const uint8_t *head, size_t head_len,
		const uint8_t *body, size_t body_len)
{
	uint64_t dropped = s->net.dropped;

	if (!network_send(&s->net, s->now_ns, from == CLIENT ? SERVER : CLIENT, s->peer[from].tid,
			  head, head_len, body, body_len))
		sim_wrong(s, "a storm: %u packets in flight", PACKETS_MAX);
	if (s->trace)
		trace_packet(s, s->net.dropped > dropped ? "loses" : "sends", from, head,
			     head_len + body_len);
}

static void put_blocks(struct sim *s, enum end from, const struct sockeye__tftp_send *send)
{
	struct peer *p = &s->peer[from];
	uint8_t header[SOCKEYE__TFTP_HEADER], body[PACKET_MAX];

	if (send->bytes > (uint64_t)send->count * p->x.blksize ||
	    send->offset + send->bytes > p->x.sender.available)
		sim_wrong(s, "%s sends bytes that are not available", sim_ends[from]);
	for (uint32_t i = 0; i < send->count; i++) {
		uint64_t offset = (uint64_t)i * p->x.blksize;
		uint64_t len = send->bytes - offset;

		len = len < p->x.blksize ? len : p->x.blksize;
		for (uint64_t k = 0; k < len; k++)
			body[k] = byte_at(s, send->offset + offset + k);
		sockeye__tftp_data_encode(header, sockeye__tftp_number(&p->x, send->block + i));
		put(s, from, header, sizeof header, body, len);
		p->blocks++;
		p->blocks_since++;
	}
}

/* Sends all packets of an end: at most a window and a control packet. */
static void drain(struct sim *s, enum end end)
{
	struct peer *p = &s->peer[end];
	struct sockeye__tftp_send send;
	uint64_t blocks = 0, words = 0;

	while (p->exists && sockeye__tftp_next(&p->x, s->now_ns,
					       1 + (uint32_t)random_below(&s->random, 32), &send)) {
		if (send.count > 0) {
			blocks += send.count;
			put_blocks(s, end, &send);
		} else {
			words++;
			p->acks += sockeye__tftp_get16(send.packet.at) == SOCKEYE__TFTP_ACK;
			put(s, end, send.packet.at, send.packet.len, NULL, 0);
		}
		if (blocks > p->x.window || words > 1) {
			sim_wrong(s, "%s sends too much at once", sim_ends[end]);
			return;
		}
	}
}

static void got(struct sim *s, enum end end, const struct sockeye__tftp_got *g)
{
	for (unsigned i = 0; i < g->count; i++)
		for (size_t k = 0; k < g->data[i].len; k++)
			if (s->written >= s->size || g->data[i].at[k] != byte_at(s, s->written++)) {
				sim_wrong(s, "%s received a wrong byte before %" PRIu64,
					  sim_ends[end], s->written);
				return;
			}
	if (g->end && s->written != s->size)
		sim_wrong(s, "%s ends after %" PRIu64 " bytes of %" PRIu64, sim_ends[end],
			  s->written, s->size);
}

static void config_common(struct sim *s, struct sockeye__tftp_config *c, enum end end)
{
	c->server = end == SERVER;
	c->sends = s->sender == end;
	c->rto_first_ns = RTO_FIRST_NS;
	c->rto_max_ns = RTO_MAX_NS;
	c->rto_min_ns = 2 * MS;
	c->silence_ns = SILENCE_NS;
	c->dally_ns = DALLY_NS;
	c->random = random_next(&s->random);
	c->memory = s->memory[end];
	c->numbers = s->numbers;
	c->check_size = true;
	c->forgeable = end == SERVER && s->forgeable;
}

static void start(struct sim *s, enum end end, const struct sockeye__tftp_config *c)
{
	struct peer *p = &s->peer[end];

	sockeye__tftp_init(&p->x, c, s->now_ns);
	p->exists = true;
	p->front = 1;
	p->front_ns = s->now_ns;
	p->over_ns = p->done_ns = 0;
	if (c->sends)
		sockeye__tftp_available(&p->x, s->dribble_ns ? s->dribble : s->size,
					s->dribble_ns == 0);
}

static size_t memory_pick(struct sim *s, const struct sockeye__tftp_options *o)
{
	size_t all = sockeye__tftp_memory(sockeye__tftp_blksize(o), sockeye__tftp_windowsize(o));

	return random_chance(&s->random, 250) ? random_below(&s->random, all + 1) : all;
}

static void client_start(struct sim *s)
{
	struct sockeye__tftp_config c = {0};

	config_common(s, &c, CLIENT);
	c.options = s->asked;
	c.request = (struct sockeye__span){s->request, s->request_len};
	c.memory_len = memory_pick(s, &s->asked);
	start(s, CLIENT, &c);
}

/* Handles a request at the server's listening port. */
static void server_request(struct sim *s, const struct packet *packet)
{
	struct sockeye__tftp_packet p;
	struct sockeye__tftp_options asked;
	struct sockeye__tftp_config c = {0};

	if (sockeye__tftp_decode(packet->data, packet->len, &p) < 0 ||
	    (p.opcode != SOCKEYE__TFTP_RRQ && p.opcode != SOCKEYE__TFTP_WRQ))
		return;
	asked = sockeye__tftp_options_parse(p.options);
	config_common(s, &c, SERVER);
	c.options = sockeye__tftp_options_negotiate(&asked, &s->policy,
						    p.opcode == SOCKEYE__TFTP_WRQ, &s->size);
	c.memory_len = memory_pick(s, &c.options);
	s->peer[SERVER].tid = ++s->tids;
	s->written = s->sender == CLIENT ? 0 : s->written;
	start(s, SERVER, &c);
}

/* Whether a packet belongs to this transfer, which its driver has to check. */
static bool is_addressed(struct sim *s, const struct packet *packet)
{
	struct peer *p = &s->peer[packet->to];
	bool request =
	    packet->len >= 2 && packet->data[0] == 0 &&
	    (packet->data[1] == SOCKEYE__TFTP_RRQ || packet->data[1] == SOCKEYE__TFTP_WRQ);

	if (packet->to == CLIENT)
		return p->tid == 0 || p->tid == packet->tid;
	if (request && (!p->exists || (sockeye__tftp_is_over(&p->x) &&
				       sockeye__tftp_is_unanswered(&s->peer[CLIENT].x)))) {
		server_request(s, packet);
		return false;
	}
	return p->exists && (request || packet->tid == p->tid);
}

/* Whether the packet is an ACK or a request. */
static bool is_asking(const struct packet *packet)
{
	unsigned opcode = packet->len >= 4 ? packet->data[1] : 0;

	return (opcode == SOCKEYE__TFTP_ACK && packet->len == 4) || opcode == SOCKEYE__TFTP_RRQ;
}

static void arrive(struct sim *s)
{
	const struct packet *packet = network_take(&s->net);
	struct peer *p = &s->peer[packet->to];
	struct sockeye__tftp_got g;
	bool was_over;

	if (s->trace)
		trace_packet(s, "gets", packet->to, packet->data, packet->len);
	if (!is_addressed(s, packet))
		return;
	was_over = sockeye__tftp_is_over(&p->x);
	p->asked_since += is_asking(packet);
	sockeye__tftp_datagram(&p->x, s->now_ns, packet->data, packet->len, &g);
	got(s, packet->to, &g);
	if (packet->to == CLIENT && p->tid == 0 && !sockeye__tftp_is_unanswered(&p->x))
		p->tid = packet->tid;
	if (!was_over && p->x.result == SOCKEYE__TFTP_PEER_ERROR && !s->aborted)
		sim_wrong(s, "%s received an error without a cause", sim_ends[packet->to]);
	if (p->x.result == SOCKEYE__TFTP_PEER_ERROR && p->x.control != SOCKEYE__TFTP_CONTROL_NONE)
		sim_wrong(s, "%s answers an ERROR", sim_ends[packet->to]);
}

static void dribble(struct sim *s)
{
	struct peer *p = &s->peer[s->sender];

	s->dribbled = true;
	s->dribble += 1 + random_below(&s->random, 64);
	s->dribble = s->dribble < s->size ? s->dribble : s->size;
	s->dribble_ns =
	    s->dribble == s->size ? 0 : s->now_ns + 1 + random_below(&s->random, 2 * MS);
	if (p->exists)
		sockeye__tftp_available(&p->x, s->dribble, s->dribble == s->size);
}

/* Returns when the next event happens. */
static uint64_t next_ns(const struct sim *s)
{
	uint64_t at_ns = network_next_ns(&s->net);

	for (int i = 0; i < 2; i++)
		if (s->peer[i].exists && s->peer[i].x.deadline_ns != 0 &&
		    s->peer[i].x.deadline_ns < at_ns)
			at_ns = s->peer[i].x.deadline_ns;
	if (s->dribble_ns != 0 && s->dribble_ns < at_ns)
		at_ns = s->dribble_ns;
	if (s->abort_ns != 0 && s->abort_ns < at_ns)
		at_ns = s->abort_ns;
	return at_ns;
}

static void give_up(struct sim *s)
{
	struct peer *p = &s->peer[s->aborter];

	s->abort_ns = 0;
	if (!p->exists || p->x.result != SOCKEYE__TFTP_RUNNING)
		return;
	s->aborted = true;
	sockeye__tftp_abort(&p->x, SOCKEYE__TFTP_DISK_FULL, "disk full");
}

static void step(struct sim *s)
{
	if (s->dribble_ns != 0 && s->dribble_ns <= s->now_ns)
		dribble(s);
	if (s->abort_ns != 0 && s->abort_ns <= s->now_ns)
		give_up(s);
	for (int i = 0; i < 2; i++)
		if (s->peer[i].exists)
			sockeye__tftp_timer(&s->peer[i].x, s->now_ns);
	if (network_next_ns(&s->net) <= s->now_ns)
		arrive(s);
	drain(s, CLIENT);
	drain(s, SERVER);
	sim_check_progress(s);
}

static bool is_over(const struct sim *s)
{
	return sockeye__tftp_is_over(&s->peer[CLIENT].x) &&
	       (!s->peer[SERVER].exists || sockeye__tftp_is_over(&s->peer[SERVER].x)) &&
	       s->net.heap_count == 0;
}

void sim_run(struct sim *s)
{
	unsigned steps = 0;

	client_start(s);
	drain(s, CLIENT);
	while (!is_over(s) && s->failure[0] == '\0') {
		uint64_t at_ns = next_ns(s);

		if (at_ns > sim_limit_ns(s) || ++steps > STEPS_MAX) {
			sim_wrong(s, "the transfer does not end: client %s, server %s",
				  sim_results[s->peer[CLIENT].x.result],
				  sim_results[s->peer[SERVER].x.result]);
			return;
		}
		s->now_ns = at_ns > s->now_ns ? at_ns : s->now_ns;
		step(s);
	}
	if (s->failure[0] == '\0')
		sim_check_end(s);
}
