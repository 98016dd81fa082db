/*
 * internal.h: private to the files of the TFTP server.
 *
 * server.c     opens and closes the server
 * rules.c      reads the rules for names and clients, and hands them to the workers
 * root.c       opens the root again when it was replaced
 * root_check.c checks that the workers' user may use the root
 * worker.c     the loop of one worker: its sockets, signals, timers
 * handover.c   a newer worker takes over the sites
 * request.c    turns a request into a transfer or an ERROR
 * budget.c     limits the time that the rules for names take
 * upload.c     opens the file of an upload
 * reply.c      the socket that answers a request, and ERRORs
 * drops.c      reports requests that get no reply
 * again.c      requests of a peer that has a transfer
 * transfer.c   the life of a transfer
 * report.c     counts and reports transfers that have ended
 * total.c      limit on the bytes of all uploads
 * claims.c     names that clients are uploading
 * committer.c  threads that commit complete uploads
 * cause.c      why a client became silent
 * ports.c      the sockets of transfers
 * peers.c      the transfers of a worker, by peer and in rows
 * slots.c      limits on transfers and requests
 * admit.c      which transfer is dropped under pressure
 * room.c       makes room for transfers of other workers
 */
#ifndef SOCKEYE_TFTP_SERVER_INTERNAL_H
#define SOCKEYE_TFTP_SERVER_INTERNAL_H

#include "base/siphash.h"
#include "serve/crew.h"
#include "serve/rates.h"
#include "serve/sources.h"
#include "serve/timers.h"
#include "files/atomic_file.h"
#include "tftp/server/claims.h"
#include "tftp/server/committer.h"
#include "tftp/server/lookup.h"
#include "tftp/server/room.h"
#include "tftp/server/server.h"
#include "tftp/sink.h"

/* X(name, kind, text): see serve/counters.h. */
#define SOCKEYE__TFTP_SERVER_COUNTERS(X) \
	X(transfers, COUNTER, "TFTP transfers started") \
	X(transfers_open, GAUGE, "TFTP transfers in progress") \
	X(transfers_done, COUNTER, "TFTP transfers completed") \
	X(transfers_failed, COUNTER, "TFTP transfers that failed") \
	X(transfers_probed, COUNTER, "TFTP transfers that a client ended after learning the size") \
	X(requests_refused, COUNTER, "TFTP requests answered with an ERROR") \
	X(blocks_resent, COUNTER, "TFTP blocks sent or received more than once")

struct sockeye__tftp_server_counters {
	SOCKEYE__TFTP_SERVER_COUNTERS(SOCKEYE__COUNTER_FIELD)
};

/* Memory shared by all workers. */
struct sockeye__tftp_shared {
	uint32_t of_seat[SOCKEYE__SEATS_MAX]; /* transfers */
	uint64_t committed_bytes;             /* of uploads, see total.c */
	uint64_t received_bytes[SOCKEYE__SEATS_MAX];
	uint32_t room_made;  /* transfers that were dropped for other workers */
	uint32_t seats_used; /* of the following; never reduced */
	struct sockeye__tftp_seat seats[SOCKEYE__SEATS_MAX];
};

struct sockeye__tftp_server {
	struct sockeye__tftp_server_config config;
	struct sockeye__tftp_store store;
	struct sockeye__tftp_map *map;
	struct sockeye__tftp_rules *policy;
	struct sockeye__tftp_rules_text *rules_text;
	struct sockeye__sources *sources;
	struct sockeye__rates *rates;
	struct sockeye__tftp_claims *claims; /* NULL without uploads */
	struct sockeye__crew_spec crew;
	struct sockeye__tftp_shared *shared;
	int room_fd;    /* an eventfd that wakes all workers (room.h) */
	bool root_seen; /* the supervisor may open the path of the root */
	int root_err;   /* the last failure to open it again that was reported; 0: none */
};

/* What an epoll event is about. The event's data.ptr points to a value of this enum. */
enum sockeye__tftp_watch {
	SOCKEYE__WATCH_STOP,
	SOCKEYE__WATCH_SIGNALS,
	SOCKEYE__WATCH_LINK,
	SOCKEYE__WATCH_OLDER, /* an older worker has ended */
	SOCKEYE__WATCH_SITE,
	SOCKEYE__WATCH_PORT,
	SOCKEYE__WATCH_STRANGERS, /* the second socket of a transfer's port */
	SOCKEYE__WATCH_TIMER,
	SOCKEYE__WATCH_ROOM,
	SOCKEYE__WATCH_COMMITS, /* uploads were committed */
};

