/* worker.c: functions of a worker that every run function uses (crew.h). */
#include "serve/internal.h"

#define GRACE_MS 10000

size_t sockeye__site_count(const struct sockeye__worker *w)
{
	return w->crew->site_count;
}

int sockeye__site_fd(const struct sockeye__worker *w, size_t i)
{
	const struct sockeye__site *s = &w->crew->sites[i];

	return s->fds[s->fd_count > 1 ? w->member : 0];
}

const struct sockeye_sockaddr *sockeye__site_name(const struct sockeye__worker *w, size_t i)
{
	return &w->crew->sites[i].listener.name;
}

const char *sockeye__worker_service(const struct sockeye__worker *w)
{
	return w->crew->sites[0].service->name;
}

const char *sockeye__worker_model(const struct sockeye__worker *w)
{
	return w->crew->model != NULL ? w->crew->model->facts.name : "";
}

uint64_t sockeye__grace_ns(const struct sockeye__server *server)
{
	uint64_t ms = server->opts->grace_ms;

	return (ms != 0 ? ms : GRACE_MS) * SOCKEYE_NS_PER_MS;
}

bool sockeye__worker_source(const struct sockeye__worker *w, const struct sockaddr *peer,
			    struct sockeye__source *out)
{
	const struct sockeye__prefixes prefixes = {
	    .ipv4 = w->server->opts->source_ipv4_prefix,
	    .ipv6 = w->server->opts->source_ipv6_prefix,
	};

	return sockeye__source_of(&prefixes, peer, out);
}

void sockeye__event(const struct sockeye_serve_opts *opts, struct sockeye_event *ev)
{
	if (opts->on_event == NULL)
		return;
	ev->real_ns = sockeye_now().real_ns;
	opts->on_event(opts->arg, ev);
}

void sockeye__server_event(const struct sockeye__server *server, struct sockeye_event *ev)
{
	sockeye__event(server->opts, ev);
}

void sockeye__worker_event(const struct sockeye__worker *w, struct sockeye_event *ev)
{
	sockeye__server_event(w->server, ev);
}

void sockeye__warn(const struct sockeye__worker *w, const char *text, int err)
{
	sockeye__event(
	    w->server->opts,
	    &(struct sockeye_event){.kind = SOCKEYE_EVENT_WARNING, .text = text, .err = err});
}

void sockeye__cannot_start(const struct sockeye__worker *w, int err)
{
	sockeye__warn(w, "a worker cannot start", err);
}

bool sockeye__rarely(struct sockeye__worker *w)
{
	uint64_t now = sockeye_now().mono_ns;

	if (w->warned_ns != 0 && now - w->warned_ns < SOCKEYE_NS_PER_S)
		return false;
	w->warned_ns = now;
	return true;
}

void sockeye__warn_rarely(struct sockeye__worker *w, const char *text, int err)
{
	if (sockeye__rarely(w))
		sockeye__warn(w, text, err);
}
