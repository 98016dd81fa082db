/*
 * policy.h: rules that set the terms of a transfer by client address and file name.
 * sockeye-tftp-rules(5) describes the language.
 */
#ifndef SOCKEYE_TFTP_SERVER_POLICY_H
#define SOCKEYE_TFTP_SERVER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/sockaddr.h>

#include "proto/tftp_options.h"
#include "rules/lines.h"

/* The terms on which a request is served. */
struct sockeye__tftp_terms {
	struct sockeye__tftp_policy policy;
	bool blksize_mtu;        /* a block must fit into one packet on the path to the client */
	bool deny_get, deny_put; /* reply with ERROR 2 */
	bool trusted;            /* the client's address cannot be forged */
};

struct sockeye__tftp_rules;

/* Reads rules. Returns 0, -ENOMEM, or -EINVAL with *error filled in. */
int sockeye__tftp_policy_parse(const char *text, size_t len, struct sockeye__tftp_rules **out,
			       struct sockeye__rules_error *error);
/* For sockeye__rules_source_open(). */
extern const struct sockeye__rules_kind sockeye__tftp_policy_kind;
/* NULL is legal in both. */
void sockeye__tftp_policy_free(struct sockeye__tftp_rules *rules);
size_t sockeye__tftp_policy_count(const struct sockeye__tftp_rules *rules);

/* Fills in *out with the defaults and the settings of the first rule for this client
 * and name. `rules` may be NULL. Returns the line of that rule, 0 for none. */
unsigned sockeye__tftp_policy_terms(const struct sockeye__tftp_rules *rules,
				    const struct sockeye_sockaddr *client, const char *name,
				    const struct sockeye__tftp_terms *defaults,
				    struct sockeye__tftp_terms *out);

/* Reads a block size in bytes, or "mtu", which sets *out_blksize to 0. Returns 0 or a
 * negative code. The command line has the same syntax. */
int sockeye__tftp_blksize_parse(const char *text, size_t len, uint16_t *out_blksize, bool *out_mtu);

/* Reads names of options, such as "tsize,windowsize", into bits; "none" sets no bit.
 * Returns 0, or -EINVAL with the word that is not an option. The command line has
 * the same syntax. */
int sockeye__tftp_refuse_parse(const char *text, size_t len, unsigned *out_refused,
			       struct sockeye__slice *out_wrong);

#endif
