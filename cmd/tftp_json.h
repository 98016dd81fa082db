/*
 * tftp_json.h: the members of a JSON document about a TFTP transfer, shared by the client
 * (get, put) and the server's log. sockeye-tftp(7) lists them. Text lines have the same
 * values.
 */
#ifndef SOCKEYE_CMD_TFTP_JSON_H
#define SOCKEYE_CMD_TFTP_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "tftp/client/client.h"

struct tftp_facts {
	bool netascii;
	int code; /* of the ERROR packet that ended the transfer, sent or received; -1: none */
	struct sockeye__span peer_text; /* the text of the peer's ERROR packet */

	/* The progress, also of failed transfers. */
	const struct sockeye__tftp_counters *count;  /* NULL: not started */
	const struct sockeye__tftp_options *options; /* granted */
	uint16_t blksize, window;
	uint64_t bytes, ns;
};

/* Adds the members to the document. */
void tftp_json(json_t *object, const struct tftp_facts *facts);

/* Adds the members about the last network error. */
void tftp_trouble_json(json_t *object, const struct sockeye__tftp_trouble *trouble);

/* Returns the rate, or 0 if no time has passed. */
double tftp_bytes_per_s(uint64_t bytes, uint64_t ns);

/* Returns the number of bytes that were sent or received more than once. */
uint64_t tftp_wasted_bytes(const struct sockeye__tftp_counters *count, uint16_t blksize);

#define TFTP_OPTIONS_TEXT_MAX 256

/* Writes the options as in " blksize=1468 windowsize=32" and returns buf. */
const char *tftp_options_text(const struct sockeye__tftp_options *options,
			      char buf[TFTP_OPTIONS_TEXT_MAX]);

#endif
