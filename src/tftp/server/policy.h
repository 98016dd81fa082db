/*
 * policy.h: what a client may have that others may not, by its address
 * and by name. man/sockeye-tftp-rules.5 has the language.
 */
#ifndef SOCKEYE_TFTP_SERVER_POLICY_H
#define SOCKEYE_TFTP_SERVER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/sockaddr.h>

#include "proto/tftp_options.h"
#include "rules/lines.h"

/* On which terms a request is served. */
struct sockeye__tftp_terms {
	struct sockeye__tftp_policy policy;
	bool blksize_mtu; /* blocks no larger than a packet on the way to the client */
	bool deny;        /* answer ERROR 2 */
};

struct sockeye__tftp_rules;

/* 0, -ENOMEM, or -EINVAL with *error filled in. */
int sockeye__tftp_policy_parse(const char *text, size_t len, struct sockeye__tftp_rules **out,
			       struct sockeye__rules_error *error);
/* The rules of a file; of none (NULL) there are none (NULL). 0, or a negative
 * code with *fail filled in. */
int sockeye__tftp_policy_open(const char *path, struct sockeye__tftp_rules **out,
			      struct sockeye_fail *fail);
void sockeye__tftp_policy_free(struct sockeye__tftp_rules *rules);          /* NULL is legal */
size_t sockeye__tftp_policy_count(const struct sockeye__tftp_rules *rules); /* so is it here */

/* The defaults, and over them what the first line for this client and name says.
 * Without rules (NULL) the defaults. Returns that line, 0 for none. */
unsigned sockeye__tftp_policy_terms(const struct sockeye__tftp_rules *rules,
				    const struct sockeye_sockaddr *client, const char *name,
				    const struct sockeye__tftp_terms *defaults,
				    struct sockeye__tftp_terms *out);

/* Bytes of a block, or "mtu" (then *out_blksize is 0): 0 or a negative code. For
 * --blksize and --blksize-max too. */
int sockeye__tftp_blksize_parse(const char *text, size_t len, uint16_t *out_blksize, bool *out_mtu);

/* "tsize,windowsize" as bits of options, or "none": 0, or -EINVAL with the word
 * that is no option. For --refuse too. */
int sockeye__tftp_refuse_parse(const char *text, size_t len, unsigned *out_refused,
			       struct sockeye__slice *out_wrong);

#endif
