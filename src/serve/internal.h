/*
 * internal.h: what the server models and the supervisor share.
 *
 * One process, the supervisor, binds the sockets, starts workers and waits. A worker is a
 * child process that runs the function of its crew (crew.h). All processes share the
 * memory of struct sockeye__shared.
 */
#ifndef SOCKEYE_SERVE_INTERNAL_H
#define SOCKEYE_SERVE_INTERNAL_H

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

#include "serve/crew.h"
#include "serve/rates.h"
#include "serve/repeats.h"
#include "serve/sandbox.h"
#include "serve/sources.h"
#include "serve/user.h"

#define SOCKEYE__SITES_MAX 256 /* bound addresses of one server */
/* The longest record or UNIX datagram that a model receives. The default SO_SNDBUF of the
 * sender allows none that is longer. */
#define SOCKEYE__RECORD_BYTES SOCKEYE_INPUT_MAX
#define SOCKEYE__BACKLOG_MAX  65535 /* the largest --backlog: clients accepted after a stop */
#define SOCKEYE__LAST_BATCHES 4096  /* batches of datagrams that are answered after a stop */
#define SOCKEYE__ROOM_BYTES   16384 /* room for output that a service writes */
#define SOCKEYE__PAUSE_NS     (100 * SOCKEYE_NS_PER_MS) /* pause in accepting, after EMFILE */

/* One bound address. fds has one file descriptor for each worker of the crew if each has
 * its own SO_REUSEPORT socket, otherwise one for all workers. */
struct sockeye__site {
	const struct sockeye_service *service;
	const void *config;
	enum sockeye_scheme scheme;
	struct sockeye_listener listener; /* the first socket, and the name */
	bool stream;                      /* accepts connections (seqpacket too) */
	bool keeps_records;               /* its connections keep record boundaries: seqpacket */
	bool inherited;                   /* fd:N: another process may use the socket, too */
	size_t request;                   /* index of the request it was opened for */
	unsigned fd_count;
	int *fds;
	uint32_t *drops_seen; /* by index in fds: the last value of the kernel's 32-bit counter */
	uint64_t drops;       /* datagrams that the kernel dropped */
};

/* A crew (crew.h). A server has one for each combination of spec or model, workers and
 * user in the requests, and another one for each datagram site of a model with
 * `answerers`. */
struct sockeye__crew {
	const struct sockeye__site_request *request; /* the first request that it serves */
	const struct sockeye__model *model;          /* NULL: the crew has a spec */
	const struct sockeye__crew_spec *spec;       /* NULL: the crew has a model */
	void (*run)(struct sockeye__worker *w);
	struct sockeye__site *sites;
	size_t site_count;
	unsigned processes;        /* that serve at a time; 0: the crew has no site */
	unsigned seats;            /* `processes`, and seats for workers of older generations */
	unsigned first;            /* index of its first seat among all of the server */
	unsigned acceptors_before; /* processes of earlier crews that accept connections */
	uint64_t generation;       /* counts the renewals (crew.h) */
	bool crowded;              /* workers could not be replaced for lack of seats */
	bool switches_user;        /* its workers switch to `user` */
	struct sockeye__user user;
};

struct sockeye__shared {
	struct sockeye__sources *sources; /* NULL without per_source_max */
	struct sockeye__rates *rates;     /* of datagram replies */
	struct sockeye__repeats *repeats; /* NULL: replies to possible servers have no limit */
	/* For each seat struct sockeye__counters and, in the crews of a spec, a struct
	 * of its table; last its turns. They are stride values apart, so that no cache line has two
	 * writers. */
	size_t stride;
	_Alignas(64) uint64_t counters[];
};

static inline struct sockeye__counters *sockeye__counters_of(struct sockeye__shared *shared,
							     unsigned seat)
{
	return (void *)&shared->counters[seat * shared->stride];
}

static inline uint64_t *sockeye__spec_counters_of(struct sockeye__shared *shared, unsigned seat)
{
	return &shared->counters[seat * shared->stride +
				 sizeof(struct sockeye__counters) / sizeof(uint64_t)];
}

/* The turns of a process's event loop: see sockeye__worker_waits(). */
static inline uint64_t *sockeye__turns_of(struct sockeye__shared *shared, unsigned process)
{
	return &shared->counters[(process + 1) * shared->stride - 1];
}

struct sockeye__model {
	struct sockeye_model facts;
	bool answerers;     /* each datagram site gets a separate crew: a worker may be
			     * busy with one session for a long time */
	unsigned calls;     /* groups of system calls that its workers need (sandbox.h) */
	bool confines;      /* run() enters the sandbox, after it has opened a ring */
	int (*probe)(void); /* returns 0 if this machine supports the model, or -errno; NULL:
			     * every machine does */
	void (*run)(struct sockeye__worker *w); /* in a worker; returns after a stop */
};

static inline const struct sockeye__counter_table *
sockeye__crew_counters(const struct sockeye__crew *crew)
{
	return crew->spec != NULL ? crew->spec->counters : NULL;
}

