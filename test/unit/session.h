/*
 * session.h: a driver in memory. It feeds a service a stream in pieces cut by
 * dice, in memory of exactly the size it offers and freed behind each turn
 * (so that a sanitizer sees every step outside), and holds each turn against
 * the contract of service.h.
 */
#ifndef TEST_UNIT_SESSION_H
#define TEST_UNIT_SESSION_H

#include <sockeye/service.h>

/* Where numbers come from: first `bytes`, then a generator; a seed of 0 always
 * picks the greatest. */
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
	size_t in_max;     /* the driver's receive buffer, 0: without bound */
	size_t out_min;    /* keep input open until so much has come of a service that wants more */
	bool in_is_record; /* each piece is a record */
	struct dice dice;
};

struct session_out {
	uint8_t *ptr; /* free() it */
	size_t len;
	size_t turns;
	size_t pieces;      /* turns that brought input */
	const char *broken; /* the rule that was broken, NULL none */
};

/* Runs a session over the whole of `in` until the service closes. */
struct session_out session_run(const struct session *session, const void *in, size_t in_len);

#endif
