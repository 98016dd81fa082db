/*
 * internal.h: what the files of the client share.
 *
 * client.c       the loop over all that run
 * transfer.c   one of them: packets and bytes
 * request.c   its request: which address, options, socket
 * notes.c  what is said of it meanwhile
 * outcome.c   what is said of it in the end
 */
#ifndef SOCKEYE_TFTP_CLIENT_INTERNAL_H
#define SOCKEYE_TFTP_CLIENT_INTERNAL_H

#include <poll.h>

#include "tftp/client/client.h"
#include "tftp/client/local_file.h"

#define SOCKEYE__TFTP_REQUEST_MAX 512 /* RFC 2347 */

enum { SOCKEYE__RUN_NET, SOCKEYE__RUN_LOCAL, SOCKEYE__RUN_FDS };

/* The life of a run, in this order. Asking another address, or the same one
 * without options, goes back to SOCKEYE__RUN_ASKING. */
enum sockeye__tftp_run_phase {
	SOCKEYE__RUN_IDLE,         /* no request has been sent */
	SOCKEYE__RUN_ASKING,       /* the server's port is not known yet */
	SOCKEYE__RUN_TRANSFERRING, /* its first answer named the port (RFC 1350 4) */
	SOCKEYE__RUN_DALLYING,     /* `end` is filled in; only the last ACK is repeated */
	SOCKEYE__RUN_OVER,         /* `end` is filled in; nothing more happens */
};

/* A job that runs. */
struct sockeye__tftp_run {
	const struct sockeye__tftp_client *client;
	const struct sockeye__tftp_job *job;
	enum sockeye__tftp_run_phase phase;
	uint8_t *buf, *scratch; /* SOCKEYE__TFTP_WIRE_BYTES each, shared by all runs */

	size_t name;               /* which of the server's addresses is asked */
	struct sockeye_fail first; /* what was wrong with the first of them */
	unsigned asked_times;
	bool without_options; /* after the server refused a request with options */
	uint64_t next_ns;     /* when the next address is asked, if this one is silent */
	struct sockeye__tftp_wire wire;
	struct sockeye__tftp_options asked;
	uint8_t request[SOCKEYE__TFTP_REQUEST_MAX];
	struct sockeye__tftp machine;
	uint8_t *memory;
	int soft_err;                     /* what ICMP reported that may pass; 0 none */
	bool port_closed;                 /* ICMP reported the server's port as closed */
	unsigned strangers;               /* packets of others */
	struct sockeye_sockaddr stranger; /* the first of them */

	struct sockeye__tftp_local_file file;
	struct sockeye__tftp_source source;
	struct sockeye__tftp_sink sink;
	bool source_open;
	bool blocked; /* a stream takes no more: the server has to wait */
	uint64_t begun_ns;
	struct sockeye__tftp_end end;
};

static inline bool sockeye__tftp_run_is_put(const struct sockeye__tftp_run *r)
{
	return r->job->way == SOCKEYE__TFTP_PUT;
}

/* Whether `end` is filled in. */
static inline bool sockeye__tftp_run_ended(const struct sockeye__tftp_run *r)
{
	return r->phase >= SOCKEYE__RUN_DALLYING;
}

/* --- transfer.c --- */

/* Zeroed but for the first four. It may be over at once. */
void sockeye__tftp_run_begin(struct sockeye__tftp_run *r, uint64_t now_ns);
void sockeye__tftp_run_watch(const struct sockeye__tftp_run *r, struct pollfd *fds);
uint64_t sockeye__tftp_run_deadline(const struct sockeye__tftp_run *r); /* 0: none */
void sockeye__tftp_run_turn(struct sockeye__tftp_run *r, const struct pollfd *fds, uint64_t now_ns);
void sockeye__tftp_run_stop(struct sockeye__tftp_run *r, uint64_t now_ns);
void sockeye__tftp_run_close(struct sockeye__tftp_run *r);

/* --- request.c --- */

/* Opens a socket for the address that is tried now and prepares the request. 0 or
 * -errno with *fail. */
int sockeye__tftp_run_ask(struct sockeye__tftp_run *r, uint64_t now_ns, struct sockeye_fail *fail);

/* --- notes.c --- */

/* Bytes of the file that have passed, and that there will be (0: unknown). */
uint64_t sockeye__tftp_run_bytes(const struct sockeye__tftp_run *r);
uint64_t sockeye__tftp_run_size(const struct sockeye__tftp_run *r);

/* `got` is what an answer brought, NULL for all else. */
void sockeye__tftp_run_note(const struct sockeye__tftp_run *r, enum sockeye__tftp_note_kind kind,
			    const struct sockeye_sockaddr *peer,
			    const struct sockeye__tftp_got *got);

/* What the counters have that they had not before. */
void sockeye__tftp_run_note_news(const struct sockeye__tftp_run *r,
				 const struct sockeye__tftp_counters *before);
void sockeye__tftp_run_note_left(const struct sockeye__tftp_run *r, int err);

/* --- outcome.c --- */

/* The end, for a reason of ours or of the network. NULL or "": the transfer's. */
void sockeye__tftp_run_fail(struct sockeye__tftp_run *r, const char *op, const char *address,
			    int err, const char *detail, uint64_t now_ns);

/* The end as the machine has it. */
void sockeye__tftp_run_finish(struct sockeye__tftp_run *r, uint64_t now_ns);

#endif
