/*
 * server.h: what the server models share.
 *
 * One process (supervise.c) binds, starts workers and waits. A worker is a
 * child process that runs one model's function. Everything a worker needs is
 * in struct sockeye__worker; what the processes have in common is in memory
 * they share (struct sockeye__shared).
 */
#ifndef SOCKEYE_SERVE_SERVER_H
#define SOCKEYE_SERVE_SERVER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <sockeye/serve.h>
#include <sockeye/service.h>
#include <sockeye/sockaddr.h>
#include <sockeye/stream.h>
#include <sockeye/time.h>

#define SOCKEYE__SITES_MAX   256 /* bound addresses of one server */
#define SOCKEYE__WORKERS_MAX 256
/* Of the model, of the resident service, and the answerers. */
#define SOCKEYE__PROCESSES_MAX (2 * SOCKEYE__WORKERS_MAX + SOCKEYE__SITES_MAX)
#define SOCKEYE__IO_BYTES      65536 /* bytes a model reads at once */
/* More than the longest record and UNIX datagram, unless somebody has raised
 * SO_SNDBUF, which bounds them. */
#define SOCKEYE__RECORD_BYTES SOCKEYE_INPUT_MAX
#define SOCKEYE__LAST_BATCHES 4096  /* of datagrams, still answered after a stop */
#define SOCKEYE__ROOM_BYTES   16384 /* room a model gives to fresh output */
#define SOCKEYE__GRACE_MS     10000 /* after a stop, unless the caller says so */
#define SOCKEYE__PAUSE_NS     (100 * SOCKEYE_NS_PER_MS) /* not accepting, after EMFILE */

/* One bound address. fds has one descriptor for every worker when each has a
 * SO_REUSEPORT socket of its own, else one for all. */
struct sockeye__site {
	const struct sockeye_service *service;
	const void *config;
	enum sockeye_scheme scheme;
	struct sockeye_listener listener; /* the first descriptor, and the name */
	bool stream;                      /* accepts connections (seqpacket too) */
	bool whole;                       /* connections that keep messages: seqpacket */
	size_t given;                     /* its place among the addresses of the caller */
	unsigned fd_count;
	int *fds;
};

struct sockeye__worker;
struct sockeye__sources; /* sources.c: connections by source address */

#define SOCKEYE__RATES 4096 /* sources that hash alike share a rate */

struct sockeye__shared {
	struct sockeye__sources *sources; /* NULL without per_source_max */
	uint64_t seed;                    /* nobody can choose sources that hash alike */
	uint64_t
	    rates[SOCKEYE__RATES]; /* sources.c: when a source will have its whole rate again */
	struct sockeye__worker_counters {
		struct sockeye_counters c;
	} __attribute__((aligned(64))) worker[]; /* no line is written by two workers */
};

struct sockeye__model {
	const char *name, *summary;
	unsigned workers;   /* 0: one per processor */
	bool own_sockets;   /* each worker gets SO_REUSEPORT sockets of its own */
	bool answerers;     /* datagram sockets get processes of their own, for a worker may
			     * be busy with a session for long */
	int (*probe)(void); /* can this machine? 0 or -errno; NULL: always */
	void (*run)(struct sockeye__worker *w); /* in the worker, until it has drained */
};

/* A service with a loop of its own gets processes of its own, whatever the
 * model of the others, each with a socket of each of its addresses. */
struct sockeye__resident {
	/* In the worker, until stop_rd says so and it has drained. SIGHUP is blocked
	 * there and means: read again what can be read again. */
	void (*run)(struct sockeye__worker *w, const void *config);
	/* In the supervisor, on SIGHUP: for workers that are started later. What is
	 * wrong is for a worker to report. May be NULL. */
	void (*reload)(const void *config);
	/* In the supervisor: a worker died; what it held is free. */
	void (*died)(const void *config, unsigned worker);
};

struct sockeye__server {
	const struct sockeye_serve_opts *opts;
	const struct sockeye__model *model;
	unsigned workers;
	unsigned answerers; /* processes beside them, one for each datagram site */
	unsigned residents; /* and those of the service that brings its loop */
	struct sockeye__site *sites;
	size_t site_count; /* that the model serves; */
	size_t all_count;  /* those of the resident service are behind them */
	struct sockeye__shared *shared;
	size_t shared_bytes;
	int stop_rd, stop_wr; /* a pipe: end of file on stop_rd means stop */
};