struct sockeye__server {
	const struct sockeye_serve_opts *opts;
	struct sockeye__crew *crews;
	size_t crew_count;
	size_t site_count;  /* of all crews */
	unsigned seats;     /* of all crews */
	unsigned acceptors; /* processes of crews that accept connections */
	bool gave_up_root;  /* the supervisor has become opts.user */
	struct sockeye__shared *shared;
	size_t shared_bytes;
	int stop_rd, stop_wr;            /* a pipe: end of file on stop_rd means stop */
	int denied_rd, denied_wr;        /* a pipe: calls that a sandbox denied; -1: no sandbox */
	unsigned sandbox_parts;          /* what workers apply (sandbox.h); 0: no sandbox */
	struct sockeye__filter *filters; /* of system calls, for all crews */
	size_t filter_count;
	uint64_t denied_ns; /* time of the last report of such a call */
};

/* serve.c: calls on_ready with the sites in the order of the caller. Returns 0 or the
 * negative code that on_ready returned. */
int sockeye__ready_report(const struct sockeye__server *server);

/* --- crews.c: the crews of a server --- */

/* Makes a crew for each combination in the requests, without sites. Returns 0, or a
 * negative code with *fail. */
int sockeye__crews_form(struct sockeye__server *server,
			const struct sockeye__site_request *requests, size_t count,
			struct sockeye_fail *fail);
/* The crew that serves a request. */
struct sockeye__crew *sockeye__crew_of(const struct sockeye__server *server,
				       const struct sockeye__site_request *request);
/* Gives each datagram site of a model with `answerers` a separate crew, and numbers the
 * processes. Returns 0, or a negative code with *fail: -EINVAL if connections_max does not
 * allow one connection for each crew. */
int sockeye__crews_complete(struct sockeye__server *server, struct sockeye_fail *fail);
/* Finds the users of the crews or, if no request names a user, switches this process to
 * opts.user. Returns 0, or a negative code with *fail. */
int sockeye__users_set(struct sockeye__server *server, struct sockeye_fail *fail);
/* Lets each spec check that it can work as its user. Returns 0, or a negative code with
 * *fail. */
int sockeye__users_check(const struct sockeye__server *server, struct sockeye_fail *fail);

/* --- site.c: the sockets of a server --- */

/* Binds the addresses of request `index` and adds them to the crew. Returns 0, or a
 * negative code with *fail. */
int sockeye__sites_open(struct sockeye__server *server, struct sockeye__crew *crew,
			const struct sockeye_site *site, size_t index, struct sockeye_fail *fail);
void sockeye__sites_close(struct sockeye__server *server);
/* Accepts a client of site i, if one waits. Returns like sockeye_accept(). */
int sockeye__site_accept(const struct sockeye__worker *w, size_t i, bool nonblocking,
			 struct sockeye_sockaddr *out_peer);
/* Refuses further clients at one of the site's sockets. Does nothing to an inherited socket,
 * which shutdown(2) would also end for its owner: the caller only stops accepting. */
void sockeye__site_refuse(const struct sockeye__site *site, int fd);
/* In a worker: closes the sockets that only other workers use. */
void sockeye__sites_keep_own(const struct sockeye__worker *w);

/* --- totals.c: the counters of all workers --- */

struct sockeye__totals {
	struct sockeye_counter *rows;
	uint64_t *reported; /* the last reported values, by row */
	size_t count;
};

/* Returns 0 or -ENOMEM. Call sockeye__totals_fini() in both cases. */
int sockeye__totals_init(struct sockeye__totals *t, const struct sockeye__server *server);
void sockeye__totals_fini(struct sockeye__totals *t);
/* Adds up the counters and reports a COUNTERS event. */
void sockeye__totals_report(struct sockeye__totals *t, struct sockeye__server *server);

/* supervise.c: runs the workers. Returns 0 after a stop, or a negative code. */
int sockeye__supervise(struct sockeye__server *server, struct sockeye_fail *fail);

/* --- admission.c: admits and closes connections, in every model --- */

/* A connection that was admitted. */
struct sockeye__visit {
	const struct sockeye__site *site;
	int fd;
	bool in_end; /* end of file was received */
	bool opened; /* sockeye__visit_open() was called */
	uint64_t bytes_in, bytes_out;
	struct sockeye__peer peer;
};

/* Why a connection ended. end_texts in admission.c has the texts. */
enum sockeye__end {
	SOCKEYE__END_DONE,
	SOCKEYE__END_RESET,
	SOCKEYE__END_IDLE,
	SOCKEYE__END_TIME,
	SOCKEYE__END_ERROR,
	SOCKEYE__END_STOP,
};

/* Returns the reason for the end of a connection after a receive or send failed. */
enum sockeye__end sockeye__end_of(int err);

/* Counts a connection that was just accepted. If its source has too many connections,
 * closes it and returns false. */
