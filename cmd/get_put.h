/* get_put.h: the options, the list of files and the messages of get and put. */
#ifndef SOCKEYE_CMD_GET_PUT_H
#define SOCKEYE_CMD_GET_PUT_H

#include <sockeye/addr.h>

#include "cli/cli.h"
#include "cli/progress.h"
#include "tftp/client/client.h"

struct transfer_opts {
	struct cli_common common;
	uint32_t parallel, window, retries;
	uint64_t timeout_ns, wait_ns, deadline_ns, size_max;
	const char *blksize, *bind, *ports;
	bool netascii, no_options, no_wait, any_source, ipv4, ipv6;
};

#define TRANSFER_RETRIES_UNSET UINT32_MAX
#define TRANSFER_WAIT_UNSET    UINT64_MAX
#define TRANSFER_DEFAULTS \
	{ \
		.parallel = 1, .retries = TRANSFER_RETRIES_UNSET, .wait_ns = TRANSFER_WAIT_UNSET \
	}

/* The .operand of get and put. */
const char *transfers_operand(size_t i);

/* The .more_options of get and put. */
extern const struct cli_option transfer_options[];

#define FILE_EXAMPLE "pxelinux.0" /* a file name for examples in messages */

/* A file to transfer. */
struct transfer {
	struct sockeye_addr addr;
	char address[SOCKEYE_ADDR_TEXT_MAX]; /* as the user wrote it, with the file's name */
	char path[4096];                     /* local path; "" for standard input and output */
};

struct transfers {
	const struct transfer_opts *o;
	const struct cli_command *command;
	enum sockeye__tftp_way way;
	const struct cli_operands *addresses; /* operands that must all be addresses, or NULL */
	struct transfer *list;
	struct sockeye__tftp_job *jobs; /* in the same order, without hosts that do not resolve */
	size_t count, job_count;
	size_t *job_of; /* jobs[i] transfers list[job_of[i]] */
	struct sockeye__tftp_client client;
	struct progress progress;
	const struct transfer *waited; /* the last file for which a wait was reported */
	int code;                      /* exit code of the first failure */
};

/* Options of other TFTP clients: the .aliases of get and put. */
extern const struct cli_alias transfer_aliases[];

/* Checks the options and allocates `count` files. Returns CLI_GO or the exit code. */
int transfers_open(struct transfers *t, const struct transfer_opts *o,
		   const struct cli_command *command, enum sockeye__tftp_way way, size_t count);

/* Parses the address of a file and adds it. Returns CLI_GO or the exit code. */
int transfers_add(struct transfers *t, const char *url, struct transfer **out);

/* Reports a word that is not a TFTP address and returns 2. */
int transfers_address_wrong(const struct transfers *t, const char *url,
			    const struct sockeye_fail *fail);

/* Returns the error of a transfer, with the option that avoids it. */
struct sockeye_fail transfers_fail(const struct sockeye__tftp_end *end);

/* Resolves all hosts and reports failures. Afterwards t->client handles signals. */
void transfers_resolve(struct transfers *t);

/* Prints an event of the transfer: a wait, or any event with -v. */
void transfers_note(struct transfers *t, const struct transfer *file,
		    const struct sockeye__tftp_note *note);

/* Resolves the hosts, transfers the files and prints the results. Returns the exit code. */
int transfers_run(struct transfers *t);
void transfers_close(struct transfers *t);

#endif
