/* committer.c: threads that commit complete uploads (committer.h). */
#include "tftp/server/committer.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void append(struct sockeye__tftp_commits *list, struct sockeye__tftp_commit *commit)
{
	commit->next = NULL;
	*list->end = commit;
	list->end = &commit->next;
}

static struct sockeye__tftp_commit *remove_first(struct sockeye__tftp_commits *list)
{
	struct sockeye__tftp_commit *commit = list->first;

	list->first = commit->next;
	if (list->first == NULL)
		list->end = &list->first;
	return commit;
}

static void clear(struct sockeye__tftp_commits *list)
{
	list->first = NULL;
	list->end = &list->first;
}

/* Appends the commit to the list of finished commits. The caller holds the lock. */
static void done(struct sockeye__tftp_committer *c, struct sockeye__tftp_commit *commit)
{
	const uint64_t one = 1;

	append(&c->done, commit);
	/* Cannot fail: the loop resets the counter long before it overflows. */
	(void)!write(c->fd, &one, sizeof one);
}

static void *commit_files(void *arg)
{
	struct sockeye__tftp_committer *c = arg;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		struct sockeye__tftp_commit *commit;

		while (c->waiting == 0 && !c->closing)
			pthread_cond_wait(&c->changed, &c->lock);
		if (c->waiting == 0)
			break;
		commit = remove_first(&c->queued);
		c->waiting--;
		c->busy++;
		pthread_mutex_unlock(&c->lock);
		commit->err = sockeye__atomic_file_commit(commit->file);
		pthread_mutex_lock(&c->lock);
		c->busy--;
		done(c, commit);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int sockeye__tftp_committer_open(struct sockeye__tftp_committer *c)
{
	int err;

	*c = (struct sockeye__tftp_committer){0};
	clear(&c->queued);
	clear(&c->done);
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->fd < 0)
		return -errno;
	err = pthread_mutex_init(&c->lock, NULL);
	if (err == 0)
		err = pthread_cond_init(&c->changed, NULL);
	return -err;
}

void sockeye__tftp_committer_close(struct sockeye__tftp_committer *c)
{
	pthread_mutex_lock(&c->lock);
	c->closing = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->count; i++)
		pthread_join(c->threads[i], NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	close(c->fd);
}

/* Starts another thread. */
static void thread_start(struct sockeye__tftp_committer *c)
{
	sigset_t all, before;

	/* The worker's own thread handles the signals. Only SIGSYS stays unblocked: if it were
	 * blocked, a system call that the sandbox denies would end the process. */
	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&c->threads[c->count], NULL, commit_files, c) == 0)
		c->count++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void sockeye__tftp_committer_submit(struct sockeye__tftp_committer *c,
				    struct sockeye__tftp_commit *commit)
{
	bool more;

	pthread_mutex_lock(&c->lock);
	append(&c->queued, commit);
	c->waiting++;
	more = c->waiting + c->busy > c->count && c->count < SOCKEYE__TFTP_COMMITTERS;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (more)
		thread_start(c);
	if (c->count > 0)
		return;
	commit->err = sockeye__atomic_file_commit(commit->file);
	pthread_mutex_lock(&c->lock);
	clear(&c->queued); /* it had this commit only */
	c->waiting--;
	done(c, commit);
	pthread_mutex_unlock(&c->lock);
}

bool sockeye__tftp_committer_cancel(struct sockeye__tftp_committer *c,
				    struct sockeye__tftp_commit *commit)
{
	struct sockeye__tftp_commit **at = &c->queued.first;
	bool found;

	pthread_mutex_lock(&c->lock);
	while (*at != NULL && *at != commit)
		at = &(*at)->next;
	found = *at != NULL;
	if (found) {
		*at = commit->next;
		if (*at == NULL)
			c->queued.end = at;
		c->waiting--;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

struct sockeye__tftp_commit *sockeye__tftp_committer_take(struct sockeye__tftp_committer *c)
{
	struct sockeye__tftp_commit *taken;
	uint64_t count;

	pthread_mutex_lock(&c->lock);
	(void)!read(c->fd, &count, sizeof count);
	taken = c->done.first;
	clear(&c->done);
	pthread_mutex_unlock(&c->lock);
	return taken;
}
