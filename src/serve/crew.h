/*
 * crew.h: what a feature uses that serves with a loop of its own (TFTP).
 *
 * A crew is a set of worker processes that run one function on one set of
 * sites. The supervisor starts them, replaces those that die and stops them. The
 * built-in services run in crews that a server model provides; a feature
 * provides a struct sockeye__crew_spec.
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

/* One process of a crew, as its run function sees it. */
struct sockeye__worker {
	const struct sockeye__server *server;
	const struct sockeye__crew *crew;
	void *context;      /* of the crew's spec */
	unsigned index;     /* among all processes of the server, from 0 */
	unsigned member;    /* among those of its crew, from 0 */
	int stop_fd;        /* end of file: accept nothing more, finish, return */
	uint32_t conns_max; /* this worker's share of connections_max; UINT32_MAX none */
	uint32_t conns;     /* open in this worker now */
	uint64_t warned_ns; /* when it last reported something that peers can cause at will */
	struct sockeye__counters *counters;
	void *spec_counters; /* a struct of the spec's table; NULL without one */
};

/* What a feature's crew does. Sites with the same spec share a crew. */
struct sockeye__crew_spec {
	/* In the worker. Returns once stop_fd has said so and all is finished. A crew
	 * with `reload` gets SIGHUP, which is blocked; take it by a signalfd. */
	void (*run)(struct sockeye__worker *w);
	/* In the supervisor, at SIGHUP: renews what workers inherit that start later.
	 * Reports nothing; the workers that run do. May be NULL. */
	void (*reload)(void *context);
	/* In the supervisor: this member of the crew died, and is not yet replaced.
	 * Releases its slots and settles its counters; gauges are cleared afterwards.
	 * May be NULL. */
	void (*on_death)(void *context, unsigned member, void *spec_counters);
	const struct sockeye__counter_table *counters; /* its own; NULL: none */
	void *context;
};

/* A site and the crew that is to serve it. Sites that agree in all but `site`
 * share one. */
struct sockeye__site_request {
	struct sockeye_site site;
	const struct sockeye__crew_spec *spec; /* NULL: workers of `model` serve it */
	const char *model;                     /* NULL: that of the options */
	unsigned workers;                      /* 0: as many as the options say */
	const char *user;                      /* its workers become; NULL: that of the options */
};

/* As sockeye_serve(), with a crew for each combination of model, workers and user.
 * If a request names a user, the supervisor keeps its privileges, for it must
 * start workers as one user and another; opts.user is then the default of the
 * workers alone. */
int sockeye__serve_crews(const struct sockeye__site_request *requests, size_t count,
			 const struct sockeye_serve_opts *opts, struct sockeye_fail *fail);

/* --- for run functions --- */

/* The crew's sites: how many, the descriptor that this worker uses for one, and
 * the name it is bound to. */
size_t sockeye__site_count(const struct sockeye__worker *w);
int sockeye__site_fd(const struct sockeye__worker *w, size_t i);
const struct sockeye_sockaddr *sockeye__site_name(const struct sockeye__worker *w, size_t i);

/* The source that a peer belongs to, by the server's prefixes; false: none. */
bool sockeye__worker_source(const struct sockeye__worker *w, const struct sockaddr *peer,
			    struct sockeye__source *out);

/* How long after a stop the supervisor waits before it kills. */
uint64_t sockeye__grace_ns(const struct sockeye__server *server);

/* Completes the event and hands it to on_event. */
void sockeye__event(const struct sockeye_serve_opts *opts, struct sockeye_event *ev);
void sockeye__worker_event(const struct sockeye__worker *w, struct sockeye_event *ev);
/* A WARNING event. */
void sockeye__warn(const struct sockeye__worker *w, const char *text, int err);
/* The same, at most once a second: peers must not fill the log. */
void sockeye__warn_rarely(struct sockeye__worker *w, const char *text, int err);
/* Whether a second has passed since this last returned true. */
bool sockeye__rarely(struct sockeye__worker *w);
/* Warns that the worker returns from run before it has begun; the supervisor
 * starts another one later. */
void sockeye__cannot_start(const struct sockeye__worker *w, int err);

#endif
