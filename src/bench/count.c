/*
 * count.c: what the connections of the load generator report: messages begun,
 * answered and lost, and failures.
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
		if (run->tickets == 0)
			return false;
		run->tickets--;
	}
	run->outstanding++;
	return true;
}

void sockeye__bench_unbegin(struct sockeye__bench_run *run)
{
	run->outstanding--;
	if (run->phase == SOCKEYE__BENCH_MEASURE && run->opts.count > 0)
		run->tickets++;
}

void sockeye__bench_unanswered(struct sockeye__bench_run *run)
{
	run->outstanding--;
}

void sockeye__bench_answered(struct sockeye__bench_run *run, uint64_t begun_ns)
{
	run->outstanding--;
	run->answered = true;
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

/* The first failure is the one that is told. */
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
	sockeye_escape(got, len < 8 ? len : 8, shown, sizeof(shown));
	sockeye__fail_detail(run->fail,
			     "message %" PRIu64 " of connection %" PRIu32 ", from byte %zu: \"%s\"",
			     number + 1, conn->index + 1, at, shown);
}

/* Whether trying again makes sense: churn goes on after what one connection met. */
static bool is_lasting(const struct sockeye__bench_run *run, int err)
{
	return run->opts.churn == SOCKEYE__BENCH_KEEP ||
	       (err != SOCKEYE_E_EOF && err != SOCKEYE_E_MISMATCH && err != -ECONNRESET &&
		err != -ETIMEDOUT);
}

void sockeye__bench_broke(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn, int err)
{
	bool connecting = !conn->open && run->stream;

	run->outstanding -= conn->begun - conn->answered;
	conn->begun = conn->answered = 0;
	conn->got = 0;
	conn->sent = run->opts.size;
	sockeye__bench_close(conn, false);
	conn->gone = is_lasting(run, err);
	run->alive -= conn->gone;
	if (err != SOCKEYE_E_MISMATCH) /* that has been counted */
		sockeye__bench_error_count(run, err);
	/* A server that answered and now refuses is gone, which is no refusal. */
	if (err == -ECONNREFUSED && run->answered)
		sockeye__bench_blame(run, "bench", SOCKEYE_E_EOF);
	else
		sockeye__bench_blame(run, connecting ? "connect" : "bench", err);
}
