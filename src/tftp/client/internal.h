/*
 * internal.h: private to the files of the TFTP client.
 *
 * client.c     the loop that runs all jobs
 * transfer.c   the life of one run
 * send.c       the packets that a run sends, and to which address
 * receive.c    the packets that a run receives
 * request.c    the request of a run: address, options, socket
 * wait.c       repeats requests to a server that cannot be reached yet
 * notes.c      reports the events of a run
 * outcome.c    reports how a run ended
 */
#ifndef SOCKEYE_TFTP_CLIENT_INTERNAL_H
#define SOCKEYE_TFTP_CLIENT_INTERNAL_H

#include <poll.h>

#include "tftp/client/client.h"
#include "tftp/client/local_file.h"

#define SOCKEYE__TFTP_REQUEST_MAX 512 /* RFC 2347 */

enum { SOCKEYE__RUN_NET, SOCKEYE__RUN_LOCAL, SOCKEYE__RUN_FDS };

/* The life of a run, in this order. Asking another address, or the same one again or
 * without options, goes back to SOCKEYE__RUN_ASKING. */
enum sockeye__tftp_run_phase {
	SOCKEYE__RUN_IDLE,         /* no request has been sent */
	SOCKEYE__RUN_WAITING,      /* the next request is sent at `next_ns`: no address can be
				    * reached, or the server has to end the first transfer */
	SOCKEYE__RUN_ASKING,       /* the server's port is not known yet */
	SOCKEYE__RUN_TRANSFERRING, /* the first reply has shown the port (RFC 1350, section 4) */
	SOCKEYE__RUN_DALLYING,     /* `end` is filled in; only the last ACK is repeated */
	SOCKEYE__RUN_OVER,         /* `end` is filled in; nothing more happens */
};

/* A running job. */
struct sockeye__tftp_run {
	const struct sockeye__tftp_client *client;
	const struct sockeye__tftp_job *job;
	enum sockeye__tftp_run_phase phase;
	uint8_t *buf, *scratch; /* SOCKEYE__TFTP_WIRE_BYTES each, shared by all runs */

	size_t name;               /* index of the server's address in job->names */
	struct sockeye_fail first; /* the failure to report: prefers addresses that this host
				    * can reach, then the first */
	bool may_start;            /* an address failed like that of a starting server */
	bool no_wait;              /* the same server did not reply while an earlier job waited */
	uint64_t wait_until_ns;    /* from then on, network errors are final; 0 before the
				    * first request */
	unsigned requests;         /* sent */
	bool without_options;      /* after the server refused a request with options */
	uint16_t lost_blksize;     /* blocks of this size did not arrive, so blocks of 512 bytes
				    * were requested; 0: this has not happened */
	uint64_t next_ns;          /* when to try the next address if the current one is
				    * silent or, while waiting, all addresses again */
	struct sockeye__tftp_wire wire;
	struct sockeye__tftp_options asked;
	uint8_t request[SOCKEYE__TFTP_REQUEST_MAX];
	struct sockeye__tftp machine;
	uint8_t *memory;
	bool port_closed;                 /* ICMP reported the server's port as closed */
	unsigned strangers;               /* packets of other peers */
	struct sockeye_sockaddr stranger; /* the peer that sent the first of them */

