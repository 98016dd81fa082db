/* serve.h: shared by the files of sockeye serve. */
#ifndef SOCKEYE_CMD_SERVE_H
#define SOCKEYE_CMD_SERVE_H

#include "cli/cli.h"
#include "cli/inherited.h"
#include "serve_log.h"

#include <sockeye/serve.h>

#include "serve/crew.h"
#include "tftp/server/server.h"

#define SERVE_SITES_MAX 128

/* The options of the service tftp. */
struct serve_tftp {
	const char *root, *umask, *map, *map_test, *map_client, *policy, *blksize_max, *port_range;
	bool upload, overwrite, create; /* the last two imply upload */
	bool map_put;
	bool backslash, fold_case, strip_high;
	bool single_port, broadcast;
	unsigned unique_root; /* index of the choice, or SERVE_UNSET */
	unsigned links;       /* enum sockeye__links */
	bool no_sync;
	uint64_t max_upload, upload_total, reserve, timeout_ns, give_up_ns;
	uint32_t window_max, transfers_max, request_rate;
	struct cli_list refuse;
};

#define SERVE_UNSET UINT32_MAX /* a choice or number that is not on the command line */

struct serve {
	struct cli_common common;
	unsigned model; /* index of the choice, or SERVE_UNSET */
	uint32_t workers, connections_max, per_source_max, source_ipv4_prefix, source_ipv6_prefix,
	    backlog, answers_per_s, repeats_per_s, ready_number;
	int ready_fd; /* -1: none */
	uint64_t idle_ns, time_ns, grace_ns;
	const char *user;
	bool show_messages, foreground, list, check_sandbox;
	unsigned log_form, sandbox; /* indexes of choices */
	struct serve_tftp tftp;
	struct sockeye_builtin_config config; /* the options of the built-in services */
	struct log log;
	struct sockeye__site_request sites[SERVE_SITES_MAX];
	size_t site_count;
	bool has_operands; /* false: all built-in services are served */
};

struct serve_inherited {
	struct cli_inherited from;
	const struct sockeye_service *waiting[SERVE_SITES_MAX]; /* services without addresses */
	size_t waiting_count;
};

/* An option that has an effect only if something on the command line provides one of the
 * bits in `needs`. The owner of the table defines the bits. An option without an effect
 * causes a warning or, if `needs` is 0, an error. */
struct serve_effect {
	const char *option; /* NULL ends a table */
	unsigned needs;
	const char *why;
};

/* A service with its own event loop, unlike the built-in services. */
struct serve_feature {
	const struct sockeye_service *service; /* name, summary and port */
	const struct cli_option *options;
	const struct serve_effect *effects;
	unsigned (*has)(const struct serve *s); /* returns the bits for `effects` */
	/* Handles options that replace serving, such as --map-test. Returns the exit code,
	 * or CLI_GO if there is none. */
	int (*query)(struct serve *s);
	/* Checks an operand that follows the service's name. Returns CLI_GO if it may be an
	 * address, or the exit code after reporting what to write. */
	int (*address_check)(const struct serve *s, const char *operand);
	/* Opens the resources of the service's sites. Returns CLI_GO or the exit code. */
	int (*open)(struct serve *s);
};

extern const struct cli_option serve_options[];

/* --- serve_services.c --- */

/* The services with their own event loops, terminated by NULL. To add one, add a row. */
extern const struct serve_feature *const serve_features[];

/* Returns the row of the service, or NULL for a built-in service. */
const struct serve_feature *serve_feature_of(const struct sockeye_service *service);
/* Whether one of the sites serves this service. */
bool serve_has(const struct serve *s, const struct sockeye_service *service);
/* Returns the service of that name, or NULL. */
const struct sockeye_service *serve_service_find(const char *name);
/* Calls the function for every service, the built-in ones first. */
void serve_services_each(const struct serve *s,
			 void (*call)(const struct serve *s,
				      const struct sockeye_service *service));

/* The .table of serve_command: the options of the built-in services, then those of each
 * row of serve_features. */
const struct cli_option *serve_service_table(size_t i);
/* Stores UINT64_MAX for each SOCKEYE_OPTION_TIME of 0, after cli_parse(). */
void serve_service_times(struct serve *s);

/* Returns the built-in service that a row of table 0 belongs to and stores its option.
 * Returns NULL for rows of other tables. */
const struct sockeye_service *serve_option_service(const struct cli_option *row,
						   const struct sockeye_option **out_option);

/* --- serve_sites.c --- */

/* Parses the operands into s->sites. Returns CLI_GO, or the exit code after reporting what
 * is wrong. */
int serve_sites_read(struct serve *s, const struct cli_operands *operands);

/* Adds an address to serve. Returns CLI_GO or the exit code. */
int serve_site_add(struct serve *s, const struct sockeye_service *service, const char *address);

/* --- serve_inherited.c --- */

/* Gives each socket to the service that the socket's name denotes. Gives the other sockets
 * to the services without addresses, one each in their order, and the rest to the last of
 * these services. Returns CLI_GO or the exit code. */
int serve_inherited_share(struct serve *s, const struct serve_inherited *in);

/* Closes the sockets that no address on the command line names, with a warning. */
void serve_inherited_drop(const struct serve *s, const struct serve_inherited *in);

/* The .operand of serve_command: services, then schemes. */
const char *serve_operand(size_t i);

/* The .translate of serve_command: accepts --port and --host. */
const char *serve_translate(struct suggestion *line);

/* --- serve_check.c --- */

/* --check-sandbox: starts one worker of each kind with these options, and prints what it can
 * do in its sandbox. Returns the exit code. */
int serve_check(struct serve *s, struct sockeye_serve_opts *opts);

/* --- serve_effects.c --- */

/* Warns about options that have no effect on the services. Returns CLI_GO, or the exit
 * code after reporting an option that can only be a mistake. */
int serve_effects_check(const struct serve *s);

/* --- serve_tftp.c, serve_tftp_names.c --- */

extern const struct serve_feature serve_tftp;

/* Parse the options of tftp. serve_tftp_terms() returns CLI_GO or the exit code. */
int serve_tftp_terms(const struct serve *s, struct sockeye__tftp_terms *out);
struct sockeye__tftp_name_rules serve_tftp_names(const struct serve_tftp *t);
enum sockeye__tftp_unique_root serve_tftp_unique_root(const struct serve_tftp *t);

/* --map-test: prints how the rules change a name. Returns the exit code. */
int serve_tftp_map_test(struct serve *s);

#endif
