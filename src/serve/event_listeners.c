/* event_listeners.c: when the event model watches its listeners (event_internal.h). */
#include "serve/event_internal.h"

#include <errno.h>
#include <sys/epoll.h>

bool sockeye__loop_watch(struct sockeye__loop *l, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event ev = {.events = events, .data.u64 = tag};

	return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

void sockeye__loop_listeners_unwatch(struct sockeye__loop *l)
{
	const struct sockeye__crew *crew = l->worker->crew;

	for (size_t i = 0; i < crew->site_count; i++)
		if (crew->sites[i].stream)
			epoll_ctl(l->epoll, EPOLL_CTL_DEL, sockeye__site_fd(l->worker, i), NULL);
	l->listeners_watched = false;
}

/* With EPOLLEXCLUSIVE, a new client wakes at least one of the workers that share a listener,
 * but usually not all. */
void sockeye__loop_listeners_watch(struct sockeye__loop *l)
{
	const struct sockeye__crew *crew = l->worker->crew;
	bool watched = true;

	for (size_t i = 0; i < crew->site_count && watched; i++) {
		bool shared = crew->sites[i].fd_count == 1 && crew->processes > 1;

		if (crew->sites[i].stream)
			watched =
			    sockeye__loop_watch(l, sockeye__site_fd(l->worker, i),
						EPOLLIN | (shared ? (uint32_t)EPOLLEXCLUSIVE : 0),
						SOCKEYE__LOOP_TAG_SITE(i));
	}
	l->listeners_watched = true;
	if (!watched) {
		sockeye__warn_rarely(l->worker, "cannot add a listener to epoll; retrying", -errno);
		sockeye__loop_listeners_unwatch(l);
		l->resume_ns = sockeye_now().mono_ns + SOCKEYE__PAUSE_NS;
	}
}
