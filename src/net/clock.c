/*
 * clock.c: reads the clocks, and waits for a file descriptor until a deadline.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <time.h>

#include <sockeye/time.h>

#include "net/net.h"

uint64_t sockeye__clock_ns(clockid_t clock)
{
	struct timespec ts = {0};

	clock_gettime(clock, &ts); /* cannot fail for the clocks in use */
	return (uint64_t)ts.tv_sec * SOCKEYE_NS_PER_S + (uint64_t)ts.tv_nsec;
}

struct sockeye_now sockeye_now(void)
{
	return (struct sockeye_now){
	    .mono_ns = sockeye__clock_ns(CLOCK_MONOTONIC),
	    .real_ns = (int64_t)sockeye__clock_ns(CLOCK_REALTIME),
	};
}

uint64_t sockeye_deadline_ms(uint64_t ms)
{
	uint64_t deadline_ns;

	if (ms == 0)
		return 0;
	if (__builtin_mul_overflow(ms, SOCKEYE_NS_PER_MS, &deadline_ns) ||
	    __builtin_add_overflow(deadline_ns, sockeye__clock_ns(CLOCK_MONOTONIC), &deadline_ns))
		return UINT64_MAX; /* 584 years */
	return deadline_ns;
}

int sockeye__poll_ms(uint64_t deadline_ns, uint64_t mono_ns)
{
	uint64_t ms;

	if (deadline_ns == 0)
		return -1;
	if (deadline_ns <= mono_ns)
		return 0;
	/* Rounded up: after waking too early, callers would spin until the deadline. */
	ms = (deadline_ns - mono_ns - 1) / SOCKEYE_NS_PER_MS + 1;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int sockeye__wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int ms = sockeye__poll_ms(deadline_ns,
					  deadline_ns ? sockeye__clock_ns(CLOCK_MONOTONIC) : 0);
		int n = poll(&p, 1, ms);

		if (n > 0)
			return p.revents & POLLNVAL ? -EBADF : 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && ms == 0)
			return -ETIMEDOUT;
	}
}
