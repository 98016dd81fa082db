/* admission.c: admits, reports and closes connections. */
#include "serve/internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const end_texts[] = {
    [SOCKEYE__END_DONE] = "done",         [SOCKEYE__END_RESET] = "reset by the peer",
    [SOCKEYE__END_IDLE] = "idle timeout", [SOCKEYE__END_TIME] = "maximum time reached",
    [SOCKEYE__END_ERROR] = "error",       [SOCKEYE__END_STOP] = "server stopped",
};

enum sockeye__end sockeye__end_of(int err)
{
	switch (-err) {
	case EPIPE:
	case ECONNRESET:
	case ECONNABORTED:
		return SOCKEYE__END_RESET;
	default:
		return SOCKEYE__END_ERROR;
	}
}

static void peer_pack(struct sockeye__peer *to, const struct sockeye_sockaddr *from)
{
	memset(to, 0, sizeof *to);
	to->u.sa.sa_family = AF_UNIX;
	if (from->len >= sizeof to->u.in && from->u.sa.sa_family == AF_INET)
		to->u.in = from->u.in;
	else if (from->len >= sizeof to->u.in6 && from->u.sa.sa_family == AF_INET6)
		to->u.in6 = from->u.in6;
}

static void peer_unpack(struct sockeye_sockaddr *to, const struct sockeye__peer *from)
{
	memset(to, 0, sizeof *to);
	switch (from->u.sa.sa_family) {
	case AF_INET:
		to->len = sizeof to->u.in;
		to->u.in = from->u.in;
		break;
	case AF_INET6:
		to->len = sizeof to->u.in6;
		to->u.in6 = from->u.in6;
		break;
	default:
		to->len = sizeof(sa_family_t);
		to->u.sa.sa_family = AF_UNIX;
		break;
	}
}

void sockeye__show(const struct sockeye__worker *w, const struct sockeye__site *site,
		   const struct sockeye_sockaddr *peer, const void *data, size_t len)
{
	sockeye__event(w->server->opts, &(struct sockeye_event){.kind = SOCKEYE_EVENT_MESSAGE,
								.service = site->service->name,
								.scheme = site->scheme,
								.peer = peer,
								.data = data,
								.data_len = len});
}

/* Reports an event on a connection. Call it in the process and thread that serve the
 * connection: OPEN and CLOSE events include their IDs. */
static void visit_event(const struct sockeye__worker *w, const struct sockeye__visit *v,
			const struct sockeye_event *ev)
{
	struct sockeye_sockaddr name;
	struct sockeye_event whole = *ev;

	peer_unpack(&name, &v->peer);
	whole.service = v->site->service->name;
	whole.scheme = v->site->scheme;
	whole.peer = &name;
	if (ev->kind == SOCKEYE_EVENT_OPEN || ev->kind == SOCKEYE_EVENT_CLOSE) {
		whole.pid = getpid();
		whole.thread = gettid();
	}
	sockeye__event(w->server->opts, &whole);
}

void sockeye__visit_show(const struct sockeye__worker *w, const struct sockeye__visit *v,
			 const void *data, size_t len)
{
	if (w->server->opts->show_messages)
		visit_event(w, v,
			    &(struct sockeye_event){
				.kind = SOCKEYE_EVENT_MESSAGE, .data = data, .data_len = len});
}

void sockeye__visit_open(const struct sockeye__worker *w, struct sockeye__visit *v)
{
	if (w->server->opts->verbose && !v->opened)
		visit_event(w, v, &(struct sockeye_event){.kind = SOCKEYE_EVENT_OPEN});
	v->opened = true;
}

bool sockeye__accept_starved(struct sockeye__worker *w, int err)
{
	switch (-err) {
	case EAGAIN: /* another worker accepted the client, or the client has disconnected */
	case EINTR:
	case ECANCELED:
		return false;
	case EINVAL: /* another worker handled the stop first and shut the listener down */
		return true;
	default: /* EMFILE, ENFILE, ENOMEM and unexpected errors: do not spin on them */
		sockeye__count(&w->counters->accept_failures, 1);
		sockeye__warn_rarely(w, "cannot accept; clients wait in the backlog", err);
		return true;
	}
}

/* Takes a slot for the peer's source. Returns 0, -EDQUOT or -ENOSPC. */
static int source_take(struct sockeye__worker *w, const struct sockeye__peer *peer)
{
	struct sockeye__sources *sources = w->server->shared->sources;
	struct sockeye__source source;

	if (sources == NULL || !sockeye__worker_source(w, &peer->u.sa, &source))
		return 0;
	return sockeye__sources_take(sources, &source, w->index);
}

static void source_give(struct sockeye__worker *w, const struct sockeye__peer *peer)
{
	struct sockeye__sources *sources = w->server->shared->sources;
	struct sockeye__source source;

	if (sources != NULL && sockeye__worker_source(w, &peer->u.sa, &source))
		sockeye__sources_give(sources, &source, w->index);
}

