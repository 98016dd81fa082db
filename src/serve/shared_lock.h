/*
 * shared_lock.h: a lock in memory that the supervisor and its workers share. A worker that dies
 * while it holds the lock does not block the others.
 */
#ifndef SOCKEYE_SERVE_SHARED_LOCK_H
#define SOCKEYE_SERVE_SHARED_LOCK_H

#include <pthread.h>
#include <stdbool.h>

void sockeye__shared_lock_init(pthread_mutex_t *lock);

/* In a worker. */
void sockeye__shared_lock(pthread_mutex_t *lock);

/* In the supervisor: waits only a moment, because a worker may be stopped while it holds the
 * lock, and only the supervisor can continue it (watchdog.h). Returns whether it has the lock.
 * Without it, the supervisor may still release what belongs to a dead worker. */
bool sockeye__shared_lock_briefly(pthread_mutex_t *lock);

void sockeye__shared_unlock(pthread_mutex_t *lock);

#endif
