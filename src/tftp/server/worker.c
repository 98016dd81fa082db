/* worker.c: the loop of one worker of the TFTP server (internal.h). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <sockeye/time.h>

#include "base/deadline.h"
#include "base/invariant.h"
#include "serve/sandbox.h"
#include "tftp/server/internal.h"
#include "tftp/server/root.h"

#define EVENTS        256
#define REQUEST_TURNS 4 /* full inboxes of one socket before the others have a turn */
/* The size of a site's receive queue: all machines of a rack may boot at the same time. */
#define QUEUE_BLKSIZE 512
#define QUEUE_BLOCKS  2048

static int watch(const struct sockeye__tftp_worker *w, int fd, enum sockeye__tftp_watch *what)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = what};

	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void site_open(struct sockeye__tftp_worker *w, size_t i)
{
	struct sockeye__tftp_site *site = &w->sites[w->site_count++];

	site->watch = SOCKEYE__WATCH_SITE;
	site->fd = sockeye__site_fd(w->base, i);
	site->name = *sockeye__site_name(w->base, i);
	(void)sockeye__tftp_wire_room(site->fd, QUEUE_BLKSIZE, QUEUE_BLOCKS);
	if (w->server->config.single_port)
		(void)sockeye_dgram_want_errors(site->fd);
}

/* Opens the committer if uploads are written to the disk before they are confirmed. */
static int commits_open(struct sockeye__tftp_worker *w)
{
	const struct sockeye__tftp_store_config *c = &w->server->config.store;
	int err;

	if (!c->upload || c->no_sync)
		return 0;
	err = sockeye__tftp_committer_open(&w->committer);
	if (err < 0)
		return err;
	w->commits_aside = true;
	w->watch_commits = SOCKEYE__WATCH_COMMITS;
	return watch(w, w->committer.fd, &w->watch_commits);
}

static int worker_open(struct sockeye__tftp_worker *w)
{
	const size_t sites = sockeye__site_count(w->base);
	sigset_t hup;
	int err = sockeye__tftp_peers_open(w);

	if (err < 0)
		return err;
	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	w->signals = signalfd(-1, &hup, SFD_CLOEXEC | SFD_NONBLOCK);
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	w->sites = calloc(sites, sizeof *w->sites);
	if (w->epoll < 0 || w->signals < 0 || w->timer_fd < 0 || w->sites == NULL)
		return w->sites == NULL ? -ENOMEM : -errno;
	w->watch_stop = SOCKEYE__WATCH_STOP;
	w->watch_signals = SOCKEYE__WATCH_SIGNALS;
	w->watch_link = SOCKEYE__WATCH_LINK;
	w->watch_older = SOCKEYE__WATCH_OLDER;
	w->watch_timer = SOCKEYE__WATCH_TIMER;
	err = watch(w, w->base->stop_fd, &w->watch_stop);
	if (err == 0)
		err = watch(w, w->signals, &w->watch_signals);
	if (err == 0)
		err = watch(w, w->timer_fd, &w->watch_timer);
	if (err == 0)
		err = sockeye__tftp_room_open(w);
	if (err == 0)
		err = commits_open(w);
	if (err == 0 && w->base->link_fd >= 0)
		err = watch(w, w->base->link_fd, &w->watch_link);
	if (err == 0 && w->server->config.unique_root == SOCKEYE__TFTP_UNIQUE_MAC)
		err = sockeye__tftp_neighbors_open(&w->neighbors);
	sockeye__tftp_older_watch(w);
	for (size_t i = 0; i < sites && err == 0; i++)
		site_open(w, i);
	return err < 0 ? err : sockeye__tftp_sites_watch(w, true);
}

/* Reports an event that all workers notice; only the first worker reports it. */
__attribute__((format(printf, 4, 5))) static void say(const struct sockeye__tftp_worker *w,
						      enum sockeye_event_kind kind, int err,
						      const char *fmt, ...)
{
	char text[768];
	va_list args;

	if (w->base->member != 0)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	sockeye__worker_event(
	    w->base,
	    &(struct sockeye_event){.kind = kind, .service = "tftp", .text = text, .err = err});
}

/* Warns if the root cannot be accessed. Without this warning, the log would not show why
 * every client gets "Permission denied". */
static void permissions_check(const struct sockeye__tftp_worker *w)
{
	if (faccessat(w->server->store.root, ".", X_OK, AT_EACCESS) < 0 && errno == EACCES)
		say(w, SOCKEYE_EVENT_WARNING, -EACCES,
		    "every request will be refused: user %u has no execute permission on "
		    "the root directory %s",
		    (unsigned)geteuid(), w->server->config.store.root);
}

/* Lets the worker open only files below the root directory. */
static void confine(const struct sockeye__tftp_worker *w)
{
	const struct sockeye__tftp_store *store = &w->server->store;

	if (sockeye__sandbox_enter(w->base, store->root,
				   store->config.links == SOCKEYE__LINKS_ANY) < 0)
		_exit(1);
}

