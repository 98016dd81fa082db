/*
 * serve.h: running services on addresses under a server model.
 *
 *     static const struct sockeye_service shout = { .name = "shout", .turn = shout_turn };
 *
 *     struct sockeye_site site = { .service = &shout };
 *     sockeye_addr_parse("tcp://127.0.0.1:7000", &site.addr, NULL);
 *     return sockeye_serve(&site, 1, &(struct sockeye_serve_opts){ .model = "thread" }, NULL);
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
	const void *config; /* given to each turn; must outlive sockeye_serve */
	struct sockeye_addr addr;
	bool optional; /* an address this machine does not have (IPv6) is left out */
};

/* What the value of a counter does. */
enum sockeye_counter_kind {
	SOCKEYE_COUNTER, /* it never falls */
	SOCKEYE_GAUGE,   /* it rises and falls: what is open now */
};

/* X(name, kind, text): what every server counts. */
#define SOCKEYE_COUNTERS(X) \
	X(accepted, COUNTER, "connections accepted") \
	X(open, GAUGE, "connections open now") \
	X(closed_end, COUNTER, "connections closed: both sides done") \
	X(closed_reset, COUNTER, "connections closed: reset by the peer") \
	X(closed_idle, COUNTER, "connections closed: idle time-out") \
	X(closed_time, COUNTER, "connections closed: longest time reached") \
	X(closed_error, COUNTER, "connections closed: another error") \
	X(closed_stop, COUNTER, "connections closed: the server stopped or a worker died") \
	X(refused_source, COUNTER, "connections refused: too many from one source") \
	X(refused_resource, COUNTER, "connections refused: no process, thread or memory for them") \
	X(bytes_in, COUNTER, "bytes received") \
	X(bytes_out, COUNTER, "bytes sent") \
	X(datagrams_in, COUNTER, "datagrams received") \
	X(datagrams_out, COUNTER, "datagrams sent") \
	X(dropped_loop, COUNTER, "datagrams not answered: the source could loop") \
	X(dropped_rate, COUNTER, "datagrams not answered: over the rate of their source") \
	X(dropped_send, COUNTER, "datagrams not answered: the answer could not be sent") \
	X(dropped_queue, COUNTER, "datagrams lost: the socket's queue was full") \
	X(accept_failures, COUNTER, "times accepting failed for want of a resource") \
	X(workers_died, COUNTER, "workers that died and were replaced")

/* A counter, added up over all workers since the start. */
struct sockeye_counter {
	const char *name, *text;
	enum sockeye_counter_kind kind;
	uint64_t value;
};

enum sockeye_event_kind {
	SOCKEYE_EVENT_OPEN,     /* a connection was accepted (verbose) */
	SOCKEYE_EVENT_CLOSE,    /* a connection ended (verbose); text says how */
	SOCKEYE_EVENT_MESSAGE,  /* bytes or a datagram came (show_messages) */
	SOCKEYE_EVENT_REFUSE,   /* a connection or datagram was turned away */
	SOCKEYE_EVENT_WARNING,  /* something the operator should know; text, err */
	SOCKEYE_EVENT_COUNTERS, /* SIGUSR1, or the end when verbose */
	SOCKEYE_EVENT_NOTICE,   /* something that was asked for was done; text */
};

/* Something that happened. It and what it points to last for the call. */
struct sockeye_event {
	enum sockeye_event_kind kind;
	int64_t real_ns;     /* when */
	const char *service; /* its name; NULL when it concerns none */
	enum sockeye_scheme scheme;
	const struct sockeye_sockaddr *peer; /* NULL when there is none */
	const uint8_t *data;                 /* MESSAGE: what came, not escaped */
	size_t data_len;
	uint64_t bytes_in, bytes_out; /* CLOSE */
	const char *text;             /* CLOSE, REFUSE, WARNING, NOTICE: why or what; may be NULL */
	int err;                      /* negative code behind it, 0 none */
	/* COUNTERS: those of SOCKEYE_COUNTERS in that order, then those of features. */
	const struct sockeye_counter *counters;
	size_t counter_count;
};

