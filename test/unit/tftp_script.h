/*
 * tftp_script.h: drives one end of a TFTP transfer. Packets are written as text:
 * "RRQ", "WRQ", "OACK blksize=8 windowsize=4", "DATA 3 8" (block and length), "ACK 3",
 * "ERROR 8". Every step checks the invariants of the transfer.
 */
#ifndef SOCKEYE_TEST_TFTP_SCRIPT_H
#define SOCKEYE_TEST_TFTP_SCRIPT_H

#include "proto/tftp_transfer.h"

#define SCRIPT_MEMORY (1 << 20)

struct script {
	struct sockeye__tftp x;
	struct sockeye__tftp_got got; /* of the last datagram */
	uint64_t now_ns;
	uint64_t bytes; /* that were handed over */
	bool wrong;     /* one of them had another value than expected */
	uint8_t memory[SCRIPT_MEMORY];
};

/* Parses "blksize=8 windowsize=4". */
struct sockeye__tftp_options script_options(const char *text);

/* Starts a transfer. `bytes` is the size of a sender's file. The struct is static. */
struct script *script_start(bool server, bool sends, const char *options, uint64_t bytes);

/* The same with any configuration. */
struct script *script_start_with(struct sockeye__tftp_config config, const char *options,
				 uint64_t bytes);

/* Lets time pass and calls the timer. */
void script_wait(struct script *s, double ms);
void script_receive(struct script *s, const char *packet);

/* Fails unless exactly these packets are to be sent, for example "ACK 0" or "DATA 1-3,
 * DATA 5". Blocks with a hyphen are sent by one call. */
#define script_expect(s, packets) script_expect_at(s, packets, __FILE__, __LINE__)
void script_expect_at(struct script *s, const char *packets, const char *file, int line);

/* Receives one packet and expects others. */
#define script_turn(s, packet, packets) \
	do { \
		script_receive(s, packet); \
		script_expect(s, packets); \
	} while (0)

#endif
