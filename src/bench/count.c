/*
 * count.c: counts what the connections of the load generator report: messages
 * begun, replies, and failures.
 */
#include <errno.h>
#include <inttypes.h>

#include <sockeye/text.h>

#include "net/net.h"
#include "bench/internal.h"

bool sockeye__bench_begin(struct sockeye__bench_run *run)
{
	bool measuring = run->phase == SOCKEYE__BENCH_MEASURE;

	if (!measuring && run->phase != SOCKEYE__BENCH_WARMUP)
		return false;
	if (measuring && run->opts.count > 0) {
		if (run->to_begin == 0)
			return false;
		run->to_begin--;
	}
	run->in_flight++;
	return true;
}

void sockeye__bench_begin_undo(struct sockeye__bench_run *run)
{
	run->in_flight--;
	if (run->phase == SOCKEYE__BENCH_MEASURE && run->opts.count > 0)
		run->to_begin++;
}

void sockeye__bench_unanswered(struct sockeye__bench_run *run)
{
	run->in_flight--;
}

void sockeye__bench_answered(struct sockeye__bench_run *run, uint64_t begun_ns)
{
	run->in_flight--;
	run->any_reply = true;
	if (run->phase != SOCKEYE__BENCH_MEASURE || begun_ns < run->start_ns)
		return;
	run->result->messages++;
	sockeye__hist_record(&run->result->latency, run->now_ns - begun_ns);
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
	default:
		errors->other++;
	}
}

void sockeye__bench_blame(struct sockeye__bench_run *run, const char *op, int err)
{
	if (run->err != 0)
		return;
	run->err = err;
	sockeye__fail_name(run->fail, op, run->addr->scheme, run->name, err);
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
	return run->opts.churn == SOCKEYE__BENCH_KEEP ||
	       (err != SOCKEYE_E_EOF && err != SOCKEYE_E_MISMATCH && err != -ECONNRESET &&
		err != -ETIMEDOUT);
}

void sockeye__bench_broke(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn, int err)
{
	bool connecting = conn->life != SOCKEYE__BENCH_CONNECTED && run->stream;

	run->in_flight -= conn->begun - conn->answered;
	conn->begun = conn->answered = 0;
	conn->received = 0;
	conn->sent = run->opts.size;
	sockeye__bench_close(conn, false);
	if (is_lasting(run, err)) {
		conn->life = SOCKEYE__BENCH_FAILED;
		run->usable--;
	}
	if (err != SOCKEYE_E_MISMATCH) /* sockeye__bench_mismatch has counted that */
		sockeye__bench_error_count(run, err);
	/* A server that has replied before and now refuses has exited. */
	if (err == -ECONNREFUSED && run->any_reply)
		sockeye__bench_blame(run, "bench", SOCKEYE_E_EOF);
	else
		sockeye__bench_blame(run, connecting ? "connect" : "bench", err);
}
