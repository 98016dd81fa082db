/*
 * tftp_packet.c: decodes and encodes packets (tftp_packet.h).
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "proto/tftp_packet.h"

static const char *const modes[] = {
    [SOCKEYE__TFTP_OCTET] = "octet",
    [SOCKEYE__TFTP_NETASCII] = "netascii",
};

#define MODES (sizeof modes / sizeof *modes)

/* Removes a string and its NUL from the beginning of `rest`. */
static bool string_take(struct sockeye__span *rest, struct sockeye__span *out)
{
	const uint8_t *end = rest->len > 0 ? memchr(rest->at, '\0', rest->len) : NULL;

	if (end == NULL)
		return false;
	*out = (struct sockeye__span){rest->at, (size_t)(end - rest->at)};
	rest->at += out->len + 1;
	rest->len -= out->len + 1;
	return true;
}

bool sockeye__tftp_pair_next(struct sockeye__span *rest, struct sockeye__tftp_pair *out)
{
	struct sockeye__span left = *rest;
	struct sockeye__tftp_pair pair;

	if (!string_take(&left, &pair.name) || pair.name.len == 0 ||
	    !string_take(&left, &pair.value))
		return false;
	*rest = left;
	*out = pair;
	return true;
}

/* Letter case does not matter (RFC 1350, section 1). "mail" is not supported, as
 * RFC 1123, section 4.2.2.1, recommends. */
static int mode_find(struct sockeye__span name, enum sockeye__tftp_mode *out)
{
	for (size_t i = 0; i < MODES; i++)
		if (strlen(modes[i]) == name.len &&
		    strncasecmp(modes[i], (const char *)name.at, name.len) == 0) {
			*out = (enum sockeye__tftp_mode)i;
			return 0;
		}
	return -EPROTONOSUPPORT;
}

static int request_decode(struct sockeye__span rest, struct sockeye__tftp_packet *out)
{
	struct sockeye__tftp_packet p = {.opcode = out->opcode};
	struct sockeye__span mode;
	int err;

	if (!string_take(&rest, &p.name) || p.name.len == 0 || !string_take(&rest, &mode))
		return -EBADMSG;
	err = mode_find(mode, &p.mode);
	p.options = rest;
	*out = p;
	return err;
}

static void text_decode(struct sockeye__span rest, struct sockeye__span *out)
{
	if (!string_take(&rest, out))
		*out = rest;
}

int sockeye__tftp_decode(const void *packet, size_t len, struct sockeye__tftp_packet *out)
{
	struct sockeye__span rest = {packet, len};
	struct sockeye__tftp_packet p = {0};
	int err = 0;

	if (len < 2)
		return -EBADMSG;
	p.opcode = (enum sockeye__tftp_opcode)sockeye__tftp_get16(rest.at);
	if (p.opcode < SOCKEYE__TFTP_RRQ || p.opcode > SOCKEYE__TFTP_OACK)
		return -ENOMSG;
	rest.at += 2;
	rest.len -= 2;
	if (p.opcode == SOCKEYE__TFTP_RRQ || p.opcode == SOCKEYE__TFTP_WRQ) {
		err = request_decode(rest, &p);
		if (err == -EBADMSG)
			return err;
	} else if (p.opcode == SOCKEYE__TFTP_OACK) {
		p.options = rest;
	} else {
		if (rest.len < 2)
			return -EBADMSG;
		p.number = sockeye__tftp_get16(rest.at);
		rest.at += 2;
		rest.len -= 2;
		if (p.opcode == SOCKEYE__TFTP_DATA)
			p.payload = rest;
		else if (p.opcode == SOCKEYE__TFTP_ERROR)
			text_decode(rest, &p.text);
	}
	*out = p;
	return err;
}

void sockeye__tftp_data_encode(uint8_t out[SOCKEYE__TFTP_HEADER], uint16_t block)
{
	sockeye__tftp_put16(out, SOCKEYE__TFTP_DATA);
	sockeye__tftp_put16(out + 2, block);
}

void sockeye__tftp_ack_encode(uint8_t out[SOCKEYE__TFTP_HEADER], uint16_t block)
{
	sockeye__tftp_put16(out, SOCKEYE__TFTP_ACK);
	sockeye__tftp_put16(out + 2, block);
}

size_t sockeye__tftp_error_encode(uint8_t *buf, size_t cap, uint16_t code, const char *text)
{
	size_t len = strnlen(text, cap - SOCKEYE__TFTP_HEADER - 1);

	assert(cap > SOCKEYE__TFTP_HEADER);
	sockeye__tftp_put16(buf, SOCKEYE__TFTP_ERROR);
	sockeye__tftp_put16(buf + 2, code);
	memcpy(buf + SOCKEYE__TFTP_HEADER, text, len);
	buf[SOCKEYE__TFTP_HEADER + len] = '\0';
	return SOCKEYE__TFTP_HEADER + len + 1;
}

ssize_t sockeye__tftp_request_encode(uint8_t *buf, size_t cap, enum sockeye__tftp_opcode opcode,
				     struct sockeye__span name, enum sockeye__tftp_mode mode)
{
	size_t mode_len = strlen(modes[mode]) + 1, len = 2 + name.len + 1 + mode_len;

	assert(name.len > 0 && memchr(name.at, '\0', name.len) == NULL);
	if (len > cap)
		return -ENOBUFS;
	sockeye__tftp_put16(buf, opcode);
	memcpy(buf + 2, name.at, name.len);
	buf[2 + name.len] = '\0';
	memcpy(buf + 2 + name.len + 1, modes[mode], mode_len);
	return (ssize_t)len;
}
