/*
 * network.h: a network in virtual time that drops, duplicates, delays and damages
 * packets, as determined by a seed, until it heals.
 */
#ifndef SOCKEYE_TEST_NETWORK_H
#define SOCKEYE_TEST_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX  640
#define PACKETS_MAX 2048 /* in flight at once: more is a storm */

struct random {
	uint64_t state;
};

uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t n); /* 0 <= v < n */
bool random_chance(struct random *r, unsigned per_mille);

enum end { CLIENT, SERVER };

struct packet {
	uint64_t at_ns;
	uint64_t order; /* of packets that arrive at the same time */
	enum end to;
	unsigned tid; /* the server's port */
	size_t len;
	uint8_t data[PACKET_MAX];
};

struct network {
	struct random random;

	/* Its properties and, until heal_ns, its faults. */
	uint64_t delay_ns, jitter_ns;
	unsigned lost, doubled, late, spoiled; /* per mille */
	uint64_t late_ns;                      /* the longest extra delay */
	uint64_t cut_from_ns, cut_to_ns;       /* drops all packets between */
	uint64_t heal_ns;

	/* Counters. */
	uint64_t sent, dropped, repeated, delayed, damaged;

	struct packet packets[PACKETS_MAX];
	unsigned free[PACKETS_MAX], free_count;
	unsigned heap[PACKETS_MAX], heap_count;
};

void network_init(struct network *n, uint64_t seed);

/* Sends a packet. Returns false if too many are in flight. */
bool network_send(struct network *n, uint64_t now_ns, enum end to, unsigned tid,
		  const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len);

/* Returns when the next packet arrives, or UINT64_MAX if none is in flight. */
uint64_t network_next_ns(const struct network *n);

/* Removes the packet that arrives first. It is valid until the next call. */
const struct packet *network_take(struct network *n);

#endif