struct sockeye__tftp_site {
	enum sockeye__tftp_watch watch;
	int fd;
	struct sockeye_sockaddr name;
};

/* The socket of a transfer. */
struct sockeye__tftp_port {
	enum sockeye__tftp_watch watch;
	enum sockeye__tftp_watch watch_strangers;
	int fd;                              /* -1 once it is closed */
	int strangers;                       /* receives packets of other peers once fd is
					      * connected; -1: none */
	struct sockeye__tftp_transfer *user; /* NULL before the transfer begins and after it ends */
	struct sockeye__tftp_port *next;     /* in the list of closed ports */
};

enum sockeye__tftp_upload_state {
	SOCKEYE__TFTP_RECEIVING,
	SOCKEYE__TFTP_COMPLETE, /* all bytes are written to the file, which has no name yet */
	SOCKEYE__TFTP_COMMITTED,
};

/* The state that only uploads need. */
struct sockeye__tftp_upload {
	enum sockeye__tftp_upload_state state;
	struct sockeye__atomic_file file;
	bool claimed;                     /* its first data has arrived */
	struct sockeye__tftp_claim claim; /* until the file is committed */
	struct sockeye__tftp_commit commit;
	struct sockeye__tftp_transfer *transfer;
	uint64_t commit_ns; /* when the commit began; then how long it took */
	struct sockeye__tftp_sink sink;
	uint8_t *memory;
	size_t memory_len;
	uint64_t room_at;  /* the length of the file at which the free space is checked again */
	uint64_t replaced; /* bytes of the file that it replaces */
	uint64_t counted;  /* bytes that it has added to the total (total.c) */
	bool counted_committed; /* they are in committed_bytes, not in received_bytes */
	bool over_total;        /* it has ended because the total was reached */
	bool abandoned;         /* dropped while it was stored: sends no last ACK */
	bool in_place;          /* the file is not atomic: its directory is not writable */
};

/* Transfers that may be dropped at a limit, the oldest first. */
struct sockeye__tftp_row {
	struct sockeye__tftp_transfer *first, *last;
};

/* The phases of a transfer, in this order. A transfer may skip all but the first and the
 * last. */
enum sockeye__tftp_phase {
	/* The client's address may be forged. The transfer is in the row `unconfirmed`. */
	SOCKEYE__TFTP_UNCONFIRMED,
	/* The client has answered. The transfer is in the row `moving` or `slow`. */
	SOCKEYE__TFTP_CONFIRMED,
	/* A complete upload, whose file belongs to the committer. The transfer is in no row,
	 * sends nothing and ignores all packets. Then it is CONFIRMED again, until its last ACK
	 * or an ERROR is sent. */
	SOCKEYE__TFTP_STORING,
	/* An upload that is done and reported, and only repeats its last ACK
	 * (RFC 1350, section 6). The transfer is in the row `dallying`. */
	SOCKEYE__TFTP_DALLYING,
	/* The transfer is reported, and in no list except `dead`. Its memory is freed
	 * after the batch of events, which may still refer to it. */
	SOCKEYE__TFTP_CLOSED,
};

struct sockeye__tftp_transfer {
	enum sockeye__tftp_phase phase;
	struct sockeye__tftp_port *port; /* NULL: it uses its site's socket */
	bool token;                      /* it holds a token of its source's request rate */
	bool fragments_allowed;          /* the socket may send IP fragments */
	bool connect_tried;              /* whether connect(2) succeeded is in wire.connected */
	struct sockeye__timer timer;
	struct sockeye__tftp machine;
	struct sockeye__tftp_wire wire;
	struct sockeye__tftp_source source; /* of a download */
	struct sockeye__tftp_open_files *files;
	struct sockeye__tftp_open_file *file;
	struct sockeye__tftp_upload *upload;
	struct sockeye__tftp_transfer *next; /* in its bucket, or in `dead` */
	struct sockeye__tftp_row *row;       /* NULL: in no row */
	struct sockeye__tftp_transfer *row_prev, *row_next;
	uint64_t row_ns;       /* when it was last moved to the end of its row */
	uint64_t minute_ns;    /* when the current minute of its life began */
	uint64_t minute_bytes; /* bytes that it had moved at minute_ns */
	bool slow;             /* it moved less than 1 KiB/s in the previous minute */
	struct sockeye__tftp_site *site;
	uint64_t begun_ns;
	const char *text; /* how it ended; NULL: use the machine's result */
	int err;
	bool netascii;
	uint16_t request_len, name_at; /* in bytes[]: the request, then the file's name */
	uint8_t bytes[];
};

