/* siphash.c: SipHash-1-3 (siphash.h). */
#include "base/siphash.h"

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct state *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

/* Reads len bytes, at most 8, as a little-endian number. */
static uint64_t number(const uint8_t *p, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n |= (uint64_t)p[i] << (8 * i);
	return n;
}

static inline void compress(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

uint64_t sockeye__siphash(const struct sockeye__hash_key *key, const void *data, size_t len)
{
	const uint8_t *p = data;
	struct state s = {
	    .v0 = key->k[0] ^ UINT64_C(0x736f6d6570736575), /* "somepseu" */
	    .v1 = key->k[1] ^ UINT64_C(0x646f72616e646f6d), /* "dorandom" */
	    .v2 = key->k[0] ^ UINT64_C(0x6c7967656e657261), /* "lygenera" */
	    .v3 = key->k[1] ^ UINT64_C(0x7465646279746573), /* "tedbytes" */
	};
	size_t left = len;

	for (; left >= 8; p += 8, left -= 8)
		compress(&s, number(p, 8));
	compress(&s, number(p, left) | (uint64_t)len << 56);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
