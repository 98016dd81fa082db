/*
 * fuzz_tftp_netascii.c: decoding restores an encoded text, in pieces of any length. Any
 * input decodes without an overflow.
 *
 * Input: the lengths of input and output pieces, then the text.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/tftp_netascii.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t encode(const uint8_t *in, size_t len, size_t in_step, size_t out_step, uint8_t *wire)
{
	struct sockeye__netascii s = {0};
	size_t from = 0, to = 0, n;

	do {
		size_t taken, piece = len - from < in_step ? len - from : in_step;

		n = sockeye__netascii_encode(&s, in + from, piece, &taken, wire + to, out_step);
		from += taken;
		to += n;
	} while (from < len || n == out_step);
	return to;
}

static size_t decode(const uint8_t *wire, size_t len, size_t step, uint8_t *out)
{
	struct sockeye__netascii s = {0};
	size_t to = 0;

	for (size_t from = 0; from < len; from += step)
		to += sockeye__netascii_decode(&s, wire + from,
					       len - from < step ? len - from : step, out + to);
	return to + sockeye__netascii_end(&s, out + to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t in_step, out_step, wire_len;
	uint8_t *wire, *out;

	if (size < 2)
		return 0;
	in_step = 1u + data[0];
	out_step = 1u + data[1];
	data += 2;
	size -= 2;
	wire = malloc(2 * size + 257);
	out = malloc(size + 2);
	if (wire != NULL && out != NULL) {
		wire_len = encode(data, size, in_step, out_step, wire);
		require(wire_len <= 2 * size, "encoding makes it too long");
		require(decode(wire, wire_len, out_step, out) == size, "another length");
		require(memcmp(out, data, size) == 0, "another text");
		require(decode(data, size, in_step, out) <= size, "decoding makes it longer");
	}
	free(wire);
	free(out);
	return 0;
}
