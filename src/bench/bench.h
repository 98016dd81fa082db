/*
 * bench.h: the load generator. A closed loop: each connection has a number of
 * messages in flight and begins the next when one is answered. Every byte
 * that comes back is checked; the messages differ, so that answers that were
 * mixed up are noticed.
 */
#ifndef SOCKEYE_BENCH_BENCH_H
#define SOCKEYE_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>
#include <sockeye/sockaddr.h>

#include "base/histogram.h"

/* What a message must come back as. */
enum sockeye__bench_expect {
	SOCKEYE__BENCH_ECHO,
	SOCKEYE__BENCH_UPPER, /* ASCII letters in upper case */
	SOCKEYE__BENCH_ANY,   /* anything; messages are lines */
};

/* Whether a connection is for one message, and how it then ends. */
enum sockeye__bench_churn {
	SOCKEYE__BENCH_KEEP,
	SOCKEYE__BENCH_FIN,
	SOCKEYE__BENCH_RST,
};

struct sockeye__bench_opts {
	uint32_t connections; /* at once; 0: 1 */
	uint32_t in_flight;   /* messages on their way on each; 0: 1 */
	size_t size;          /* bytes of a message; 0 only for datagrams */
	uint64_t time_ns;     /* how long to measure; 0: until `count` */
	uint64_t count;       /* messages to measure; 0: until `time_ns` */
	uint64_t warmup_ns;   /* not measured, before */
	uint64_t timeout_ns;  /* of an answer, and of connecting; 0: 10 s, datagrams 1 s */
	enum sockeye__bench_expect expect;
	enum sockeye__bench_churn churn;
	bool burst;       /* a message is written whole before any byte is read */
	uint32_t sources; /* IPv4: spread over so many addresses from `local` up; 0: 1 */
	struct sockeye_sockaddr local; /* zeroed: the system's choice, 127.0.0.1 with sources */
	uint64_t hold_ns;              /* connections stay open so long after measuring */
	/* Called when measuring begins and when it ends, before anything is closed;
	 * may be NULL. */
	void (*on_phase)(void *arg, bool measuring);
	void *arg;
	int stop_fd; /* > 0: becoming readable ends the run */
};

/* X(name, text): why a connection or a datagram was lost. */
#define SOCKEYE__BENCH_ERRORS(X) \
	X(refused, "refused") \
	X(timed_out, "timed out") \
	X(closed, "closed by the peer") \
	X(reset, "reset") \
	X(mismatch, "wrong answer") \
	X(other, "other errors")

struct sockeye__bench_result {
	struct sockeye_sockaddr peer; /* the one of its addresses that was used */
	uint64_t messages;            /* answered */
	uint64_t connections;         /* opened */
	uint64_t lost;                /* datagrams without an answer in time */
	uint64_t late;                /* datagrams answered too late or twice */
	uint64_t elapsed_ns;
	uint64_t cpu_ns;              /* of this process meanwhile */
	struct sockeye__hist latency; /* ns from the first byte out to the last one in; with churn
				       * from the connect */
	bool interrupted;             /* by stop_fd */
#define SOCKEYE__BENCH_ERROR_FIELD(name, text) uint64_t name;
	struct sockeye__bench_errors {
		SOCKEYE__BENCH_ERRORS(SOCKEYE__BENCH_ERROR_FIELD)
	} errors;
#undef SOCKEYE__BENCH_ERROR_FIELD
};

/* Runs against the first of `names` (the resolved addresses of `addr`) that
 * takes a connection. Returns 0 when it ran undisturbed; else a negative code,
 * the first thing that went wrong, with *fail filled in. *out_result is filled
 * in either way with what was measured until then. -ETIMEDOUT when nothing
 * came back at all. */
int sockeye__bench(const struct sockeye_addr *addr, const struct sockeye_sockaddr *names,
		   size_t count, const struct sockeye__bench_opts *opts,
		   struct sockeye__bench_result *out_result, struct sockeye_fail *fail);

/* The latency that `percent` of the messages do not exceed (at most 0.8 % too
 * high), and the mean; 0 without messages. */
uint64_t sockeye__bench_percentile(const struct sockeye__bench_result *result, double percent);
double sockeye__bench_mean(const struct sockeye__bench_result *result);

#endif