bool sockeye__admit(struct sockeye__worker *w, const struct sockeye__site *site, int fd,
		    const struct sockeye_sockaddr *peer, struct sockeye__visit *out_visit)
{
	int err;

	*out_visit = (struct sockeye__visit){.site = site, .fd = fd};
	peer_pack(&out_visit->peer, peer);
	err = source_take(w, &out_visit->peer);
	if (err < 0) {
		sockeye__count(err == -EDQUOT ? &w->counters->refused_source
					      : &w->counters->refused_resource,
			       1);
		if (sockeye__rarely(w))
			visit_event(w, out_visit,
				    &(struct sockeye_event){
					.kind = SOCKEYE_EVENT_REFUSE,
					.text = err == -EDQUOT
						    ? "too many connections from this source"
						    : "too many sources"});
		close(fd);
		return false;
	}
	__atomic_fetch_add(&w->conns, 1, __ATOMIC_RELAXED);
	sockeye__count(&w->counters->accepted, 1);
	sockeye__count(&w->counters->open, 1);
	return true;
}

/* Discards the queued input. If input is unread, close(2) sends a reset, which can make
 * the peer lose the last reply (RFC 1122, section 4.2.2.13). */
static void drain(int fd)
{
	uint8_t sink[4096];

	shutdown(fd, SHUT_RDWR); /* stops further input of a UNIX socket: unread input
				  * would cause a reset */
	for (int i = 0; i < 64; i++)
		if (recv(fd, sink, sizeof sink, MSG_DONTWAIT) <= 0)
			break;
}

static uint64_t *end_counter(struct sockeye__counters *c, enum sockeye__end end)
{
	switch (end) {
	case SOCKEYE__END_DONE:
		return &c->closed_end;
	case SOCKEYE__END_RESET:
		return &c->closed_reset;
	case SOCKEYE__END_IDLE:
		return &c->closed_idle;
	case SOCKEYE__END_TIME:
		return &c->closed_time;
	case SOCKEYE__END_STOP:
		return &c->closed_stop;
	case SOCKEYE__END_ERROR:
	default:
		return &c->closed_error;
	}
}

void sockeye__visit_close(struct sockeye__worker *w, struct sockeye__visit *v,
			  enum sockeye__end end)
{
	if (end == SOCKEYE__END_DONE && !v->in_end)
		drain(v->fd);
	close(v->fd);
	v->fd = -1;
	if (w->server->opts->verbose)
		visit_event(w, v,
			    &(struct sockeye_event){.kind = SOCKEYE_EVENT_CLOSE,
						    .bytes_in = v->bytes_in,
						    .bytes_out = v->bytes_out,
						    .text = end_texts[end]});
}

void sockeye__visit_release(struct sockeye__worker *w, const struct sockeye__peer *peer,
			    enum sockeye__end end)
{
	source_give(w, peer);
	/* If the worker is killed between these lines, the connection is counted twice. */
	sockeye__count(end_counter(w->counters, end), 1);
	sockeye__count(&w->counters->open, UINT64_MAX); /* minus one */
	/* Ordered, because the thread model waits for the last connection to end. */
	__atomic_fetch_sub(&w->conns, 1, __ATOMIC_SEQ_CST);
}

int sockeye__record_cut(struct sockeye__worker *w)
{
	sockeye__warn_rarely(w, "closed a connection: its record is longer than 256 KiB",
			     -EMSGSIZE);
	return -EMSGSIZE;
}

/* recv(2) returns 0 both for an empty record and at end of file. It received an empty
 * record if the peer has not shut down its side or more input is queued. An empty record
 * that is the last input before the end is mistaken for the end. */
bool sockeye__record_empty(const struct sockeye__site *site, int fd)
{
	struct pollfd peer = {.fd = fd, .events = POLLRDHUP};
	int queued;

	if (!site->keeps_records)
		return false;
	return poll(&peer, 1, 0) == 0 || (ioctl(fd, FIONREAD, &queued) == 0 && queued > 0);
}

void sockeye__turn_away(struct sockeye__worker *w, const struct sockeye__visit *v, const char *text,
			int err)
{
	struct sockeye__visit turned_away = *v;

	sockeye__visit_open(w, &turned_away);
	sockeye__warn_rarely(w, text, err);
	sockeye__count(&w->counters->refused_resource, 1);
	sockeye__dismiss(w, &turned_away, SOCKEYE__END_ERROR);
}

void sockeye__dismiss(struct sockeye__worker *w, struct sockeye__visit *v, enum sockeye__end end)
{
	sockeye__visit_close(w, v, end);
	sockeye__visit_release(w, &v->peer, end);
}
