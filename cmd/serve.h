/* serve.h: what the files of sockeye serve share. */
#ifndef SOCKEYE_CMD_SERVE_H
#define SOCKEYE_CMD_SERVE_H

#include "cli/cli.h"
#include "serve_log.h"

#include <sockeye/serve.h>

#include "tftp/server/server.h"

#define SERVE_SITES_MAX 128
#define SERVE_NOT_GIVEN UINT32_MAX /* of a choice */

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

struct serve {
	struct cli_common common;
	unsigned model; /* its index; SERVE_NOT_GIVEN */
	uint32_t workers, connections_max, per_source_max, backlog, answers_per_s, ready_given;
	int ready_fd; /* -1 none */
	uint64_t idle_ns, time_ns, grace_ns;
	const char *user, *text;
	bool show_messages, foreground, list, once;
	unsigned log_form;
	unsigned daytime; /* its index; SERVE_NOT_GIVEN */
	uint32_t length;
	struct serve_tftp tftp;
	struct sockeye_builtin_config config;
	struct log log;
	struct sockeye_site sites[SERVE_SITES_MAX];
	size_t site_count;
	bool named; /* some service was asked for, not all that there are */
};

extern const struct cli_option serve_options[];
extern const struct cli_option serve_tftp_options[];

/* Warns of options that do nothing for what is served. CLI_GO, or the exit code
 * behind a line about one that can only be a mistake. */
int serve_effects_check(const struct serve *s);

/* The service of that name: a built-in one, or tftp; NULL. */
const struct sockeye_service *serve_service_find(const char *name);

/* What the options of tftp say. CLI_GO, or the exit code. */
int serve_tftp_terms(const struct serve *s, struct sockeye__tftp_terms *out);
struct sockeye__tftp_name_rules serve_tftp_names(const struct serve_tftp *t);

/* --map-test: what the rules make of a name. The exit code. */
int serve_tftp_map_test(const struct serve *s);

/* Opens the root folder for the sites that are tftp's. CLI_GO or the exit code. */
int serve_tftp_open(struct serve *s);

#endif
