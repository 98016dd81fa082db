/*
 * Fuzz the rules of a relay. A list of numbers is taken as a whole or not at all. A verdict
 * stays within the packet and the limits, is the same for the same seed, and a packet is
 * never due before it is ready. The text about a packet is printable.
 *
 * Input: 32 bytes of rules, a list of numbers up to a NUL byte, and a packet.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/faults.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RULES_LEN 32
#define PACKETS   8

static struct sockeye__fault_rules rules_make(const uint8_t bytes[RULES_LEN], const char *list)
{
	struct sockeye__fault_rules rules = {0}, before;
	uint32_t words[RULES_LEN / 4];

	memcpy(words, bytes, sizeof words);
	rules.drop = words[0];
	rules.duplicate = words[1];
	rules.reorder = words[2];
	rules.corrupt = words[3];
	rules.delay_ns = words[4];
	rules.jitter_ns = words[5];
	rules.rate = words[6];
	before = rules;
	if (sockeye__fault_ranges_add(list, 1, UINT64_MAX, &rules.drop_nth) < 0)
		require(memcmp(&rules, &before, sizeof rules) == 0, "a list is taken in part");
	sockeye__fault_ranges_add(list, 0, UINT16_MAX, &rules.drop_data);
	sockeye__fault_ranges_add(list, 0, UINT16_MAX, &rules.drop_ack);
	for (size_t i = 0; i < rules.drop_nth.count; i++) {
		uint64_t first = rules.drop_nth.items[i].first, last = rules.drop_nth.items[i].last;

		require(1 <= first && first <= last, "a range out of order");
		require(sockeye__fault_ranges_have(&rules.drop_nth, first) &&
			    sockeye__fault_ranges_have(&rules.drop_nth, last),
			"a number of the list is missing");
	}
	return rules;
}

static void check_verdict(const struct sockeye__fault_rules *rules,
			  const struct sockeye__fault_verdict *v, size_t len)
{
	if (v->fate != SOCKEYE__FAULT_PASSED)
		return;
	require(v->hold <= SOCKEYE__FAULT_HOLD_MAX, "held for too many packets");
	require(v->jitter_ns <= rules->jitter_ns, "too much jitter");
	require(v->corrupt_mask == 0 || v->corrupt_byte < len, "corrupts beyond the packet");
	require((v->corrupt_mask & (v->corrupt_mask - 1)) == 0, "corrupts several bits");
}

static void check_text(const uint8_t *packet, size_t len)
{
	char text[64];
	size_t wanted = sockeye__fault_packet_text(packet, len, text, sizeof text);

	require(strlen(text) == (wanted < sizeof text ? wanted : sizeof text - 1), "text length");
	for (const char *p = text; *p != '\0'; p++)
		require((unsigned char)*p >= 0x20 && *p != 0x7f, "not printable");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sockeye__fault_dropped dropped[2];
	struct sockeye__fault_stream streams[2];
	struct sockeye__fault_rules rules;
	struct sockeye__fault_verdict verdicts[2];
	const uint8_t *nul, *packet;
	uint64_t link_ns = 0, due_ns;
	size_t len;

	nul = size > RULES_LEN ? memchr(data + RULES_LEN, '\0', size - RULES_LEN) : NULL;
	if (nul == NULL)
		return 0;
	rules = rules_make(data, (const char *)data + RULES_LEN);
	packet = nul + 1;
	len = (size_t)(data + size - packet);
	check_text(packet, len);
	memset(dropped, 0, sizeof dropped);
	for (int i = 0; i < 2; i++)
		sockeye__fault_stream_init(&streams[i], data[0], 1, SOCKEYE__FAULT_UP, &dropped[i]);
	for (uint64_t now_ns = 1; now_ns <= PACKETS; now_ns++) {
		for (int i = 0; i < 2; i++) {
			memset(&verdicts[i], 0, sizeof verdicts[i]);
			sockeye__fault_judge(&rules, &streams[i], packet, len, &verdicts[i]);
			check_verdict(&rules, &verdicts[i], len);
		}
		require(verdicts[0].fate == verdicts[1].fate &&
			    verdicts[0].hold == verdicts[1].hold &&
			    verdicts[0].corrupt_mask == verdicts[1].corrupt_mask,
			"the same seed decides otherwise");
		due_ns = sockeye__fault_due(&rules, &streams[0], &link_ns, now_ns,
					    verdicts[0].jitter_ns, len);
		require(due_ns >= now_ns + rules.delay_ns, "due too early");
	}
	return 0;
}
