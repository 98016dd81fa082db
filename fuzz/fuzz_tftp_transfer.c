/*
 * fuzz_tftp_transfer.c: one end of a transfer, with a peer that sends anything at any
 * time. What the end sends and keeps is limited, its invariants hold after each step, and
 * it ends after the peer has become silent.
 *
 * Input: flags (1 server, 2 sends, 4 memory, 8 tsize, 16 rollover 1, 32 check_size,
 * 64 size_max), the block size, the window; then steps. A step is a byte: below 64 time
 * passes, below 128 the packets of this end are sent, 128 aborts, and above the byte gives
 * the length of a packet that follows.
 */
#include <stdlib.h>
#include <string.h>

#include <sockeye/time.h>

#include "proto/tftp_transfer.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WINDOW_MAX  32
#define BLKSIZE_MAX 64
#define FILE_SIZE   5000
#define TIMERS_MAX  2000 /* about ten passes with a pause before each block */

struct end {
	struct sockeye__tftp x;
	uint64_t now_ns, bytes, words;
	uint8_t *memory;
};

static void drain(struct end *e)
{
	struct sockeye__tftp_send send;
	uint64_t blocks = 0, words = 0;

	while (sockeye__tftp_next(&e->x, e->now_ns, 8, &send)) {
		if (send.count == 0) {
			require(send.packet.len >= 4, "a short packet");
			words++;
			continue;
		}
		blocks += send.count;
		require(send.offset + send.bytes <= FILE_SIZE, "after the end of the file");
		require(send.bytes <= (uint64_t)send.count * e->x.blksize, "blocks too long");
		require(send.offset == (send.block - 1) * e->x.blksize, "wrong offset");
	}
	require(blocks <= e->x.window && words <= 1, "too much at once");
	sockeye__tftp_check(&e->x);
}

static void packet(struct end *e, const uint8_t *data, size_t len)
{
	struct sockeye__tftp_got got;
	uint8_t *copy = malloc(len > 0 ? len : 1);
	uint64_t bytes = e->bytes;

	if (copy == NULL)
		return;
	memcpy(copy, data, len);
	sockeye__tftp_datagram(&e->x, e->now_ns, copy, len, &got);
	for (unsigned i = 0; i < got.count; i++) {
		volatile uint8_t sink = 0;

		for (size_t k = 0; k < got.data[i].len; k++) /* ASan checks each byte */
			sink = (uint8_t)(sink + got.data[i].at[k]);
		e->bytes += got.data[i].len;
	}
	require(e->bytes == bytes || !e->x.config.sends, "a sender got data");
	require(e->bytes <= bytes + (uint64_t)e->x.window * e->x.blksize, "more than a window");
	sockeye__tftp_check(&e->x);
	free(copy);
}

static void start(struct end *e, const uint8_t *data)
{
	static const uint8_t request[] = "\0\1f\0octet";
	struct sockeye__tftp_config c = {.server = data[0] & 1, .sends = data[0] & 2};
	uint16_t blksize = (uint16_t)(8u << data[1] % 4),
		 window = (uint16_t)(1 + data[2] % WINDOW_MAX);

	sockeye__tftp_set(&c.options, SOCKEYE__TFTP_BLKSIZE, blksize);
	sockeye__tftp_set(&c.options, SOCKEYE__TFTP_WINDOWSIZE, window);
	if (data[0] & 8)
		sockeye__tftp_set(&c.options, SOCKEYE__TFTP_TSIZE, 1000);
	if (data[0] & 16)
		sockeye__tftp_set(&c.options, SOCKEYE__TFTP_ROLLOVER, 1);
	c.check_size = data[0] & 32;
	c.size_max = data[0] & 64 ? 500 : 0;
	c.numbers = 256;
	c.request = (struct sockeye__span){request, sizeof request};
	c.memory_len = data[0] & 4 ? sockeye__tftp_memory(blksize, window) : data[2];
	e->memory = malloc(c.memory_len > 0 ? c.memory_len : 1); /* of its exact size, for ASan */
	c.memory = e->memory;
	e->now_ns = SOCKEYE_NS_PER_S;
	sockeye__tftp_init(&e->x, &c, e->now_ns);
	if (c.sends)
		sockeye__tftp_available(&e->x, FILE_SIZE, true);
}

static void wait_for(struct end *e, uint64_t ns)
{
	e->now_ns += ns;
	sockeye__tftp_timer(&e->x, e->now_ns);
	sockeye__tftp_check(&e->x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct end e = {0};
	int timers = 0;

	if (size < 3)
		return 0;
	start(&e, data);
	for (size_t at = 3; at < size && e.memory != NULL;) {
		uint8_t what = data[at++];

		if (what < 64) {
			wait_for(&e, (uint64_t)what * what * 100000);
		} else if (what < 128) {
			drain(&e);
		} else if (what == 128) {
			sockeye__tftp_abort(&e.x, 0, "stop");
		} else {
			size_t len = what - 129u < size - at ? what - 129u : size - at;

			packet(&e, data + at, len);
			at += len;
		}
	}
	/* From now on the peer is silent. */
	for (drain(&e); !sockeye__tftp_is_over(&e.x) && timers < TIMERS_MAX; timers++) {
		require(e.x.deadline_ns != 0, "it waits without a deadline");
		wait_for(&e, e.x.deadline_ns > e.now_ns ? e.x.deadline_ns - e.now_ns : 0);
		drain(&e);
	}
	require(sockeye__tftp_is_over(&e.x), "it does not end");
	require(e.x.result != SOCKEYE__TFTP_RUNNING, "it ends without a result");
	free(e.memory);
	return 0;
}
