/* shared_lock.c: see shared_lock.h. */
#include "serve/shared_lock.h"

#include <errno.h>
#include <time.h>

#include <sockeye/time.h>

#define BRIEFLY_NS (100 * SOCKEYE_NS_PER_MS)

void sockeye__shared_lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

void sockeye__shared_lock(pthread_mutex_t *lock)
{
	if (pthread_mutex_lock(lock) == EOWNERDEAD)
		pthread_mutex_consistent(lock);
}

bool sockeye__shared_lock_briefly(pthread_mutex_t *lock)
{
	const uint64_t until_ns = sockeye_now().mono_ns + BRIEFLY_NS;
	const struct timespec until = {(time_t)(until_ns / SOCKEYE_NS_PER_S),
				       (long)(until_ns % SOCKEYE_NS_PER_S)};
	int err = pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &until);

	if (err == EOWNERDEAD)
		pthread_mutex_consistent(lock);
	return err == 0 || err == EOWNERDEAD;
}

void sockeye__shared_unlock(pthread_mutex_t *lock)
{
	pthread_mutex_unlock(lock);
}
