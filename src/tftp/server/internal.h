/*
 * internal.h: what the files of the TFTP server share.
 *
 * server.c    open and close; the service's row
 * worker.c    the loop of one worker: its sockets, signals, timers
 * request.c   from a request to a transfer, or to an ERROR
 * transfer.c   a transfer's life
 * ports.c     the sockets of transfers
 * peers.c     the transfers of a worker: found by their peers, and in rows
 * slots.c     how many transfers and requests there may be
 * admit.c     which transfer is dropped when there is no slot for a new one
 * sandbox.c   what a worker may still touch
 */
#ifndef SOCKEYE_TFTP_SERVER_INTERNAL_H
#define SOCKEYE_TFTP_SERVER_INTERNAL_H

#include "base/siphash.h"
#include "serve/crew.h"
#include "serve/rates.h"
#include "serve/sources.h"
#include "serve/timers.h"
#include "files/atomic_file.h"
#include "tftp/server/map.h"
#include "tftp/server/server.h"
#include "tftp/sink.h"

/* X(name, kind, text): see serve/counters.h. */
#define SOCKEYE__TFTP_SERVER_COUNTERS(X) \
	X(transfers, COUNTER, "TFTP transfers begun") \
	X(transfers_open, GAUGE, "TFTP transfers that run now") \
	X(transfers_done, COUNTER, "TFTP transfers finished") \
	X(transfers_failed, COUNTER, "TFTP transfers not finished") \
	X(transfers_probed, COUNTER, \
	  "TFTP transfers ended by a client that wanted to know the size") \
	X(requests_refused, COUNTER, "TFTP requests answered with an ERROR") \
	X(blocks_resent, COUNTER, "TFTP blocks sent again, or received twice")

struct sockeye__tftp_server_counters {
	SOCKEYE__TFTP_SERVER_COUNTERS(SOCKEYE__COUNTER_FIELD)
};

struct sockeye__tftp_shared { /* by all workers */
	uint32_t transfers;
	uint32_t of_worker[SOCKEYE__WORKERS_MAX]; /* to give back when one dies */
};

struct sockeye__tftp_server {
	struct sockeye__tftp_server_config config;
	struct sockeye__tftp_store store;
	struct sockeye__tftp_map *map;
	struct sockeye__tftp_rules *policy;
	struct sockeye__sources *sources;
	struct sockeye__rates *rates;
	struct sockeye__crew_spec crew;
	struct sockeye__tftp_shared *shared;
};

/* What epoll tells of: the first member of what it is about. */
enum sockeye__tftp_watch {
	SOCKEYE__WATCH_STOP,
	SOCKEYE__WATCH_SIGNALS,
	SOCKEYE__WATCH_SITE,
	SOCKEYE__WATCH_PORT,
	SOCKEYE__WATCH_STRANGERS, /* at a transfer's port */
	SOCKEYE__WATCH_TIMER,
};

struct sockeye__tftp_site {
	enum sockeye__tftp_watch watch;
	int fd;
	struct sockeye_sockaddr name;
};

/* A socket for transfers, one after the other. */
struct sockeye__tftp_port {
	enum sockeye__tftp_watch watch;
	enum sockeye__tftp_watch watch_strangers;
	int fd;                              /* -1 once it is closed */
	int strangers;                       /* for their packets, once fd is connected; -1 none */
	struct sockeye__tftp_transfer *user; /* whose it is now */
	struct sockeye__peer local, peer;    /* the last one's */
	uint64_t served;                     /* the ports of that peer's host, as a set */
	uint64_t idle_ns;                    /* since when it is nobody's */
	struct sockeye__tftp_port *prev, *next;
};

struct sockeye__tftp_upload { /* what only these have */
	struct sockeye__atomic_file file;
	struct sockeye__tftp_sink sink;
	uint8_t *memory;
	size_t memory_len;
	bool committed;
};

/* Transfers that can go when their place is needed, the oldest first. */
struct sockeye__tftp_row {
	struct sockeye__tftp_transfer *first, *last;
};

