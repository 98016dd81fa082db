/*
 * network.h: a network under virtual time that loses, doubles, delays and
 * spoils packets by a seed, until it heals.
 */
#ifndef SOCKEYE_TEST_NETWORK_H
#define SOCKEYE_TEST_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX  640
#define PACKETS_MAX 2048 /* on the way at once: more is a storm */

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t n); /* 0 <= v < n */
bool random_chance(struct random *r, unsigned per_mille);

enum end { CLIENT, SERVER };

struct packet {
	uint64_t at_ns;
	uint64_t order; /* of packets of one instant */
	enum end to;
	unsigned tid; /* the server's port */
	size_t len;
	uint8_t data[PACKET_MAX];
};

struct network {
	struct random random;

	/* What it is like, until heal_ns. */
	uint64_t delay_ns, jitter_ns;
	unsigned lost, doubled, late, spoiled; /* per mille */
	uint64_t late_ns;                      /* at most, beyond the delay */
	uint64_t cut_from_ns, cut_to_ns;       /* nothing passes */
	uint64_t heal_ns;

	/* What it did. */
	uint64_t sent, dropped, repeated, delayed, damaged;

	struct packet packets[PACKETS_MAX];
	unsigned free[PACKETS_MAX], free_count;
	unsigned heap[PACKETS_MAX], heap_count;
};

void network_init(struct network *n, uint64_t seed);

/* False when there are too many on the way. */
bool network_send(struct network *n, uint64_t now_ns, enum end to, unsigned tid,
		  const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len);

/* When the next packet arrives; UINT64_MAX: none is on the way. */
uint64_t network_next_ns(const struct network *n);

/* Takes the packet that arrives first. */
const struct packet *network_take(struct network *n);

#endif
