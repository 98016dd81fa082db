/*
 * internal.h: what the server models and the supervisor share.
 *
 * One process (supervise.c) binds, starts workers and waits. A worker is a
 * child process that runs the function of its crew (crew.h). What the processes
 * have in common is in memory they share (struct sockeye__shared).
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
#include "serve/sources.h"
#include "serve/user.h"

#define SOCKEYE__SITES_MAX 256   /* bound addresses of one server */
#define SOCKEYE__IO_BYTES  65536 /* bytes a model reads at once */
/* More than the longest record and UNIX datagram, unless somebody has raised
 * SO_SNDBUF, which bounds them. */
#define SOCKEYE__RECORD_BYTES SOCKEYE_INPUT_MAX
#define SOCKEYE__LAST_BATCHES 4096  /* of datagrams, still answered after a stop */
#define SOCKEYE__ROOM_BYTES   16384 /* room a model gives to fresh output */
#define SOCKEYE__PAUSE_NS     (100 * SOCKEYE_NS_PER_MS) /* not accepting, after EMFILE */

/* One bound address. fds has one descriptor for every worker of its crew when each
 * has a SO_REUSEPORT socket of its own, otherwise one for all. */
struct sockeye__site {
	const struct sockeye_service *service;
	const void *config;
	enum sockeye_scheme scheme;
	struct sockeye_listener listener; /* the first descriptor, and the name */
	bool stream;                      /* accepts connections (seqpacket too) */
	bool whole;                       /* connections that keep messages: seqpacket */
	size_t request;                   /* index of the request it was opened for */
	unsigned fd_count;
	int *fds;
	uint32_t *drops_seen; /* by descriptor: the kernel's count when last read, which wraps */
	uint64_t drops;
};

/* A crew (crew.h). The server has one for each combination of spec or model,
 * workers and user that the requests name, and one more for each datagram site of
 * a model with `answerers`. */
struct sockeye__crew {
	const struct sockeye__site_request *request; /* the first that it serves */
	const struct sockeye__model *model;          /* NULL: the crew has a spec */
	const struct sockeye__crew_spec *spec;       /* NULL: the crew has a model */
	void (*run)(struct sockeye__worker *w);
	struct sockeye__site *sites;
	size_t site_count;
	unsigned processes;        /* 0: it has no site */
	unsigned first;            /* index of its first process among all of the server */
	unsigned acceptors_before; /* processes of the crews before it that accept connections */
	bool switches_user;        /* its workers become `user` */
	struct sockeye__user user;
};

struct sockeye__shared {
	struct sockeye__sources *sources; /* NULL without per_source_max */
	struct sockeye__rates *rates;     /* of datagram replies */
	/* For each process struct sockeye__counters and, in the crews of a spec, a struct
	 * of its table; stride values apart, so that no cache line has two writers. */
	size_t stride;
	_Alignas(64) uint64_t counters[];
};

static inline struct sockeye__counters *sockeye__counters_of(struct sockeye__shared *shared,
							     unsigned process)
{
	return (void *)&shared->counters[process * shared->stride];
}

static inline uint64_t *sockeye__spec_counters_of(struct sockeye__shared *shared, unsigned process)
{
	return &shared->counters[process * shared->stride +
				 sizeof(struct sockeye__counters) / sizeof(uint64_t)];
}

struct sockeye__model {
	struct sockeye_model facts;
	bool answerers;     /* datagram sites get crews of their own, for a worker may be busy
			     * with a session for long */
	int (*probe)(void); /* can this machine? 0 or -errno; NULL: always */
	void (*run)(struct sockeye__worker *w); /* in the worker, until it has drained */
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
	unsigned processes; /* of all crews */
	unsigned acceptors; /* of crews that accept connections */
	bool gave_up_root;  /* the supervisor has become opts.user */
	struct sockeye__shared *shared;
	size_t shared_bytes;
	int stop_rd, stop_wr; /* a pipe: end of file on stop_rd means stop */
};

/* --- site.c: the sockets of a server --- */

/* Binds the addresses of request `index` and adds them to the crew. 0, or a negative
 * code with *fail. */
int sockeye__sites_open(struct sockeye__server *server, struct sockeye__crew *crew,
			const struct sockeye_site *site, size_t index, struct sockeye_fail *fail);
void sockeye__sites_close(struct sockeye__server *server);
/* In a worker: closes the descriptors that only other workers use. */
void sockeye__sites_keep_own(const struct sockeye__worker *w);

/* supervise.c: starts the workers and waits. 0 after a stop. */
int sockeye__supervise(struct sockeye__server *server, struct sockeye_fail *fail);

/* --- admission.c: a connection's way in and out, the same in every model --- */

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

/* What a failed accept means: true, after it was counted and reported, when the
 * worker must not try again for SOCKEYE__PAUSE_NS. */
bool sockeye__accept_starved(struct sockeye__worker *w, int err);

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
/* Watches all sites of the crew, and wake_fd unless it is -1. 0 or -errno. */
int sockeye__gate_open(struct sockeye__gate *g, struct sockeye__worker *w, int wake_fd);
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
/* Answers the crew's only site until the server stops. */
void sockeye__answer_until_stop(struct sockeye__worker *w);

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