struct sockeye__worker {
	const struct sockeye__server *server;
	unsigned index;
	uint32_t conns_max; /* this worker's share of connections_max; UINT32_MAX none */
	uint32_t conns;     /* open now in this worker, where one thread counts them */
	uint64_t warned_ns; /* when a resource failure was last reported */
	struct sockeye_counters *counters;
};

/* serve.c: the descriptor of site i that this worker uses. */
int sockeye__site_fd(const struct sockeye__worker *w, size_t i);

/* The first worker of the resident service: they are behind all others. */
static inline unsigned sockeye__resident_first(const struct sockeye__server *server)
{
	return server->workers + server->answerers;
}

static inline unsigned sockeye__workers_all(const struct sockeye__server *server)
{
	return sockeye__resident_first(server) + server->residents;
}

/* supervise.c: starts the workers and waits. 0 after a stop. */
int sockeye__supervise(struct sockeye__server *server, struct sockeye_fail *fail);

/* --- admission.c: a connection's way in and out, the same in every model --- */

/* An Internet address and its port, or none (UNIX): all that is kept of a
 * peer, so that an idle connection stays small. */
struct sockeye__peer {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
};

struct sockeye__visit {
	const struct sockeye__site *site;
	int fd;
	bool in_end; /* the peer has ended its side */
	uint64_t bytes_in, bytes_out;
	struct sockeye__peer peer;
};

/* Why a connection ends. The order is that of the texts in admission.c. */
enum sockeye__end {
	SOCKEYE__END_DONE,
	SOCKEYE__END_RESET,
	SOCKEYE__END_IDLE,
	SOCKEYE__END_TIME,
	SOCKEYE__END_ERROR,
	SOCKEYE__END_STOP,
};

/* What a failed receive or send means for the connection. */
enum sockeye__end sockeye__end_of(int err);

/* Counts and reports a connection just accepted, or turns it away (per_source_max):
 * then it is closed and false returned. */
bool sockeye__admit(struct sockeye__worker *w, const struct sockeye__site *site, int fd,
		    const struct sockeye_sockaddr *peer, struct sockeye__visit *out_visit);

/* Closes the connection, counts and reports it. */
void sockeye__dismiss(struct sockeye__worker *w, struct sockeye__visit *v, enum sockeye__end end);

/* With these recv(2) returns a record's true length; of a TCP stream they would
 * throw bytes away (tcp(7)). */
static inline int sockeye__record_flags(const struct sockeye__site *site)
{
	return site->whole ? MSG_TRUNC : 0;
}

/* A record was longer than the room for it, and cut: says so and returns
 * -EMSGSIZE, for which its connection is to end. */
int sockeye__record_cut(struct sockeye__worker *w);

/* Whether recv(2) gave 0 for an empty record, which is passed over, rather than
 * for the peer's end. */
bool sockeye__record_empty(const struct sockeye__site *site, int fd);

/* Ends a connection that was admitted but for which there is no process,
 * thread or memory. */
void sockeye__turn_away(struct sockeye__worker *w, const struct sockeye__visit *v, const char *text,
			int err);

/* The two halves of dismiss, for the model whose session runs in a child of
 * the process that admitted it: the child closes and reports, the worker
 * counts and gives the place back. */
void sockeye__part(struct sockeye__worker *w, struct sockeye__visit *v, enum sockeye__end end);
void sockeye__release(struct sockeye__worker *w, const struct sockeye__peer *peer,
		      enum sockeye__end end);

/* Reports bytes that came, when show_messages asks for it. */
void sockeye__show(const struct sockeye__worker *w, const struct sockeye__site *site,
		   const struct sockeye_sockaddr *peer, const void *data, size_t len);
void sockeye__visit_show(const struct sockeye__worker *w, const struct sockeye__visit *v,
			 const void *data, size_t len);

/* Whether a second has passed since it last said so: what strangers can cause
 * at will must not fill the log. */
bool sockeye__rarely(struct sockeye__worker *w);

