/*
 * bench.h: the load generator. In a closed loop each connection keeps a number of
 * messages in flight and begins the next one when a reply arrives. In an open loop
 * (opts.rate) messages are due at fixed times, whether or not the server keeps up.
 *
 * If the generator makes the messages and expects ECHO or UPPER, the messages differ and
 * every byte of every reply is checked, so that a reply to another message is detected.
 *
 * The latencies cover every message that was due while measuring. The latency of a message
 * without a correct reply is the time that the generator waited for the reply, but at least
 * opts.timeout_ns; if the run was interrupted, it is the time so far.
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

/* The reply that a message must get. */
enum sockeye__bench_expect {
	SOCKEYE__BENCH_ECHO,
	SOCKEYE__BENCH_UPPER,  /* the message with its ASCII letters in upper case */
	SOCKEYE__BENCH_LINE,   /* bytes up to LF */
	SOCKEYE__BENCH_LENGTH, /* reply_len bytes */
	SOCKEYE__BENCH_TEXT,   /* reply_text[0..reply_len) */
	SOCKEYE__BENCH_REGEX,  /* bytes that the regular expression matches */
};

/* A compiled regular expression. */
struct sockeye__bench_regex;

/* Compiles a PCRE2 pattern that matches bytes, not characters. Returns NULL on failure, with
 * the reason in out_why. */
struct sockeye__bench_regex *sockeye__bench_regex_new(const char *pattern, char *out_why,
						      size_t cap);
void sockeye__bench_regex_free(struct sockeye__bench_regex *regex);

/* Whether each message gets a new connection, and how that connection is closed. */
enum sockeye__bench_churn {
	SOCKEYE__BENCH_KEEP,
	SOCKEYE__BENCH_FIN,
	SOCKEYE__BENCH_RST,
};

struct sockeye__bench_opts {
	uint32_t connections; /* open at the same time; 0: 1 */
	uint32_t in_flight;   /* messages in flight per connection; 0: 1 */
	size_t size;          /* bytes per message; 0 only for datagrams */
	uint64_t time_ns;     /* measure for this long; 0: until `count` */
	uint64_t count;       /* measure this many messages; 0: until `time_ns` */
	uint64_t warmup_ns;   /* run for this long before measuring */
	uint64_t timeout_ns;  /* for a reply and for connecting; 0: 10 s, datagrams 1 s */
	uint64_t rate;        /* messages per second, at fixed times; 0: a closed loop */
	const uint8_t *send;  /* every message, of `size` bytes; NULL: made by the generator,
			       * lines unless the reply is ECHO or UPPER */
	enum sockeye__bench_expect expect;
	size_t reply_len;
	const uint8_t *reply_text;
	struct sockeye__bench_regex *regex;
	bool keep_going; /* open failed connections again, and measure the downtime */
	enum sockeye__bench_churn churn;
	bool burst;       /* write a whole message before reading any of its reply */
	uint32_t sources; /* IPv4: connect from this many addresses, counted from `local`; 0: 1 */
	struct sockeye_sockaddr local; /* zeroed: the kernel chooses; 127.0.0.1 with sources */
	uint64_t hold_ns;              /* keep the connections open this long after measuring */
	/* Called when measuring begins, and when it ends, before connections are
	 * closed. May be NULL. */
	void (*on_phase)(void *arg, bool measuring);
	void *arg;
	int stop_fd; /* > 0: the run ends when it becomes readable */
};

/* X(name, text): why a connection failed or a message got no correct reply. */
#define SOCKEYE__BENCH_ERRORS(X) \
	X(refused, "refused") \
	X(timed_out, "timed out") \
	X(closed, "closed by the peer") \
	X(reset, "reset") \
	X(mismatch, "wrong reply") \
	X(no_port, "no local port left") \
	X(other, "other errors")

struct sockeye__bench_result {
	struct sockeye_sockaddr peer; /* the address that was used */
	uint64_t messages;            /* that got a reply */
	uint64_t connections;         /* opened */
	uint64_t lost;                /* overdue datagrams, messages of connections that failed,
				       * and messages that were due but not sent */
	uint64_t late;                /* replies that were late or repeated */
	uint64_t bytes_out, bytes_in;
	uint64_t elapsed_ns;
	uint64_t cpu_ns;              /* used by this process while measuring */
	struct sockeye__hist latency; /* ns from the first byte sent to the last one received;
				       * with churn from the start of connecting; with rate
				       * from the time at which the message was due */
	/* With keep_going: from the last reply before a failure to the next reply. */
	uint64_t outages, down_ns, down_longest_ns;
	bool interrupted; /* by stop_fd */
#define SOCKEYE__BENCH_ERROR_FIELD(name, text) uint64_t name;
	struct sockeye__bench_errors {
		SOCKEYE__BENCH_ERRORS(SOCKEYE__BENCH_ERROR_FIELD)
	} errors;
#undef SOCKEYE__BENCH_ERROR_FIELD
};

/* Runs against the first of `names` (the resolved addresses of `addr`) that
 * accepts a connection. Returns 0 if nothing failed, otherwise the negative code
 * of the first failure, with *fail filled in; -ETIMEDOUT if no reply arrived at
 * all. *out_result always has the measurements. */
int sockeye__bench(const struct sockeye_addr *addr, const struct sockeye_sockaddr *names,
		   size_t count, const struct sockeye__bench_opts *opts,
		   struct sockeye__bench_result *out_result, struct sockeye_fail *fail);

/* Return the latency that `percent` of the messages do not exceed, which may be up to
 * 0.8% too high, and the mean latency. Both return 0 if there was no message. */
uint64_t sockeye__bench_percentile(const struct sockeye__bench_result *result, double percent);
double sockeye__bench_mean(const struct sockeye__bench_result *result);

#endif
