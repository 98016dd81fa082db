/* serve.c: sockeye_serve, from a list of sites to workers that run. */
#include "serve/models.h"
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#define ADDRESSES_MAX 16 /* bound addresses of one site's address */

int sockeye__site_fd(const struct sockeye__worker *w, size_t i)
{
	const struct sockeye__site *s = &w->server->sites[i];
	unsigned own =
	    i < w->server->site_count ? w->index : w->index - sockeye__resident_first(w->server);

	return s->fds[s->fd_count > 1 ? own : 0];
}

static bool is_resident(const struct sockeye_site *site)
{
	return site->service->resident != NULL;
}

/* The processes that serve a site. */
static unsigned site_workers(const struct sockeye__server *server, const struct sockeye_site *site)
{
	return is_resident(site) ? server->residents : server->workers;
}

/* A worker's share of the connections is only fair when every worker can take
 * from one queue: clients that hash to a full worker would wait for ever. */
static bool wants_own_sockets(const struct sockeye__server *server, const struct sockeye_site *site)
{
	bool inet = site->addr.scheme == SOCKEYE_TCP || site->addr.scheme == SOCKEYE_UDP;

	if (!inet || site_workers(server, site) <= 1)
		return false;
	return is_resident(site) ||
	       (server->model->own_sockets && server->opts->connections_max == 0);
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

/* Answers leave at once: services write whole messages, so Nagle's algorithm
 * (RFC 896) would only delay the second of two. Accepted sockets inherit it.
 * A socket bound to one address need not be told which one was asked. */
static void site_tune(struct sockeye__site *s)
{
	bool v6 = s->listener.name.u.sa.sa_family == AF_INET6;
	bool asks = s->scheme == SOCKEYE_UDP && sockeye__sockaddr_is_any(&s->listener.name);

	for (unsigned i = 0; i < s->fd_count; i++) {
		if (s->scheme == SOCKEYE_TCP)
			(void)sockeye__option_set(s->fds[i], IPPROTO_TCP, TCP_NODELAY, 1);
		if (s->scheme == SOCKEYE_UDP && !asks)
			(void)sockeye__option_set(s->fds[i], IPPROTO_IP, IP_PKTINFO, 0);
		if (s->scheme == SOCKEYE_UDP && !asks && v6)
			(void)sockeye__option_set(s->fds[i], IPPROTO_IPV6, IPV6_RECVPKTINFO, 0);
	}
}

static int site_open(struct sockeye__server *server, const struct sockeye_site *site, size_t given,
		     const struct sockeye_listener *listener, const struct sockeye_listen_opts *lo)
{
	struct sockeye__site *s = &server->sites[server->all_count];

	*s = (struct sockeye__site){
	    .service = site->service,
	    .config = site->config,
	    .scheme = listener->scheme,
	    .listener = *listener,
	    .stream = sockeye_scheme_is_stream(listener->scheme),
	    .whole = listener->scheme == SOCKEYE_UNIX_SEQPACKET,
	    .given = given,
	    .fd_count = 1,
	};
	unsigned fds = lo->reuseport ? site_workers(server, site) : 1;
	bool able = is_resident(site) ? s->scheme == SOCKEYE_UDP
		    : s->stream       ? s->service->turn != NULL
				      : s->service->datagram != NULL;

	if (!able) {
		sockeye_listener_close(&s->listener);
		return -EOPNOTSUPP;
	}
	if (s->service->state_size > SOCKEYE_STATE_MAX) {
		sockeye_listener_close(&s->listener);
		return -EINVAL;
	}
	s->fds = calloc(fds, sizeof *s->fds);
	if (s->fds == NULL) {
		sockeye_listener_close(&s->listener);
		return -ENOMEM;
	}
	s->fds[0] = listener->fd;
	server->all_count++;
	server->site_count += !is_resident(site);
	s->fd_count = fds;
	int err = site_open_more(s, &site->addr, lo);
	site_tune(s);
	return err;
}

static int address_open(struct sockeye__server *server, const struct sockeye_site *site,
			size_t given, struct sockeye_fail *fail)
{
	struct sockeye_listener listeners[ADDRESSES_MAX];
	struct sockeye_listen_opts lo = {
	    .backlog = server->opts->backlog,
	    .nonblocking = true,
	    .reuseport = wants_own_sockets(server, site),
	};
	size_t room = SOCKEYE__SITES_MAX - server->all_count;
	int n = sockeye_listen(&site->addr, &lo, listeners,
			       room < ADDRESSES_MAX ? room : ADDRESSES_MAX, fail);
	int err = 0;

	for (int i = 0; i < n; i++) {
		if (err == 0)
			err = site_open(server, site, given, &listeners[i], &lo);
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

/* Those of the resident service, or all others. */
static int sites_open_if(struct sockeye__server *server, const struct sockeye_site *sites,
			 size_t count, bool resident, struct sockeye_fail *fail)
{
	for (size_t i = 0; i < count; i++) {
		int err = is_resident(&sites[i]) == resident
			      ? address_open(server, &sites[i], i, fail)
			      : 0;

		if (err < 0 &&
		    !(sites[i].optional && (err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT)))
			return err;
	}
	return 0;
}

static int sites_open(struct sockeye__server *server, const struct sockeye_site *sites,
		      size_t count, struct sockeye_fail *fail)
{
	int err;

	server->sites = calloc(SOCKEYE__SITES_MAX, sizeof *server->sites);
	if (server->sites == NULL)
		return sockeye__fail_set(fail, "serve", "", -ENOMEM);
	err = sites_open_if(server, sites, count, false, fail);
	if (err == 0)
		err = sites_open_if(server, sites, count, true, fail);
	if (err < 0)
		return err;
	if (server->all_count == 0)
		return sockeye__fail_set(fail, "serve", "", -EADDRNOTAVAIL);
	return 0;
}

/* After privileges were dropped the path of a socket may be somebody else's to
 * remove. The next server on it will replace it. */
static void site_close(const struct sockeye__server *server, struct sockeye__site *s)
{
	char path[SOCKEYE_UNIX_PATH_MAX + 1] = "";

	if (s->listener.unlink_at_close)
		memcpy(path, s->listener.name.u.un.sun_path, sizeof path - 1);
	sockeye_listener_close(&s->listener);
	free(s->fds);
	if (path[0] != '\0' && server->opts->user != NULL && access(path, F_OK) == 0)
		sockeye__event(server->opts,
			       &(struct sockeye_event){
				   .kind = SOCKEYE_EVENT_WARNING,
				   .service = s->service->name,
				   .text = "its socket file stays: --user may not remove it",
				   .err = -EACCES});
}

static void sites_close(struct sockeye__server *server)
{
	for (size_t i = 0; i < server->all_count; i++) {
		for (unsigned k = 1; k < server->sites[i].fd_count; k++)
			close(server->sites[i].fds[k]);
		site_close(server, &server->sites[i]);
	}
	free(server->sites);
}

/* Becomes `user` for good, and makes sure of it: a setuid that silently left a
 * way back has been a hole in more than one server. */
static int become(const char *user)
{
	struct passwd pw, *found = NULL;
	char buf[4096];
	int err = getpwnam_r(user, &pw, buf, sizeof buf, &found);
	uid_t r, e, s;

	if (err != 0 || found == NULL)
		return err != 0 ? -err : SOCKEYE_E_NONAME;
	if (getresuid(&r, &e, &s) == 0 && r == pw.pw_uid && e == pw.pw_uid && s == pw.pw_uid)
		return 0;
	if (initgroups(user, pw.pw_gid) < 0 || setresgid(pw.pw_gid, pw.pw_gid, pw.pw_gid) < 0 ||
	    setresuid(pw.pw_uid, pw.pw_uid, pw.pw_uid) < 0)
		return -errno;
	if (getresuid(&r, &e, &s) < 0 || r != pw.pw_uid || e != pw.pw_uid || s != pw.pw_uid ||
	    (pw.pw_uid != 0 && setuid(0) == 0))
		return -EPERM;
	return 0;
}

/* Each connection is a descriptor: use what the hard limit allows, up to a
 * number that no loop over it could make slow. */
static void descriptors_raise(void)
{
	struct rlimit rl;
	const rlim_t enough = 1 << 20;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur >= rl.rlim_max ||
	    rl.rlim_cur >= enough)
		return;
	rl.rlim_cur = rl.rlim_max < enough ? rl.rlim_max : enough;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
}

/* 0, 1 and 2 closed at start would become sockets that stray writes reach. */
static int standard_fds_fill(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	} while (fd <= 2);
	close(fd);
	return 0;
}

/* Falls back to event when this machine, or this user, may not use the model.
 * Sockets opened for the one fit the other. */
static int model_settle(struct sockeye__server *server, struct sockeye_fail *fail)
{
	const char *name = server->model->name;
	int err = server->model->probe != NULL ? server->model->probe() : 0;
	char text[128];

	if (err == 0)
		return 0;
	if (server->opts->model_strict)
		return sockeye__fail_set(fail, "model", name, err);
	snprintf(text, sizeof text, "model %s is not available here; using event", name);
	sockeye__event(server->opts, &(struct sockeye_event){
					 .kind = SOCKEYE_EVENT_WARNING, .text = text, .err = err});
	server->model = &sockeye__model_event;
	return 0;
}

static int model_choose(struct sockeye__server *server, struct sockeye_fail *fail)
{
	const char *name = server->opts->model != NULL ? server->opts->model : "event";

	server->model = sockeye__model_find(name);
	if (server->model == NULL)
		return sockeye__fail_set(fail, "model", name, SOCKEYE_E_MODEL);
	return model_settle(server, fail);
}

/* As many as asked, or as the service or model has (0: one per processor). */
static unsigned workers_count(const struct sockeye__server *server, unsigned preferred)
{
	unsigned n = server->opts->workers > 0 ? server->opts->workers : preferred;
	cpu_set_t set;

	if (n == 0)
		n = sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
	return n < SOCKEYE__WORKERS_MAX ? n : SOCKEYE__WORKERS_MAX;
}

static void workers_choose(struct sockeye__server *server)
{
	const struct sockeye_serve_opts *opts = server->opts;
	unsigned n = server->model->workers;

	if (n != 1) /* the model knows only one */
		n = workers_count(server, n);
	if (opts->connections_max > 0 && n > opts->connections_max)
		n = opts->connections_max; /* each has a share of at least one */
	server->workers = n;
}

/* There is at most one resident service, and what packets come to a socket that
 * cannot be opened twice (fd:) must all come to the one process that knows their
 * peers. */
static int residents_choose(struct sockeye__server *server, const struct sockeye_site *sites,
			    size_t count)
{
	const struct sockeye_site *first = NULL;
	bool others = false, single = false;

	for (size_t i = 0; i < count; i++) {
		if (!is_resident(&sites[i])) {
			others = true;
			continue;
		}
		if (first == NULL)
			first = &sites[i];
		if (sites[i].service != first->service || sites[i].config != first->config)
			return -EINVAL;
		single |= sites[i].addr.scheme == SOCKEYE_FD;
	}
	if (first != NULL)
		server->residents = single ? 1 : workers_count(server, 0);
	if (!others)
		server->workers = 0;
	return 0;
}

static int shared_open(struct sockeye__server *server)
{
	server->shared_bytes = sizeof *server->shared +
			       sockeye__workers_all(server) * sizeof server->shared->worker[0];
	server->shared = mmap(NULL, server->shared_bytes, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (server->shared == MAP_FAILED) {
		server->shared = NULL;
		return -ENOMEM;
	}
	if (getrandom(&server->shared->seed, sizeof server->shared->seed, 0) < 0)
		return -errno;
	if (server->opts->per_source_max > 0) {
		server->shared->sources = sockeye__sources_new(server->opts->per_source_max);
		if (server->shared->sources == NULL)
			return -ENOMEM;
	}
	return 0;
}

static void server_close(struct sockeye__server *server)
{
	sites_close(server);
	if (server->shared != NULL) {
		sockeye__sources_free(server->shared->sources);
		munmap(server->shared, server->shared_bytes);
	}
	if (server->stop_rd >= 0)
		close(server->stop_rd);
	if (server->stop_wr >= 0)
		close(server->stop_wr);
}

static int server_open(struct sockeye__server *server, const struct sockeye_site *sites,
		       size_t count, struct sockeye_fail *fail)
{
	int err, pipe_fds[2] = {-1, -1};

	err = standard_fds_fill();
	if (err < 0)
		return sockeye__fail_set(fail, "open", "/dev/null", err);
	descriptors_raise();
	err = model_choose(server, fail);
	if (err < 0)
		return err;
	workers_choose(server);
	err = residents_choose(server, sites, count);
	if (err < 0)
		return sockeye__fail_set(fail, "serve", "", err);
	err = sites_open(server, sites, count, fail);
	if (err < 0)
		return err;
	if (server->opts->user != NULL) {
		err = become(server->opts->user);
		if (err < 0)
			return sockeye__fail_set(fail, "become user", server->opts->user, err);
		err = model_settle(server, fail); /* io_uring may be for root alone */
		if (err < 0)
			return err;
	}
	for (size_t i = 0; i < server->site_count && server->model->answerers; i++)
		server->answerers += !server->sites[i].stream;
	err = shared_open(server);
	if (err == 0 && pipe2(pipe_fds, O_CLOEXEC) < 0)
		err = -errno;
	if (err < 0)
		return sockeye__fail_set(fail, "serve", "", err);
	server->stop_rd = pipe_fds[0];
	server->stop_wr = pipe_fds[1];
	return 0;
}

int sockeye_serve(const struct sockeye_site *sites, size_t count,
		  const struct sockeye_serve_opts *opts, struct sockeye_fail *fail)
{
	static const struct sockeye_serve_opts defaults;
	struct sockeye__server server = {
	    .opts = opts != NULL ? opts : &defaults, .stop_rd = -1, .stop_wr = -1};
	int err = server_open(&server, sites, count, fail);

	if (err == 0)
		err = sockeye__supervise(&server, fail);
	server_close(&server);
	return err;
}
