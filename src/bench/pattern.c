/*
 * pattern.c: the bytes of the load generator's messages. Every message is a piece
 * of one random text, so that none has to be made or copied. The pieces of different
 * connections and of consecutive messages begin at different offsets, so that a reply
 * to another message is detected.
 */
#include <string.h>

#include "bench/internal.h"

/* xorshift64 (Marsaglia, Xorshift RNGs, 2003); the same text in every run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint8_t to_upper(uint8_t c)
{
	return c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c;
}

static void messages_make(struct sockeye__bench_run *run)
{
	bool varies = sockeye__bench_varies(run);
	size_t size = run->opts.size, len = size + (varies ? SOCKEYE__BENCH_VARIETY : 0);
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < len; i++) {
		uint64_t r = next_random(&state) >> 32;

		if (run->opts.send != NULL)
			run->sent[i] = run->opts.send[i];
		else
			run->sent[i] = varies ? (uint8_t)r : (uint8_t)('a' + r % 26);
	}
	if (!varies && run->opts.send == NULL && size > 0)
		run->sent[size - 1] = '\n';
}

void sockeye__bench_pattern(struct sockeye__bench_run *run)
{
	size_t len =
	    run->opts.reply_len + (sockeye__bench_varies(run) ? SOCKEYE__BENCH_VARIETY : 0);

	messages_make(run);
	for (size_t i = 0; i < len; i++)
		switch (run->opts.expect) {
		case SOCKEYE__BENCH_ECHO:
			run->expected[i] = run->sent[i];
			break;
		case SOCKEYE__BENCH_UPPER:
			run->expected[i] = to_upper(run->sent[i]);
			break;
		case SOCKEYE__BENCH_TEXT:
			run->expected[i] = run->opts.reply_text[i];
			break;
		default: /* not compared */
			run->expected[i] = 0;
		}
}

size_t sockeye__bench_offset(const struct sockeye__bench_run *run, uint32_t index, uint64_t number)
{
	if (!sockeye__bench_varies(run))
		return 0;
	return (size_t)((index * UINT64_C(2654435761) + number * UINT64_C(40503)) %
			SOCKEYE__BENCH_VARIETY);
}

size_t sockeye__bench_differs(const uint8_t *got, const uint8_t *expected, size_t len)
{
	size_t i = 0;

	if (memcmp(got, expected, len) == 0)
		return len;
	while (got[i] == expected[i])
		i++;
	return i;
}

void sockeye__bench_number_put(uint8_t bytes[SOCKEYE__BENCH_NUMBER_BYTES], uint64_t number)
{
	for (int i = 0; i < SOCKEYE__BENCH_NUMBER_BYTES; i++)
		bytes[i] = (uint8_t)(0x80 | (number >> 7 * i & 0x7f));
}

uint64_t sockeye__bench_number_get(const uint8_t bytes[SOCKEYE__BENCH_NUMBER_BYTES])
{
	uint64_t number = 0;

	for (int i = 0; i < SOCKEYE__BENCH_NUMBER_BYTES; i++)
		number |= (uint64_t)(bytes[i] & 0x7f) << 7 * i;
	return number;
}
