/* serve.c: sockeye_serve(): groups a list of sites into crews, and runs them. */
#include "serve/models.h"
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* --- the process --- */

/* What the server changes in the caller's process, and restores when it returns. */
struct process_state {
	struct sigaction child_signal;
	sigset_t mask;
	struct rlimit files;
	bool files_raised;
	bool filled[3]; /* whether file descriptors 0 to 2 were opened */
};

/* Raises the limit of open files (one for each connection) to the hard limit, or to a
 * number over which loops are still fast. */
static void descriptors_raise(struct process_state *before)
{
	const rlim_t enough = 1 << 20;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur >= rl.rlim_max ||
	    rl.rlim_cur >= enough)
		return;
	before->files = rl;
	rl.rlim_cur = rl.rlim_max < enough ? rl.rlim_max : enough;
	before->files_raised = setrlimit(RLIMIT_NOFILE, &rl) == 0;
}

/* Opens file descriptors 0 to 2 if they are closed: otherwise a socket could get one of
 * these numbers and receive text meant for standard output. */
static int standard_fds_fill(struct process_state *before)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", O_RDWR | O_CLOEXEC) != fd) /* the lowest closed one */
			return -errno;
		before->filled[fd] = true;
	}
	return 0;
}

/* While SIGCHLD is ignored, as the caller of the program may have left it, the kernel
 * reaps children, and waitid(2) cannot report how one died. SIGUSR1 is blocked from the
 * beginning, until the supervisor reads it: its default action ends the process. */
static void signals_keep(const struct sockeye_serve_opts *opts, struct process_state *before)
{
	struct sigaction *child = &before->child_signal;
	sigset_t early;

	sigemptyset(&early);
	if (!opts->no_signals) {
		sigaddset(&early, SIGUSR1);
		sigaddset(&early, SIGHUP);
	}
	sigprocmask(SIG_BLOCK, &early, &before->mask);
	sigaction(SIGCHLD, NULL, child);
	if (child->sa_handler == SIG_IGN || (child->sa_flags & SA_NOCLDWAIT))
		signal(SIGCHLD, SIG_DFL);
}

/* Discards signals that arrived too late for the supervisor, and restores the mask: the
 * server has stopped, and these signals would end its caller. */
static void mask_restore(const sigset_t *before)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};
	const struct timespec no_time = {0};
	sigset_t now, late;

	sigprocmask(SIG_SETMASK, NULL, &now);
	sigemptyset(&late);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (sigismember(&now, signals[i]) == 1 && sigismember(before, signals[i]) == 0)
			sigaddset(&late, signals[i]);
	while (sigtimedwait(&late, NULL, &no_time) > 0)
		;
	sigprocmask(SIG_SETMASK, before, NULL);
}

static void process_restore(const struct process_state *before)
{
	mask_restore(&before->mask);
	sigaction(SIGCHLD, &before->child_signal, NULL);
	if (before->files_raised)
		(void)setrlimit(RLIMIT_NOFILE, &before->files);
	for (int fd = 0; fd <= 2; fd++)
		if (before->filled[fd])
			close(fd);
}

/* --- the server --- */

static int sites_open(struct sockeye__server *server, const struct sockeye__site_request *requests,
		      size_t count, struct sockeye_fail *fail)
{
	for (size_t i = 0; i < count; i++) {
		const struct sockeye_site *site = &requests[i].site;
		int err = sockeye__sites_open(server, sockeye__crew_of(server, &requests[i]), site,
					      i, fail);

		if (err < 0 && !(site->optional && (err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT)))
			return err;
	}
	if (server->site_count == 0)
		return sockeye__fail_set(fail, "serve", "", -EADDRNOTAVAIL);
	return 0;
}

/* The number of counters per process and its count of turns, rounded up to whole cache
 * lines. */
static size_t counters_stride(const struct sockeye__server *server)
{
	const size_t line = 64 / sizeof(uint64_t);
	size_t spec_max = 0;

	for (size_t i = 0; i < server->crew_count; i++) {
		const struct sockeye__counter_table *table =
		    sockeye__crew_counters(&server->crews[i]);

		if (table != NULL && table->count > spec_max)
			spec_max = table->count;
	}
	return (sockeye__counters_table.count + spec_max + 1 + line - 1) / line * line;
}

