/*
 * faults.h: what becomes of a packet on its way through a relay. Pure: the
 * fate of the n-th packet of a flow in one direction depends on the seed, the
 * flow's number, the direction and n, and on nothing else; so a rule more does
 * not change whom the others strike.
 */
#ifndef SOCKEYE_PROTO_FAULTS_H
#define SOCKEYE_PROTO_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chance.h"

#define SOCKEYE__RELAY_RANGES_MAX 64
#define SOCKEYE__RELAY_HOLD_MAX   4 /* so many packets overtake one at most */

enum sockeye__relay_way {
	SOCKEYE__RELAY_UP,   /* to the target */
	SOCKEYE__RELAY_DOWN, /* to a client */
	SOCKEYE__RELAY_WAYS,
};

/* Numbers as "3,7-9" lists them. Zeroed: none. */
struct sockeye__relay_ranges {
	size_t count;
	struct {
		uint64_t first, last;
	} v[SOCKEYE__RELAY_RANGES_MAX];
};

/* Adds those of `text`, each within min..max. 0; -EINVAL for what is no such
 * list, -ERANGE, -E2BIG; then *ranges is as it was. */
int sockeye__relay_ranges_add(const char *text, uint64_t min, uint64_t max,
			      struct sockeye__relay_ranges *ranges);
bool sockeye__relay_ranges_have(const struct sockeye__relay_ranges *ranges, uint64_t number);

/* What happens in one direction. Zeroed: nothing. */
struct sockeye__relay_rules {
	uint32_t drop, duplicate, reorder, corrupt; /* chances, base/chance.h */
	uint64_t delay_ns;
	uint64_t jitter_ns; /* up to so much more; packets stay in order */
	uint64_t rate;      /* bytes of payload a second, of all flows together; 0 any */
	struct sockeye__relay_ranges drop_nth;            /* of a flow, from 1 */
	struct sockeye__relay_ranges drop_data, drop_ack; /* TFTP blocks, when first seen */
};

/* Which TFTP blocks a flow has lost by rule. */
struct sockeye__relay_once {
	uint8_t data[65536 / 8], ack[65536 / 8];
};

/* One direction of one flow. */
struct sockeye__relay_stream {
	uint64_t key;   /* of its choices */
	uint64_t count; /* packets so far */
	uint64_t last_due_ns;
	struct sockeye__relay_once *once; /* needed with drop_data or drop_ack */
};

void sockeye__relay_stream_init(struct sockeye__relay_stream *stream, uint64_t seed, uint64_t flow,
				enum sockeye__relay_way way, struct sockeye__relay_once *once);

enum sockeye__relay_fate {
	SOCKEYE__RELAY_PASSED,
	SOCKEYE__RELAY_DROPPED, /* by chance */
	SOCKEYE__RELAY_DROPPED_NTH,
	SOCKEYE__RELAY_DROPPED_DATA,
	SOCKEYE__RELAY_DROPPED_ACK,
};

struct sockeye__relay_verdict {
	enum sockeye__relay_fate fate; /* the rest is of those that pass */
	bool twice;
	unsigned hold;    /* so many others go first, at most SOCKEYE__RELAY_HOLD_MAX */
	size_t byte;      /* which one loses a bit, */
	uint8_t bit;      /* and which bit, as a mask; 0: none */
	uint64_t more_ns; /* of jitter */
};

/* Judges the next packet of the stream. */
void sockeye__relay_judge(const struct sockeye__relay_rules *rules,
			  struct sockeye__relay_stream *stream, const uint8_t *data, size_t len,
			  struct sockeye__relay_verdict *out);

/* When a packet that is ready now may leave: the rate first (a bucket of 10 ms,
 * or of one packet), then the delay. *link_ns is the direction's, 0 at the
 * start. */
uint64_t sockeye__relay_due(const struct sockeye__relay_rules *rules,
			    struct sockeye__relay_stream *stream, uint64_t *link_ns,
			    uint64_t now_ns, uint64_t more_ns, size_t len);

/* Whether packets may have to wait. */
bool sockeye__relay_delays(const struct sockeye__relay_rules *rules);

/* What a packet says when it is of TFTP: "DATA 5", "RRQ boot/pxelinux.0", a
 * stranger's bytes escaped, cut when long; else "". Returns the length, as
 * snprintf. */
size_t sockeye__relay_packet_text(const uint8_t *data, size_t len, char *buf, size_t cap);

#endif
