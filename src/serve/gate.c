/*
 * gate.c: where models with blocking sessions wait for the next client.
 *
 * An epoll set contains every listener of the worker and the stop pipe. With
 * EPOLLEXCLUSIVE, a new client wakes at least one worker, but usually not all. When the
 * worker cannot accept a client, it removes the listeners from the set and keeps them
 * open: clients wait in the backlog, and the worker does not spin.
 */
#include "serve/internal.h"
#include "net/net.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAVE_NS SOCKEYE_NS_PER_S /* see leave_ns in internal.h */
#define TAG_STOP UINT64_MAX
#define TAG_WAKE (UINT64_MAX - 1)

static int watch(struct sockeye__gate *g, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event ev = {.events = events, .data.u64 = tag};

	return epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void listeners_unwatch(struct sockeye__gate *g)
{
	for (size_t i = 0; i < g->worker->crew->site_count; i++)
		if (g->worker->crew->sites[i].stream)
			epoll_ctl(g->epoll, EPOLL_CTL_DEL, sockeye__site_fd(g->worker, i), NULL);
	g->listeners_watched = false;
}

/* Watches all listeners or, if memory is short, none until the end of a pause. */
static void listeners_watch(struct sockeye__gate *g)
{
	int err = 0;

	for (size_t i = 0; i < g->worker->crew->site_count && err == 0; i++)
		if (g->worker->crew->sites[i].stream)
			err = watch(g, sockeye__site_fd(g->worker, i), EPOLLIN | EPOLLEXCLUSIVE, i);
	g->listeners_watched = true;
	if (err < 0) {
		listeners_unwatch(g);
		sockeye__warn_rarely(g->worker, "cannot add a listener to epoll; retrying", err);
		sockeye__gate_pause(g);
	}
}

int sockeye__gate_open(struct sockeye__gate *g, struct sockeye__worker *w, int wake_fd)
{
	int err;

	*g = (struct sockeye__gate){.worker = w};
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (g->epoll < 0)
		return -errno;
	err = watch(g, w->stop_fd, EPOLLIN, TAG_STOP);
	if (err == 0 && wake_fd >= 0)
		err = watch(g, wake_fd, EPOLLIN, TAG_WAKE);
	for (size_t i = 0; i < w->crew->site_count && err == 0; i++)
		if (!w->crew->sites[i].stream)
			err = watch(g, sockeye__site_fd(w, i), EPOLLIN, i);
	if (err < 0)
		close(g->epoll);
	return err;
}

void sockeye__gate_close(struct sockeye__gate *g)
{
	close(g->epoll);
}

void sockeye__gate_pause(struct sockeye__gate *g)
{
	g->resume_ns = sockeye_now().mono_ns + SOCKEYE__PAUSE_NS;
}

static bool full(const struct sockeye__gate *g)
{
	return __atomic_load_n(&g->worker->conns, __ATOMIC_RELAXED) >= g->worker->conns_max;
}

/* Watches the listeners if and only if the worker can accept a client. Returns the
 * milliseconds until the end of a pause, or -1 if the worker does not wait for one. */
static int listeners_update(struct sockeye__gate *g)
{
	uint64_t now = g->resume_ns != 0 ? sockeye_now().mono_ns : 0;
	bool want;

	if (now >= g->resume_ns)
		g->resume_ns = 0;
	want = !full(g) && g->resume_ns == 0;
	if (want && !g->listeners_watched)
		listeners_watch(g);
	else if (!want && g->listeners_watched)
		listeners_unwatch(g);
	return full(g) || g->resume_ns == 0 ? -1
					    : sockeye__poll_ms(g->resume_ns, sockeye_now().mono_ns);
}

/* Accepts a client from listener i, if one is still waiting. */
static bool take(struct sockeye__gate *g, size_t i, struct sockeye__visit *out_visit)
{
	struct sockeye_sockaddr peer;
	int fd = sockeye__site_accept(g->worker, i, false, &peer);

	if (fd >= 0)
		return sockeye__admit(g->worker, &g->worker->crew->sites[i], fd, &peer, out_visit);
	if (!g->stopped && sockeye__accept_starved(g->worker, fd))
		sockeye__gate_pause(g);
	return false;
}

/* Whether a worker that stops may still accept a client. The backlog of an inherited socket
 * may never be empty, because new clients are not refused. */
static bool may_take_last(const struct sockeye__gate *g, const struct sockeye__site *site)
{
	return !full(g) && (!site->inherited || sockeye_now().mono_ns < g->leave_ns);
}

/* After a stop, accepts the clients in the backlog, one in each call, and then refuses
 * further clients. */
static enum sockeye__gate_kind last_call(struct sockeye__gate *g, struct sockeye__visit *out_visit)
{
	for (size_t i = 0; i < g->worker->crew->site_count; i++) {
		const struct sockeye__site *site = &g->worker->crew->sites[i];

		if (!site->stream)
			continue;
		if (may_take_last(g, site) && take(g, i, out_visit))
			return SOCKEYE__GATE_VISIT;
		sockeye__site_refuse(site, sockeye__site_fd(g->worker, i));
	}
	return SOCKEYE__GATE_STOP;
}

enum sockeye__gate_kind sockeye__gate_next(struct sockeye__gate *g,
					   struct sockeye__visit *out_visit, size_t *out_site)
{
	struct epoll_event ev;

	while (!g->stopped) {
		int timeout_ms = listeners_update(g);

		if (epoll_wait(g->epoll, &ev, 1, timeout_ms) != 1)
			continue; /* timeout or EINTR */
		if (ev.data.u64 == TAG_STOP) {
			g->stopped = true;
			g->leave_ns = sockeye_now().mono_ns + LEAVE_NS;
		} else if (ev.data.u64 == TAG_WAKE) {
			return SOCKEYE__GATE_WAKE;
		} else if (!g->worker->crew->sites[ev.data.u64].stream) {
			*out_site = ev.data.u64;
			return SOCKEYE__GATE_DATAGRAM;
		} else if (take(g, ev.data.u64, out_visit)) {
			return SOCKEYE__GATE_VISIT;
		}
	}
	return last_call(g, out_visit);
}