bool sockeye__admit(struct sockeye__worker *w, const struct sockeye__site *site, int fd,
		    const struct sockeye_sockaddr *peer, struct sockeye__visit *out_visit);

/* Reports a connection that was admitted, from the process and thread that serve it. */
void sockeye__visit_open(const struct sockeye__worker *w, struct sockeye__visit *v);

/* Closes, counts and reports a connection. */
void sockeye__dismiss(struct sockeye__worker *w, struct sockeye__visit *v, enum sockeye__end end);

/* Flags for recv(2), so that it returns the full length of a record. For TCP the flag
 * would discard bytes (tcp(7)). */
static inline int sockeye__record_flags(const struct sockeye__site *site)
{
	return site->keeps_records ? MSG_TRUNC : 0;
}

/* Reports that a record was longer than the buffer. Returns -EMSGSIZE: the caller closes
 * the connection. */
int sockeye__record_cut(struct sockeye__worker *w);

/* Whether a recv(2) that returned 0 has received an empty record, which is skipped, and not
 * end of file. */
bool sockeye__record_empty(const struct sockeye__site *site, int fd);

/* Closes a connection that was admitted, for lack of a process, thread or memory. Warns
 * with `text`. */
void sockeye__turn_away(struct sockeye__worker *w, const struct sockeye__visit *v, const char *text,
			int err);

/* The two halves of sockeye__dismiss(), for sessions that run in a child of the process
 * that admitted them: the child closes and reports, the worker counts and releases the
 * slot. */
void sockeye__visit_close(struct sockeye__worker *w, struct sockeye__visit *v,
			  enum sockeye__end end);
void sockeye__visit_release(struct sockeye__worker *w, const struct sockeye__peer *peer,
			    enum sockeye__end end);

/* Report received bytes. sockeye__visit_show() does so only with opts.show_messages. */
void sockeye__show(const struct sockeye__worker *w, const struct sockeye__site *site,
		   const struct sockeye_sockaddr *peer, const void *data, size_t len);
void sockeye__visit_show(const struct sockeye__worker *w, const struct sockeye__visit *v,
			 const void *data, size_t len);

/* Handles an error of accept(2). Returns true if the worker must not accept for
 * SOCKEYE__PAUSE_NS, for example after EMFILE, which is counted and reported. */
bool sockeye__accept_starved(struct sockeye__worker *w, int err);

/* --- blocking.c --- */

/* Runs a session with blocking calls. Returns why it ended. */
enum sockeye__end sockeye__session_run(struct sockeye__worker *w, struct sockeye__visit *v);

/* --- gate.c: where models with blocking sessions wait for the next client --- */

struct sockeye__gate {
	struct sockeye__worker *worker;
	int epoll;
	bool stopped;           /* serve only clients that are in the backlog */
	uint64_t leave_ns;      /* then leave further clients to the owner of an inherited socket */
	bool listeners_watched; /* the listeners are in the epoll set */
	uint64_t resume_ns;     /* accept no client before this time; 0: no pause */
};

enum sockeye__gate_kind {
	SOCKEYE__GATE_VISIT,    /* *out_visit was admitted */
	SOCKEYE__GATE_DATAGRAM, /* datagrams are queued at site *out_site */
	SOCKEYE__GATE_WAKE,     /* wake_fd is readable */
	SOCKEYE__GATE_STOP,     /* the server stops, and the backlog is empty */
};

/* Watches all sites of the crew, and wake_fd unless it is -1. Returns 0 or -errno. */
int sockeye__gate_open(struct sockeye__gate *g, struct sockeye__worker *w, int wake_fd);
/* Waits for the next event and returns its kind. */
enum sockeye__gate_kind sockeye__gate_next(struct sockeye__gate *g,
					   struct sockeye__visit *out_visit, size_t *out_site);
/* Accepts no client for SOCKEYE__PAUSE_NS. */
void sockeye__gate_pause(struct sockeye__gate *g);
void sockeye__gate_close(struct sockeye__gate *g);

/* --- answer.c: datagram services --- */

struct sockeye__answerer;

/* Returns NULL if memory is short. */
struct sockeye__answerer *sockeye__answerer_new(struct sockeye__worker *w);
void sockeye__answerer_free(struct sockeye__answerer *a);
/* Replies to one batch of the datagrams queued at site i. Returns false if none was
 * queued. */
bool sockeye__answer(struct sockeye__answerer *a, size_t i);
/* Replies to the datagrams of the crew's only site until the server stops. */
void sockeye__answer_until_stop(struct sockeye__worker *w);

/* --- a turn --- */

static inline void sockeye__turn(const struct sockeye__site *site, void *state,
				 struct sockeye_turn *t)
{
	t->in_taken = 0;
	t->out_len = 0; /* `out` has no meaning then */
	t->deadline_ns = 0;
	t->more = false;
	t->close = false;
	site->service->turn(state, site->config, t);
	assert(t->in_taken <= t->in_len);
}

#endif
