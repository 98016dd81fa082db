/*
 * internal.h: what the files of the load generator share. bench.c is the loop,
 * open.c opens and closes connections, stream.c and dgram.c exchange messages,
 * reply.c recognizes replies, count.c counts messages, pattern.c makes their bytes.
 */
#ifndef SOCKEYE_BENCH_INTERNAL_H
#define SOCKEYE_BENCH_INTERNAL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "bench/bench.h"

#define SOCKEYE__BENCH_VARIETY      4096        /* different messages of one size */
#define SOCKEYE__BENCH_BATCH        64          /* datagrams received or sent in one call */
#define SOCKEYE__BENCH_DGRAM_BYTES  65536       /* room for a datagram */
#define SOCKEYE__BENCH_STREAM_BYTES (256 << 10) /* read from a stream in one call */

enum sockeye__bench_phase {
	SOCKEYE__BENCH_OPENING,
	SOCKEYE__BENCH_WARMUP,
	SOCKEYE__BENCH_MEASURE,
	SOCKEYE__BENCH_DRAIN, /* begin no message; wait for the replies in flight */
	SOCKEYE__BENCH_OVER,
};

/* A message in flight: message n is in slot n % in_flight of its connection. */
struct sockeye__bench_slot {
	uint64_t begun_ns;  /* 0: free */
	uint64_t due_ns;    /* when its latency begins: with a rate, its time in the schedule */
	uint64_t number;    /* of the datagram that is in flight, or is sent next */
	uint32_t next_free; /* datagrams: the next free slot; UINT32_MAX: none */
};

enum sockeye__bench_life {
	SOCKEYE__BENCH_CLOSED, /* not opened yet, or with churn to be opened again */
	SOCKEYE__BENCH_CONNECTING,
	SOCKEYE__BENCH_CONNECTED,
	SOCKEYE__BENCH_FAILED, /* closed, and not opened again */
};

struct sockeye__bench_conn {
	enum sockeye__bench_life life;
	int fd; /* -1 unless connecting or connected */
	uint32_t index;
	uint32_t watched;                  /* epoll(7) bits */
	uint32_t first_free;               /* datagrams: the first free slot; UINT32_MAX: none */
	uint64_t begun, answered;          /* messages */
	size_t sent;                       /* bytes of the message begun last */
	size_t received;                   /* bytes of the reply to the oldest message in flight */
	bool retrying;                     /* has failed, and got no reply since (keep_going) */
	uint8_t *reply;                    /* REGEX: these bytes; NULL until there are some */
	uint64_t opened_ns;                /* when connecting began */
	uint64_t moved_ns;                 /* when bytes were last sent or received */
	struct sockeye__bench_slot *slots; /* in_flight of them */
};

struct sockeye__bench_run {
	struct sockeye__bench_opts opts;
	const struct sockeye_addr *addr;
	const struct sockeye_sockaddr *name, *names_end; /* name: the address in use */
	struct sockeye__bench_result *result;
	struct sockeye_fail *fail;
	int err; /* the first failure */
	bool stream;
	bool any_reply; /* at least one reply has arrived */
	enum sockeye__bench_phase phase;
	int epoll;
	uint64_t now_ns, start_ns, end_ns, next_tick_ns;
	uint64_t start_cpu_ns;
	uint64_t to_begin;           /* with opts.count: messages still to be begun */
	uint64_t schedule_ns;        /* with opts.rate: when the first message is due */
	uint64_t scheduled;          /* messages begun since then */
	uint32_t next_conn;          /* with opts.rate: whose turn it is */
	uint32_t retries_left;       /* of failed connections, until the next tick */
	uint64_t reply_ns;           /* when the last reply arrived */
	uint64_t down_since_ns;      /* 0: the server replies */
	int down_err;                /* why the server does not reply */
	bool no_port;                /* connect(2) found no local port */
	uint64_t in_flight;          /* messages, on all connections */
	uint32_t usable;             /* connections that have not failed */
	uint32_t opened, connecting; /* connections, in the opening phase */
	struct sockeye__bench_conn *conns;
	struct sockeye__bench_slot *slots;
	uint8_t *sent, *expected; /* every message and every reply is a piece of these */
	uint8_t *room;            /* for the bytes received */
	struct mmsghdr inbox[SOCKEYE__BENCH_BATCH]; /* datagrams are received into pieces of room */
	struct iovec rooms[SOCKEYE__BENCH_BATCH];
};

/* --- count.c --- */

/* Begins a message in *slot. Returns false if none may be begun now. */
bool sockeye__bench_begin(struct sockeye__bench_run *run, struct sockeye__bench_slot *slot);

/* Reverses sockeye__bench_begin: the message could not be sent. */
void sockeye__bench_begin_undo(struct sockeye__bench_run *run, struct sockeye__bench_slot *slot);

/* Returns when the next message is due; 0 without opts.rate. */
uint64_t sockeye__bench_due_ns(const struct sockeye__bench_run *run);

/* Records that the message got a wrong reply. */
void sockeye__bench_wronged(struct sockeye__bench_run *run, const struct sockeye__bench_slot *slot);
/* Records that the message will get no reply. */
void sockeye__bench_lost(struct sockeye__bench_run *run, const struct sockeye__bench_slot *slot);