/* What is listening, told once every socket does. */
struct sockeye_ready {
	int pid; /* of the process to signal */
	size_t count;
	const struct sockeye_ready_site {
		const char *service;
		enum sockeye_scheme scheme;
		struct sockeye_sockaddr name; /* the real port */
		const char *model;            /* in use, after a fall-back; NULL: the service
					       * moves its own bytes */
	} * sites;
};

struct sockeye_serve_opts {
	const char *model; /* "iterative" "fork" "prefork" "thread" "event" "uring"; NULL: event */
	bool model_strict; /* an unavailable model is an error, not a fall-back to event */
	unsigned workers;  /* processes of prefork, event and uring; 0: one per processor
			    * (prefork: 8) */
	uint32_t
	    connections_max; /* at once, all workers together; more wait in the backlog; 0 none */
	uint32_t per_source_max; /* at once from one source; more are closed at once; 0 none */
	/* Addresses that share this many leading bits are one source, for this limit and
	 * for answers_per_s; 0: 32 and 64. IPv4-mapped addresses are IPv4 addresses. */
	unsigned source_ipv4_prefix, source_ipv6_prefix;
	uint64_t idle_ms;       /* a connection that moves no byte so long is closed; 0 never */
	uint64_t time_ms;       /* the longest a connection may last; 0 no limit */
	uint64_t grace_ms;      /* after a stop, how long sessions may go on; 0: 10 s */
	uint32_t backlog;       /* of listen(2); 0: 4096 */
	uint32_t answers_per_s; /* per source, of datagram services that amplify; 0: 20 */
	const char *user;       /* become this user once everything is bound */
	bool show_messages;     /* MESSAGE events */
	bool verbose;           /* OPEN, CLOSE and final COUNTERS events */
	int stop_fd;            /* > 0: becoming readable stops the server as SIGTERM does */
	bool no_signals;        /* do not look at SIGTERM, SIGINT and SIGUSR1: stop_fd stops */

	/* Called in this process once everything listens; may be NULL. Negative
	 * return ends sockeye_serve with that code. */
	int (*on_ready)(void *arg, const struct sockeye_ready *ready);

	/* Called in whichever process or thread it happens in, so it must be
	 * thread-safe and should write each event with one write(2); may be NULL. */
	void (*on_event)(void *arg, const struct sockeye_event *event);
	void *arg;
};

/* Serves `sites` until stopped. The calling process binds, starts workers
 * (child processes, whatever the model: a crash costs only its own sessions),
 * replaces those that die, and waits. SIGTERM or SIGINT stops it (unless
 * no_signals): nothing more is accepted, sessions may finish for grace_ms; a
 * second one ends at once. SIGUSR1 makes a COUNTERS event. The signal mask
 * and everything else of the process is as before on return; SIGCHLD must not
 * be ignored. Call it from one thread at a time, and before starting others:
 * it forks.
 * Returns 0 after a stop, or a negative code with *fail filled in (fail may be
 * NULL) and nothing left listening. */
SOCKEYE_API int sockeye_serve(const struct sockeye_site *sites, size_t count,
			      const struct sockeye_serve_opts *opts, struct sockeye_fail *fail);

/* A server model: how connections are served. */
struct sockeye_model {
	const char *name;
	const char *summary; /* one line */
	unsigned workers;    /* processes by default; 0: one per processor; 1: always one */
	bool one_session;    /* a worker serves one connection at a time */
	bool own_sockets;    /* each worker listens on a socket of its own (SO_REUSEPORT) */
};

/* The names of the models, ended by NULL. */
SOCKEYE_API extern const char *const sockeye_models[];

/* The model of that name, or NULL. Thread-safe. */
SOCKEYE_API const struct sockeye_model *sockeye_model_find(const char *name);

SOCKEYE_END

#endif