/* The life of a transfer, in this order; the second and third may be left out. */
enum sockeye__tftp_phase {
	/* The client's address may be forged. The transfer is in the row of the
	 * unconfirmed ones and holds a slot of its source's request rate. */
	SOCKEYE__TFTP_UNCONFIRMED,
	SOCKEYE__TFTP_CONFIRMED,
	/* An upload that is done and reported. It only repeats its last ACK
	 * (RFC 1350 6), in the row of those that do. */
	SOCKEYE__TFTP_DALLYING,
	/* Reported, and out of all lists but that of the dead. The memory is freed
	 * after the batch of events, which may still refer to it. */
	SOCKEYE__TFTP_CLOSED,
};

struct sockeye__tftp_transfer {
	enum sockeye__tftp_phase phase;
	struct sockeye__tftp_port *port; /* NULL: it uses its site's socket */
	bool fragments_allowed;          /* its socket follows the path's MTU */
	bool connect_tried;              /* its socket is connected, if that was possible */
	struct sockeye__timer timer;
	struct sockeye__tftp machine;
	struct sockeye__tftp_wire wire;
	struct sockeye__tftp_source source; /* of a download */
	struct sockeye__tftp_open_files *files;
	struct sockeye__tftp_open_file *file;
	struct sockeye__tftp_upload *upload;
	struct sockeye__tftp_transfer *next; /* of the same bucket, or to be freed */
	struct sockeye__tftp_row *row;       /* it stands in; NULL none */
	struct sockeye__tftp_transfer *row_prev, *row_next;
	struct sockeye__tftp_site *site;
	uint64_t begun_ns;
	const char *text; /* how it ended, where the machine does not know; NULL */
	int err;
	bool netascii;
	uint16_t request_len, name_at; /* in bytes[]: the request, then the file's name */
	uint8_t bytes[];
};

struct sockeye__tftp_worker {
	struct sockeye__worker *base;
	struct sockeye__tftp_server *server;
	struct sockeye__tftp_server_counters *counters; /* w->counters has the general ones */
	int epoll, signals, timer_fd;
	enum sockeye__tftp_watch watch_stop, watch_signals, watch_timer;
	uint64_t timer_ns; /* when timer_fd fires; 0 never */
	uint64_t stop_ns;  /* when transfers that still run are ended; 0 not yet known */
	bool stopping;
	bool retiring; /* a worker that can reach the new root folder shall come */
	uint64_t now_ns;
	uint64_t seed;
	struct sockeye__hash_key key; /* peers cannot choose ports that share a bucket */
	uint32_t count;               /* transfers here */
	uint64_t upload_bytes;        /* memory of uploads, bounded */
	uint64_t text_bytes;          /* and of texts that are converted */
	struct sockeye__timers timers;
	struct sockeye__tftp_transfer **buckets;
	struct sockeye__tftp_transfer *dead;
	struct sockeye__tftp_row unconfirmed; /* whose peers may not exist */
	struct sockeye__tftp_row dallying;    /* uploads that only repeat an ACK */
	struct {
		struct sockeye__tftp_port *first, *last;
		unsigned count;
	} idle; /* ports */
	struct sockeye__tftp_port *closed;
	struct sockeye__tftp_site *sites;
	size_t site_count;
	struct sockeye__tftp_inbox inbox; /* of the sites */
	uint8_t in[SOCKEYE__TFTP_WIRE_BYTES];
	uint8_t out[SOCKEYE__TFTP_WIRE_BYTES];
};

/* How a transfer ends whose peer went on to the next. */
#define SOCKEYE__TFTP_SUPERSEDED "the client began another one"

/* --- server.c --- */

/* Replaces the rules by what their files say now; on failure the old ones stay.
 * 0, or a negative code with *fail. */
int sockeye__tftp_server_rules_read(struct sockeye__tftp_server *server, struct sockeye_fail *fail);

/* --- worker.c --- */

/* Serves until the server stops and the last transfer has ended. */
void sockeye__tftp_worker_run(struct sockeye__worker *worker, struct sockeye__tftp_server *server);

/* --- request.c --- */
void sockeye__tftp_request(struct sockeye__tftp_worker *w, struct sockeye__tftp_site *site,
			   const struct sockeye_dgram *from, const uint8_t *bytes, size_t len);

/* --- transfer.c --- */

/* Takes over what is open in `t`; the first packets leave. */
void sockeye__tftp_transfer_begin(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
				  const struct sockeye__tftp_config *config);
