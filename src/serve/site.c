/* site.c: opens and closes the sockets of a server. */
#include "serve/internal.h"
#include "net/net.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDRESSES_MAX 16 /* bound addresses of one site, whose host may have several */

/* Whether each worker gets its own SO_REUSEPORT socket. With a limit on connections
 * the workers share one queue: otherwise a client that the kernel assigns to a full worker
 * would wait while other workers have free slots. */
static bool wants_own_sockets(const struct sockeye__server *server,
			      const struct sockeye__crew *crew, const struct sockeye_site *site)
{
	bool inet = site->addr.scheme == SOCKEYE_TCP || site->addr.scheme == SOCKEYE_UDP;

	if (!inet || crew->processes <= 1)
		return false;
	return crew->model == NULL ||
	       (crew->model->facts.own_sockets && server->opts->connections_max == 0);
}

static int site_open_more(struct sockeye__site *s, const struct sockeye_addr *addr,
			  const struct sockeye_listen_opts *lo)
{
	for (unsigned i = 1; i < s->fd_count; i++) {
		int err = sockeye__listen_again(&s->listener, addr, lo, &s->fds[i]);

		if (err < 0) {
			s->fd_count = i;
			return err;
		}
	}
	return 0;
}

/* Sets TCP_NODELAY, which accepted sockets inherit: services write complete messages, so
 * that Nagle's algorithm (RFC 896) would only delay the second of two messages. A UDP socket
 * that is bound to one address other than a group need not report the destination address
 * of its datagrams. */
static void site_tune(struct sockeye__site *s)
{
	bool v6 = s->listener.name.u.sa.sa_family == AF_INET6;
	bool any = sockeye__sockaddr_is_any(&s->listener.name) ||
		   sockeye__sockaddr_is_multicast(&s->listener.name);

	for (unsigned i = 0; i < s->fd_count; i++) {
		if (s->scheme == SOCKEYE_TCP)
			(void)sockeye__option_set(s->fds[i], IPPROTO_TCP, TCP_NODELAY, 1);
		if (s->scheme == SOCKEYE_UDP && !any)
			(void)sockeye__option_set(s->fds[i], IPPROTO_IP, IP_PKTINFO, 0);
		if (s->scheme == SOCKEYE_UDP && !any && v6)
			(void)sockeye__option_set(s->fds[i], IPPROTO_IPV6, IPV6_RECVPKTINFO, 0);
	}
}

/* Whether the crew can serve this site. A crew with a spec serves only UDP. */
static bool is_able(const struct sockeye__crew *crew, const struct sockeye__site *s)
{
	if (crew->spec != NULL)
		return s->scheme == SOCKEYE_UDP;
	return s->stream ? s->service->turn != NULL : s->service->datagram != NULL;
}

/* Adds a zeroed site to the crew. Returns NULL if memory is short. */
static struct sockeye__site *site_add(struct sockeye__server *server, struct sockeye__crew *crew)
{
	struct sockeye__site *grown =
	    reallocarray(crew->sites, crew->site_count + 1, sizeof *grown);

	if (grown == NULL)
		return NULL;
	crew->sites = grown;
	server->site_count++;
	memset(&grown[crew->site_count], 0, sizeof *grown);
	return &grown[crew->site_count++];
}

static int site_fill(struct sockeye__site *s, const struct sockeye__crew *crew,
		     const struct sockeye_site *site, const struct sockeye_listen_opts *lo)
{
	/* The kernel would give each socket of a group all datagrams. */
	const bool group = sockeye__sockaddr_is_multicast(&s->listener.name);
	const unsigned fds = lo->reuseport && !group ? crew->processes : 1;
	int err;

	if (!is_able(crew, s))
		return -EOPNOTSUPP;
	if (s->service->state_size > SOCKEYE_STATE_MAX)
		return -EINVAL;
	s->fds = calloc(fds, sizeof *s->fds);
	s->drops_seen = calloc(fds, sizeof *s->drops_seen);
	if (s->fds == NULL || s->drops_seen == NULL)
		return -ENOMEM;
	s->fds[0] = s->listener.fd;
	s->fd_count = fds;
	err = site_open_more(s, &site->addr, lo);
	site_tune(s);
	return err;
}

/* Closes the sockets of a site, and warns if the socket file remains: a supervisor that
 * switched its user may not be allowed to remove the file. The next server on the path
 * replaces the file. */
