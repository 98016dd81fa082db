/*
 * count.c: counts what the connections of the load generator report: messages
 * begun, replies, and failures.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sockeye/text.h>
#include <sockeye/time.h>

#include "net/net.h"
#include "bench/internal.h"

/* Whether a message that is due at this time is measured. */
static bool is_measured(const struct sockeye__bench_run *run, uint64_t due_ns)
{
	return run->phase >= SOCKEYE__BENCH_MEASURE && due_ns >= run->start_ns;
}

uint64_t sockeye__bench_due_ns(const struct sockeye__bench_run *run)
{
	const uint64_t rate = run->opts.rate, n = run->scheduled;

	if (rate == 0)
		return 0;
	return run->schedule_ns + n / rate * SOCKEYE_NS_PER_S + n % rate * SOCKEYE_NS_PER_S / rate;
}

bool sockeye__bench_begin(struct sockeye__bench_run *run, struct sockeye__bench_slot *slot)
{
	bool measuring = run->phase == SOCKEYE__BENCH_MEASURE;
	uint64_t due_ns = sockeye__bench_due_ns(run);

	if (!measuring && run->phase != SOCKEYE__BENCH_WARMUP)
		return false;
	if (due_ns > run->now_ns || due_ns >= run->end_ns)
		return false;
	if (measuring && run->opts.count > 0) {
		if (run->to_begin == 0)
			return false;
		run->to_begin--;
	}
	run->in_flight++;
	run->scheduled++;
	slot->begun_ns = run->now_ns;
	slot->due_ns = due_ns != 0 ? due_ns : run->now_ns;
	return true;
}

void sockeye__bench_begin_undo(struct sockeye__bench_run *run, struct sockeye__bench_slot *slot)
{
	slot->begun_ns = 0;
	run->in_flight--;
	if (run->scheduled > 0) /* measuring may have begun meanwhile */
		run->scheduled--;
	if (run->phase == SOCKEYE__BENCH_MEASURE && run->opts.count > 0)
		run->to_begin++;
}

/* Records the latency of a message without a correct reply (bench.h). */
static void record_unanswered(struct sockeye__bench_run *run, uint64_t due_ns)
{
	uint64_t waited_ns = run->now_ns - due_ns;

	if (!is_measured(run, due_ns))
		return;
	sockeye__hist_record(&run->result->latency,
			     waited_ns > run->opts.timeout_ns ? waited_ns : run->opts.timeout_ns);
}

void sockeye__bench_wronged(struct sockeye__bench_run *run, const struct sockeye__bench_slot *slot)
{
	run->in_flight--;
	record_unanswered(run, slot->due_ns);
}

void sockeye__bench_lost(struct sockeye__bench_run *run, const struct sockeye__bench_slot *slot)
{
	sockeye__bench_wronged(run, slot);
	run->result->lost += is_measured(run, slot->due_ns);
}

void sockeye__bench_unsent(struct sockeye__bench_run *run)
{
	uint64_t end_ns = run->end_ns < run->now_ns ? run->end_ns : run->now_ns;

	for (; run->opts.rate > 0 && sockeye__bench_due_ns(run) < end_ns; run->scheduled++) {
		if (run->opts.count > 0 && run->to_begin-- == 0)
			return;
		record_unanswered(run, sockeye__bench_due_ns(run));
		run->result->lost++;
	}
}

void sockeye__bench_unfinished(struct sockeye__bench_run *run)
{
	for (uint32_t i = 0; i < run->opts.connections; i++)
		for (uint32_t j = 0; j < run->opts.in_flight; j++) {
			const struct sockeye__bench_slot *slot = &run->conns[i].slots[j];

			if (slot->begun_ns != 0 && is_measured(run, slot->due_ns))
				sockeye__hist_record(&run->result->latency,
						     run->now_ns - slot->due_ns);
		}
}

void sockeye__bench_down(struct sockeye__bench_run *run, int err)
{
	if (!run->opts.keep_going || run->down_since_ns != 0)
		return;
	run->down_since_ns = run->reply_ns != 0 ? run->reply_ns : run->now_ns;
	run->down_err = err;
}

void sockeye__bench_down_end(struct sockeye__bench_run *run)
{
	struct sockeye__bench_result *r = run->result;
	uint64_t ns = run->now_ns - run->down_since_ns;

	if (run->down_since_ns == 0)
		return;
	r->outages++;
	r->down_ns += ns;
	if (ns > r->down_longest_ns)
		r->down_longest_ns = ns;
}

void sockeye__bench_answered(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			     const struct sockeye__bench_slot *slot)
{
	run->in_flight--;
	run->any_reply = true;
	run->reply_ns = run->now_ns;
	conn->retrying = false;
	if (run->phase == SOCKEYE__BENCH_MEASURE)
		sockeye__bench_down_end(run);
	run->down_since_ns = 0;
	if (!is_measured(run, slot->due_ns))
		return;
	run->result->messages += run->phase == SOCKEYE__BENCH_MEASURE;
	sockeye__hist_record(&run->result->latency, run->now_ns - slot->due_ns);
}

