/* shared_lock.c: see shared_lock.h. */
#include "serve/shared_lock.h"

#include <errno.h>
#include <time.h>

#include <sockeye/time.h>

#define BRIEFLY_MS 100

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

/* pthread_mutex_clocklock(3) would wait without polling, but ThreadSanitizer does not know it. */
bool sockeye__shared_lock_briefly(pthread_mutex_t *lock)
{
	const struct timespec pause = {.tv_nsec = SOCKEYE_NS_PER_MS};
	int err = pthread_mutex_trylock(lock);

	for (unsigned i = 0; err == EBUSY && i < BRIEFLY_MS; i++) {
		nanosleep(&pause, NULL);
		err = pthread_mutex_trylock(lock);
	}
	if (err == EOWNERDEAD)
		pthread_mutex_consistent(lock);
	return err == 0 || err == EOWNERDEAD;
}

void sockeye__shared_unlock(pthread_mutex_t *lock)
{
	pthread_mutex_unlock(lock);
}
