/*
 * sim.h: one simulated transfer.
 *
 * network.c     packets in flight
 * sim_scene.c   derives the file, the options and the network from the seed
 * sim_run.c     advances the time and delivers packets
 * sim_check.c   checks safety, resource limits and liveness
 * tftp_sim.c    runs many transfers
 */
#ifndef SOCKEYE_TEST_SIM_H
#define SOCKEYE_TEST_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include <sockeye/time.h>

#include "proto/tftp_transfer.h"
#include "network.h"

#define MS           SOCKEYE_NS_PER_MS
#define RTO_FIRST_NS (20 * MS)
#define RTO_MAX_NS   (80 * MS)
#define SILENCE_NS   (400 * MS)
#define DALLY_NS     (250 * MS)
#define NUMBERS      256 /* of blocks, so that they wrap all the time */
#define WINDOW_MAX   16
#define START_NS     (1000 * MS)
#define REQUEST_MAX  256

struct peer {
	struct sockeye__tftp x;
	bool exists;
	unsigned tid;   /* server: its port; client: the server's port, 0 unknown */
	uint64_t front; /* its position in the file: a change is progress */
	uint64_t front_ns, over_ns, done_ns;
	uint64_t acks, blocks; /* packets sent */
	uint64_t blocks_since; /* sent since its last progress */
	uint64_t asked_since;  /* ACKs received since */
};

struct sim {
	uint64_t seed, now_ns;
	bool trace;
	struct network net;
	struct random random;
	struct peer peer[2];
	enum end sender;
	uint64_t size, written, dribble;
	bool dribbled;
	uint64_t dribble_ns; /* when the sender gets more data; 0 never */
	uint64_t abort_ns;   /* when an end aborts the transfer; 0 never */
	enum end aborter;
	bool aborted;
	struct sockeye__tftp_options asked;
	struct sockeye__tftp_policy policy;
	bool forgeable; /* the server cannot know whether the client is forged */
	uint32_t numbers;
	unsigned tids;
	uint8_t request[REQUEST_MAX], memory[2][WINDOW_MAX * PACKET_MAX];
	size_t request_len;
	char failure[256];
};

extern const char *const sim_ends[];
extern const char *const sim_results[];

/* Reports a violation. The first one is kept. */
void sim_wrong(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

void sim_scene(struct sim *s, uint64_t seed);
void sim_run(struct sim *s);
void sim_check_progress(struct sim *s); /* called after each step */
void sim_check_end(struct sim *s);
uint64_t sim_limit_ns(const struct sim *s); /* the transfer must be over by then */

static inline uint64_t sim_blocks(const struct sim *s)
{
	return s->size / s->peer[s->sender].x.blksize + 1;
}

#endif
