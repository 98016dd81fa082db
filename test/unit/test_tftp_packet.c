/*
 * test_tftp_packet.c: decodes whole packets and packets cut at every byte, and encodes
 * them again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../rows.h"
#include "proto/tftp_packet.h"

#define TEXT(s) s, sizeof s - 1

/* A request, and its content or the error. */
static const struct request {
	const char *packet;
	size_t len;
	int err;
	const char *name;
	enum sockeye__tftp_mode mode;
	unsigned pairs;
} requests[] = {
    {TEXT("\0\1f\0octet\0"), 0, "f", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\2f\0netascii\0"), 0, "f", SOCKEYE__TFTP_NETASCII, 0},
    {TEXT("\0\1f\0OcTeT\0"), 0, "f", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\1f\0NETASCII\0"), 0, "f", SOCKEYE__TFTP_NETASCII, 0},
    {TEXT("\0\1f\0mail\0"), -EPROTONOSUPPORT, "f", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\1f\0binary\0"), -EPROTONOSUPPORT, "f", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\1f\0\0"), -EPROTONOSUPPORT, "f", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\1f\0bytes\0"), -EPROTONOSUPPORT, "f", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\1f\xff\xff\0octet\0"), 0, "f\xff\xff", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\1%n\x1b[2J\n\0octet\0"), 0, "%n\x1b[2J\n", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\1f\0octet\0blksize\0001432\0"), 0, "f", SOCKEYE__TFTP_OCTET, 1},
    {TEXT("\0\1f\0octet\0a\0\0b\0x\0"), 0, "f", SOCKEYE__TFTP_OCTET, 2}, /* empty value */
    {TEXT("\0\1f\0octet\0a\0x\0b\0"), 0, "f", SOCKEYE__TFTP_OCTET, 1},   /* no value */
    {TEXT("\0\1f\0octet\0a\0x\0b\0y"), 0, "f", SOCKEYE__TFTP_OCTET, 1},  /* not terminated */
    {TEXT("\0\1f\0octet\0a\0x\0\0\0\0"), 0, "f", SOCKEYE__TFTP_OCTET, 1},
    {TEXT("\0\1f\0octet\0garbage"), 0, "f", SOCKEYE__TFTP_OCTET, 0},
    {TEXT("\0\1\0octet\0"), -EBADMSG, NULL, 0, 0},
    {TEXT("\0\1f\0octet"), -EBADMSG, NULL, 0, 0},
    {TEXT("\0\1f\0"), -EBADMSG, NULL, 0, 0},
    {TEXT("\0\1f"), -EBADMSG, NULL, 0, 0},
    {TEXT("\0\1"), -EBADMSG, NULL, 0, 0},
};

/* Decodes in memory of exactly this length, so that ASan detects a read after it. */
static int decode(const char *packet, size_t len, struct sockeye__tftp_packet *p, void **out_copy)
{
	*out_copy = malloc(len > 0 ? len : 1);
	assert_non_null(*out_copy);
	memcpy(*out_copy, packet, len);
	return sockeye__tftp_decode(*out_copy, len, p);
}

static void test_requests(void **state)
{
	(void)state;
	FOR_ROWS(i, requests, "%zu bytes, file %s", requests[i].len, requests[i].packet + 2) {
		const struct request *r = &requests[i];
		struct sockeye__tftp_packet p = {0};
		struct sockeye__tftp_pair pair;
		void *copy;
		unsigned pairs = 0;

		assert_int_equal(decode(r->packet, r->len, &p, &copy), r->err);
		if (r->name != NULL) {
			assert_int_equal(p.name.len, strlen(r->name));
			assert_memory_equal(p.name.at, r->name, p.name.len);
			while (sockeye__tftp_pair_next(&p.options, &pair))
				pairs++;
			assert_int_equal(pairs, r->pairs);
		}
		if (r->err == 0)
			assert_int_equal(p.mode, r->mode);
		free(copy);
	}
}

static void test_small_packets(void **state)
{
	static const struct row {
		const char *packet;
		size_t len;
		int err;
		uint16_t number;
		size_t payload, text;
	} rows[] = {
	    {TEXT(""), -EBADMSG, 0, 0, 0},          {TEXT("\0"), -EBADMSG, 0, 0, 0},
	    {TEXT("\0\3"), -EBADMSG, 0, 0, 0},      {TEXT("\0\4\1"), -EBADMSG, 0, 0, 0},
	    {TEXT("\0\0\0\0"), -ENOMSG, 0, 0, 0},   {TEXT("\0\7\0\0"), -ENOMSG, 0, 0, 0},
	    {TEXT("\1\3\0\0"), -ENOMSG, 0, 0, 0},   {TEXT("\0c\0\0"), -ENOMSG, 0, 0, 0},
	    {TEXT("\0\3\377\376"), 0, 65534, 0, 0}, {TEXT("\0\3\0\1abc"), 0, 1, 3, 0},
	    {TEXT("\0\4\0\2"), 0, 2, 0, 0},         {TEXT("\0\4\0\2\0\0\0"), 0, 2, 0, 0},
	    {TEXT("\0\5\0\1no\0"), 0, 1, 0, 2},     {TEXT("\0\5\0\1no"), 0, 1, 0, 2},
	    {TEXT("\0\5\0\1"), 0, 1, 0, 0},         {TEXT("\0\5\0\1no\0more"), 0, 1, 0, 2},
	    {TEXT("\0\5\0"), -EBADMSG, 0, 0, 0},    {TEXT("\0\6"), 0, 0, 0, 0},
	};

	(void)state;
	FOR_ROWS(i, rows, "opcode %d, %zu bytes", rows[i].len > 1 ? rows[i].packet[1] : -1,
		 rows[i].len) {
		struct sockeye__tftp_packet p = {0};
		void *copy;

		assert_int_equal(decode(rows[i].packet, rows[i].len, &p, &copy), rows[i].err);
		assert_int_equal(p.number, rows[i].number);
		assert_int_equal(p.payload.len, rows[i].payload);
		assert_int_equal(p.text.len, rows[i].text);
		free(copy);
	}
}

/* An encoded request decodes to the same one, and no shorter packet does. */
static void test_request_again(void **state)
{
	const struct sockeye__span name = {(const uint8_t *)"pxelinux.0", 10};
	uint8_t buf[32];

	(void)state;
	for (int mode = SOCKEYE__TFTP_OCTET; mode <= SOCKEYE__TFTP_NETASCII; mode++) {
		ssize_t len = sockeye__tftp_request_encode(buf, sizeof buf, SOCKEYE__TFTP_WRQ, name,
							   (enum sockeye__tftp_mode)mode);
		struct sockeye__tftp_packet p;

		assert_true(len > 0);
		assert_int_equal(sockeye__tftp_decode(buf, (size_t)len, &p), 0);
		assert_int_equal(p.opcode, SOCKEYE__TFTP_WRQ);
		assert_int_equal(p.mode, mode);
		assert_memory_equal(p.name.at, name.at, name.len);
		assert_int_equal(p.options.len, 0);
		for (ssize_t cut = 0; cut < len; cut++)
			assert_int_equal(sockeye__tftp_decode(buf, (size_t)cut, &p), -EBADMSG);
		assert_int_equal(sockeye__tftp_request_encode(buf, (size_t)len - 1,
							      SOCKEYE__TFTP_WRQ, name,
							      (enum sockeye__tftp_mode)mode),
				 -ENOBUFS);
	}
}

static void test_numbers_again(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= 65535; n++) {
		struct sockeye__tftp_packet p;
		uint8_t buf[SOCKEYE__TFTP_HEADER];

		sockeye__tftp_data_encode(buf, (uint16_t)n);
		assert_int_equal(sockeye__tftp_decode(buf, sizeof buf, &p), 0);
		assert_true(p.opcode == SOCKEYE__TFTP_DATA && p.number == n);
		sockeye__tftp_ack_encode(buf, (uint16_t)n);
		assert_int_equal(sockeye__tftp_decode(buf, sizeof buf, &p), 0);
		assert_true(p.opcode == SOCKEYE__TFTP_ACK && p.number == n);
	}
}

/* A long text is cut before its NUL, and no byte of the buffer follows it (dnsmasq's
 * ERROR disclosed memory). */
static void test_error(void **state)
{
	uint8_t buf[16];

	(void)state;
	for (size_t cap = 5; cap <= sizeof buf; cap++) {
		size_t len = sockeye__tftp_error_encode(buf, cap, 2, "denied"), text = cap - 5;

		text = text < 6 ? text : 6;
		assert_int_equal(len, 5 + text);
		assert_memory_equal(buf, "\0\5\0\2denied", 4 + text);
		assert_int_equal(buf[len - 1], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests),      cmocka_unit_test(test_small_packets),
	    cmocka_unit_test(test_request_again), cmocka_unit_test(test_numbers_again),
	    cmocka_unit_test(test_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
