/*
 * probe.c: finds out which servers accept connections, many at once. It sends no data.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <sockeye/time.h>

#include "base/deadline.h"
#include "net/net.h"

#define PARALLEL_MAX 64

struct attempt {
	struct sockeye__probe *probe;
	uint64_t begun_ns, until_ns;
};

struct probing {
	const struct sockeye__probe_opts *opts;
	struct sockeye__probe *probes;
	size_t count, next; /* the next probe to begin */
	size_t live;        /* attempts, with their sockets: */
	struct attempt attempts[PARALLEL_MAX];
	struct pollfd fds[PARALLEL_MAX + 1]; /* the last one in use is stop_fd */
};

static void probe_end(struct probing *r, struct sockeye__probe *probe, int err, uint64_t ns)
{
	probe->err = err;
	probe->ns = ns;
	probe->ended = true;
	r->opts->on_end(r->opts->arg, probe);
}

static void attempt_end(struct probing *r, size_t i, int err, uint64_t now_ns)
{
	struct attempt a = r->attempts[i];

	close(r->fds[i].fd);
	r->live--;
	r->attempts[i] = r->attempts[r->live];
	r->fds[i] = r->fds[r->live];
	if (!a.probe->cancelled)
		probe_end(r, a.probe, err, now_ns - a.begun_ns);
}

/* Opens, binds and connects a socket. Returns it, connected or not, or -errno. */
static int connect_begin(const struct sockeye__probe_opts *o, const struct sockeye_sockaddr *name)
{
	const struct sockeye_sockaddr *local = NULL;
	struct sockeye__kind kind;
	int err = sockeye__kind_of(o->addr->scheme, name, &kind), fd;

	fd = err < 0 ? err : sockeye__socket_open(&kind, SOCK_NONBLOCK);
	if (fd < 0)
		return fd;
	for (size_t i = 0; i < o->local_count && local == NULL; i++)
		if (o->locals[i].u.sa.sa_family == name->u.sa.sa_family)
			local = &o->locals[i];
	err = sockeye__options_apply(fd, o->addr, name);
	if (err == 0 && local != NULL)
		err = sockeye__client_bind(fd, o->addr, local);
	if (err == 0 && connect(fd, &name->u.sa, name->len) < 0 && errno != EINPROGRESS)
		err = -errno;
	if (err == 0)
		return fd;
	close(fd);
	return err == -EAGAIN ? -ETIMEDOUT : err; /* the full backlog of a UNIX socket */
}

static bool is_short_of(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOBUFS || err == -ENOMEM;
}

/* Begins attempts while there is room for them. */
static void attempts_begin(struct probing *r, uint64_t now_ns)
{
	while (r->live < PARALLEL_MAX && r->next < r->count) {
		struct sockeye__probe *probe = &r->probes[r->next];
		int fd = probe->cancelled ? -ECANCELED : connect_begin(r->opts, &probe->name);

		if (is_short_of(fd) && r->live > 0)
			return; /* others end soon */
		r->next++;
		if (fd < 0 && !probe->cancelled)
			probe_end(r, probe, fd, 0);
		if (fd < 0)
			continue;
		r->fds[r->live] = (struct pollfd){.fd = fd, .events = POLLOUT};
		r->attempts[r->live++] =
		    (struct attempt){probe, now_ns, now_ns + r->opts->timeout_ns};
	}
}

/* Returns the result of an attempt: 0 if the server has accepted it. */
static int connect_result(int fd, const struct sockeye_sockaddr *name)
{
	int pending, err = sockeye__option_get(fd, SOL_SOCKET, SO_ERROR, &pending);

	if (err == 0)
		err = -pending;
	return err == 0 && sockeye__is_own_peer(fd, name) ? -ECONNREFUSED : err;
}

static void attempts_check(struct probing *r, uint64_t now_ns)
{
	for (size_t i = 0; i < r->live;) {
		struct sockeye__probe *probe = r->attempts[i].probe;
		size_t live = r->live;

		if (probe->cancelled)
			attempt_end(r, i, -ECANCELED, now_ns);
		else if (r->fds[i].revents != 0)
			attempt_end(r, i, connect_result(r->fds[i].fd, &probe->name), now_ns);
		else if (now_ns >= r->attempts[i].until_ns)
			attempt_end(r, i, -ETIMEDOUT, now_ns);
		if (r->live == live)
			i++;
	}
}

/* Waits for a result. Returns 0, -EINTR if stop_fd is readable, or -errno. */
static int attempts_wait(struct probing *r, uint64_t now_ns)
{
	uint64_t until_ns = 0;

	for (size_t i = 0; i < r->live; i++)
		until_ns = sockeye__earlier(until_ns, r->attempts[i].until_ns);
	r->fds[r->live] = (struct pollfd){.fd = r->opts->stop_fd, .events = POLLIN};
	if (poll(r->fds, r->live + 1, sockeye__poll_ms(until_ns, now_ns)) < 0)
		return errno == EINTR ? 0 : -errno;
	return r->fds[r->live].revents != 0 ? -EINTR : 0;
}

int sockeye__probe_run(struct sockeye__probe *probes, size_t count,
		       const struct sockeye__probe_opts *opts)
{
	struct probing *r = calloc(1, sizeof *r);
	int err = 0;

	if (r == NULL)
		return -ENOMEM;
	*r = (struct probing){.opts = opts, .probes = probes, .count = count};
	while (err == 0) {
		uint64_t now_ns = sockeye_now().mono_ns;

		attempts_begin(r, now_ns);
		if (r->live == 0 && r->next == r->count)
			break;
		err = attempts_wait(r, now_ns);
		if (err == 0)
			attempts_check(r, sockeye_now().mono_ns);
	}
	while (r->live > 0)
		close(r->fds[--r->live].fd);
	free(r);
	return err;
}
