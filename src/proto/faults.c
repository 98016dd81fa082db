/*
 * faults.c: lists of numbers, random choices, and the time when a packet is sent.
 */
#include "proto/faults.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sockeye/text.h>
#include <sockeye/time.h>

#include "proto/tftp_packet.h"

#define BUCKET_NS      (10 * SOCKEYE_NS_PER_MS)
#define NAME_SHOWN_MAX 64 /* bytes of a file name or an error text */

/* --- lists --- */

static int number_take(const char **text, uint64_t *out)
{
	const char *p = *text;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return -ERANGE;
	*text = p;
	*out = v;
	return 0;
}

int sockeye__fault_ranges_add(const char *text, uint64_t min, uint64_t max,
			      struct sockeye__fault_ranges *ranges)
{
	struct sockeye__fault_ranges all = *ranges;

	for (;; text++) {
		uint64_t first = 0, last;
		int err = number_take(&text, &first);

		last = first;
		if (err == 0 && *text == '-') {
			text++;
			err = number_take(&text, &last);
		}
		if (err < 0)
			return err;
		if ((*text != ',' && *text != '\0') || last < first)
			return -EINVAL;
		if (first < min || last > max)
			return -ERANGE;
		if (all.count == SOCKEYE__FAULT_RANGES_MAX)
			return -E2BIG;
		all.items[all.count].first = first;
		all.items[all.count++].last = last;
		if (*text == '\0')
			break;
	}
	*ranges = all;
	return 0;
}

bool sockeye__fault_ranges_have(const struct sockeye__fault_ranges *ranges, uint64_t number)
{
	for (size_t i = 0; i < ranges->count; i++)
		if (number >= ranges->items[i].first && number <= ranges->items[i].last)
			return true;
	return false;
}

/* --- random choices --- */

/* Each packet has one random number per choice, whether or not a rule uses it. */
enum choice {
	CHOICE_DROP,
	CHOICE_DUPLICATE,
	CHOICE_REORDER,
	CHOICE_HOLD,
	CHOICE_CORRUPT,
	CHOICE_BIT,
	CHOICE_JITTER,
	CHOICES,
};

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

/* The output function of splitmix64 (G. Steele, D. Lea and C. Flood, "Fast
 * splittable pseudorandom number generators", 2014). */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* splitmix64 can compute any number of its sequence directly. */
static uint64_t random_number(const struct sockeye__fault_stream *s, enum choice choice)
{
	return mix(s->key + (s->count * CHOICES + choice) * GOLDEN);
}

/* Scales a random number to 0..limit - 1. */
static uint64_t below(uint64_t random, uint64_t limit)
{
	return (uint64_t)((unsigned __int128)random * limit >> 64);
}

static bool happens(const struct sockeye__fault_stream *s, enum choice choice, uint32_t chance)
{
	return chance > 0 && below(random_number(s, choice), SOCKEYE__CHANCE_ALWAYS) < chance;
}

void sockeye__fault_stream_init(struct sockeye__fault_stream *stream, uint64_t seed, uint64_t flow,
				enum sockeye__fault_direction direction,
				struct sockeye__fault_dropped *dropped)
{
	*stream = (struct sockeye__fault_stream){
	    .key =
		mix(mix(seed + GOLDEN) + (flow * SOCKEYE__FAULT_DIRECTIONS + direction) * GOLDEN),
	    .dropped = dropped,
	};
}

/* --- judging --- */

/* Drops a block that is in the list, but only once. Returns whether it is dropped now. */
static bool drop_once(const struct sockeye__fault_ranges *ranges, uint8_t *seen, uint16_t block)
{
	uint8_t mask = (uint8_t)(1u << block % 8);

	if (!sockeye__fault_ranges_have(ranges, block) || seen[block / 8] & mask)
		return false;
	seen[block / 8] |= mask;
	return true;
}

static enum sockeye__fault_fate fate_of_tftp(const struct sockeye__fault_rules *rules,
					     struct sockeye__fault_dropped *dropped,
					     const uint8_t *data, size_t len)
{
	unsigned opcode;
	uint16_t block;

	if ((rules->drop_data.count == 0 && rules->drop_ack.count == 0) || dropped == NULL ||
	    len < SOCKEYE__TFTP_HEADER)
		return SOCKEYE__FAULT_PASSED;
	opcode = sockeye__tftp_get16(data);
	block = sockeye__tftp_get16(data + 2);
	if (opcode == SOCKEYE__TFTP_DATA && drop_once(&rules->drop_data, dropped->data, block))
		return SOCKEYE__FAULT_DROPPED_DATA;
	if (opcode == SOCKEYE__TFTP_ACK && drop_once(&rules->drop_ack, dropped->ack, block))
		return SOCKEYE__FAULT_DROPPED_ACK;
	return SOCKEYE__FAULT_PASSED;
}

