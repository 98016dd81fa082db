/*
 * tftp_script.h: one end of a TFTP transfer, played with by hand. Packets are
 * written as text: "RRQ", "WRQ", "OACK blksize=8 windowsize=4", "DATA 3 8" (block
 * and length), "ACK 3", "ERROR 8".
 */
#ifndef SOCKEYE_TEST_TFTP_SCRIPT_H
#define SOCKEYE_TEST_TFTP_SCRIPT_H

#include "proto/tftp_transfer.h"

#define SCRIPT_MEMORY (1 << 20)

struct script {
	struct sockeye__tftp x;
	struct sockeye__tftp_got got; /* of the last datagram */
	uint64_t now_ns;
	uint64_t bytes; /* handed over in all */
	bool wrong;     /* one of them was not the right one */
	uint8_t memory[SCRIPT_MEMORY];
};

/* Options as text: "blksize=8 windowsize=4". */
struct sockeye__tftp_options script_options(const char *text);

/* A sender has `bytes` of its file. */
struct script *script_start(bool server, bool sends, const char *options, uint64_t bytes);

/* The same with a configuration. */
struct script *script_start_with(struct sockeye__tftp_config config, const char *options,
				 uint64_t bytes);

void script_wait(struct script *s, double ms); /* the timer is asked too */
void script_gets(struct script *s, const char *packet);

/* Fails unless it has just that to say: "DATA 1-3" for blocks with one call. */
#define script_says(s, packets) script_says_at(s, packets, __FILE__, __LINE__)
void script_says_at(struct script *s, const char *packets, const char *file, int line);

/* gets one packet, says another */
#define script_turn(s, packet, packets) \
	do { \
		script_gets(s, packet); \
		script_says(s, packets); \
	} while (0)

#endif
