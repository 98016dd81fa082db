/*
 * committer.h: threads that commit complete uploads, so that the event loop of a worker
 * never waits for the disk.
 *
 * The loop submits a commit and takes it back after the committer's descriptor has become
 * readable. In between, the commit and its file belong to the committer.
 */
#ifndef SOCKEYE_TFTP_SERVER_COMMITTER_H
#define SOCKEYE_TFTP_SERVER_COMMITTER_H

#include <pthread.h>
#include <stdbool.h>

#include "files/atomic_file.h"

/* Several threads, so that the commits of a file system share its journal's writes, and one
 * slow disk rarely delays the files of another. */
#define SOCKEYE__TFTP_COMMITTERS 4

struct sockeye__tftp_commit {
	struct sockeye__atomic_file *file;
	int err; /* the result */
	struct sockeye__tftp_commit *next;
};

struct sockeye__tftp_commits {
	struct sockeye__tftp_commit *first, **end;
};

struct sockeye__tftp_committer {
	int fd; /* readable while commits are to be taken back */

	/* Private. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock. A transfer has at most one commit, which limits both lists. */
	struct sockeye__tftp_commits queued, done;
	unsigned waiting; /* in `queued` */
	unsigned busy;    /* threads that commit a file */
	bool closing;
	/* Used by the loop only. */
	unsigned count;
	pthread_t threads[SOCKEYE__TFTP_COMMITTERS];
};

/* Returns 0 or -errno. Threads are started when they are needed, and inherit the sandbox of
 * the caller of submit(). */
int sockeye__tftp_committer_open(struct sockeye__tftp_committer *c);
/* Ends the threads. All commits must have been taken back. */
void sockeye__tftp_committer_close(struct sockeye__tftp_committer *c);

/* Commits the file in another thread or, if no thread can be started, before it returns. */
void sockeye__tftp_committer_submit(struct sockeye__tftp_committer *c,
				    struct sockeye__tftp_commit *commit);
/* Takes back a commit that no thread has begun. Returns false if one has. */
bool sockeye__tftp_committer_cancel(struct sockeye__tftp_committer *c,
				    struct sockeye__tftp_commit *commit);
/* Takes back all commits that are done, as a list. */
struct sockeye__tftp_commit *sockeye__tftp_committer_take(struct sockeye__tftp_committer *c);

#endif