static void reload(struct sockeye__tftp_worker *w)
{
	struct signalfd_siginfo si;
	int err;

	while (read(w->signals, &si, sizeof si) == (ssize_t)sizeof si)
		;
	err = sockeye__tftp_rules_take(w->server);
	if (err < 0 && err != -EAGAIN)
		sockeye__warn(w->base, "a TFTP worker keeps the old rules", err);
}

/* Returns how long transfers may continue after a stop signal: a little less than the
 * grace period, because the supervisor kills the worker when that ends. */
static uint64_t grace_ns(const struct sockeye__worker *w)
{
	uint64_t ns = sockeye__grace_ns(w->server);

	return ns - ns / 8;
}

/* Begins no further transfers. Stops watching the sites, except in single-port mode, in
 * which packets of transfers arrive there. */
static void stop(struct sockeye__tftp_worker *w)
{
	w->stopping = true;
	w->stop_ns = w->now_ns + grace_ns(w->base);
	epoll_ctl(w->epoll, EPOLL_CTL_DEL, w->base->stop_fd, NULL);
	if (w->server->config.single_port && w->asked_ns != 0)
		(void)sockeye__tftp_sites_watch(w, true);
	if (!w->server->config.single_port && w->asked_ns == 0 && !w->retiring)
		(void)sockeye__tftp_sites_watch(w, false);
	w->asked_ns = 0;
	while (w->dallying.first != NULL)
		sockeye__tftp_transfer_drop(w, w->dallying.first, NULL);
}

/* Handles ICMP errors of a site's socket; in single-port mode they concern transfers. */
static void site_errors(struct sockeye__tftp_worker *w, const struct sockeye__tftp_site *site)
{
	struct sockeye_dgram_error e;

	while (sockeye_dgram_error_recv(site->fd, &e) == 0) {
		struct sockeye__tftp_transfer *t = sockeye__tftp_peers_find(w, &e.peer);

		if (t == NULL)
			continue;
		t->wire.trouble = sockeye__tftp_trouble_of_icmp(&e);
		if (e.err == -ECONNREFUSED)
			sockeye__tftp_transfer_refused(w, t, e.err);
	}
}

/* Handles a packet that a site received: a request or, in single-port mode, any
 * packet. */
static void site_packet(struct sockeye__tftp_worker *w, struct sockeye__tftp_site *site, int i)
{
	const struct sockeye_dgram *from = &w->inbox.from[i];
	const uint8_t *bytes = w->inbox.bytes[i];
	size_t len = w->inbox.len[i];
	uint16_t opcode = len >= 2 ? sockeye__tftp_get16(bytes) : 0;
	bool request = opcode == SOCKEYE__TFTP_RRQ || opcode == SOCKEYE__TFTP_WRQ;
	struct sockeye__tftp_transfer *t = NULL;

	if (!request && w->server->config.single_port)
		t = sockeye__tftp_peers_find(w, &from->peer);
	if (t == NULL && w->server->config.single_port)
		sockeye__link_pass(w->base, &from->peer, bytes, len);
	if (t != NULL)
		sockeye__tftp_transfer_datagram(w, t, bytes, len, len);
	else
		sockeye__tftp_request(w, site, from, bytes, len);
}

/* Handles the queued packets of a site. Requests of one batch share lookups of the same
 * name: machines that boot together request the same files. */
static void site_ready(struct sockeye__tftp_worker *w, struct sockeye__tftp_site *site)
{
	int n = SOCKEYE__TFTP_INBOX;

	for (int turn = 0; turn < REQUEST_TURNS && n == SOCKEYE__TFTP_INBOX; turn++) {
		if (!sockeye__tftp_may_serve(w))
			return;
		n = sockeye__tftp_wire_recv_many(site->fd, &w->inbox);
		/* epoll reports a queued ICMP error until it is read. */
		if (n < 0 && (n != -EAGAIN || turn == 0))
			site_errors(w, site);
		if (n <= 0)
			return;
		sockeye__tftp_store_share(&w->server->store, true);
		for (int i = 0; i < n; i++)
			site_packet(w, site, i);
		sockeye__tftp_store_share(&w->server->store, false);
	}
}

/* Only clears the event: timers run after every batch of events. */
static void timer_fired(struct sockeye__tftp_worker *w)
{
	uint64_t times;

	(void)!read(w->timer_fd, &times, sizeof times);
	w->timer_ns = 0;
}

static void event(struct sockeye__tftp_worker *w, void *what)
{
	struct sockeye__tftp_port *port;

	switch (*(enum sockeye__tftp_watch *)what) {
	case SOCKEYE__WATCH_STOP:
		stop(w);
		break;
	case SOCKEYE__WATCH_SIGNALS:
		reload(w);
		break;
	case SOCKEYE__WATCH_LINK:
		sockeye__tftp_link_ready(w);
		break;
	case SOCKEYE__WATCH_OLDER:
		sockeye__tftp_older_watch(w);
		break;
	case SOCKEYE__WATCH_SITE:
		site_ready(w, what);
		break;
	case SOCKEYE__WATCH_PORT:
		port = what;
		if (port->user != NULL)
			sockeye__tftp_transfer_ready(w, port->user);
		else if (port->fd >= 0)
			sockeye__tftp_port_strangers(w, port);
		break;
	case SOCKEYE__WATCH_STRANGERS:
		port =
		    (void *)((char *)what - offsetof(struct sockeye__tftp_port, watch_strangers));
		if (port->fd >= 0)
			sockeye__tftp_port_strangers(w, port);
		break;
	case SOCKEYE__WATCH_TIMER:
		timer_fired(w);
		break;
	case SOCKEYE__WATCH_ROOM:
		w->room.woken = true;
		break;
	case SOCKEYE__WATCH_COMMITS:
		sockeye__tftp_transfers_committed(w);
		break;
	}
}

