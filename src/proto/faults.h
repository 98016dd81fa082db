/*
 * faults.h: which packets a relay drops, duplicates, reorders, delays or corrupts.
 *
 * What happens to the n-th packet of a flow in one direction depends only on the
 * seed, the flow's number, the direction and n. Each rule makes its own random
 * choices, so adding a rule does not change which packets the others affect.
 */
#ifndef SOCKEYE_PROTO_FAULTS_H
#define SOCKEYE_PROTO_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chance.h"

#define SOCKEYE__FAULT_RANGES_MAX 64
#define SOCKEYE__FAULT_HOLD_MAX   4 /* at most this many packets overtake a reordered packet */

enum sockeye__fault_direction {
	SOCKEYE__FAULT_UP,   /* to the target */
	SOCKEYE__FAULT_DOWN, /* to a client */
	SOCKEYE__FAULT_DIRECTIONS,
};

/* A list of numbers such as "3,7-9". Zeroed: empty. */
struct sockeye__fault_ranges {
	size_t count;
	struct {
		uint64_t first, last;
	} items[SOCKEYE__FAULT_RANGES_MAX];
};

/* Adds the numbers in `text`, each of which must be within min..max. Returns 0,
 * -EINVAL if the text is not such a list, -ERANGE or -E2BIG; after an error
 * *ranges is unchanged. */
int sockeye__fault_ranges_add(const char *text, uint64_t min, uint64_t max,
			      struct sockeye__fault_ranges *ranges);
bool sockeye__fault_ranges_have(const struct sockeye__fault_ranges *ranges, uint64_t number);

/* The faults of one direction. Zeroed: none. */
struct sockeye__fault_rules {
	uint32_t drop, duplicate, reorder, corrupt; /* chances, base/chance.h */
	uint64_t delay_ns;
	uint64_t jitter_ns; /* a random time up to this is added to the delay, in packet order */
	uint64_t rate;      /* bytes of payload per second, of all flows together; 0: no limit */
	struct sockeye__fault_ranges drop_nth;            /* packets of a flow, from 1 */
	struct sockeye__fault_ranges drop_data, drop_ack; /* TFTP blocks, each once */
};

/* The TFTP blocks of a flow that were dropped: one bit for each. */
struct sockeye__fault_dropped {
	uint8_t data[65536 / 8], ack[65536 / 8];
};

/* The packets of one flow in one direction. */
struct sockeye__fault_stream {
	uint64_t key;   /* seed of its random choices */
	uint64_t count; /* packets so far */
	uint64_t last_due_ns;
	struct sockeye__fault_dropped *dropped; /* needed for drop_data and drop_ack */
};

void sockeye__fault_stream_init(struct sockeye__fault_stream *stream, uint64_t seed, uint64_t flow,
				enum sockeye__fault_direction direction,
				struct sockeye__fault_dropped *dropped);

enum sockeye__fault_fate {
	SOCKEYE__FAULT_PASSED,
	SOCKEYE__FAULT_DROPPED, /* by chance */
	SOCKEYE__FAULT_DROPPED_NTH,
	SOCKEYE__FAULT_DROPPED_DATA,
	SOCKEYE__FAULT_DROPPED_ACK,
};

struct sockeye__fault_verdict {
	enum sockeye__fault_fate fate; /* the other fields are for packets that pass */
	bool duplicate;
	unsigned hold;        /* packets to send before this one, up to SOCKEYE__FAULT_HOLD_MAX */
	size_t corrupt_byte;  /* the byte to corrupt, */
	uint8_t corrupt_mask; /* and the bit to invert in it; 0: none */
	uint64_t jitter_ns;
};

/* Decides what happens to the next packet of the stream. */
void sockeye__fault_judge(const struct sockeye__fault_rules *rules,
			  struct sockeye__fault_stream *stream, const uint8_t *data, size_t len,
			  struct sockeye__fault_verdict *out);

/* Returns when a packet that is ready at now_ns may be sent: when the rate allows
 * it (a bucket of 10 ms, or of one packet), plus the delay and jitter_ns. *link_ns
 * is the state of the rate limit in this direction; it must be 0 at the start. */
uint64_t sockeye__fault_due(const struct sockeye__fault_rules *rules,
			    struct sockeye__fault_stream *stream, uint64_t *link_ns,
			    uint64_t now_ns, uint64_t jitter_ns, size_t len);

/* Whether the rules can delay packets. */
bool sockeye__fault_delays(const struct sockeye__fault_rules *rules);

/* Describes a TFTP packet: "DATA 5", "RRQ boot/pxelinux.0". Text from the packet is
 * escaped, and cut if it is long. Writes "" for any other packet. Returns the length,
 * like snprintf(3). */
size_t sockeye__fault_packet_text(const uint8_t *data, size_t len, char *buf, size_t cap);

#endif
