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

#include "serve/counters.h"
#include "serve/source.h"

#define SOCKEYE__WORKERS_MAX 256 /* of one crew */

struct sockeye__server;
struct sockeye__crew;

/* One process of a crew. */
struct sockeye__worker {
	const struct sockeye__server *server;
	const struct sockeye__crew *crew;
	void *context;      /* of the crew's spec */
	unsigned index;     /* among all processes of the server, from 0 */
	unsigned member;    /* among the processes of its crew, from 0 */
	int stop_fd;        /* at end of file: stop accepting, finish the sessions, return */
	uint32_t conns_max; /* this worker's share of connections_max; UINT32_MAX: no limit */
	uint32_t conns;     /* open connections of this worker */
	uint64_t warned_ns; /* time of the last report of a failure that peers can cause */
	struct sockeye__counters *counters;
	void *spec_counters; /* the struct of the spec's table; NULL: no table */
};

/* What the crew of a service with its own event loop does. Sites with the same spec share
 * a crew. */
struct sockeye__crew_spec {
	/* Called in each worker. Returns when its sessions have ended after end of file on
	 * stop_fd. In a crew with `reload`, SIGHUP is blocked and sent to each worker: read
	 * it from a signalfd. */
	void (*run)(struct sockeye__worker *w);
	/* Called in the supervisor at SIGHUP: renews the data that future workers inherit,
	 * and reports the change. If it returns true, the supervisor sends SIGHUP to the
	 * workers. May be NULL. */
	bool (*reload)(void *context, const struct sockeye_serve_opts *opts);
	/* Called with the privileges of a worker before the first worker starts, unless the
	 * server keeps the privileges of its caller. A negative code ends the server;
	 * `explain` then fills in *fail for this user. May be NULL. */
	int (*check)(const void *context);
	void (*explain)(const void *context, const char *user, int err, struct sockeye_fail *fail);
	/* Called in the supervisor after worker `member` died, before another worker replaces
	 * it: releases the slots of the dead worker and updates its counters. The supervisor
	 * then sets its gauges to 0. May be NULL. */
	void (*on_death)(void *context, unsigned member, void *spec_counters);
	const struct sockeye__counter_table *counters; /* additional counters; NULL: none */
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
};

/* Like sockeye_serve(), with a crew for each combination of spec or model, workers and
 * user. If a request names a user, the supervisor keeps its privileges, because it starts
 * workers as different users; opts.user is then only the default of the workers. */
int sockeye__serve_crews(const struct sockeye__site_request *requests, size_t count,
			 const struct sockeye_serve_opts *opts, struct sockeye_fail *fail);

/* --- for run functions --- */

/* Return the number of sites of the crew, the file descriptor that this worker uses for a
 * site, and the address to which the site is bound. */
size_t sockeye__site_count(const struct sockeye__worker *w);
int sockeye__site_fd(const struct sockeye__worker *w, size_t i);
const struct sockeye_sockaddr *sockeye__site_name(const struct sockeye__worker *w, size_t i);

/* Writes the source of a peer, by the prefixes of the server. Returns false if the peer
 * has no source (UNIX). */
bool sockeye__worker_source(const struct sockeye__worker *w, const struct sockaddr *peer,
			    struct sockeye__source *out);

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
