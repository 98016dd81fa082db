/* get_put.h: what get and put share: options, the list of files, the report. */
#ifndef SOCKEYE_CMD_GET_PUT_H
#define SOCKEYE_CMD_GET_PUT_H

#include <sockeye/addr.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "tftp/client/client.h"

struct transfer_opts {
	struct cli_common common;
	uint32_t parallel, window, retries;
	uint64_t timeout_ns;
	const char *blksize, *bind, *ports;
	bool netascii, no_options, any_source, ipv4, ipv6;
};

#define TRANSFER_RETRIES_NOT_GIVEN UINT32_MAX
#define TRANSFER_DEFAULTS \
	{ \
		.parallel = 1, .retries = TRANSFER_RETRIES_NOT_GIVEN \
	}

/* .operand of both: how an address begins. */
const char *transfers_operand(size_t i);

/* For more_options of both. */
extern const struct cli_option transfer_options[];

#define FILE_EXAMPLE "pxelinux.0" /* in messages: a file that a server may have */

/* One file. */
struct transfer {
	struct sockeye_addr addr;
	char address[SOCKEYE_ADDR_TEXT_MAX];
	char path[4096]; /* here; "" for standard input and output */
};

struct transfers {
	const struct transfer_opts *o;
	const struct cli_command *command;
	enum sockeye__tftp_way way;
	struct transfer *list;
	struct sockeye__tftp_job *jobs; /* of the same order; some may lack */
	size_t count, job_count;
	size_t *job_of; /* jobs[i] is list[job_of[i]] */
	struct sockeye__tftp_client client;
	struct progress progress;
	int code; /* of the first that failed */
};

/* Room for `count` files and what the options say: CLI_GO or the exit code. */
int transfers_open(struct transfers *t, const struct transfer_opts *o,
		   const struct cli_command *command, enum sockeye__tftp_way way, size_t count);

/* Reads the address of a file that is added: CLI_GO or the exit code. */
int transfers_add(struct transfers *t, const char *url, struct transfer **out);

/* Looks up where all of them are, and says so of those that are nowhere. From then
 * on signals are t->client's. */
void transfers_resolve(struct transfers *t);

/* Says with -v what happens. */
void transfers_note(struct transfers *t, const struct transfer *file,
		    const struct sockeye__tftp_note *note);

/* Looks all up, runs, reports: the exit code. */
int transfers_run(struct transfers *t);
void transfers_close(struct transfers *t);

#endif