/* Records that the reply to the message has arrived. */
void sockeye__bench_answered(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			     const struct sockeye__bench_slot *slot);

/* At the end of measuring: counts messages that were due but not begun as lost. */
void sockeye__bench_unsent(struct sockeye__bench_run *run);
/* At an interruption: records the time so far as the latency of each message in flight. */
void sockeye__bench_unfinished(struct sockeye__bench_run *run);

/* Records that the server does not reply, because of err. */
void sockeye__bench_down(struct sockeye__bench_run *run, int err);
/* At the end of measuring: counts the downtime of a server that does not reply. */
void sockeye__bench_down_end(struct sockeye__bench_run *run);

/* Counts the failure of a connection and closes the connection, which may be opened again
 * only with churn or keep_going. */
void sockeye__bench_broke(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			  int err);

/* Counts a wrong reply to message `number`. From byte `at` on, the reply is got[0..len). */
void sockeye__bench_mismatch(struct sockeye__bench_run *run, const struct sockeye__bench_conn *conn,
			     uint64_t number, size_t at, const uint8_t *got, size_t len);

/* Counts a failure by its kind. */
void sockeye__bench_error_count(struct sockeye__bench_run *run, int err);

/* Records what failed, and how, if it is the first failure of the run. */
void sockeye__bench_blame(struct sockeye__bench_run *run, const char *op, int err);

/* --- open.c --- */

/* Raises the limit on open files to what `connections` need. Returns 0, or
 * -EMFILE with the numbers in the detail of *fail. */
int sockeye__bench_limit(uint32_t connections, struct sockeye_fail *fail);

/* Begins to connect. Returns 0 with the connection connecting or connected, or a
 * negative code with it closed. */
int sockeye__bench_open(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* Called when a connecting descriptor is writable. Returns 0 if it is connected, or
 * -errno. */
int sockeye__bench_connected(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

void sockeye__bench_close(struct sockeye__bench_conn *conn, bool reset);

/* Makes epoll report these events. */
void sockeye__bench_watch(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			  uint32_t events);

/* With keep_going: opens a failed connection again. */
void sockeye__bench_reopen(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* --- stream.c and dgram.c --- */

/* Begins and sends as many messages as may be in flight. */
void sockeye__bench_stream_pump(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);
void sockeye__bench_dgram_pump(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* With churn: closes the connection and opens it again for the next message. */
void sockeye__bench_stream_renew(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* Handles the events that epoll reports. */
void sockeye__bench_stream_turn(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
				uint32_t events);
void sockeye__bench_dgram_turn(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			       uint32_t events);

void sockeye__bench_dgram_init(struct sockeye__bench_run *run);
/* Makes all slots free. */
void sockeye__bench_slots_init(const struct sockeye__bench_run *run,
			       struct sockeye__bench_conn *conn);

/* Counts the datagrams whose reply is overdue as lost. */
void sockeye__bench_dgram_expire(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* --- pattern.c --- */

/* Whether the messages differ. */
static inline bool sockeye__bench_varies(const struct sockeye__bench_run *run)
{
	return run->opts.send == NULL && run->opts.expect <= SOCKEYE__BENCH_UPPER;
}

/* Fills run->sent, of opts.size + SOCKEYE__BENCH_VARIETY bytes, and run->expected, of
 * opts.reply_len + SOCKEYE__BENCH_VARIETY bytes. */
void sockeye__bench_pattern(struct sockeye__bench_run *run);

/* Returns where in run->sent and run->expected message `number` of connection
 * `index` begins. */
size_t sockeye__bench_offset(const struct sockeye__bench_run *run, uint32_t index, uint64_t number);

/* --- reply.c --- */

enum sockeye__bench_reply {
	SOCKEYE__BENCH_REPLY_WRONG, /* *out_n: index of the first wrong byte of data */
	SOCKEYE__BENCH_REPLY_PART,  /* *out_n: bytes of data that belong to the reply */
	SOCKEYE__BENCH_REPLY_WHOLE,
};

/* Takes bytes of a stream, len > 0, as a part of the reply to message conn->answered. */
enum sockeye__bench_reply sockeye__bench_reply_part(struct sockeye__bench_run *run,
						    struct sockeye__bench_conn *conn,
						    const uint8_t *data, size_t len, size_t *out_n);

/* Compares a datagram, whose first `head` bytes are right, with the reply to message
 * `number` of the connection: WRONG or WHOLE. */
enum sockeye__bench_reply sockeye__bench_reply_datagram(const struct sockeye__bench_run *run,
							const struct sockeye__bench_conn *conn,
							uint64_t number, size_t head,
							const uint8_t *data, size_t len,
							size_t *out_n);

/* --- pattern.c --- */

/* Returns the index of the first byte that differs, or len. */
size_t sockeye__bench_differs(const uint8_t *got, const uint8_t *expected, size_t len);

/* A datagram begins with its number in eight bytes. None of them is ASCII, so
 * the upper service does not change them. */
#define SOCKEYE__BENCH_NUMBER_BYTES 8
void sockeye__bench_number_put(uint8_t bytes[SOCKEYE__BENCH_NUMBER_BYTES], uint64_t number);
uint64_t sockeye__bench_number_get(const uint8_t bytes[SOCKEYE__BENCH_NUMBER_BYTES]);

#endif
