/*
 * client.h: fetches and sends files by TFTP, many in parallel, in one thread.
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

#define SOCKEYE__TFTP_NAMES_MAX    8 /* addresses tried per server */
#define SOCKEYE__TFTP_PARALLEL_MAX 256
#define SOCKEYE__TFTP_TEXT_MAX     256 /* bytes kept of an ERROR's text */

enum sockeye__tftp_way {
	SOCKEYE__TFTP_GET,
	SOCKEYE__TFTP_PUT,
	SOCKEYE__TFTP_PROBE, /* a get that ends when the server has replied to the options */
};

struct sockeye__tftp_job {
	enum sockeye__tftp_way way;
	const struct sockeye_addr *addr; /* of the remote file */
	const char *address;             /* `addr` as text, for messages */
	const char *path;                /* of the local file; NULL: use `fd` */
	int fd;
	struct sockeye__tftp_options ask; /* PROBE: the options to request */

	/* Filled in by sockeye__tftp_job_resolve. */
	struct sockeye_sockaddr names[SOCKEYE__TFTP_NAMES_MAX];
	size_t name_count;
	struct sockeye_sockaddr locals[SOCKEYE__TFTP_NAMES_MAX]; /* to send from */
	size_t local_count;
};

/* The outcome of a job. */
struct sockeye__tftp_end {
	size_t job;
	struct sockeye_fail fail;             /* err is 0 on success */
	struct sockeye__tftp_trouble trouble; /* the last error before the server's silence */
	bool answered;                        /* `peer` replied */
	struct sockeye_sockaddr peer;
	bool other_source; /* timed out, but an address other than the server's replied */
	bool over_limit;   /* the file is larger than size_max */
	int waited_for;  /* the last error, -errno, after which the request was repeated; 0: none */
	int code;        /* of the ERROR that was sent or received; -1: none */
	bool peer_error; /* the server sent the ERROR, with `text` */
	size_t text_len;
	uint8_t text[SOCKEYE__TFTP_TEXT_MAX]; /* any bytes */
	bool without_options;                 /* the request was repeated without options */
	bool reader_left;                     /* the process that reads the output closed it */
	struct sockeye__tftp_options options; /* in force */
	uint16_t blksize, window;
	uint16_t lost_blksize; /* blocks of this size did not arrive, so the request was
				* repeated for blocks of 512 bytes; 0: no */
	uint64_t bytes;        /* of the file */
	uint64_t ns;
	struct sockeye__tftp_counters count;
};

struct sockeye__tftp_status {
	size_t ended, running; /* jobs */
	size_t first;          /* running job */
	uint64_t bytes;        /* of all files so far */
	uint64_t size;         /* of all files; 0 if one is unknown */
	uint64_t now_ns;
};

/* An event of a running job. */
struct sockeye__tftp_note {
	enum sockeye__tftp_note_kind {
		SOCKEYE__TFTP_NOTE_ASK,      /* a request with `options` is sent to `peer` */
		SOCKEYE__TFTP_NOTE_NEXT,     /* `peer` failed with -errno in `code`: the next
					      * address is tried */
		SOCKEYE__TFTP_NOTE_WAIT,     /* all addresses failed, with -errno in `code`:
					      * they are tried again for `wait_ns` */
		SOCKEYE__TFTP_NOTE_ANSWER,   /* `peer` granted `options` or sent ERROR `code` */
		SOCKEYE__TFTP_NOTE_SMALLER,  /* blocks of `blksize` bytes do not arrive: blocks
					      * of 512 bytes are requested */
		SOCKEYE__TFTP_NOTE_TIMEOUT,  /* a packet without an answer is sent again */
		SOCKEYE__TFTP_NOTE_GAP,      /* one end asks for a lost block */
		SOCKEYE__TFTP_NOTE_STRANGER, /* the first packet of another peer, `peer` */
	} kind;
	size_t job;
	const struct sockeye_sockaddr *peer;
	const struct sockeye__tftp_options *options;
	int code; /* of an ERROR with `text`, or see `kind`; -1: none */
	struct sockeye__span text;
	uint64_t bytes; /* of the file so far */
	uint64_t wait_ns;
	uint16_t blksize;
};

/* Every member except stop_fd may be zero, which selects its default. */
struct sockeye__tftp_client {
	unsigned parallel; /* jobs at a time; default 1 */
	uint16_t blksize;  /* default: fits the path's MTU, at most 16384 */
	bool blksize_mtu;  /* do not limit the default to 16384 */
	uint16_t window;   /* default SOCKEYE__TFTP_CLIENT_WINDOW */
	bool no_options;
	bool any_source;     /* accept a reply from any address */
	uint64_t timeout_ns; /* before the first retransmission; if given, also requested
			      * from the server; default 1 s */
	uint32_t retries;    /* with has_retries: give up after n retries; default: after 30 s */
	bool has_retries;
	/* How long network errors before the server's first reply are not final, because
	 * the server may be starting. Default SOCKEYE__TFTP_CLIENT_WAIT_NS. If given,
	 * requests to a server that does not reply are also repeated for this time. */
	uint64_t wait_ns;
	uint64_t size_max;                /* bytes of a file to fetch; default: no limit */
	bool no_wait;                     /* network errors are final */
	struct sockeye__port_range ports; /* local ports */
	int stop_fd;                      /* ends all jobs when readable; -1: none */

	/* Called at most ten times a second. */
	void (*on_status)(void *arg, const struct sockeye__tftp_status *status);
	void (*on_note)(void *arg, const struct sockeye__tftp_note *note);
	/* Called once per job when it has ended; a file that was received has its name
	 * then. The job may still repeat its last ACK afterwards. */
	void (*on_end)(void *arg, const struct sockeye__tftp_end *end);
	void *arg;
};

#define SOCKEYE__TFTP_CLIENT_WINDOW  32
#define SOCKEYE__TFTP_CLIENT_WAIT_NS UINT64_C(5000000000)

/* Looks up the addresses of the job's server and the local addresses to send from.
 * Copies the result of `before`, if that job has the same server. Returns 0, or a
 * negative code with *fail filled in. Blocks. */
int sockeye__tftp_job_resolve(struct sockeye__tftp_job *job, const struct sockeye__tftp_job *before,
			      struct sockeye_fail *fail);

/* Runs all jobs. Returns 0 if every job has ended, -EINTR if stop_fd ended some of
 * them, or another negative errno. */
int sockeye__tftp_client_run(const struct sockeye__tftp_client *client,
			     const struct sockeye__tftp_job *jobs, size_t count);

#endif
