/*
 * tftp_get.h: shared declarations of tftp_get.c and tftp_download.c.
 */
#ifndef BENCH_TFTP_GET_H
#define BENCH_TFTP_GET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct want {
	unsigned blksize, window, clients;
	double seconds, warm;
	uint64_t gets, size;
	bool tsize, gro, hold, sum, reuse;
	const char *file;
	struct sockaddr_in to;
};

struct counts {
	uint64_t gets, blocks, bytes, acks;
	uint64_t gaps;    /* ACKs that requested a missing block */
	uint64_t again;   /* duplicate blocks */
	uint64_t resends; /* timeouts of the client */
	uint64_t errors;
	double silence; /* longest time without a packet, in seconds */
};

struct download; /* tftp_download.c */

extern struct want want;
extern struct counts counts;
extern double now; /* seconds, at the start of this turn of the loop */
extern unsigned held;
extern uint32_t first_sum; /* Adler-32 of the first download, with -S */
extern unsigned granted_blksize, granted_window;

void downloads_start(void);
void downloads_turn(void);
void downloads_end(void);

/* Adds the duration of a download, in seconds, to the report. */
void span_add(double span);

double clock_s(void);

/* Returns the word at this offset of every file. */
static inline uint32_t word_at(uint64_t offset)
{
	return (uint32_t)(offset / 4) * 2654435761U;
}

#endif