/* Why a request gets no reply. */
enum sockeye__tftp_drop {
	SOCKEYE__TFTP_DROP_RATE,
	SOCKEYE__TFTP_DROP_BROADCAST,
	SOCKEYE__TFTP_DROPS,
};

struct sockeye__tftp_dropped {
	uint64_t count; /* requests dropped since the last log line */
	uint64_t logged_ns;
	struct sockeye_sockaddr peer; /* of the last dropped request */
};

/* The time that the rules for names may take. */
struct sockeye__tftp_budget {
	struct sockeye__tftp_map_watch watch;
	uint64_t wall_ns, cpu_ns; /* when the current request began */
	uint64_t filled_ns;       /* when left_ns was last refilled */
	int64_t left_ns;          /* time left for all requests; negative if they used more */
};

struct sockeye__tftp_worker {
	struct sockeye__worker *base;
	struct sockeye__tftp_server *server;
	struct sockeye__tftp_server_counters *counters; /* base->counters has the general ones */
	int epoll, signals, timer_fd;
	enum sockeye__tftp_watch watch_stop, watch_signals, watch_link, watch_older, watch_timer,
	    watch_commits, watch_room;
	bool commits_aside; /* the committer is open */
	struct sockeye__tftp_committer committer;
	uint64_t timer_ns; /* when timer_fd fires; 0: never */
	uint64_t stop_ns;  /* when the remaining transfers are ended; 0: not stopping */
	bool stopping;
	bool retiring;     /* another worker serves the sites; exits after the last transfer */
	uint64_t asked_ns; /* when it asked about the root; 0: it waits for no answer */
	uint64_t stay_ns;  /* it does not ask again before this time */
	uint64_t now_ns;
	uint64_t seed;
	struct sockeye__hash_key key; /* secret: peers must not choose ports that share a bucket */
	uint32_t count;               /* transfers of this worker */
	uint64_t upload_bytes;        /* memory for blocks ahead of a gap */
	uint64_t text_bytes;          /* memory of netascii rings */
	struct sockeye__timers timers;
	struct sockeye__tftp_transfer **buckets;
	struct sockeye__tftp_transfer *dead;
	struct sockeye__tftp_row unconfirmed;
	struct sockeye__tftp_row dallying;
	struct sockeye__tftp_row moving, slow; /* confirmed transfers, the longest silent first */
	struct sockeye__tftp_port *closed;
	struct sockeye__tftp_site *sites;
	size_t site_count;
	struct sockeye__tftp_dropped dropped[SOCKEYE__TFTP_DROPS];
	struct sockeye__tftp_budget budget;
	struct sockeye__tftp_room room;
	struct sockeye__tftp_neighbors *neighbors; /* NULL: not needed */
	struct sockeye__tftp_inbox inbox;          /* for packets that sites receive */
	uint8_t in[SOCKEYE__TFTP_WIRE_BYTES];
	uint8_t out[SOCKEYE__TFTP_WIRE_BYTES];
};

/* The reason that is logged for a transfer whose peer began another one. */
#define SOCKEYE__TFTP_SUPERSEDED "the client began another transfer"
/* The reason that is logged for a transfer that was dropped at a limit. */
#define SOCKEYE__TFTP_MADE_ROOM "dropped to make room for another transfer"

/* --- rules.c --- */

/* Allocates the memory that hands the text of rules to workers. Returns 0 or -ENOMEM. */
int sockeye__tftp_rules_open(struct sockeye__tftp_server *server);
void sockeye__tftp_rules_close(struct sockeye__tftp_server *server);
/* In the supervisor: reads the files of rules. On failure, returns a negative code with *fail
 * filled in, and the old rules stay in force. */
