/*
 * tftp_script.c: converts text to packets and packets to text (tftp_script.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tftp_script.h"

#define START_NS UINT64_C(1000000000)

static const uint8_t request[] = "\0\1f\0octet";

/* Converts "a=b c=d" to pairs of strings. */
static struct sockeye__span pairs_make(const char *text, uint8_t *buf, size_t cap)
{
	size_t len = strlen(text) + (*text != '\0');

	assert_true(len <= cap);
	memcpy(buf, text, len);
	for (size_t i = 0; i < len; i++)
		if (buf[i] == '=' || buf[i] == ' ')
			buf[i] = '\0';
	return (struct sockeye__span){buf, len};
}

struct sockeye__tftp_options script_options(const char *text)
{
	uint8_t buf[512];

	return sockeye__tftp_options_parse(pairs_make(text, buf, sizeof buf));
}

struct script *script_start_with(struct sockeye__tftp_config config, const char *options,
				 uint64_t bytes)
{
	static struct script s;

	s = (struct script){.now_ns = START_NS};
	config.options = script_options(options);
	if (!config.server)
		config.request = (struct sockeye__span){request, sizeof request};
	if (config.memory == NULL) {
		config.memory = s.memory;
		config.memory_len = sizeof s.memory;
	}
	sockeye__tftp_init(&s.x, &config, s.now_ns);
	if (config.sends)
		sockeye__tftp_available(&s.x, bytes, true);
	return &s;
}

struct script *script_start(bool server, bool sends, const char *options, uint64_t bytes)
{
	return script_start_with((struct sockeye__tftp_config){.server = server, .sends = sends},
				 options, bytes);
}

void script_wait(struct script *s, double ms)
{
	s->now_ns += (uint64_t)(ms * 1e6);
	sockeye__tftp_timer(&s->x, s->now_ns);
	sockeye__tftp_check(&s->x);
}

/* A block with the number n on the wire has the bytes n % 251, n % 251 + 1, ... */
static size_t packet_make(const char *text, uint8_t *p, size_t cap)
{
	char name[8] = "";
	unsigned number = 0, len = 0;
	int at = 0;

	(void)sscanf(text, "%7s %n%u %u", name, &at, &number, &len);
	p[0] = 0;
	p[2] = (uint8_t)(number >> 8);
	p[3] = (uint8_t)number;
	if (strcmp(name, "OACK") == 0) {
		p[1] = SOCKEYE__TFTP_OACK;
		return 2 + pairs_make(text + at, p + 2, cap - 2).len;
	}
	if (strcmp(name, "RRQ") == 0 || strcmp(name, "WRQ") == 0) {
		memcpy(p, request, sizeof request);
		p[1] = *name == 'R' ? SOCKEYE__TFTP_RRQ : SOCKEYE__TFTP_WRQ;
		return sizeof request;
	}
	if (strcmp(name, "ACK") == 0)
		p[1] = SOCKEYE__TFTP_ACK;
	else if (strcmp(name, "ERROR") == 0)
		p[1] = SOCKEYE__TFTP_ERROR;
	else if (strcmp(name, "DATA") == 0)
		p[1] = SOCKEYE__TFTP_DATA;
	else
		fail_msg("not a packet: %s", text);
	for (unsigned i = 0; i < len; i++)
		p[4 + i] = (uint8_t)(number % 251 + i);
	return 4 + len;
}

static void got_check(struct script *s)
{
	for (unsigned i = 0; i < s->got.count; i++)
		for (size_t k = 0; k < s->got.data[i].len; k++, s->bytes++) {
			uint64_t block = s->bytes / s->x.blksize + 1;
			unsigned number = sockeye__tftp_number(&s->x, block);

			if (s->got.data[i].at[k] !=
			    (uint8_t)(number % 251 + s->bytes % s->x.blksize))
				s->wrong = true;
		}
}

void script_receive(struct script *s, const char *packet)
{
	static uint8_t p[70000]; /* s->got refers to it */

	sockeye__tftp_datagram(&s->x, s->now_ns, p, packet_make(packet, p, sizeof p), &s->got);
	sockeye__tftp_check(&s->x);
	got_check(s);
	assert_false(s->wrong);
}

static size_t send_print(const struct script *s, const struct sockeye__tftp_send *send, char *out,
			 size_t cap)
{
	struct sockeye__tftp_packet p;

	if (send->count == 1)
		return (size_t)snprintf(out, cap, "DATA %" PRIu64, send->block);
	if (send->count > 1)
		return (size_t)snprintf(out, cap, "DATA %" PRIu64 "-%" PRIu64, send->block,
					send->block + send->count - 1);
	if (send->packet.at == s->x.config.request.at)
		return (size_t)snprintf(out, cap, "request");
	assert_int_equal(sockeye__tftp_decode(send->packet.at, send->packet.len, &p), 0);
	if (p.opcode == SOCKEYE__TFTP_OACK)
		return (size_t)snprintf(out, cap, "OACK");
	if (p.opcode == SOCKEYE__TFTP_ACK) {
		assert_int_equal(send->packet.len, 4); /* uftpd 2.16 sent more */
		return (size_t)snprintf(out, cap, "ACK %u", p.number);
	}
	assert_int_equal(p.opcode, SOCKEYE__TFTP_ERROR);
	return (size_t)snprintf(out, cap, "ERROR %u", p.number);
}

void script_expect_at(struct script *s, const char *packets, const char *file, int line)
{
	struct sockeye__tftp_send send;
	char sent[256] = "";
	size_t len = 0;

	while (sockeye__tftp_next(&s->x, s->now_ns, UINT32_MAX, &send) && len < sizeof sent - 64) {
		if (len > 0)
			len += (size_t)snprintf(sent + len, sizeof sent - len, ", ");
		len += send_print(s, &send, sent + len, sizeof sent - len);
	}
	sockeye__tftp_check(&s->x);
	if (strcmp(sent, packets) != 0) {
		print_error("sent \"%s\", expected \"%s\"\n", sent, packets);
		_fail(file, line);
	}
}
