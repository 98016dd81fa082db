/*
 * serve.h: run services on addresses under a server model.
 *
 *     static const struct sockeye_service shout = { .name = "shout", .turn = shout_turn };
 *
 *     struct sockeye_serve_opts opts = { .model = "thread" };
 *     struct sockeye_site site = { .service = &shout };
 *     int err = sockeye_addr_parse("tcp://127.0.0.1:7000", &site.addr, NULL);
 *
 *     if (err == 0)
 *             err = sockeye_serve(&site, 1, &opts, NULL);
 */
#ifndef SOCKEYE_SERVE_H
#define SOCKEYE_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>
#include <sockeye/service.h>
#include <sockeye/sockaddr.h>
#include <sockeye/visibility.h>

SOCKEYE_BEGIN

/* A service at an address. */
struct sockeye_site {
	const struct sockeye_service *service;
	const void *config; /* passed to the service's functions; must outlive sockeye_serve */
	struct sockeye_addr addr;
	bool optional; /* leave the site out if this machine does not have the address (IPv6) */
};

enum sockeye_counter_kind {
	SOCKEYE_COUNTER, /* never falls */
	SOCKEYE_GAUGE,   /* the current value: rises and falls */
};

/* X(name, kind, text): the counters of every server. */
#define SOCKEYE_COUNTERS(X) \
	X(accepted, COUNTER, "connections accepted") \
	X(open, GAUGE, "connections open now") \
	X(closed_end, COUNTER, "connections closed: the session was complete") \
	X(closed_reset, COUNTER, "connections closed: reset by the peer") \
	X(closed_idle, COUNTER, "connections closed: idle timeout") \
	X(closed_time, COUNTER, "connections closed: maximum time reached") \
	X(closed_error, COUNTER, "connections closed: another error") \
	X(closed_stop, COUNTER, "connections closed: the server stopped or a worker died") \
	X(refused_source, COUNTER, "connections refused: too many from one source") \
	X(refused_resource, COUNTER, "connections refused: a limit or resource was exhausted") \
	X(bytes_in, COUNTER, "bytes received") \
	X(bytes_out, COUNTER, "bytes sent") \
	X(datagrams_in, COUNTER, "datagrams received") \
	X(datagrams_out, COUNTER, "datagrams sent") \
	X(dropped_loop, COUNTER, "datagrams not answered: from a server, or to a group") \
	X(dropped_repeat, COUNTER, "datagrams not answered: the peer exceeded the repeat rate") \
	X(dropped_rate, COUNTER, "datagrams not answered: the source exceeded its rate") \
	X(dropped_send, COUNTER, "datagrams not answered: too long, or sending failed") \
	X(dropped_queue, COUNTER, "datagrams lost: the queue of a socket was full") \
	X(accept_failures, COUNTER, "failures to accept a connection for lack of a resource") \
	X(workers_died, COUNTER, "workers that died; replaced unless the server was stopping")

/* A counter or gauge: the sum of the values of all workers. */
struct sockeye_counter {
	const char *name, *text;
	enum sockeye_counter_kind kind;
	uint64_t value;
};

enum sockeye_event_kind {
	SOCKEYE_EVENT_OPEN,     /* a connection was accepted (opts.verbose) */
	SOCKEYE_EVENT_CLOSE,    /* a connection ended (opts.verbose) */
	SOCKEYE_EVENT_MESSAGE,  /* bytes or a datagram arrived (opts.show_messages) */
	SOCKEYE_EVENT_REFUSE,   /* a connection or datagram was refused */
	SOCKEYE_EVENT_WARNING,  /* a problem that the operator should know about */
	SOCKEYE_EVENT_COUNTERS, /* after SIGUSR1, and at the end (opts.verbose) */
	SOCKEYE_EVENT_NOTICE,   /* an operator's request was carried out */
};

/* An event, with everything it points to, is valid only during the call. */
struct sockeye_event {
	enum sockeye_event_kind kind;
	int64_t real_ns;     /* time of the event */
	const char *service; /* name of the service; NULL if the event concerns none */
	enum sockeye_scheme scheme;
	const struct sockeye_sockaddr *peer; /* NULL if there is none */
	int pid, thread;     /* OPEN, CLOSE: the process and the thread that serve the connection.
			      * The two numbers are equal unless the process has several
			      * threads */
	const uint8_t *data; /* MESSAGE: the data received, not escaped */
	size_t data_len;
	uint64_t bytes_in, bytes_out; /* CLOSE */
	const char *text;             /* CLOSE, REFUSE, WARNING, NOTICE: description; may be NULL */
	int err;                      /* negative code of the cause, or 0 */
	/* COUNTERS: the rows of SOCKEYE_COUNTERS in that order, then those of services
	 * with their own counters. */
	const struct sockeye_counter *counters;
	size_t counter_count;
};

/* The sockets of the server, once all are listening. */
struct sockeye_ready {
	int pid; /* the process that handles SIGTERM, SIGHUP and SIGUSR1 */
	size_t count;
	const struct sockeye_ready_site {
		const char *service;
		enum sockeye_scheme scheme;
		struct sockeye_sockaddr name; /* with the real port */
		const char *model;            /* the model in use ("event" after a fallback);
					       * NULL if the service has its own event loop */
	} * sites;
};

