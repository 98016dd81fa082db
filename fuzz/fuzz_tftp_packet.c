/*
 * fuzz_tftp_packet.c: all parts of a decoded packet lie within it, and a request that is
 * encoded again is the same.
 *
 * Input: the packet.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/tftp_packet.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct sockeye__span part, const uint8_t *data, size_t size)
{
	if (part.len > 0)
		require(part.at >= data && part.at + part.len <= data + size, "outside the packet");
}

static void again(const struct sockeye__tftp_packet *p)
{
	size_t cap = p->name.len + 16;
	uint8_t *buf = malloc(cap);
	struct sockeye__tftp_packet q;
	ssize_t len;

	if (buf == NULL)
		return;
	len = sockeye__tftp_request_encode(buf, cap, p->opcode, p->name, p->mode);
	require(len > 0, "it does not fit");
	require(sockeye__tftp_decode(buf, (size_t)len, &q) == 0, "it does not decode again");
	require(q.opcode == p->opcode && q.mode == p->mode && q.name.len == p->name.len &&
		    memcmp(q.name.at, p->name.at, q.name.len) == 0 && q.options.len == 0,
		"it decodes to another request");
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockeye__tftp_packet p = {0};
	struct sockeye__tftp_pair pair;

	if (sockeye__tftp_decode(data, size, &p) < 0)
		return 0;
	inside(p.payload, data, size);
	inside(p.text, data, size);
	inside(p.name, data, size);
	require(p.text.len == 0 || memchr(p.text.at, '\0', p.text.len) == NULL, "NUL in a text");
	if (p.name.len > 0)
		again(&p);
	while (sockeye__tftp_pair_next(&p.options, &pair)) {
		inside(pair.name, data, size);
		inside(pair.value, data, size);
		require(pair.name.len > 0, "an option without a name");
	}
	return 0;
}
