/*
 * internal.h: what the files of the load generator share. bench.c runs,
 * open.c connects, stream.c and dgram.c exchange messages,
 * pattern.c makes them up.
 */
#ifndef SOCKEYE_BENCH_INTERNAL_H
#define SOCKEYE_BENCH_INTERNAL_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "bench/bench.h"

#define SOCKEYE__BENCH_VARIETY 4096        /* different messages of one size */
#define SOCKEYE__BENCH_BATCH   64          /* datagrams received or sent in one call */
#define SOCKEYE__BENCH_DGRAM   65536       /* room for one */
#define SOCKEYE__BENCH_STREAM  (256 << 10) /* room for what a stream brings in one call */

enum sockeye__bench_phase {
	SOCKEYE__BENCH_OPENING,
	SOCKEYE__BENCH_WARMUP,
	SOCKEYE__BENCH_MEASURE,
	SOCKEYE__BENCH_DRAIN, /* nothing new; what is in flight may come back */
	SOCKEYE__BENCH_OVER,
};

/* A message in flight. On a stream message n has slot n % in_flight; of a
 * datagram the sequence number says the slot. */
struct sockeye__bench_slot {
	uint64_t begun_ns; /* 0: free */
	uint64_t number;   /* of the datagram that was or will be sent */
	uint32_t next;     /* free list of a datagram connection; UINT32_MAX ends it */
};

struct sockeye__bench_conn {
	int fd;    /* -1 when closed */
	bool open; /* connected */
	bool gone; /* not to be opened again */
	uint32_t index;
	uint32_t watched;         /* epoll(7) bits */
	uint32_t free;            /* datagrams: the first free slot */
	uint64_t begun, answered; /* messages */
	size_t sent, got;         /* bytes of the last begun and of the next to be answered */
	uint64_t opened_ns;       /* when connecting began */
	uint64_t moved_ns;        /* when a byte last went or came */
	struct sockeye__bench_slot *slots; /* in_flight of them */
};

struct sockeye__bench_run {
	struct sockeye__bench_opts opts;
	const struct sockeye_addr *addr;
	const struct sockeye_sockaddr *name, *names_end; /* the one in use */
	struct sockeye__bench_result *result;
	struct sockeye_fail *fail;
	int err; /* the first thing that went wrong */
	bool stream;
	bool answered; /* something came back, ever */
	enum sockeye__bench_phase phase;
	int epoll;
	uint64_t now_ns, start_ns, end_ns, next_tick_ns;
	uint64_t start_cpu_ns;
	uint64_t tickets;            /* messages that may still be begun and count */
	uint64_t outstanding;        /* messages in flight */
	uint32_t alive;              /* connections that are not gone */
	uint32_t opened, connecting; /* while opening */
	struct sockeye__bench_conn *conns;
	struct sockeye__bench_slot *slots;
	uint8_t *sent, *expected;                   /* the pattern every message is a piece of */
	uint8_t *room;                              /* for what comes in */
	struct mmsghdr inbox[SOCKEYE__BENCH_BATCH]; /* datagrams: pieces of room */
	struct iovec rooms[SOCKEYE__BENCH_BATCH];
};

/* --- count.c --- */

/* Takes the right to begin one more message. */
bool sockeye__bench_begin(struct sockeye__bench_run *run);

/* Gives it back: the message could not be sent. */
void sockeye__bench_unbegin(struct sockeye__bench_run *run);

/* The message will have no answer. */
void sockeye__bench_unanswered(struct sockeye__bench_run *run);

/* One answer has come for the message begun at begun_ns. */
void sockeye__bench_answered(struct sockeye__bench_run *run, uint64_t begun_ns);

/* The connection failed: counted, closed, and opened again only with churn. */
void sockeye__bench_broke(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			  int err);

/* Counts a wrong answer to message `number`: byte `at` of it is `got`. */
void sockeye__bench_mismatch(struct sockeye__bench_run *run, const struct sockeye__bench_conn *conn,
			     uint64_t number, size_t at, const uint8_t *got, size_t len);

/* Counts a failure by its kind. */
void sockeye__bench_error_count(struct sockeye__bench_run *run, int err);

/* Records what failed, and how, if it is the first failure of the run. */
void sockeye__bench_blame(struct sockeye__bench_run *run, const char *op, int err);

/* --- open.c --- */

/* Raises the limit of open files to what `connections` need: 0, or -EMFILE
 * with the numbers in the detail of *fail. */
int sockeye__bench_limit(uint32_t connections, struct sockeye_fail *fail);

/* Begins to connect: 0 or a negative code. conn->open says whether it is over. */
int sockeye__bench_open(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* A connecting descriptor became writable: 0 and conn->open, or -errno. */
int sockeye__bench_connected(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

void sockeye__bench_close(struct sockeye__bench_conn *conn, bool reset);

/* Asks epoll for these events, if they are not those asked for already. */
void sockeye__bench_watch(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			  uint32_t events);

/* --- stream.c and dgram.c --- */

/* Begins what may be begun, when the connection is new or the phase is. */
void sockeye__bench_stream_pump(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);
void sockeye__bench_dgram_pump(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* With churn: closes the connection and opens it for its next message. */
void sockeye__bench_stream_renew(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* Does what epoll says can be done. */
void sockeye__bench_stream_turn(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
				uint32_t events);
void sockeye__bench_dgram_turn(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			       uint32_t events);

void sockeye__bench_dgram_init(struct sockeye__bench_run *run);

/* Counts the datagrams whose answer is overdue as lost. */
void sockeye__bench_dgram_expire(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn);

/* --- pattern.c --- */

/* Fills run->sent and run->expected, of opts.size + SOCKEYE__BENCH_VARIETY bytes
 * each. */
void sockeye__bench_pattern(struct sockeye__bench_run *run);

/* Where in the pattern message `number` of connection `index` begins. */
size_t sockeye__bench_offset(const struct sockeye__bench_run *run, uint32_t index, uint64_t number);

/* The first of len bytes that differs from what was expected, or len. */
size_t sockeye__bench_differs(const uint8_t *got, const uint8_t *expected, size_t len);

/* The number of a datagram as the eight bytes it begins with: none of them is
 * ASCII, so that upper leaves them alone. */
#define SOCKEYE__BENCH_NUMBER 8
void sockeye__bench_number_put(uint8_t bytes[SOCKEYE__BENCH_NUMBER], uint64_t number);
uint64_t sockeye__bench_number_get(const uint8_t bytes[SOCKEYE__BENCH_NUMBER]);

#endif
