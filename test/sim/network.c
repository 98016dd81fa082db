/*
 * network.c: packets in flight, in a heap ordered by their time of arrival.
 */
#include <assert.h>
#include <string.h>

#include "network.h"

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t random_below(struct random *r, uint64_t n)
{
	return random_next(r) % n;
}

bool random_chance(struct random *r, unsigned per_mille)
{
	return per_mille > 0 && random_below(r, 1000) < per_mille;
}

void network_init(struct network *n, uint64_t seed)
{
	/* The packets are large, and need no initialization. */
	memset(n, 0, offsetof(struct network, packets));
	n->random.state = seed;
	n->heap_count = 0;
	n->free_count = PACKETS_MAX;
	for (unsigned i = 0; i < PACKETS_MAX; i++)
		n->free[i] = PACKETS_MAX - 1 - i;
}

static bool before(const struct network *n, unsigned a, unsigned b)
{
	const struct packet *p = &n->packets[n->heap[a]], *q = &n->packets[n->heap[b]];

	return p->at_ns != q->at_ns ? p->at_ns < q->at_ns : p->order < q->order;
}

static void swap(struct network *n, unsigned a, unsigned b)
{
	unsigned i = n->heap[a];

	n->heap[a] = n->heap[b];
	n->heap[b] = i;
}

static void heap_push(struct network *n, unsigned packet)
{
	unsigned i = n->heap_count++;

	for (n->heap[i] = packet; i > 0 && before(n, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(n, i, (i - 1) / 2);
}

static unsigned heap_pop(struct network *n)
{
	unsigned first = n->heap[0], i = 0;

	n->heap[0] = n->heap[--n->heap_count];
	for (;;) {
		unsigned least = i, child = 2 * i + 1;

		for (unsigned c = child; c < child + 2 && c < n->heap_count; c++)
			least = before(n, c, least) ? c : least;
		if (least == i)
			return first;
		swap(n, i, least);
		i = least;
	}
}

/* Damages a packet so that a receiver can detect it: too short, too long, or with an
 * invalid opcode. UDP's checksum detects other damage. */
static void spoil(struct network *n, struct packet *p)
{
	switch (random_below(&n->random, 4)) {
	case 0:
		p->len = random_below(&n->random, 4);
		break;
	case 1:
		p->data[0] = (uint8_t)(1 + random_below(&n->random, 255));
		break;
	case 2:
		p->data[1] = (uint8_t)(7 + random_below(&n->random, 249));
		break;
	default:
		if (p->len < 4 || p->data[1] != 3)
			p->data[1] = 0;
		else
			memset(p->data + p->len, 'x', PACKET_MAX - p->len), p->len = PACKET_MAX;
		break;
	}
	n->damaged++;
}

static bool one_send(struct network *n, uint64_t at_ns, const struct packet *like, bool faults)
{
	struct packet *p;
	unsigned i;

	if (n->free_count == 0)
		return false;
	i = n->free[--n->free_count];
	p = &n->packets[i];
	memcpy(p, like, offsetof(struct packet, data) + like->len);
	p->at_ns = at_ns;
	p->order = n->sent++;
	if (faults && random_chance(&n->random, n->spoiled))
		spoil(n, p);
	heap_push(n, i);
	return true;
}

bool network_send(struct network *n, uint64_t now_ns, enum end to, unsigned tid,
		  const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len)
{
	bool faults = now_ns < n->heal_ns;
	struct packet p = {.to = to, .tid = tid, .len = head_len + body_len};
	uint64_t at_ns = now_ns + n->delay_ns;

	assert(p.len <= PACKET_MAX);
	memcpy(p.data, head, head_len);
	if (body_len > 0)
		memcpy(p.data + head_len, body, body_len);
	if (n->jitter_ns > 0)
		at_ns += random_below(&n->random, n->jitter_ns);
	if (!faults)
		return one_send(n, at_ns, &p, false);
	if ((now_ns >= n->cut_from_ns && now_ns < n->cut_to_ns) ||
	    random_chance(&n->random, n->lost)) {
		n->dropped++;
		return true;
	}
	if (random_chance(&n->random, n->doubled)) {
		n->repeated++;
		if (!one_send(n, at_ns + 1, &p, false))
			return false;
	}
	if (random_chance(&n->random, n->late)) {
		n->delayed++;
		at_ns += random_below(&n->random, n->late_ns);
	}
	return one_send(n, at_ns, &p, true);
}

uint64_t network_next_ns(const struct network *n)
{
	return n->heap_count == 0 ? UINT64_MAX : n->packets[n->heap[0]].at_ns;
}

const struct packet *network_take(struct network *n)
{
	unsigned i = heap_pop(n);

	n->free[n->free_count++] = i;
	return &n->packets[i];
}