int sockeye__tftp_rules_read(struct sockeye__tftp_server *server, struct sockeye_fail *fail);
/* In a worker: makes the shared text read-only. */
void sockeye__tftp_rules_protect(const struct sockeye__tftp_server *server);
/* In a worker: uses the rules that the supervisor has read last. On failure, returns -errno,
 * and the old rules stay in force. -EAGAIN: the supervisor is changing the text, and will
 * signal again. */
int sockeye__tftp_rules_take(struct sockeye__tftp_server *server);

/* --- worker.c --- */

/* Serves until the server stops and the last transfer has ended. */
void sockeye__tftp_worker_run(struct sockeye__worker *worker, struct sockeye__tftp_server *server);

/* --- request.c --- */

/* Handles a packet that belongs to no transfer, or a request: answers requests and ignores
 * other packets. */
void sockeye__tftp_request(struct sockeye__tftp_worker *w, struct sockeye__tftp_site *site,
			   const struct sockeye_dgram *from, const uint8_t *bytes, size_t len);

/* --- upload.c --- */

/* Opens the file that a client wants to upload. `size` is the announced size or NULL. Returns
 * 0 or -errno, among others -EALREADY if another client uploads the file, and -EOVERFLOW if
 * the size exceeds the total of all uploads. */
int sockeye__tftp_upload_open(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
			      const struct sockeye_sockaddr *client, const char *name,
			      const uint64_t *size);
/* Claims the file for a client that has sent its first data, so that no other client uploads
 * it meanwhile. Returns 0 or -errno, among others -EALREADY if another client uploads it. */
int sockeye__tftp_upload_claim(const struct sockeye__tftp_worker *w,
			       struct sockeye__tftp_transfer *t);
/* Allocates memory for blocks ahead of a gap. Without it the client must send such blocks
 * again. */
void sockeye__tftp_upload_memory(struct sockeye__tftp_worker *w, struct sockeye__tftp_upload *u,
				 struct sockeye__tftp_config *config);

/* --- again.c --- */

/* Handles packets that the peer sent before its request. */
void sockeye__tftp_catch_up(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);
/* Returns true if the request repeats that of the peer's transfer, which then answers it.
 * Otherwise the request begins a new transfer. */
bool sockeye__tftp_is_duplicate(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer,
				const uint8_t *bytes, size_t len);

/* --- budget.c --- */

/* Begins to measure the time that the rules take for a request. Returns the watch to apply
 * the rules with. */
const struct sockeye__tftp_map_watch *sockeye__tftp_budget_begin(struct sockeye__tftp_budget *b);
void sockeye__tftp_budget_end(struct sockeye__tftp_budget *b);

/* --- reply.c --- */

/* Fills in *out with the socket that answers a request: a new port on the address that
 * received it or, in single-port mode, the site's socket (*out_port is NULL). Returns 0 or
 * -errno. */
int sockeye__tftp_reply_open(struct sockeye__tftp_worker *w, const struct sockeye__tftp_site *site,
			     const struct sockeye_dgram *from, struct sockeye__tftp_wire *out,
			     struct sockeye__tftp_port **out_port);
/* Answers a request of request_len bytes with an ERROR. If the source exceeds its rate,
 * cuts the text so that the ERROR is no longer than the request. */
void sockeye__tftp_reply_error(struct sockeye__tftp_worker *w,
			       const struct sockeye__tftp_site *site,
			       const struct sockeye_dgram *from, size_t request_len, uint16_t code,
			       const char *text);

/* --- drops.c --- */

/* Records a request that gets no reply, and logs it now or within a second. */
void sockeye__tftp_drop(struct sockeye__tftp_worker *w, enum sockeye__tftp_drop reason,
			const struct sockeye_sockaddr *peer);
/* Returns when the next log line is due, or 0 if none is. */
uint64_t sockeye__tftp_drops_due_ns(const struct sockeye__tftp_worker *w);
/* Logs the lines that are due. */
void sockeye__tftp_drops_report(struct sockeye__tftp_worker *w);

/* --- report.c --- */

