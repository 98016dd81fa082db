/*
 * crew.h: how a feature with its own loop (TFTP) runs in a server.
 *
 * A crew is a set of worker processes that run one function on one set of sites. The
 * supervisor starts them, replaces workers that die, and stops them. A server model
 * provides the crews of the built-in services; a feature provides its own with a
 * struct sockeye__crew_spec.
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
	int stop_fd;        /* end of file: accept nothing more, finish, return */
	uint32_t conns_max; /* this worker's part of connections_max; UINT32_MAX: no limit */
	uint32_t conns;     /* open connections of this worker */
	uint64_t warned_ns; /* time of its last report of a failure that peers can cause */
	struct sockeye__counters *counters;
	void *spec_counters; /* the struct of the spec's table; NULL: no table */
};

/* What a feature's crew does. Sites with the same spec share a crew. */
struct sockeye__crew_spec {
	/* Called in each worker; returns after end of file on stop_fd, when it has finished.
	 * SIGHUP is blocked in a crew with `reload`, and sent to each worker: read it from
	 * a signalfd. */
	void (*run)(struct sockeye__worker *w);
	/* Called in the supervisor at SIGHUP: renews the data that future workers inherit.
	 * It reports nothing; workers do. May be NULL. */
	void (*reload)(void *context);
	/* Called in the supervisor after this member died, before it is replaced: releases
	 * its slots and settles its counters. Its gauges become 0 afterwards. May be NULL. */
	void (*on_death)(void *context, unsigned member, void *spec_counters);
	const struct sockeye__counter_table *counters; /* its own; NULL: none */
	void *context;
};

/* A site, and the crew that serves it. Requests that are equal in all but `site` share a
 * crew. */
struct sockeye__site_request {
	struct sockeye_site site;
	const struct sockeye__crew_spec *spec; /* NULL: workers of `model` serve the site */
	const char *model;                     /* NULL: opts.model */
	unsigned workers;                      /* 0: opts.workers */
	const char *user;                      /* the workers switch to; NULL: opts.user */
};

/* Like sockeye_serve(), with a crew for each combination of spec or model, workers and
 * user. If a request names a user, the supervisor keeps its privileges, because it starts
 * workers as different users; opts.user is then only the default of the workers. */
int sockeye__serve_crews(const struct sockeye__site_request *requests, size_t count,
			 const struct sockeye_serve_opts *opts, struct sockeye_fail *fail);

/* --- for run functions --- */

/* The sites of the crew: their number, the descriptor that this worker uses, and the
 * bound name. */
size_t sockeye__site_count(const struct sockeye__worker *w);
int sockeye__site_fd(const struct sockeye__worker *w, size_t i);
const struct sockeye_sockaddr *sockeye__site_name(const struct sockeye__worker *w, size_t i);

/* The source of a peer, by the prefixes of the server. False if it has none (UNIX). */
bool sockeye__worker_source(const struct sockeye__worker *w, const struct sockaddr *peer,
			    struct sockeye__source *out);

/* The time between a stop and the kill of workers that still run. */
uint64_t sockeye__grace_ns(const struct sockeye__server *server);

/* Sets the time of the event and calls on_event. */
void sockeye__event(const struct sockeye_serve_opts *opts, struct sockeye_event *ev);
void sockeye__worker_event(const struct sockeye__worker *w, struct sockeye_event *ev);
/* Reports a WARNING event. */
void sockeye__warn(const struct sockeye__worker *w, const char *text, int err);
/* The same, at most once a second: peers must not fill the log. */
void sockeye__warn_rarely(struct sockeye__worker *w, const char *text, int err);
/* True at most once a second. */
bool sockeye__rarely(struct sockeye__worker *w);
/* Warns that the worker fails at its start. The supervisor starts another one later. */
void sockeye__cannot_start(const struct sockeye__worker *w, int err);

#endif
