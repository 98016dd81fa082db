/*
 * trouble.h: a network error that does not end a transfer by itself.
 *
 * A firewall, a missing route or a full queue may be temporary, so the transfer goes on.
 * If the peer then remains silent, the last such error is probably the cause.
 */
#ifndef SOCKEYE_TFTP_TROUBLE_H
#define SOCKEYE_TFTP_TROUBLE_H

#include <stdbool.h>
#include <stddef.h>

#include <sockeye/dgram.h>

enum sockeye__tftp_step {
	SOCKEYE__TFTP_STEP_SEND,
	SOCKEYE__TFTP_STEP_RECEIVE,
	SOCKEYE__TFTP_STEP_ICMP, /* another host, or this one without the peer's MAC address */
};

struct sockeye__tftp_trouble {
	int err; /* a negative errno; 0: none */
	enum sockeye__tftp_step step;
	bool prohibited; /* ICMP: a firewall or a router rejects the packets */
	size_t len;      /* bytes of the packet that could not be sent; 0: unknown */
	struct sockeye_sockaddr reporter; /* the sender of the ICMP message; zeroed: unknown */
};

/* Returns the trouble that an entry of the error queue describes. */
struct sockeye__tftp_trouble sockeye__tftp_trouble_of_icmp(const struct sockeye_dgram_error *e);

/* Returns "send", "receive" or "icmp". */
const char *sockeye__tftp_trouble_step(const struct sockeye__tftp_trouble *t);

#define SOCKEYE__TFTP_TROUBLE_TEXT_MAX 160 /* as in struct sockeye_fail */

/* Writes the step, the peer's address and the probable cause into buf, without the text of
 * the errno, and returns buf. */
const char *sockeye__tftp_trouble_text(const struct sockeye__tftp_trouble *t,
				       const struct sockeye_sockaddr *peer,
				       char buf[SOCKEYE__TFTP_TROUBLE_TEXT_MAX]);

#endif
