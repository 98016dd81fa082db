/*
 * peers.c: the two ends of peers.h and the wire between them.
 */
#include <assert.h>
#include <string.h>

#include "base/number.h"
#include "network.h"
#include "peers.h"
#include "proto/tftp_transfer.h"

#define START_NS   SOCKEYE_NS_PER_S
#define LIMIT_NS   (20000 * SOCKEYE_NS_PER_S)
#define BYTE_NS    8 /* a gigabit per second */
#define FLIGHT_MAX 8192
#define HEAD_MAX   64

/* A packet is its head; the rest of a block is zeros. */
struct head {
	uint64_t at_ns;
	size_t len;
	uint8_t bytes[HEAD_MAX];
};

struct line {
	struct head queue[FLIGHT_MAX];
	unsigned first, count;
	uint64_t free_ns;
};

struct rom {
	uint64_t next, acked;
	uint64_t full_ns; /* when it has taken all blocks out of its buffer */
};

struct side {
	struct sockeye__tftp x;
	struct line in;
	uint64_t busy_ns; /* it pauses until then */
	bool to_send;     /* it has not sent its answer */
	unsigned windows;
};

static struct world {
	const struct habit *h;
	struct random random;
	uint64_t now_ns;
	struct side side[2];
	struct rom rom;
	struct outcome out;
	uint16_t ack;
	unsigned acks;
	bool lost_once;
} w;

static uint8_t memory[1 << 20];

/* --- the wire --- */

static bool is_lost(const uint8_t *head, size_t len)
{
	if (w.h->lost_block != 0 && !w.lost_once && len >= 4 && head[1] == SOCKEYE__TFTP_DATA &&
	    sockeye__tftp_get16(head + 2) == w.h->lost_block) {
		w.lost_once = true;
		return true;
	}
	if (w.h->largest != 0 && len > w.h->largest)
		return true;
	return random_chance(&w.random, w.h->lost);
}

static void put(enum end to, uint64_t delay_ns, const uint8_t *head, size_t head_len, size_t len)
{
	struct line *line = &w.side[to].in;
	struct head *p = &line->queue[(line->first + line->count) % FLIGHT_MAX];

	assert(line->count < FLIGHT_MAX && head_len <= HEAD_MAX);
	line->free_ns = sockeye__most(w.now_ns + delay_ns, line->free_ns) + len * BYTE_NS;
	if (is_lost(head, len))
		return;
	p->at_ns = line->free_ns + w.h->trip_ns / 2;
	p->len = len;
	memcpy(p->bytes, head, head_len);
	line->count++;
}

static void ack_count(const uint8_t *packet)
{
	uint16_t number = sockeye__tftp_get16(packet + 2);

	w.acks = number == w.ack ? w.acks + 1 : 1;
	w.ack = number;
	if (w.acks > w.out.same_acks)
		w.out.same_acks = w.acks;
}

static void put_blocks(const struct sockeye__tftp *x, const struct sockeye__tftp_send *send)
{
	uint8_t header[SOCKEYE__TFTP_HEADER];
	uint64_t left = send->bytes;

	for (uint32_t i = 0; i < send->count; i++) {
		size_t len = sockeye__least(left, x->blksize);

		sockeye__tftp_data_encode(header, sockeye__tftp_number(x, send->block + i));
		put(CLIENT, 0, header, sizeof header, sizeof header + len);
		left -= len;
	}
}

/* Sends all packets of a side. The server needs no request: it has begun already. */
static void drain(enum end side)
{
	struct sockeye__tftp *x = &w.side[side].x;
	struct sockeye__tftp_send send;

	while (sockeye__tftp_next(x, w.now_ns, 64, &send)) {
		unsigned opcode = send.count > 0 ? 0 : sockeye__tftp_get16(send.packet.at);

		if (send.count > 0)
			put_blocks(x, &send);
		else if (opcode != SOCKEYE__TFTP_RRQ)
			put(1 - side, 0, send.packet.at, send.packet.len, send.packet.len);
		if (opcode == SOCKEYE__TFTP_ACK)
			ack_count(send.packet.at);
	}
}

/* --- a boot ROM --- */

static void rom_ack(uint64_t delay_ns)
{
	uint8_t packet[SOCKEYE__TFTP_HEADER];

	w.rom.acked = w.rom.next - 1;
	sockeye__tftp_ack_encode(packet, (uint16_t)w.rom.acked);
	put(SERVER, delay_ns, packet, sizeof packet, sizeof packet);
}

/* Takes a block if the buffer has room and it is the next one. It never reports a gap. */
static void rom_data(uint16_t number)
{
	struct rom *r = &w.rom;
	uint64_t final = w.h->bytes / w.h->blksize + 1;
	int16_t ahead = (int16_t)(number - (uint16_t)r->next);

	r->full_ns = sockeye__most(r->full_ns, w.now_ns);
	if (r->full_ns - w.now_ns > (w.h->room - 1) * w.h->drain_ns)
		return;
	r->full_ns += w.h->drain_ns;
	if (ahead < 0 && w.h->repeats)
		rom_ack(r->full_ns - w.now_ns);
	if (ahead != 0)
		return;
	r->next++;
	if (r->next > final || r->next - 1 - r->acked == w.h->window)
		rom_ack(r->full_ns - w.now_ns);
}