static void site_close(const struct sockeye__server *server, struct sockeye__site *s)
{
	char path[SOCKEYE_UNIX_PATH_MAX + 1] = "";

	if (s->listener.unlink_at_close)
		memcpy(path, s->listener.name.u.un.sun_path, sizeof path - 1);
	for (unsigned i = 1; i < s->fd_count; i++)
		close(s->fds[i]);
	sockeye_listener_close(&s->listener);
	free(s->fds);
	free(s->drops_seen);
	if (path[0] != '\0' && server->gave_up_root && access(path, F_OK) == 0)
		sockeye__event(server->opts,
			       &(struct sockeye_event){
				   .kind = SOCKEYE_EVENT_WARNING,
				   .service = s->service->name,
				   .text = "its socket file remains: the user that the server "
					   "became may not remove it",
				   .err = -EACCES});
}

/* Adds a site. Takes ownership of the listener, and closes it on failure. */
static int site_open(struct sockeye__server *server, struct sockeye__crew *crew,
		     const struct sockeye_site *site, size_t index,
		     struct sockeye_listener *listener, const struct sockeye_listen_opts *lo)
{
	struct sockeye__site *s = site_add(server, crew);
	int err;

	if (s == NULL) {
		sockeye_listener_close(listener);
		return -ENOMEM;
	}
	*s = (struct sockeye__site){
	    .service = site->service,
	    .config = site->config,
	    .scheme = listener->scheme,
	    .listener = *listener,
	    .stream = sockeye_scheme_is_stream(listener->scheme),
	    .keeps_records = listener->scheme == SOCKEYE_UNIX_SEQPACKET,
	    .inherited = site->addr.scheme == SOCKEYE_FD,
	    .request = index,
	};
	err = site_fill(s, crew, site, lo);
	if (err < 0) {
		site_close(server, s);
		crew->site_count--;
		server->site_count--;
	}
	return err;
}

int sockeye__sites_open(struct sockeye__server *server, struct sockeye__crew *crew,
			const struct sockeye_site *site, size_t index, struct sockeye_fail *fail)
{
	struct sockeye_listener listeners[ADDRESSES_MAX];
	struct sockeye_listen_opts lo = {
	    .backlog = server->opts->backlog,
	    .nonblocking = true,
	    .reuseport = wants_own_sockets(server, crew, site),
	};
	size_t room = SOCKEYE__SITES_MAX - server->site_count;
	int n = sockeye_listen(&site->addr, &lo, listeners,
			       room < ADDRESSES_MAX ? room : ADDRESSES_MAX, fail);
	int err = 0;

	for (int i = 0; i < n; i++) {
		if (err == 0)
			err = site_open(server, crew, site, index, &listeners[i], &lo);
		else
			sockeye_listener_close(&listeners[i]);
	}
	if (err < 0) {
		char text[SOCKEYE_ADDR_TEXT_MAX];

		sockeye_addr_print(&site->addr, text, sizeof text);
		return sockeye__fail_set(fail, "serve", text, err);
	}
	return n < 0 ? n : 0;
}

void sockeye__sites_close(struct sockeye__server *server)
{
	for (size_t c = 0; c < server->crew_count; c++) {
		struct sockeye__crew *crew = &server->crews[c];

		for (size_t i = 0; i < crew->site_count; i++)
			site_close(server, &crew->sites[i]);
		free(crew->sites);
	}
}

int sockeye__site_accept(const struct sockeye__worker *w, size_t i, bool nonblocking,
			 struct sockeye_sockaddr *out_peer)
{
	int fd = sockeye__site_fd(w, i);

	/* Another server on an inherited socket may have stopped, and restored the blocking
	 * mode. This call would then wait for a client, and all sessions of the worker with
	 * it. */
	if (w->crew->sites[i].inherited)
		(void)sockeye__nonblocking_set(fd, true);
	return sockeye_accept(fd, nonblocking, 0, out_peer);
}

void sockeye__site_refuse(const struct sockeye__site *site, int fd)
{
	if (!site->inherited)
		shutdown(fd, SHUT_RD);
}

void sockeye__sites_keep_own(const struct sockeye__worker *w)
{
	for (size_t c = 0; c < w->server->crew_count; c++) {
		const struct sockeye__crew *crew = &w->server->crews[c];

		for (size_t i = 0; i < crew->site_count; i++) {
			const struct sockeye__site *s = &crew->sites[i];

			for (unsigned k = 0; k < s->fd_count; k++)
				if (crew != w->crew || (s->fd_count > 1 && k != w->member))
					close(s->fds[k]);
		}
	}
}
