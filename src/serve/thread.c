/*
 * thread.c: a thread for each connection, in one process.
 */
#include "serve/models.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_BYTES (128 * 1024) /* the buffers of a session are on the heap */

struct threader {
	struct sockeye__worker *worker;
	struct sockeye__gate gate;
	int ended_fd;      /* an eventfd to which sessions write when they end */
	bool wakes_worker; /* sessions must write to ended_fd */
	pthread_attr_t attr;
};

struct task {
	struct threader *t;
	struct sockeye__visit v;
};

static void *session_main(void *arg)
{
	struct task *task = arg;
	struct threader *t = task->t;

	sockeye__dismiss(t->worker, &task->v, sockeye__session_run(t->worker, &task->v));
	free(task);
	if (__atomic_load_n(&t->wakes_worker, __ATOMIC_SEQ_CST))
		(void)eventfd_write(t->ended_fd, 1); /* last: the worker may exit now */
	return NULL;
}

static void serve_visit(struct threader *t, const struct sockeye__visit *v)
{
	struct task *task = malloc(sizeof *task);
	pthread_t thread;
	int err = ENOMEM;

	if (task != NULL) {
		*task = (struct task){.t = t, .v = *v};
		err = pthread_create(&thread, &t->attr, session_main, task);
	}
	if (err == 0)
		return;
	free(task);
	sockeye__turn_away(t->worker, v, "cannot start a thread for a connection; closed it", -err);
	sockeye__gate_pause(&t->gate);
}

static void run(struct sockeye__worker *w)
{
	static struct threader t; /* static: ending sessions may read it after run() returns */
	struct sockeye__visit v;
	enum sockeye__gate_kind kind;
	eventfd_t ended;
	size_t site;
	int err;

	t.worker = w;
	t.wakes_worker = w->conns_max != UINT32_MAX;
	t.ended_fd = eventfd(0, EFD_CLOEXEC);
	err = t.ended_fd < 0 ? -errno : sockeye__gate_open(&t.gate, w, t.ended_fd);
	if (err < 0) {
		sockeye__cannot_start(w, err);
		return;
	}
	pthread_attr_init(&t.attr);
	pthread_attr_setdetachstate(&t.attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&t.attr, STACK_BYTES);
	while ((kind = sockeye__gate_next(&t.gate, &v, &site)) != SOCKEYE__GATE_STOP) {
		if (kind == SOCKEYE__GATE_VISIT)
			serve_visit(&t, &v);
		else
			(void)eventfd_read(t.ended_fd, &ended);
	}
	__atomic_store_n(&t.wakes_worker, true, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&w->conns, __ATOMIC_SEQ_CST) > 0)
		(void)eventfd_read(t.ended_fd, &ended);
	sockeye__gate_close(&t.gate);
}

const struct sockeye__model sockeye__model_thread = {
    .facts =
	{
	    .name = "thread",
	    .summary = "a thread for each connection",
	    .workers = 1,
	},
    .answerers = true,
    .calls = SOCKEYE__CALLS_THREADS,
    .run = run,
};
