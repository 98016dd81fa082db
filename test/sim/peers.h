/*
 * peers.h: one transfer with a peer that has a habit, in virtual time. The server sends
 * a file, and the client or the server pauses, or the client is a boot ROM with room for
 * few blocks, or the path drops large packets.
 */
#ifndef SOCKEYE_TEST_PEERS_H
#define SOCKEYE_TEST_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/time.h>

#define US UINT64_C(1000)
#define MS SOCKEYE_NS_PER_MS

struct habit {
	uint16_t blksize, window;
	uint64_t bytes;
	uint64_t trip_ns;    /* round trip of an empty network */
	unsigned lost;       /* per mille of the packets */
	size_t largest;      /* larger packets are lost; 0: none */
	uint64_t lost_block; /* its first copy is lost; 0 none */
	uint64_t seed;

	uint64_t pause_ns;
	unsigned pause_every; /* windows from one pause to the next */
	bool irregular;       /* pauses have random lengths and distances */
	bool pause_first;     /* it pauses before its answer, otherwise after it */
	bool server_pauses;   /* otherwise the client does */

	uint32_t room;     /* blocks that a boot ROM has room for; 0: the client is ours */
	uint64_t drain_ns; /* the ROM's time for a block */
	bool repeats;      /* it repeats its ACK when an old block arrives */

	uint64_t rto_min_ns; /* 0: the default */
};

struct outcome {
	bool done;
	uint64_t ns;                       /* until the server has the last ACK */
	uint64_t blocks, resent, timeouts; /* of the server */
	unsigned same_acks;                /* most ACKs of the client with one number */
	uint64_t loses_ns; /* when the client saw that the path drops its blocks; 0: never */
};

struct outcome peers_run(const struct habit *h);

#endif