static void rom_packet(const struct head *p)
{
	if (p->bytes[1] == SOCKEYE__TFTP_OACK)
		rom_ack(0);
	else
		rom_data(sockeye__tftp_get16(p->bytes + 2));
}

/* --- pauses --- */

static uint64_t front(enum end side)
{
	const struct sockeye__tftp *x = &w.side[side].x;

	return side == SERVER ? x->sender.una : x->receiver.acked;
}

static uint64_t pause_pick(enum end side)
{
	struct side *s = &w.side[side];
	const struct habit *h = w.h;

	if (h->pause_every == 0 || h->server_pauses != (side == SERVER))
		return 0;
	if (!h->irregular)
		return s->windows % h->pause_every == 0 ? h->pause_ns : 0;
	if (random_below(&w.random, h->pause_every) != 0)
		return 0;
	return h->pause_ns / 4 + random_below(&w.random, 3 * h->pause_ns / 4);
}

/* Begins a pause after a packet that ended a window. */
static void answer(enum end side, bool window_ended)
{
	struct side *s = &w.side[side];
	uint64_t pause_ns = 0;

	if (window_ended) {
		s->windows++;
		pause_ns = pause_pick(side);
	}
	if (pause_ns == 0 || !w.h->pause_first)
		drain(side);
	else
		s->to_send = true;
	if (pause_ns > 0)
		s->busy_ns = w.now_ns + pause_ns;
}

/* --- time --- */

static void deliver(enum end side)
{
	static uint8_t packet[65468];
	struct side *s = &w.side[side];
	struct line *line = &s->in;
	const struct head *p = &line->queue[line->first];
	uint64_t before = front(side);
	struct sockeye__tftp_got got;

	line->first = (line->first + 1) % FLIGHT_MAX;
	line->count--;
	if (side == CLIENT && w.h->room > 0) {
		rom_packet(p);
		return;
	}
	memcpy(packet, p->bytes, HEAD_MAX);
	sockeye__tftp_datagram(&s->x, w.now_ns, packet, p->len, &got);
	answer(side, side == SERVER ? front(side) > before
				    : s->x.control == SOCKEYE__TFTP_CONTROL_ACK &&
					  s->x.receiver.next - 1 > before);
}

static void turn(enum end side)
{
	struct side *s = &w.side[side];

	if (w.now_ns < s->busy_ns)
		return;
	if (s->to_send)
		drain(side);
	s->to_send = false;
	while (s->in.count > 0 && s->in.queue[s->in.first].at_ns <= w.now_ns &&
	       w.now_ns >= s->busy_ns)
		deliver(side);
	if (w.now_ns < s->busy_ns || (side == CLIENT && w.h->room > 0))
		return;
	sockeye__tftp_timer(&s->x, w.now_ns);
	drain(side);
}

static uint64_t next_ns(enum end side)
{
	const struct side *s = &w.side[side];
	uint64_t at_ns = s->to_send ? w.now_ns : UINT64_MAX;

	if (s->in.count > 0)
		at_ns = sockeye__least(at_ns, s->in.queue[s->in.first].at_ns);
	if (s->x.deadline_ns != 0)
		at_ns = sockeye__least(at_ns, s->x.deadline_ns);
	return sockeye__most(at_ns, s->busy_ns);
}

static void begin(enum end side)
{
	static const uint8_t request[] = "\0\1f\0octet";
	struct sockeye__tftp_config c = {
	    .server = side == SERVER,
	    .sends = side == SERVER,
	    .memory = memory,
	    .memory_len = sockeye__tftp_memory(w.h->blksize, w.h->window),
	    .rto_min_ns = w.h->rto_min_ns,
	    .random = w.h->seed,
	};

	assert(c.memory_len <= sizeof memory);
	sockeye__tftp_set(&c.options, SOCKEYE__TFTP_BLKSIZE, w.h->blksize);
	sockeye__tftp_set(&c.options, SOCKEYE__TFTP_WINDOWSIZE, w.h->window);
	if (side == CLIENT)
		c.request = (struct sockeye__span){request, sizeof request};
	sockeye__tftp_init(&w.side[side].x, &c, w.now_ns);
	if (side == SERVER)
		sockeye__tftp_available(&w.side[side].x, w.h->bytes, true);
	drain(side);
}

struct outcome peers_run(const struct habit *h)
{
	const struct sockeye__tftp *server = &w.side[SERVER].x;

	memset(&w, 0, sizeof w);
	w.h = h;
	w.random.state = h->seed;
	w.now_ns = START_NS;
	w.rom.next = 1;
	if (h->room == 0)
		begin(CLIENT);
	begin(SERVER);
	while (!sockeye__tftp_is_over(server) && w.now_ns < LIMIT_NS) {
		w.now_ns =
		    sockeye__most(w.now_ns, sockeye__least(next_ns(CLIENT), next_ns(SERVER)));
		turn(CLIENT);
		turn(SERVER);
		if (w.out.loses_ns == 0 && sockeye__tftp_loses_blocks(&w.side[CLIENT].x, w.now_ns))
			w.out.loses_ns = w.now_ns - START_NS;
	}
	w.out.done = server->result == SOCKEYE__TFTP_DONE;
	w.out.ns = w.now_ns - START_NS;
	w.out.blocks = server->count.blocks;
	w.out.resent = server->count.resent;
	w.out.timeouts = server->count.timeouts;
	return w.out;
}
