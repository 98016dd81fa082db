/*
 * budget.c: limits the time that the rules for names take (internal.h).
 *
 * Any host can send names that make rules expensive. A request may use REQUEST_NS of
 * CPU time, and all requests of a worker together may use PER_S_NS per second. When
 * PER_S_NS is used up, a request may still use FRUGAL_NS, so that ordinary names are
 * served while a client sends expensive ones.
 */
#include "tftp/server/internal.h"

#include <time.h>

#define REQUEST_NS (10 * SOCKEYE_NS_PER_MS)
#define FRUGAL_NS  SOCKEYE_NS_PER_MS
#define PER_S_NS   ((int64_t)(100 * SOCKEYE_NS_PER_MS))
#define DEBT_MAX   (PER_S_NS / 10)

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SOCKEYE_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Returns the CPU time that the current request has used, or the wall time if that is below
 * enough_ns: CPU time is never longer, and its clock is more expensive to read. */
static uint64_t used_ns(const struct sockeye__tftp_budget *b, uint64_t enough_ns)
{
	uint64_t wall_ns = clock_ns(CLOCK_MONOTONIC) - b->wall_ns;

	return wall_ns < enough_ns ? wall_ns : clock_ns(CLOCK_THREAD_CPUTIME_ID) - b->cpu_ns;
}

static bool is_spent(void *arg)
{
	const struct sockeye__tftp_budget *b = arg;
	uint64_t most = b->watch.frugal ? FRUGAL_NS : REQUEST_NS;

	return used_ns(b, most) >= most;
}

const struct sockeye__tftp_map_watch *sockeye__tftp_budget_begin(struct sockeye__tftp_budget *b)
{
	b->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	b->wall_ns = clock_ns(CLOCK_MONOTONIC);
	if (b->filled_ns == 0 || b->wall_ns - b->filled_ns > SOCKEYE_NS_PER_S)
		b->left_ns = PER_S_NS;
	else
		b->left_ns +=
		    (int64_t)(b->wall_ns - b->filled_ns) * PER_S_NS / (int64_t)SOCKEYE_NS_PER_S;
	b->left_ns = b->left_ns < PER_S_NS ? b->left_ns : PER_S_NS;
	b->filled_ns = b->wall_ns;
	b->watch = (struct sockeye__tftp_map_watch){
	    .is_spent = is_spent,
	    .arg = b,
	    .frugal = b->left_ns <= 0,
	};
	return &b->watch;
}

void sockeye__tftp_budget_end(struct sockeye__tftp_budget *b)
{
	b->left_ns -= (int64_t)used_ns(b, FRUGAL_NS / 10);
	if (b->left_ns < -DEBT_MAX)
		b->left_ns = -DEBT_MAX;
}
