/*
 * client.h: TFTP files fetched and sent, many at once in one thread.
 */
#ifndef SOCKEYE_TFTP_CLIENT_CLIENT_H
#define SOCKEYE_TFTP_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>
#include <sockeye/sockaddr.h>

#include "proto/tftp_transfer.h"
#include "tftp/wire.h"

#define SOCKEYE__TFTP_NAMES_MAX    8 /* addresses of one server that are tried */
#define SOCKEYE__TFTP_PARALLEL_MAX 256
#define SOCKEYE__TFTP_TEXT_MAX     256 /* bytes kept of a server's ERROR */

enum sockeye__tftp_way {
	SOCKEYE__TFTP_GET,
	SOCKEYE__TFTP_PUT,
	SOCKEYE__TFTP_PROBE, /* a get that ends once the server has granted or not */
};

struct sockeye__tftp_job {
	enum sockeye__tftp_way way;
	const struct sockeye_addr *addr; /* of the file there */
	const char *address;             /* the same as text, for errors */
	const char *path;                /* of the file here; NULL: `fd` */
	int fd;
	struct sockeye__tftp_options ask; /* PROBE: exactly these */

	/* By sockeye__tftp_job_resolve. */
	struct sockeye_sockaddr names[SOCKEYE__TFTP_NAMES_MAX];
	size_t name_count;
	struct sockeye_sockaddr locals[SOCKEYE__TFTP_NAMES_MAX]; /* of --bind */
	size_t local_count;
};

/* How one has ended. */
struct sockeye__tftp_end {
	size_t job;
	struct sockeye_fail fail; /* err is 0 when all is well */
	bool answered;            /* by `peer` */
	struct sockeye_sockaddr peer;
	int code;        /* of an ERROR, either way; -1 none */
	bool peer_error; /* it was the server's, which said: */
	size_t text_len;
	uint8_t text[SOCKEYE__TFTP_TEXT_MAX]; /* a stranger's bytes */
	bool plain;                           /* it was asked again, without options */
	bool reader_left;                     /* nobody reads standard output any more */
	struct sockeye__tftp_options options; /* in force */
	uint16_t blksize, window;
	uint64_t bytes; /* of the file */
	uint64_t ns;
	struct sockeye__tftp_counters count;
};

struct sockeye__tftp_status {
	size_t ended, running; /* jobs */
	size_t first;          /* of those that run */
	uint64_t bytes;        /* of all files so far */
	uint64_t size;         /* of all that have begun; 0 when one is unknown */
	uint64_t now_ns;
};

/* What happens meanwhile, for who wants to see it. */
struct sockeye__tftp_note {
	enum sockeye__tftp_note_kind {
		SOCKEYE__TFTP_NOTE_ASK,      /* `peer` is sent the request with `options` */
		SOCKEYE__TFTP_NOTE_LEFT,     /* `peer` for the next address, `code` is -errno */
		SOCKEYE__TFTP_NOTE_ANSWER,   /* `peer` answers it: grants `options`, or `code` */
		SOCKEYE__TFTP_NOTE_TIMEOUT,  /* what was not answered is sent again */
		SOCKEYE__TFTP_NOTE_GAP,      /* what was lost is asked for, by either end */
		SOCKEYE__TFTP_NOTE_STRANGER, /* the first packet of another, `peer` */
	} kind;
	size_t job;
	const struct sockeye_sockaddr *peer;
	const struct sockeye__tftp_options *options;
	int code; /* of an ERROR, -1 none, with its text */
	struct sockeye__span text;
	uint64_t bytes; /* of the file so far */
};

/* Zero is the sensible default of all but stop_fd. */
struct sockeye__tftp_client {
	unsigned parallel; /* at once; 1 */
	uint16_t blksize;  /* what fits the path's MTU, within reason */
	bool blksize_mtu;  /* all that fits it */
	uint16_t window;   /* SOCKEYE__TFTP_CLIENT_WINDOW */
	bool no_options;
	bool any_source;     /* the answer may come from another address */
	uint64_t timeout_ns; /* the first repetition, also the server's; 1 s, or its own */
	uint32_t retries;    /* with has_retries: so many and it gives up; 30 s */
	bool has_retries;
	struct sockeye__port_range ports;
	int stop_fd; /* readable: end them all; -1 none */

	/* At most ten times a second. */
	void (*on_status)(void *arg, const struct sockeye__tftp_status *status);
	void (*on_note)(void *arg, const struct sockeye__tftp_note *note);
	/* Each job once. May be called before the last ACK was repeated often enough,
	 * but never before the file has its name. */
	void (*on_end)(void *arg, const struct sockeye__tftp_end *end);
	void *arg;
};

#define SOCKEYE__TFTP_CLIENT_WINDOW 32

/* Looks up where the job's server is, and the address to ask from. `before` may
 * have been resolved already: then another look-up of the same host is spared.
 * 0 or a negative code with *fail filled in. Blocks. */
int sockeye__tftp_job_resolve(struct sockeye__tftp_job *job, const struct sockeye__tftp_job *before,
			      struct sockeye_fail *fail);

/* Runs them all. 0 when each has come to its end, -EINTR when stop_fd ended some,
 * or -ENOMEM. */
int sockeye__tftp_client_run(const struct sockeye__tftp_client *client,
			     const struct sockeye__tftp_job *jobs, size_t count);

#endif
