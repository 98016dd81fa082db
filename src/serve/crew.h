/*
 * crew.h: how a service with its own event loop (TFTP) runs in a server.
 *
 * A crew is a set of worker processes that run one function on one set of sites. The
 * supervisor starts the workers, replaces those that die, and stops them. A server model
 * provides the function for the built-in services; a service with its own event loop
 * provides it with a struct sockeye__crew_spec.
 */
#ifndef SOCKEYE_SERVE_CREW_H
#define SOCKEYE_SERVE_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/serve.h>
#include <sockeye/sockaddr.h>

#include "serve/counters.h"
#include "serve/sandbox.h"
#include "serve/source.h"

#define SOCKEYE__WORKERS_MAX 256                        /* of one crew, that serve at a time */
#define SOCKEYE__SEATS_MAX   (2 * SOCKEYE__WORKERS_MAX) /* with those of older generations */

struct sockeye__server;
struct sockeye__crew;

/* One process of a crew. */
struct sockeye__worker {
	const struct sockeye__server *server;
	const struct sockeye__crew *crew;
	void *context;      /* of the crew's spec */
	unsigned index;     /* of its seat among all seats of the server, from 0 */
	unsigned seat;      /* of its seat among the seats of its crew, from 0 */
	unsigned member;    /* among the processes of its crew that serve, from 0. Workers of
			     * several generations may be the same member */
	int stop_fd;        /* at end of file: stop accepting, finish the sessions, return */
	uint32_t conns_max; /* this worker's share of connections_max; UINT32_MAX: no limit */
	uint32_t conns;     /* open connections of this worker */
	uint64_t warned_ns; /* time of the last report of a failure that peers can cause */
	int link_fd;        /* to the supervisor, in crews with `renew`; otherwise -1 */
	int *older;         /* links to the same member's workers of older generations; -1: that
			     * worker has ended */
	unsigned older_count;
	struct sockeye__counters *counters;
	void *spec_counters; /* the struct of the spec's table; NULL: no table */
	uint64_t *turns;     /* of its event loop, in shared memory */
};

/* What the crew of a service with its own event loop does. Sites with the same spec share
 * a crew. */
struct sockeye__crew_spec {
	/* Called in each worker; calls sockeye__sandbox_enter(). Returns when its sessions have
	 * ended after end of file on stop_fd. In a crew with `reload`, SIGHUP is blocked and sent
	 * to each worker: read it from a signalfd. */
	void (*run)(struct sockeye__worker *w);
	/* Called in the supervisor at SIGHUP: renews the data that future workers inherit,
	 * and reports the change. If it returns true, the supervisor sends SIGHUP to the
	 * workers. May be NULL. */
	bool (*reload)(void *context, const struct sockeye_serve_opts *opts);
	/* Called in the supervisor once a second, at SIGHUP, and when a worker asks: opens
	 * again what the workers hold, if it was replaced, verifies it with
	 * sockeye__crew_check() and reports a failure. If it returns true, new workers replace
	 * all workers of the crew, which receive SOCKEYE__LINK_RETIRE, and `renewed` reports the
	 * change: no worker serves with the old resources afterwards, unless its successor could
	 * not be started. `again`: an earlier failure is reported again. May be NULL. */
	bool (*renew)(void *context, const struct sockeye__server *server,
		      const struct sockeye__crew *crew, bool again);
	void (*renewed)(const void *context, const struct sockeye__server *server);
	/* Called with the privileges of a worker before the first worker starts, unless the
	 * server keeps the privileges of its caller. A negative code ends the server;
	 * `explain` then fills in *fail for this user. May be NULL. */
	int (*check)(const void *context);
	void (*explain)(const void *context, const char *user, int err, struct sockeye_fail *fail);
	/* Called in the supervisor after the worker of a seat ended, before another worker
	 * takes the seat: releases the slots of that worker and updates its counters. The
	 * supervisor then sets its gauges to 0. May be NULL. */
	void (*on_death)(void *context, unsigned seat, void *spec_counters);
	const struct sockeye__counter_table *counters; /* additional counters; NULL: none */
	unsigned calls; /* groups of system calls that its workers need (sandbox.h) */
	void *context;
};

/* A site, and the crew that serves it. Requests that are equal in all but `site` share a
 * crew; requests with the same spec must be equal. */
