/*
 * handover.c: a newer worker takes over the sites of a worker, because this one cannot open the
 * root directory that replaced its own (root.h).
 *
 * Before it takes packets of a site, a worker compares the root with its path. If they differ,
 * it leaves the packets in the queue and asks the supervisor, which starts another worker with
 * the same sites, or answers that this one stays because the new root cannot be used.
 *
 * In single-port mode the packets of transfers arrive at the sites too. The newest worker
 * passes on those of peers that it does not know to the older workers.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/deadline.h"
#include "tftp/server/root.h"

#define ANSWER_NS SOCKEYE_NS_PER_S /* how long a worker waits for the supervisor */
#define STAY_NS   SOCKEYE_NS_PER_S /* after STAY, a worker asks again after this time */

int sockeye__tftp_sites_watch(struct sockeye__tftp_worker *w, bool on)
{
	int err = 0;

	for (size_t i = 0; i < w->site_count; i++) {
		struct sockeye__tftp_site *site = &w->sites[i];
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &site->watch};

		if (epoll_ctl(w->epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, site->fd, &ev) < 0)
			err = -errno;
	}
	return err;
}

bool sockeye__tftp_may_serve(struct sockeye__tftp_worker *w)
{
	if (w->base->link_fd >= 0)
		sockeye__tftp_link_ready(w); /* the supervisor may have noticed the change first */
	if (w->retiring || w->asked_ns != 0)
		return false;
	if (w->stopping || w->base->link_fd < 0 || w->now_ns < w->stay_ns ||
	    !sockeye__tftp_store_replaced(&w->server->store))
		return true;
	w->asked_ns = w->now_ns;
	(void)sockeye__tftp_sites_watch(w, false);
	sockeye__link_say(w->base->link_fd, SOCKEYE__LINK_ASK);
	return false;
}

static void stay(struct sockeye__tftp_worker *w)
{
	if (w->asked_ns == 0 || w->retiring)
		return;
	w->asked_ns = 0;
	w->stay_ns = w->now_ns + STAY_NS;
	(void)sockeye__tftp_sites_watch(w, true);
}

static void retire(struct sockeye__tftp_worker *w)
{
	if (w->retiring)
		return;
	if (w->asked_ns == 0)
		(void)sockeye__tftp_sites_watch(w, false);
	w->asked_ns = 0;
	w->retiring = true;
}

/* A packet that a newer worker has passed on. A request of a client whose transfer has not begun
 * is served by the newer worker. */
static void packet(struct sockeye__tftp_worker *w, const struct sockeye_sockaddr *peer, size_t len)
{
	struct sockeye__tftp_transfer *t = sockeye__tftp_peers_find(w, peer);
	uint16_t opcode = len >= 2 ? sockeye__tftp_get16(w->in) : 0;

	if (t == NULL || t->port != NULL)
		return;
	if (opcode != SOCKEYE__TFTP_RRQ && opcode != SOCKEYE__TFTP_WRQ)
		sockeye__tftp_transfer_datagram(w, t, w->in, len, len);
	else if (t->phase == SOCKEYE__TFTP_UNCONFIRMED)
		sockeye__tftp_transfer_drop(w, t, SOCKEYE__TFTP_SUPERSEDED);
}

void sockeye__tftp_link_ready(struct sockeye__tftp_worker *w)
{
	struct sockeye_sockaddr peer;
	size_t len;

	for (int i = 0; i < SOCKEYE__TFTP_INBOX; i++) {
		switch (sockeye__link_hear(w->base->link_fd, &peer, w->in, sizeof w->in, &len)) {
		case SOCKEYE__LINK_STAY:
			stay(w);
			break;
		case SOCKEYE__LINK_RETIRE:
			retire(w);
			break;
		case SOCKEYE__LINK_PACKET:
			packet(w, &peer, len);
			break;
		case SOCKEYE__LINK_ASK:
		case SOCKEYE__LINK_NONE:
			return;
		}
	}
}

uint64_t sockeye__tftp_handover_due_ns(const struct sockeye__tftp_worker *w)
{
	return w->asked_ns != 0 ? w->asked_ns + ANSWER_NS : 0;
}

void sockeye__tftp_handover_timer(struct sockeye__tftp_worker *w)
{
	uint64_t due = sockeye__tftp_handover_due_ns(w);

	if (due != 0 && w->now_ns >= due)
		stay(w);
}

void sockeye__tftp_older_watch(struct sockeye__tftp_worker *w)
{
	struct epoll_event ev = {.data.ptr = &w->watch_older}; /* EPOLLHUP is always reported */

	for (unsigned i = 0; i < w->base->older_count; i++) {
		struct pollfd older = {.fd = w->base->older[i]};

		if (older.fd < 0)
			continue;
		if (w->server->config.single_port && poll(&older, 1, 0) == 0) {
			(void)epoll_ctl(w->epoll, EPOLL_CTL_ADD, older.fd, &ev);
			continue;
		}
		(void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, older.fd, NULL); /* others hold it too */
		close(older.fd);
		w->base->older[i] = -1;
	}
}

bool sockeye__tftp_has_older(const struct sockeye__tftp_worker *w)
{
	if (w->retiring)
		return false;
	for (unsigned i = 0; i < w->base->older_count; i++)
		if (w->base->older[i] >= 0)
			return true;
	return false;
}
