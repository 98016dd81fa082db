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

/* Raises the limit of open files (one for each connection) to the hard limit, or to a
 * number over which loops are still fast. */
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

/* Opens file descriptors 0 to 2 if they are closed: otherwise a socket could get one of
 * these numbers and receive text meant for standard output. */
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

/* While SIGCHLD is ignored, which a process inherits, the kernel reaps children and
 * waitpid(2) never reports that a child died. */
static void child_signal_reset(struct sigaction *out_before)
{
	sigaction(SIGCHLD, NULL, out_before);
	if (out_before->sa_handler == SIG_IGN || (out_before->sa_flags & SA_NOCLDWAIT))
		signal(SIGCHLD, SIG_DFL);
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

/* The number of counters per process, rounded up to whole cache lines. */
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
	return (sockeye__counters_table.count + spec_max + line - 1) / line * line;
}

static int shared_open(struct sockeye__server *server)
{
	const size_t stride = counters_stride(server);
	struct sockeye__shared *shared;

	server->shared_bytes = sizeof *shared + server->processes * stride * sizeof(uint64_t);
	shared = mmap(NULL, server->shared_bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	server->shared = shared;
	shared->stride = stride;
	shared->rates = sockeye__rates_new();
	if (shared->rates == NULL)
		return -ENOMEM;
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
	free(server->crews);
	if (server->shared != NULL) {
		sockeye__sources_free(server->shared->sources);
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
	err = standard_fds_fill();
	if (err < 0)
		return sockeye__fail_set(fail, "open", "/dev/null", err);
	descriptors_raise();
	err = sockeye__crews_form(server, requests, count, fail);
	if (err == 0)
		err = sites_open(server, requests, count, fail);
	if (err < 0)
		return err;
	err = sockeye__crews_complete(server);
	if (err < 0)
		return sockeye__fail_set(fail, "serve", "", err);
	err = sockeye__users_set(server, fail);
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

int sockeye__serve_crews(const struct sockeye__site_request *requests, size_t count,
			 const struct sockeye_serve_opts *opts, struct sockeye_fail *fail)
{
	static const struct sockeye_serve_opts defaults;
	struct sockeye__server server = {
	    .opts = opts != NULL ? opts : &defaults, .stop_rd = -1, .stop_wr = -1};
	struct sigaction before;
	int err;

	child_signal_reset(&before);
	err = server_open(&server, requests, count, fail);
	if (err == 0)
		err = sockeye__supervise(&server, fail);
	server_close(&server);
	sigaction(SIGCHLD, &before, NULL);
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