/* Counts a transfer that has ended, and reports it. `got`: the datagram that ended it, or NULL. */
void sockeye__tftp_transfer_report(const struct sockeye__tftp_worker *w,
				   const struct sockeye__tftp_transfer *t,
				   const struct sockeye__tftp_got *got);
/* Returns how many bytes of the file the receiver has. */
uint64_t sockeye__tftp_transfer_moved(const struct sockeye__tftp_transfer *t);

/* --- transfer.c --- */

/* Starts a transfer whose file and socket are open, and sends its first packets. */
void sockeye__tftp_transfer_begin(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
				  const struct sockeye__tftp_config *config);
/* Handles a datagram of the peer, or several of `segment` bytes each; the last may be
 * shorter. */
void sockeye__tftp_transfer_datagram(struct sockeye__tftp_worker *w,
				     struct sockeye__tftp_transfer *t, const uint8_t *bytes,
				     size_t len, size_t segment);
/* Handles packets and errors of the transfer's own socket. */
void sockeye__tftp_transfer_ready(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
/* Handles the transfer's timer. */
void sockeye__tftp_transfer_timer(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
/* Handles an error of sendmsg(2) or from ICMP. Ends the transfer unless a route is missing,
 * which may be temporary. */
void sockeye__tftp_transfer_refused(struct sockeye__tftp_worker *w,
				    struct sockeye__tftp_transfer *t, int err);
/* Continues the transfers whose files the committer has stored or could not store. */
void sockeye__tftp_transfers_committed(struct sockeye__tftp_worker *w);
/* Ends the transfer with an ERROR because the server is stopping, unless its file is being
 * stored. */
void sockeye__tftp_transfer_stop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
/* Ends the transfer without sending a packet. `text` is the reason for the log; NULL: the
 * machine's result. A transfer whose file is being stored ends when that is done. */
void sockeye__tftp_transfer_drop(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t,
				 const char *text);
/* Closes and frees a transfer, whether or not it has begun. */
void sockeye__tftp_transfer_free(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);

/* --- cause.c --- */

/* Whether this machine could not send the last packets. */
bool sockeye__tftp_cannot_send(const struct sockeye__tftp_transfer *t);
/* Whether blocks that the client did not acknowledge have probably not arrived. */
bool sockeye__tftp_undelivered(const struct sockeye__tftp_transfer *t);
/* Adds the cause of the client's silence to the report, if it is known. The text is in `buf`. */
void sockeye__tftp_explain(const struct sockeye__tftp_transfer *t, struct sockeye__tftp_report *r,
			   char buf[SOCKEYE__TFTP_TROUBLE_TEXT_MAX]);

/* --- ports.c --- */

/* Opens a socket on a random port of `local`. Returns 0 or -errno. */
int sockeye__tftp_port_open(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *local,
			    struct sockeye__tftp_port **out);
/* Closes the port. Its memory is freed later: a batch of events may still refer to it. */
void sockeye__tftp_port_close(struct sockeye__tftp_worker *w, struct sockeye__tftp_port *p);
/* Receives and rejects a packet that is not from the transfer's peer, or arrived before the
 * transfer began. */
void sockeye__tftp_port_strangers(struct sockeye__tftp_worker *w,
				  const struct sockeye__tftp_port *p);
/* Frees closed ports. Call it after each batch of events. */
void sockeye__tftp_ports_free(struct sockeye__tftp_worker *w);
/* Asserts that the closed ports have no socket and no transfer. */
void sockeye__tftp_ports_check(const struct sockeye__tftp_worker *w);

/* --- peers.c --- */

/* Allocates the table. Returns 0 or -errno. */
int sockeye__tftp_peers_open(struct sockeye__tftp_worker *w);
/* Returns the latest transfer of a peer, or NULL. A peer may have an older one until the
 * latest is confirmed. */
struct sockeye__tftp_transfer *sockeye__tftp_peers_find(const struct sockeye__tftp_worker *w,
							const struct sockeye_sockaddr *peer);
/* Returns the next older transfer of the same peer, or NULL. */
struct sockeye__tftp_transfer *sockeye__tftp_peers_next(const struct sockeye__tftp_transfer *t);
void sockeye__tftp_peers_add(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
void sockeye__tftp_peers_remove(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);
/* Calls a function for each transfer. The function may end that transfer. */
void sockeye__tftp_peers_each(struct sockeye__tftp_worker *w,
			      void (*call)(struct sockeye__tftp_worker *w,
					   struct sockeye__tftp_transfer *t));

/* Moves a transfer to the end of a row. */
void sockeye__tftp_row_join(struct sockeye__tftp_row *row, struct sockeye__tftp_transfer *t);
void sockeye__tftp_row_leave(struct sockeye__tftp_transfer *t);

/* Asserts that buckets, rows, counts and the phases of the transfers agree. */
void sockeye__tftp_peers_check(const struct sockeye__tftp_worker *w);

/* --- slots.c --- */

/* Takes one of the server's slots and one of the source's. Returns 0, -EDQUOT if the source
 * has no free slot, or another negative errno if the server has none. */
int sockeye__tftp_slot_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);
void sockeye__tftp_slot_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);

/* Takes a token of the source's rate. Returns false if the source exceeds it. */
bool sockeye__tftp_rate_take(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);
void sockeye__tftp_rate_give(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer);

/* Whether both addresses belong to one source. */
bool sockeye__tftp_same_source(const struct sockeye__tftp_worker *w,
			       const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b);

/* Asserts that this worker holds one slot for each of its transfers. */
void sockeye__tftp_slots_check(const struct sockeye__tftp_worker *w);

/* --- total.c --- */

/* Returns 0 if an upload of this size is within the total of all uploads, or -EOVERFLOW. */
int sockeye__tftp_total_check(const struct sockeye__tftp_worker *w,
			      const struct sockeye__tftp_upload *u, uint64_t size);
/* Adds the bytes that were received to the total. Returns 0, or -EOVERFLOW if they exceed it. */
int sockeye__tftp_total_take(const struct sockeye__tftp_worker *w, struct sockeye__tftp_upload *u);
/* Called before a file is committed: if the worker dies now, its bytes stay in the total. */
void sockeye__tftp_total_commit(const struct sockeye__tftp_worker *w,
				struct sockeye__tftp_upload *u);
/* Called after that: subtracts the bytes by which it is shorter than the file it replaced. */
void sockeye__tftp_total_committed(const struct sockeye__tftp_worker *w,
				   struct sockeye__tftp_upload *u);
/* Subtracts the bytes of an upload that has failed. Does nothing after it was committed. */
void sockeye__tftp_total_give(const struct sockeye__tftp_worker *w, struct sockeye__tftp_upload *u);

/* --- admit.c --- */

/* Returns the transfer of this worker to drop first, with its rank: one that only repeats its
 * last ACK, otherwise the oldest unconfirmed one, otherwise one whose client has been silent
 * for 2 s (0.25 s if its answers may be forged), the longest silent first, otherwise one slower
 * than 1 KiB/s. In each of these groups, a transfer of the source of `peer` is first; with
 * `source_only`, those of other sources do not count. NULL: no transfer may be dropped. */
struct sockeye__tftp_transfer *sockeye__tftp_drop_candidate(const struct sockeye__tftp_worker *w,
							    const struct sockeye_sockaddr *peer,
							    bool source_only,
							    enum sockeye__tftp_rank *out_rank);
/* Returns when the longest silent client has stalled; 0: never. */
uint64_t sockeye__tftp_stalls_ns(const struct sockeye__tftp_worker *w);

/* Drops the transfer that is first in this order. Returns false if this worker has none, or if
 * another worker has one of a lower rank: the request is then held. */
bool sockeye__tftp_make_room(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer,
			     enum sockeye__tftp_scope scope);

/* Moves a confirmed transfer to the end of its row if its client has just made progress. */
void sockeye__tftp_rank(struct sockeye__tftp_worker *w, struct sockeye__tftp_transfer *t);

/* Takes a slot for a new transfer. If a limit is reached, drops another transfer first.
 * Returns the limit if no transfer can be dropped now, otherwise SOCKEYE__TFTP_LIMIT_NONE. */
enum sockeye__tftp_limit sockeye__tftp_admit(struct sockeye__tftp_worker *w,
					     const struct sockeye_sockaddr *peer);

#endif
