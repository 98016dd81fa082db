/*
 * tftp_json.h: what is said of a TFTP transfer, be it the client's (get, put) or
 * the server's log: members of a document, of which sockeye-tftp(7) has the list,
 * and what lines of text have of the same.
 */
#ifndef SOCKEYE_CMD_TFTP_JSON_H
#define SOCKEYE_CMD_TFTP_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tftp/client/client.h"

struct tftp_facts {
	bool netascii;
	int code;                       /* of the ERROR that ended it, either way; -1 none */
	struct sockeye__span peer_text; /* what the peer's said */

	/* How it went, also when it failed. */
	const struct sockeye__tftp_counters *count;  /* NULL: nothing has begun */
	const struct sockeye__tftp_options *options; /* granted */
	uint16_t blksize, window;
	uint64_t bytes, ns;
};

void tftp_json(json_t *object, const struct tftp_facts *facts);

/* 0 while no time has passed. */
double tftp_bytes_per_s(uint64_t bytes, uint64_t ns);

/* Blocks that were sent or received more than once. */
uint64_t tftp_wasted_bytes(const struct sockeye__tftp_counters *count, uint16_t blksize);

#define TFTP_OPTIONS_TEXT_MAX 256

/* " blksize=1468 windowsize=32". */
const char *tftp_options_text(const struct sockeye__tftp_options *options,
			      char buf[TFTP_OPTIONS_TEXT_MAX]);

#endif
