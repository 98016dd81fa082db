/*
 * claims.h: the names of the files that clients are uploading, across all workers. A second
 * client that uploads the same file is refused before its data is stored.
 *
 * A request claims nothing, because its address may be forged: the client's first data does. A
 * claim protects a client that is active. It does not protect a silent client against another
 * request of the same host, because the client was probably restarted; nor, if its data may be
 * forged too, against any other client.
 */
#ifndef SOCKEYE_TFTP_SERVER_CLAIMS_H
#define SOCKEYE_TFTP_SERVER_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <sockeye/sockaddr.h>

struct sockeye__tftp_claims;

/* A claim that a transfer holds. Zeroed: none. */
struct sockeye__tftp_claim {
	uint32_t cell;
	bool taken_over; /* from another transfer, which may still have the file open */
	uint64_t serial; /* 0: none */
};

/* A file to be uploaded: two names lead to the same file if directory and name are equal. */
struct sockeye__tftp_claimed {
	dev_t dev; /* of the directory */
	ino_t ino;
	const char *name;
	const struct sockeye_sockaddr *client;
	unsigned worker;
	bool forgeable; /* an attacker can send data in the client's name */
};

/* Return claims in memory that future child processes share, or NULL. */
struct sockeye__tftp_claims *sockeye__tftp_claims_new(void);
void sockeye__tftp_claims_free(struct sockeye__tftp_claims *c);

/* Checks a request. Returns 0, or -EALREADY if the file is claimed by another client.
 * *out_shared: another transfer, which yields to this one, may have the file open. */
int sockeye__tftp_claims_check(struct sockeye__tftp_claims *c,
			       const struct sockeye__tftp_claimed *wanted, uint64_t now_ns,
			       bool *out_shared);
/* Claims a file for a client whose first data has just arrived. Returns 0, or -EALREADY if the
 * file is claimed by another client. If the table is full, returns 0 without a claim. */
int sockeye__tftp_claims_take(struct sockeye__tftp_claims *c,
			      const struct sockeye__tftp_claimed *wanted, uint64_t now_ns,
			      struct sockeye__tftp_claim *out);
/* Records that the client is not silent, until `until_ns`. */
void sockeye__tftp_claims_renew(struct sockeye__tftp_claims *c,
				const struct sockeye__tftp_claim *claim, uint64_t until_ns);
/* Releases a claim, unless another transfer has taken it over, and zeroes *claim. */
void sockeye__tftp_claims_give(struct sockeye__tftp_claims *c, struct sockeye__tftp_claim *claim);
/* In the supervisor: releases all claims of a worker that died. */
void sockeye__tftp_claims_forget(struct sockeye__tftp_claims *c, unsigned worker);

#endif