/* A WARNING event. */
void sockeye__warn(const struct sockeye__worker *w, const char *text, int err);
/* The same, rarely. */
/* Why a worker ends that has not begun; it is started again later. */
void sockeye__cannot_start(const struct sockeye__worker *w, int err);
void sockeye__warn_rarely(struct sockeye__worker *w, const char *text, int err);
void sockeye__event(const struct sockeye_serve_opts *opts, struct sockeye_event *ev);

static inline void sockeye__count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* What a failed accept means: true, after it was counted and reported, when the
 * worker must not try again for SOCKEYE__PAUSE_NS. */
bool sockeye__accept_starved(struct sockeye__worker *w, int err);

/* --- sources.c: connections by source address, over all workers --- */
struct sockeye__sources *sockeye__sources_new(uint32_t per_source_max);
void sockeye__sources_free(struct sockeye__sources *s);
/* Takes a place for a peer: false when it has per_source_max already. */
bool sockeye__sources_take(struct sockeye__sources *s, const struct sockeye__peer *peer,
			   unsigned worker);
void sockeye__sources_give(struct sockeye__sources *s, const struct sockeye__peer *peer,
			   unsigned worker);
/* A worker died: its places are free. */
void sockeye__sources_forget(struct sockeye__sources *s, unsigned worker);

bool sockeye__is_loopback(const struct sockeye_sockaddr *peer);

/* Whether one more answer may go to this source, at most per_s a second: a
 * forged source must not get a flood. What turned out not to be forged gives
 * its place back. */
bool sockeye__rate_take(struct sockeye__shared *shared, const struct sockeye_sockaddr *peer,
			uint32_t per_s, uint64_t now_ns);
void sockeye__rate_give(struct sockeye__shared *shared, const struct sockeye_sockaddr *peer,
			uint32_t per_s);

/* --- blocking.c: a session by blocking calls, to its end --- */
enum sockeye__end sockeye__session_run(struct sockeye__worker *w, struct sockeye__visit *v);

/* --- gate.c: where the models with blocking sessions wait for the next client --- */
struct sockeye__gate {
	struct sockeye__worker *w;
	int ep;
	bool stopped;       /* only what is left in the queues */
	bool watching;      /* the listeners are in the epoll set */
	uint64_t resume_ns; /* not before: accepting failed for want of a resource */
};
enum sockeye__gate_kind {
	SOCKEYE__GATE_VISIT,    /* *out_visit was admitted */
	SOCKEYE__GATE_DATAGRAM, /* site *out_site has datagrams */
	SOCKEYE__GATE_WAKE,     /* wake_fd is readable */
	SOCKEYE__GATE_STOP,     /* nothing more will come */
};
/* Watches datagram sites, too, if asked, and wake_fd unless it is -1. */
int sockeye__gate_open(struct sockeye__gate *g, struct sockeye__worker *w, bool datagrams,
		       int wake_fd);
enum sockeye__gate_kind sockeye__gate_next(struct sockeye__gate *g,
					   struct sockeye__visit *out_visit, size_t *out_site);
/* Accepts nothing for SOCKEYE__PAUSE_NS. */
void sockeye__gate_pause(struct sockeye__gate *g);
void sockeye__gate_close(struct sockeye__gate *g);

/* --- answer.c: datagram services, a batch at a time --- */
struct sockeye__answerer;
struct sockeye__answerer *sockeye__answerer_new(struct sockeye__worker *w);
void sockeye__answerer_free(struct sockeye__answerer *a);
/* Answers one batch of what is queued at site i; false when nothing was. */
bool sockeye__answer(struct sockeye__answerer *a, size_t i);
/* Answers site i until the server stops: what an answerer process does. */
void sockeye__answer_until_stop(struct sockeye__worker *w, size_t i);

/* --- a turn --- */
static inline void sockeye__turn(const struct sockeye__site *site, void *state,
				 struct sockeye_turn *t)
{
	t->in_taken = 0;
	t->out_len = 0; /* without which `out` means nothing */
	t->deadline_ns = 0;
	t->more = false;
	t->close = false;
	site->service->turn(state, site->config, t);
	assert(t->in_taken <= t->in_len);
}

#endif