static int shared_open(struct sockeye__server *server)
{
	const size_t stride = counters_stride(server);
	struct sockeye__shared *shared;

	server->shared_bytes = sizeof *shared + server->seats * stride * sizeof(uint64_t);
	shared = mmap(NULL, server->shared_bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	server->shared = shared;
	shared->stride = stride;
	shared->rates = sockeye__rates_new();
	if (shared->rates == NULL)
		return -ENOMEM;
	if (server->opts->repeats_per_s != UINT32_MAX) {
		shared->repeats = sockeye__repeats_new(server->opts->repeats_per_s != 0
							   ? server->opts->repeats_per_s
							   : SOCKEYE__REPEATS_PER_S);
		if (shared->repeats == NULL)
			return -ENOMEM;
	}
	if (server->opts->per_source_max > 0) {
		shared->sources = sockeye__sources_new(server->opts->per_source_max);
		if (shared->sources == NULL)
			return -ENOMEM;
	}
	return 0;
}

static void server_close(struct sockeye__server *server)
{
	sockeye__sites_close(server);
	sockeye__sandbox_close(server);
	free(server->crews);
	if (server->shared != NULL) {
		sockeye__sources_free(server->shared->sources);
		sockeye__repeats_free(server->shared->repeats);
		sockeye__rates_free(server->shared->rates);
		munmap(server->shared, server->shared_bytes);
	}
	if (server->stop_rd >= 0)
		close(server->stop_rd);
	if (server->stop_wr >= 0)
		close(server->stop_wr);
}

static int server_open(struct sockeye__server *server, const struct sockeye__site_request *requests,
		       size_t count, struct sockeye_fail *fail)
{
	int err, pipe_fds[2] = {-1, -1};

	err = sockeye__prefixes_check(&(struct sockeye__prefixes){
	    server->opts->source_ipv4_prefix, server->opts->source_ipv6_prefix});
	if (err < 0)
		return sockeye__fail_set(fail, "serve", "source prefix", err);
	err = sockeye__crews_form(server, requests, count, fail);
	if (err == 0)
		err = sites_open(server, requests, count, fail);
	if (err < 0)
		return err;
	err = sockeye__crews_complete(server, fail);
	if (err < 0)
		return err;
	err = sockeye__users_set(server, fail);
	if (err == 0)
		err = sockeye__users_check(server, fail);
	if (err == 0)
		err = sockeye__sandbox_open(server, fail);
	if (err < 0)
		return err;
	err = shared_open(server);
	if (err == 0 && pipe2(pipe_fds, O_CLOEXEC) < 0)
		err = -errno;
	if (err < 0)
		return sockeye__fail_set(fail, "serve", "", err);
	server->stop_rd = pipe_fds[0];
	server->stop_wr = pipe_fds[1];
	return 0;
}

static void ready_add(struct sockeye_ready_site *sites, size_t *count,
		      const struct sockeye__crew *crew, size_t request)
{
	for (size_t i = 0; i < crew->site_count; i++)
		if (crew->sites[i].request == request)
			sites[(*count)++] = (struct sockeye_ready_site){
			    .service = crew->sites[i].service->name,
			    .scheme = crew->sites[i].scheme,
			    .name = crew->sites[i].listener.name,
			    .model = crew->model != NULL ? crew->model->facts.name : NULL,
			};
}

int sockeye__ready_report(const struct sockeye__server *server)
{
	struct sockeye_ready_site sites[SOCKEYE__SITES_MAX];
	struct sockeye_ready ready = {.pid = (int)getpid(), .sites = sites};
	int err;

	if (server->opts->on_ready == NULL)
		return 0;
	for (size_t request = 0; ready.count < server->site_count; request++)
		for (size_t c = 0; c < server->crew_count; c++)
			ready_add(sites, &ready.count, &server->crews[c], request);
	err = server->opts->on_ready(server->opts->arg, &ready);
	return err < 0 ? err : 0;
}

int sockeye__serve_crews(const struct sockeye__site_request *requests, size_t count,
			 const struct sockeye_serve_opts *opts, struct sockeye_fail *fail)
{
	static const struct sockeye_serve_opts defaults;
	struct sockeye__server server = {.opts = opts != NULL ? opts : &defaults,
					 .stop_rd = -1,
					 .stop_wr = -1,
					 .denied_rd = -1,
					 .denied_wr = -1};
	struct process_state before = {.files_raised = false};
	int err;

	signals_keep(server.opts, &before);
	err = standard_fds_fill(&before);
	if (err < 0)
		sockeye__fail_set(fail, "open", "/dev/null", err);
	descriptors_raise(&before);
	if (err == 0)
		err = server_open(&server, requests, count, fail);
	if (err == 0)
		err = sockeye__supervise(&server, fail);
	server_close(&server);
	process_restore(&before);
	return err;
}

int sockeye_serve(const struct sockeye_site *sites, size_t count,
		  const struct sockeye_serve_opts *opts, struct sockeye_fail *fail)
{
	struct sockeye__site_request *requests = calloc(count + 1, sizeof *requests);
	int err;

	if (requests == NULL)
		return sockeye__fail_set(fail, "serve", "", -ENOMEM);
	for (size_t i = 0; i < count; i++)
		requests[i].site = sites[i];
	err = sockeye__serve_crews(requests, count, opts, fail);
	free(requests);
	return err;
}