/* Whether workers give up what serving does not need. In a sandbox a worker can open no file,
 * open no socket, start no program and signal no other process: a worker that a peer has
 * taken over can only exchange data with the peers of its service. A service of the caller,
 * and on_event, must then need no such call. */
enum sockeye_sandbox {
	SOCKEYE_SANDBOX_OFF,
	SOCKEYE_SANDBOX_ON,      /* as far as this system allows; a WARNING event reports what
				  * it lacks */
	SOCKEYE_SANDBOX_REQUIRE, /* fail if this system lacks a part */
};

/* A zero field selects its default. */
struct sockeye_serve_opts {
	const char *model; /* a name of sockeye_models; NULL: event */
	bool model_strict; /* an unavailable model is an error; otherwise event replaces it */
	unsigned workers;  /* processes; 0: the default of the model. Models whose default is 1
			    * always have one worker. fork, prefork and thread add one process
			    * for each datagram address */
	uint32_t connections_max; /* open connections across all workers; further clients wait
				   * in the backlog; 0: no limit */
	uint32_t per_source_max;  /* open connections from one source; further connections are
				   * closed immediately; 0: no limit */
	/* Addresses that share this number of leading bits are one source, for per_source_max
	 * and answers_per_s; 0: 32 bits for IPv4 and 64 bits for IPv6. An IPv4-mapped IPv6
	 * address counts as its IPv4 address. */
	unsigned source_ipv4_prefix, source_ipv6_prefix;
	uint64_t idle_ms;  /* close connections that transfer no byte for this time; 0: never */
	uint64_t time_ms;  /* close every connection after this time; 0: never */
	uint64_t grace_ms; /* after a stop, let sessions continue for this time; 0: 10 s */
	uint32_t backlog;  /* of listen(2); 0: 4096 */
	uint32_t answers_per_s; /* datagram replies longer than their request, per second and
				 * source; 0: 20 */
	/* Datagram replies per second to a peer that may be a server, because its port is not
	 * in ip_local_port_range or its UNIX socket has a name that the kernel did not choose.
	 * A peer that exceeds the limit receives no replies for 10 s, so that two servers do
	 * not reply to each other endlessly. 0: 200; UINT32_MAX: no limit */
	uint32_t repeats_per_s;
	const char *user; /* after binding, switch permanently to this user; NULL: keep all
			   * privileges */
	enum sockeye_sandbox sandbox;
	bool show_messages; /* MESSAGE events */
	bool verbose;       /* OPEN, CLOSE and final COUNTERS events */
	int stop_fd;        /* > 0: stop, as for SIGTERM, when it becomes readable */
	bool no_signals;    /* leave SIGTERM, SIGINT, SIGHUP and SIGUSR1 alone */

	/* Called in the calling process once all sockets are listening; may be NULL. If it
	 * returns a negative code, sockeye_serve stops and returns that code. */
	int (*on_ready)(void *arg, const struct sockeye_ready *ready);

	/* Called in the process and thread where the event happens: it must be
	 * thread-safe, and should write each event with one write(2). May be NULL. */
	void (*on_event)(void *arg, const struct sockeye_event *event);
	void *arg;
};

/* Serves `sites` until it is stopped. The calling process binds the sockets, starts
 * workers and replaces workers that die. Workers are child processes under every
 * model, so that a crash ends only the sessions of one worker.
 *
 * Unless no_signals is set, SIGTERM or SIGINT stops the server: it accepts no more
 * connections, and sessions can continue for grace_ms. A signal that follows after 500 ms
 * or more ends the server immediately. SIGUSR1 causes a COUNTERS event. SIGHUP stops the server
 * only if it started with a controlling terminal and this terminal is gone. SIGCHLD may have any
 * setting, and a handler for it may reap any child; if SIGCHLD is ignored, its default
 * action applies during the call. Workers start with the default action of every signal,
 * except that they ignore SIGPIPE and SIGXFSZ and keep handlers for crashes (SIGSEGV ...).
 * The function forks: call it from one thread at a time, and before starting other
 * threads.
 *
 * Returns 0 after a stop. On failure returns a negative code, leaves no socket open
 * and fills in *fail, which may be NULL. On return the signal mask, the limit of
 * open files and all other state of the process are as before. */
SOCKEYE_API int sockeye_serve(const struct sockeye_site *sites, size_t count,
			      const struct sockeye_serve_opts *opts, struct sockeye_fail *fail);

/* A server model: how connections are served. */
struct sockeye_model {
	const char *name;
	const char *summary; /* one line */
	unsigned workers;    /* default number of processes; 0: one per CPU; 1: always one */
	bool one_session;    /* a worker serves one connection at a time */
	bool own_sockets;    /* each worker has its own listening socket (SO_REUSEPORT) */
};

/* The names of the models, terminated by NULL. */
SOCKEYE_API extern const char *const sockeye_models[];

/* Returns the model of that name, or NULL. Thread-safe. */
SOCKEYE_API const struct sockeye_model *sockeye_model_find(const char *name);

SOCKEYE_END

#endif