struct sockeye__site_request {
	struct sockeye_site site;
	const struct sockeye__crew_spec *spec; /* NULL: workers of `model` serve the site */
	const char *model;                     /* NULL: opts.model */
	unsigned workers;                      /* 0: opts.workers */
	const char *user;                      /* the user of the workers; NULL: opts.user */
	/* If the workers cannot switch to the user (a container with one user), they keep
	 * their user and give up all capabilities, and the server reports a warning. */
	bool user_optional;
	/* Called in each worker when it has entered its sandbox, and must not return: the
	 * worker does not serve. status_fd is open for reading /proc/self/status, or -1.
	 * NULL: serve. */
	void (*instead)(const struct sockeye__worker *w, const struct sockeye__sandbox *needs,
			int status_fd);
};

/* Like sockeye_serve(), with a crew for each combination of spec or model, workers and
 * user. If a request names a user, the supervisor keeps its privileges, because it starts
 * workers as different users; opts.user is then only the default of the workers. */
int sockeye__serve_crews(const struct sockeye__site_request *requests, size_t count,
			 const struct sockeye_serve_opts *opts, struct sockeye_fail *fail);

/* --- for run functions --- */

/* An event loop calls these before and after it waits for events. While the count is odd, it
 * handles events; if the count then stays the same, the worker hangs (watchdog.h). */
static inline void sockeye__worker_waits(const struct sockeye__worker *w)
{
	__atomic_store_n(w->turns, (*w->turns | 1) + 1, __ATOMIC_RELAXED);
}

static inline void sockeye__worker_works(const struct sockeye__worker *w)
{
	__atomic_store_n(w->turns, *w->turns | 1, __ATOMIC_RELAXED);
}

/* Return the number of sites of the crew, the file descriptor that this worker uses for a
 * site, and the address to which the site is bound. */
size_t sockeye__site_count(const struct sockeye__worker *w);
int sockeye__site_fd(const struct sockeye__worker *w, size_t i);
const struct sockeye_sockaddr *sockeye__site_name(const struct sockeye__worker *w, size_t i);

/* Return the service of the crew's first site, and the name of its model, or "" if it has a
 * spec. */
const char *sockeye__worker_service(const struct sockeye__worker *w);
const char *sockeye__worker_model(const struct sockeye__worker *w);

/* Writes the source of a peer, by the prefixes of the server. Returns false if the peer
 * has no source (UNIX). */
bool sockeye__worker_source(const struct sockeye__worker *w, const struct sockaddr *peer,
			    struct sockeye__source *out);

/* Calls the spec's `check` as the user of the crew's workers. Returns 0, or a negative code
 * with *fail. */
int sockeye__crew_check(const struct sockeye__server *server, const struct sockeye__crew *crew,
			struct sockeye_fail *fail);
/* Set the time of the event and call on_event of the server. */
void sockeye__server_event(const struct sockeye__server *server, struct sockeye_event *ev);

/* --- link.c: between a worker, its supervisor and workers of older generations --- */

enum sockeye__link_word {
	SOCKEYE__LINK_NONE,   /* nothing more to receive */
	SOCKEYE__LINK_ASK,    /* to the supervisor: call `renew`, and answer */
	SOCKEYE__LINK_STAY,   /* the answer to ASK: go on */
	SOCKEYE__LINK_RETIRE, /* accept nothing more, finish the sessions, return */
	SOCKEYE__LINK_PACKET, /* from a newer worker: a packet that may belong to a session */
};

/* Sends a word. If the other side does not receive, the word is lost. */
void sockeye__link_say(int fd, enum sockeye__link_word word);
/* Receives a word and, after PACKET, the peer and the bytes of the packet. */
enum sockeye__link_word sockeye__link_hear(int fd, struct sockeye_sockaddr *out_peer,
					   uint8_t *bytes, size_t cap, size_t *out_len);
/* Sends a packet to all older workers. */
void sockeye__link_pass(struct sockeye__worker *w, const struct sockeye_sockaddr *peer,
			const uint8_t *bytes, size_t len);

/* Returns how long after a stop the supervisor kills the remaining workers. */
uint64_t sockeye__grace_ns(const struct sockeye__server *server);

/* Set the time of the event and call on_event. */
void sockeye__event(const struct sockeye_serve_opts *opts, struct sockeye_event *ev);
void sockeye__worker_event(const struct sockeye__worker *w, struct sockeye_event *ev);
/* Reports a WARNING event. */
void sockeye__warn(const struct sockeye__worker *w, const char *text, int err);
/* Reports a WARNING event, but at most one per second, so that peers cannot flood the log. */
void sockeye__warn_rarely(struct sockeye__worker *w, const char *text, int err);
/* Returns true at most once per second. */
bool sockeye__rarely(struct sockeye__worker *w);
/* Warns that the worker cannot start. The supervisor will start another worker. */
void sockeye__cannot_start(const struct sockeye__worker *w, int err);

#endif
