/*
 * session.h: runs a service in memory. The driver passes it a stream in pieces of random
 * size, and checks each turn against the contract of service.h. Each piece has its own
 * memory of exactly its size, freed after the turn, so that a sanitizer finds every
 * access outside.
 */
#ifndef TEST_UNIT_SESSION_H
#define TEST_UNIT_SESSION_H

#include <sockeye/service.h>

/* A source of numbers: first `bytes`, then a pseudo-random generator. A seed of 0
 * always picks the largest number. */
struct dice {
	const uint8_t *bytes;
	size_t len;
	uint64_t seed;
};

/* A number from lo to hi, small ones more often. */
size_t dice_pick(struct dice *dice, size_t lo, size_t hi);

struct session {
	const struct sockeye_service *service;
	const void *config;
	struct sockeye_now now;
	size_t room_max;   /* 0: SOCKEYE_ROOM_MIN */
	size_t in_max;     /* size of the driver's receive buffer; 0: no limit */
	size_t out_min;    /* keep the input open until a service that wants more has sent this */
	bool in_is_record; /* each piece is a record */
	struct dice dice;
};

struct session_out {
	uint8_t *ptr; /* free() it */
	size_t len;
	size_t turns;
	size_t pieces;      /* turns with input */
	const char *broken; /* the rule that the service broke; NULL: none */
};

/* Runs a session with the input `in` until the service closes or breaks a rule. */
struct session_out session_run(const struct session *session, const void *in, size_t in_len);

#endif
