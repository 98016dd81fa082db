/* serve.h: what the files of sockeye serve share. */
#ifndef SOCKEYE_CMD_SERVE_H
#define SOCKEYE_CMD_SERVE_H

#include "cli/cli.h"
#include "serve_log.h"

#include <sockeye/serve.h>

#include "serve/crew.h"
#include "tftp/server/server.h"

#define SERVE_SITES_MAX 128

/* serve_tftp.c: options of the service tftp. */
struct serve_tftp {
	const char *root, *umask, *map, *map_test, *map_client, *policy, *blksize_max, *port_range;
	bool upload, overwrite, create; /* the last two are the first, and more */
	bool map_put;
	bool backslash, fold_case, strip_high;
	bool single_port, broadcast;
	unsigned unique_root; /* its index; SERVE_NOT_GIVEN */
	uint64_t max_upload, timeout_ns;
	uint32_t window_max, transfers_max, request_rate;
	struct cli_list refuse;
};

#define SERVE_NOT_GIVEN UINT32_MAX /* of a choice */

struct serve {
	struct cli_common common;
	unsigned model; /* its index; SERVE_NOT_GIVEN */
	uint32_t workers, connections_max, per_source_max, source_ipv4_prefix, source_ipv6_prefix,
	    backlog, answers_per_s, ready_given;
	int ready_fd; /* -1 none */
	uint64_t idle_ns, time_ns, grace_ns;
	const char *user;
	bool show_messages, foreground, list;
	unsigned log_form;
	struct serve_tftp tftp;
	struct sockeye_builtin_config config; /* the options of the built-in services */
	struct log log;
	struct sockeye__site_request sites[SERVE_SITES_MAX];
	size_t site_count;
	bool named; /* false: no operands, all built-in services are served */
};

/* An option that has no effect unless the command line asks for one of `needs`,
 * bits that mean what the table's owner wants. 0: it never has one, which is an
 * error; all others are warnings. */
struct serve_effect {
	const char *option; /* NULL ends a table */
	unsigned needs;
	const char *why;
};

/* A service that moves its own bytes and so is not a built-in one. */
struct serve_feature {
	const struct sockeye_service *service; /* its name, summary and port */
	const struct cli_option *options;
	const struct serve_effect *effects;
	unsigned (*has)(const struct serve *s); /* the bits for `effects` */
	/* Whatever the command line asks for instead of serving. CLI_GO: nothing, or
	 * the exit code. */
	int (*query)(const struct serve *s);
	/* Whether an operand after the service's name can be its address. CLI_GO, or
	 * the exit code after a line that says how to write it. */
	int (*address_check)(const struct serve *s, const char *operand);
	/* Opens what its sites need. CLI_GO or the exit code. */
	int (*open)(struct serve *s);
};

extern const struct cli_option serve_options[];

/* --- serve_services.c: all that can be served --- */

/* Ended by NULL. A new feature is a row there. */
extern const struct serve_feature *const serve_features[];

/* The feature of that service; NULL for a built-in one. */
const struct serve_feature *serve_feature_of(const struct sockeye_service *service);
/* Whether one of the sites is this service's. */
bool serve_has(const struct serve *s, const struct sockeye_service *service);
/* The service of that name, or NULL. */
const struct sockeye_service *serve_service_find(const char *name);
/* Calls it for each, the built-in services first. */
void serve_services_each(const struct serve *s,
			 void (*call)(const struct serve *s,
				      const struct sockeye_service *service));

/* For serve_command: table 0 is the built-in services', then one for each feature. */
const struct cli_option *serve_service_table(size_t i);
/* The built-in service that a row of table 0 is from, and its own row there; NULL
 * for rows of other tables. */
const struct sockeye_service *serve_option_service(const struct cli_option *row,
						   const struct sockeye_option **out_option);

/* --- serve_sites.c --- */

/* Reads the operands into s->sites. Returns CLI_GO, or the exit code after a line
 * that says what is wrong. */
int serve_sites_read(struct serve *s, const struct cli_operands *operands);

/* The .operand of serve_command: services, then schemes. */
const char *serve_operand(size_t i);

/* The .guess of serve_command. */
const char *serve_translate(struct suggestion *line);

/* --- serve_effects.c --- */

/* Warns of options that have no effect on what is served. CLI_GO, or the exit
 * code after a line about one that can only be a mistake. */
int serve_effects_check(const struct serve *s);

/* --- serve_tftp.c, serve_tftp_names.c --- */

extern const struct serve_feature serve_tftp;

/* What the options of tftp say. CLI_GO, or the exit code. */
int serve_tftp_terms(const struct serve *s, struct sockeye__tftp_terms *out);
struct sockeye__tftp_name_rules serve_tftp_names(const struct serve_tftp *t);

/* --map-test: what the rules make of a name. The exit code. */
int serve_tftp_map_test(const struct serve *s);

#endif
