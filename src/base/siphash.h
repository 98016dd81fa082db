/*
 * siphash.h: SipHash-1-3, a keyed hash for tables.
 *
 * Without the key a peer cannot find inputs with colliding hashes, and the hashes of
 * similar inputs, such as neighboring addresses, are as different as those of random
 * inputs. Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with one
 * compression round and three finalization rounds, like the hash tables of Rust and Python.
 */
#ifndef SOCKEYE_BASE_SIPHASH_H
#define SOCKEYE_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct sockeye__hash_key {
	uint64_t k[2]; /* random */
};

uint64_t sockeye__siphash(const struct sockeye__hash_key *key, const void *data, size_t len);

#endif