static void timers_run(struct sockeye__tftp_worker *w)
{
	struct sockeye__timer *timer;

	while ((timer = sockeye__timers_first(&w->timers)) != NULL && timer->at_ns <= w->now_ns) {
		struct sockeye__tftp_transfer *t =
		    (void *)((char *)timer - offsetof(struct sockeye__tftp_transfer, timer));

		sockeye__timers_clear(&w->timers, timer);
		sockeye__tftp_transfer_timer(w, t);
	}
}

static void dead_free(struct sockeye__tftp_worker *w)
{
	while (w->dead != NULL) {
		struct sockeye__tftp_transfer *t = w->dead;

		w->dead = t->next;
		sockeye__tftp_transfer_free(w, t);
	}
}

/* Waits for events. The timer is set to the earliest deadline, but never moved to a
 * later time: each block moves a deadline, and an occasional superfluous wake-up is
 * cheaper than a system call before every wait. */
static int wait_events(struct sockeye__tftp_worker *w, struct epoll_event events[EVENTS])
{
	const struct sockeye__timer *timer = sockeye__timers_first(&w->timers);
	uint64_t at = sockeye__earlier(timer != NULL ? timer->at_ns : 0, w->stop_ns);
	int n;

	at = sockeye__earlier(at, sockeye__tftp_drops_due_ns(w));
	at = sockeye__earlier(at, sockeye__tftp_room_due_ns(w));
	at = sockeye__earlier(at, sockeye__tftp_handover_due_ns(w));
	if (at != 0 && (w->timer_ns == 0 || at < w->timer_ns)) {
		struct itimerspec when = {
		    .it_value = {(time_t)(at / SOCKEYE_NS_PER_S), (long)(at % SOCKEYE_NS_PER_S)},
		};

		(void)timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
		w->timer_ns = at;
	}
	sockeye__worker_waits(w->base);
	n = epoll_wait(w->epoll, events, EVENTS, -1);
	sockeye__worker_works(w->base);
	return n;
}

/* Asserts that lists, counts, slots and phases agree. */
static void check(const struct sockeye__tftp_worker *w)
{
	sockeye__tftp_peers_check(w);
	sockeye__tftp_ports_check(w);
	sockeye__tftp_slots_check(w);
}

/* Whether the worker has anything left to do. */
static bool serves(const struct sockeye__tftp_worker *w)
{
	if (w->count > 0 || sockeye__tftp_has_older(w))
		return true;
	return !w->stopping && (!w->retiring || w->room.first != NULL);
}

static void loop(struct sockeye__tftp_worker *w)
{
	struct epoll_event events[EVENTS];

	while (serves(w)) {
		int n = wait_events(w, events);

		if (n < 0 && errno != EINTR) {
			sockeye__warn(w->base, "epoll_wait failed", -errno);
			_exit(1);
		}
		w->now_ns = sockeye_now().mono_ns;
		for (int i = 0; i < n; i++)
			event(w, events[i].data.ptr);
		timers_run(w);
		sockeye__tftp_room_run(w);
		sockeye__tftp_drops_report(w);
		sockeye__tftp_handover_timer(w);
		if (w->stop_ns != 0 && w->now_ns >= w->stop_ns) {
			w->stop_ns = 0;
			sockeye__tftp_peers_each(w, sockeye__tftp_transfer_stop);
		}
		sockeye__invariant(check(w));
		dead_free(w);
		sockeye__tftp_ports_free(w);
	}
}

void sockeye__tftp_worker_run(struct sockeye__worker *worker, struct sockeye__tftp_server *server)
{
	struct sockeye__tftp_worker *w = calloc(1, sizeof *w);
	int err;

	if (w == NULL)
		_exit(1);
	w->base = worker;
	w->counters = worker->spec_counters;
	w->server = server;
	err = worker_open(w);
	if (err < 0) {
		sockeye__warn(worker, "a TFTP worker cannot start", err);
		_exit(1);
	}
	sockeye__tftp_rules_protect(server);
	permissions_check(w);
	confine(w);
	loop(w);
	sockeye__worker_waits(worker);
	w->stopping = true;
	sockeye__tftp_room_close(w);
	sockeye__tftp_ports_free(w);
	sockeye__tftp_neighbors_close(w->neighbors);
	sockeye__timers_fini(&w->timers);
	if (w->commits_aside)
		sockeye__tftp_committer_close(&w->committer);
	free(w->buckets);
	free(w->sites);
	close(w->epoll);
	close(w->signals);
	close(w->timer_fd);
	free(w);
}