	struct sockeye__tftp_local_file file;
	struct sockeye__tftp_source source;
	struct sockeye__tftp_sink sink;
	bool source_open;
	bool blocked; /* the output stream is full: nothing is read from the network */
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

/* Whether the server's port is known. */
static inline bool sockeye__tftp_run_knows_port(const struct sockeye__tftp_run *r)
{
	return r->phase >= SOCKEYE__RUN_TRANSFERRING;
}

static inline bool sockeye__tftp_run_is_over(const struct sockeye__tftp_run *r)
{
	return r->phase == SOCKEYE__RUN_OVER;
}

/* Whether a request was sent, and the run is not over. */
static inline bool sockeye__tftp_run_is_live(const struct sockeye__tftp_run *r)
{
	return r->phase >= SOCKEYE__RUN_ASKING && !sockeye__tftp_run_is_over(r);
}

/* --- transfer.c --- */

/* Begins a run, in which the caller has set client, job, buf and scratch, and zeroed
 * the rest. The run may be over on return. */
void sockeye__tftp_run_begin(struct sockeye__tftp_run *r, uint64_t now_ns);
/* Fills in SOCKEYE__RUN_FDS entries for poll(2). */
void sockeye__tftp_run_watch(const struct sockeye__tftp_run *r, struct pollfd *fds);
/* Returns when a turn is due without an event; 0: never. */
uint64_t sockeye__tftp_run_deadline(const struct sockeye__tftp_run *r);
/* Handles the events that poll(2) reported, and the deadline. */
void sockeye__tftp_run_turn(struct sockeye__tftp_run *r, const struct pollfd *fds, uint64_t now_ns);
/* Ends the run as interrupted. */
void sockeye__tftp_run_stop(struct sockeye__tftp_run *r, uint64_t now_ns);
void sockeye__tftp_run_close(struct sockeye__tftp_run *r);

/* --- send.c --- */

/* Sends a request to the current address or, if that fails, to the next one. */
void sockeye__tftp_run_request(struct sockeye__tftp_run *r, uint64_t now_ns);
/* Tries the next address if the current one does not reply, or waits after the last one.
 * Returns false if it is too early for that, or if no attempt remains. */
bool sockeye__tftp_run_try_next(struct sockeye__tftp_run *r, uint64_t now_ns);
/* Begins to request blocks of 512 bytes if the path seems to drop larger ones. Returns false if
 * it does not. */
bool sockeye__tftp_run_ask_smaller(struct sockeye__tftp_run *r, uint64_t now_ns);
/* Sends all packets that are due. */
void sockeye__tftp_run_send(struct sockeye__tftp_run *r, uint64_t now_ns);
/* Ends the transfer with an ERROR to the server, if a request was sent. */
void sockeye__tftp_run_give_up(struct sockeye__tftp_run *r, uint16_t code, const char *text,
			       uint64_t now_ns);
/* Handles an error of the local file, which ends the run. */
void sockeye__tftp_run_local_failed(struct sockeye__tftp_run *r, const char *op, int err,
				    uint64_t now_ns);
/* Handles a network error. Once the server has answered, only a closed port
 * is final (RFC 1122, section 4.2.3.9). */
void sockeye__tftp_run_net_failed(struct sockeye__tftp_run *r, int err, uint64_t now_ns);

/* --- receive.c --- */

/* Handles the packets and ICMP errors in the socket's queues. */
void sockeye__tftp_run_receive(struct sockeye__tftp_run *r);

/* --- request.c --- */

/* Opens a socket for the current address and prepares the request. Returns 0, or
 * -errno with *fail filled in. */
int sockeye__tftp_run_ask(struct sockeye__tftp_run *r, uint64_t now_ns, struct sockeye_fail *fail);
/* Closes the socket, if there is one. */
void sockeye__tftp_run_hang_up(struct sockeye__tftp_run *r);

/* --- wait.c --- */

/* Records when the first request is sent. */
void sockeye__tftp_run_wait_begin(struct sockeye__tftp_run *r, uint64_t now_ns);
/* Records why the current address failed. */
void sockeye__tftp_run_address_failed(struct sockeye__tftp_run *r, const struct sockeye_fail *fail);
/* Called after all addresses have failed. Begins to wait if the server may be starting.
 * Returns false if the failure is final. */
bool sockeye__tftp_run_wait(struct sockeye__tftp_run *r, uint64_t now_ns);
/* Returns to the first address, to try all of them again. */
void sockeye__tftp_run_ask_again(struct sockeye__tftp_run *r, uint64_t now_ns);
/* Returns when the wait for a host that was unreachable ends without a reply; 0: never. */
uint64_t sockeye__tftp_run_wait_end(const struct sockeye__tftp_run *r);
/* Whether the host was unreachable, and the current request is so young that the kernel may
 * still be looking for the host. */
bool sockeye__tftp_run_is_unreachable(const struct sockeye__tftp_run *r, uint64_t now_ns);

/* --- notes.c --- */

/* The first returns how many bytes of the file have been transferred, the second the size
 * of the file, or 0 if the size is unknown. */
uint64_t sockeye__tftp_run_bytes(const struct sockeye__tftp_run *r);
uint64_t sockeye__tftp_run_size(const struct sockeye__tftp_run *r);

/* Reports an event. `got` is the server's reply, NULL for other events. */
void sockeye__tftp_run_note(const struct sockeye__tftp_run *r, enum sockeye__tftp_note_kind kind,
			    const struct sockeye_sockaddr *peer,
			    const struct sockeye__tftp_got *got);

/* Reports timeouts and gaps that were counted since `before`. */
void sockeye__tftp_run_note_news(const struct sockeye__tftp_run *r,
				 const struct sockeye__tftp_counters *before);
/* Reports that the current address failed with `err`. */
void sockeye__tftp_run_note_next(const struct sockeye__tftp_run *r, int err);
/* Reports that blocks of 512 bytes are requested instead of larger ones. */
void sockeye__tftp_run_note_smaller(const struct sockeye__tftp_run *r);
/* Reports the failure because of which the run waits, and for how long it waits. */
void sockeye__tftp_run_note_wait(const struct sockeye__tftp_run *r, uint64_t wait_ns);

/* --- outcome.c --- */

/* Ends the run with an error. If `op` is NULL, the error names the job's operation; if
 * `address` is NULL or "", the job's address. */
void sockeye__tftp_run_fail(struct sockeye__tftp_run *r, const char *op, const char *address,
			    int err, const char *detail, uint64_t now_ns);

/* Fills in *out from the last network error, which must exist. */
void sockeye__tftp_run_trouble(const struct sockeye__tftp_run *r, struct sockeye_fail *out);

/* Ends the run with the error of the previous request. */
void sockeye__tftp_run_unreachable(struct sockeye__tftp_run *r, uint64_t now_ns);

/* Ends the run if the machine has a result. */
void sockeye__tftp_run_finish(struct sockeye__tftp_run *r, uint64_t now_ns);

#endif