void sockeye__bench_error_count(struct sockeye__bench_run *run, int err)
{
	struct sockeye__bench_errors *errors = &run->result->errors;

	switch (err) {
	case SOCKEYE_E_MISMATCH:
		errors->mismatch++;
		break;
	case SOCKEYE_E_EOF:
		errors->closed++;
		break;
	case -ECONNREFUSED:
		errors->refused++;
		break;
	case -ECONNRESET:
		errors->reset++;
		break;
	case -ETIMEDOUT:
		errors->timed_out++;
		break;
	case -EADDRNOTAVAIL:
		errors->no_port++;
		break;
	default:
		errors->other++;
	}
}

void sockeye__bench_blame(struct sockeye__bench_run *run, const char *op, int err)
{
	if (run->err != 0)
		return;
	run->err = err;
	sockeye__fail_name(run->fail, op, run->addr, run->name, err);
	if (err == -ETIMEDOUT && strcmp(op, "connect") != 0)
		sockeye__fail_detail(run->fail, "no reply within %g s",
				     (double)run->opts.timeout_ns / (double)SOCKEYE_NS_PER_S);
	if (err == -EADDRNOTAVAIL && run->no_port)
		sockeye__fail_detail(run->fail,
				     "all local ports for this server are in use or in TIME_WAIT "
				     "(ip_local_port_range): --sources uses more addresses, "
				     "--churn rst leaves none in TIME_WAIT");
}

void sockeye__bench_mismatch(struct sockeye__bench_run *run, const struct sockeye__bench_conn *conn,
			     uint64_t number, size_t at, const uint8_t *got, size_t len)
{
	char shown[40];

	sockeye__bench_error_count(run, SOCKEYE_E_MISMATCH);
	if (run->err != 0)
		return;
	sockeye__bench_blame(run, "bench", SOCKEYE_E_MISMATCH);
	sockeye_escape(got, len < 8 ? len : 8, shown, sizeof shown);
	sockeye__fail_detail(run->fail,
			     "message %" PRIu64 " of connection %" PRIu32 ", from byte %zu: \"%s\"",
			     number + 1, conn->index + 1, at, shown);
}

/* Whether the connection must not be opened again. With churn, a failure that affects
 * only one connection does not stop the others. */
static bool is_lasting(const struct sockeye__bench_run *run, int err)
{
	if (run->opts.keep_going)
		return false;
	return run->opts.churn == SOCKEYE__BENCH_KEEP ||
	       (err != SOCKEYE_E_EOF && err != SOCKEYE_E_MISMATCH && err != -ECONNRESET &&
		err != -ETIMEDOUT);
}

/* Ends the messages in flight on a connection that failed. They count as not sent if the
 * connection only tried whether the server replies again, or if there was no free local
 * port. */
static void messages_end(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn, int err)
{
	for (uint32_t i = 0; i < run->opts.in_flight; i++) {
		struct sockeye__bench_slot *slot = &conn->slots[i];

		if (slot->begun_ns == 0)
			continue;
		if (conn->retrying || err == -EADDRNOTAVAIL)
			sockeye__bench_begin_undo(run, slot);
		else if (err == SOCKEYE_E_MISMATCH)
			sockeye__bench_wronged(run, slot);
		else
			sockeye__bench_lost(run, slot);
	}
	sockeye__bench_slots_init(run, conn);
	conn->begun = conn->answered = 0;
	conn->received = 0;
	conn->sent = run->opts.size;
}

/* Counts the failure of a connection. */
static void failure_count(struct sockeye__bench_run *run, int err, bool connecting)
{
	if (err != SOCKEYE_E_MISMATCH) /* sockeye__bench_mismatch has counted that */
		sockeye__bench_error_count(run, err);
	if (run->opts.keep_going)
		sockeye__bench_down(run, err);
	/* A server that replied before and now refuses connections has ended. */
	else if (err == -ECONNREFUSED && run->any_reply)
		sockeye__bench_blame(run, "bench", SOCKEYE_E_EOF);
	else
		sockeye__bench_blame(run, connecting ? "connect" : "bench", err);
}

void sockeye__bench_broke(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn, int err)
{
	bool connecting = conn->life != SOCKEYE__BENCH_CONNECTED && run->stream;

	messages_end(run, conn, err);
	sockeye__bench_close(conn, false);
	if (is_lasting(run, err)) {
		conn->life = SOCKEYE__BENCH_FAILED;
		run->usable--;
	}
	if (!conn->retrying)
		failure_count(run, err, connecting);
	conn->retrying = run->opts.keep_going;
}