void sockeye__tftp_transfer_datagram(struct sockeye__tftp_worker *w,
				     struct sockeye__tftp_transfer *t, const uint8_t *bytes,
				     size_t len, size_t segment);
/* Its own socket is readable, or has an error. */
void sockeye__tftp_transfer_ready(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
void sockeye__tftp_transfer_timer(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
/* ICMP said that nobody is there. */
void sockeye__tftp_transfer_refused(struct sockeye__tftp_worker *w,
				    struct sockeye__tftp_transfer *t, int err);
/* Ends it with an ERROR: the server stops. */
void sockeye__tftp_transfer_stop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
/* Ends it without a word to the peer. */
void sockeye__tftp_transfer_drop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
				 const char *text);
/* Closes what a transfer has open; it need not have begun. */
void sockeye__tftp_transfer_free(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);

/* --- ports.c --- */

/* A socket on an unguessable port of `local` for packets of `peer`: 0 or -errno. */
int sockeye__tftp_port_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *local,
			    const struct sockeye_sockaddr *peer, struct sockeye__tftp_port **out);
/* Its user needs it no more; `as_new`: nothing was done to its socket. */
void sockeye__tftp_port_leave(struct sockeye__tftp_worker *w, struct sockeye__tftp_port *p,
			      bool as_new);
/* Something came to it that is for nobody. */
void sockeye__tftp_port_strangers(struct sockeye__tftp_worker *w,
				  const struct sockeye__tftp_port *p);
/* When the next one has been idle for too long; 0 never. */
uint64_t sockeye__tftp_ports_due_ns(const struct sockeye__tftp_worker *w);
/* Closes those, all when the server stops; behind each batch of events. */
void sockeye__tftp_ports_tidy(struct sockeye__tftp_worker *w);
/* Asserts that the lists of ports are consistent. */
void sockeye__tftp_ports_check(const struct sockeye__tftp_worker *w);

/* --- peers.c --- */
int sockeye__tftp_peers_open(struct sockeye__tftp_worker *w);
/* Of several the latest, of which at most one is not confirmed. */
struct sockeye__tftp_transfer *sockeye__tftp_peers_find(const struct sockeye__tftp_worker *w,
							const struct sockeye_sockaddr *peer);
/* The next one of the same peer; NULL none. */
struct sockeye__tftp_transfer *sockeye__tftp_peers_next(const struct sockeye__tftp_transfer *t);
void sockeye__tftp_peers_add(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
void sockeye__tftp_peers_remove(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
/* Calls it for each transfer, which it may end. */
void sockeye__tftp_peers_each(struct sockeye__tftp_worker *w,
			      void (*call)(struct sockeye__tftp_worker *w,
					   struct sockeye__tftp_transfer *t));

/* Puts it last in a row; the one it stood in before, if any, it leaves. */
void sockeye__tftp_row_join(struct sockeye__tftp_row *row, struct sockeye__tftp_transfer *t);
void sockeye__tftp_row_leave(struct sockeye__tftp_transfer *t);

/* Asserts that buckets, rows, counts and the phases of the transfers agree. */
void sockeye__tftp_peers_check(const struct sockeye__tftp_worker *w);

/* --- slots.c --- */

/* Takes a slot among the transfers of all workers, and one of the source's. 0,
 * -ENOSPC (all are taken), or -EDQUOT (all of this source are). */
int sockeye__tftp_slot_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);
void sockeye__tftp_slot_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);

/* Counts one more request of an unconfirmed source: false over its rate. */
bool sockeye__tftp_rate_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);
void sockeye__tftp_rate_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);

/* Whether the limits of one source count both addresses together. */
bool sockeye__tftp_same_source(const struct sockeye__tftp_worker *w,
			       const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b);

/* Asserts that the slots of this worker are those of its transfers. */
void sockeye__tftp_slots_check(const struct sockeye__tftp_worker *w);

/* --- admit.c --- */

/* Takes a slot for a new transfer; false when there is none. When all are taken,
 * drops a transfer that only repeats its last ACK, or the oldest unconfirmed one. */
bool sockeye__tftp_admit(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);

/* --- sandbox.c --- */

/* From now on this process may touch nothing of the file system but the root
 * folder and the rules' folders (landlock(7)). 0, or -errno where the kernel
 * cannot. */
int sockeye__tftp_sandbox(const struct sockeye__tftp_server *server);

#endif