void sockeye__fault_judge(const struct sockeye__fault_rules *rules,
			  struct sockeye__fault_stream *stream, const uint8_t *data, size_t len,
			  struct sockeye__fault_verdict *out)
{
	struct sockeye__fault_stream *s = stream;
	struct sockeye__fault_verdict v = {0};

	s->count++;
	v.fate = fate_of_tftp(rules, s->dropped, data, len);
	if (rules->drop_nth.count > 0 && sockeye__fault_ranges_have(&rules->drop_nth, s->count))
		v.fate = SOCKEYE__FAULT_DROPPED_NTH;
	if (v.fate == SOCKEYE__FAULT_PASSED && happens(s, CHOICE_DROP, rules->drop))
		v.fate = SOCKEYE__FAULT_DROPPED;
	if (v.fate == SOCKEYE__FAULT_PASSED) {
		v.duplicate = happens(s, CHOICE_DUPLICATE, rules->duplicate);
		if (happens(s, CHOICE_REORDER, rules->reorder))
			v.hold = 1 + (unsigned)below(random_number(s, CHOICE_HOLD),
						     SOCKEYE__FAULT_HOLD_MAX);
		if (len > 0 && happens(s, CHOICE_CORRUPT, rules->corrupt)) {
			uint64_t bit = below(random_number(s, CHOICE_BIT), len * 8);

			v.corrupt_byte = (size_t)(bit / 8);
			v.corrupt_mask = (uint8_t)(1u << bit % 8);
		}
		if (rules->jitter_ns > 0)
			v.jitter_ns = below(random_number(s, CHOICE_JITTER), rules->jitter_ns + 1);
	}
	*out = v;
}

/* --- time --- */

bool sockeye__fault_delays(const struct sockeye__fault_rules *rules)
{
	return rules->delay_ns > 0 || rules->jitter_ns > 0 || rules->rate > 0;
}

/* A token bucket, stored as the time when it will be full again (GCRA, ITU-T I.371).
 * Returns when the packet may be sent. */
static uint64_t link_pass(uint64_t rate, uint64_t *full_ns, uint64_t now_ns, size_t len)
{
	uint64_t full = *full_ns > now_ns ? *full_ns : now_ns;

	*full_ns = full + (uint64_t)len * SOCKEYE_NS_PER_S / rate;
	return full - now_ns > BUCKET_NS ? full - BUCKET_NS : now_ns;
}

uint64_t sockeye__fault_due(const struct sockeye__fault_rules *rules,
			    struct sockeye__fault_stream *stream, uint64_t *link_ns,
			    uint64_t now_ns, uint64_t jitter_ns, size_t len)
{
	uint64_t due = rules->rate > 0 ? link_pass(rules->rate, link_ns, now_ns, len) : now_ns;

	due += rules->delay_ns + jitter_ns;
	if (due < stream->last_due_ns)
		due = stream->last_due_ns;
	stream->last_due_ns = due;
	return due;
}

/* --- text --- */

static int text_of_bytes(char *buf, size_t cap, const char *what, const struct sockeye__span *o)
{
	char shown[4 * NAME_SHOWN_MAX + 1];
	bool cut = o->len > NAME_SHOWN_MAX;

	sockeye_escape(o->at, cut ? NAME_SHOWN_MAX : o->len, shown, sizeof shown);
	return snprintf(buf, cap, "%s %s%s", what, shown, cut ? "..." : "");
}

size_t sockeye__fault_packet_text(const uint8_t *data, size_t len, char *buf, size_t cap)
{
	struct sockeye__tftp_packet p;
	char error[32];
	int n = 0;

	if (cap > 0)
		*buf = '\0';
	if (sockeye__tftp_decode(data, len, &p) < 0)
		return 0;
	switch (p.opcode) {
	case SOCKEYE__TFTP_RRQ:
		n = text_of_bytes(buf, cap, "RRQ", &p.name);
		break;
	case SOCKEYE__TFTP_WRQ:
		n = text_of_bytes(buf, cap, "WRQ", &p.name);
		break;
	case SOCKEYE__TFTP_DATA:
		n = snprintf(buf, cap, "DATA %u", p.number);
		break;
	case SOCKEYE__TFTP_ACK:
		n = snprintf(buf, cap, "ACK %u", p.number);
		break;
	case SOCKEYE__TFTP_ERROR:
		snprintf(error, sizeof error, "ERROR %u", p.number);
		n = text_of_bytes(buf, cap, error, &p.text);
		break;
	case SOCKEYE__TFTP_OACK:
		n = snprintf(buf, cap, "OACK");
		break;
	}
	return (size_t)n;
}
