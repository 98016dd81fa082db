/* sandbox.c: puts workers into their sandbox (sandbox.h). */
#include "serve/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "net/net.h"
#include "serve/internal.h"
#include "serve/process.h"

/* The run-time library of a sanitizer reads /proc and the program when it reports. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define MAKE_MAX_S 10 /* to make a filter */

/* The groups of system calls that the workers of a crew need. */
static unsigned calls_of(const struct sockeye__crew *crew)
{
	unsigned calls = 0;

	if (crew->spec != NULL)
		calls = crew->spec->calls;
	else if (crew->run == crew->model->run) /* otherwise it replies to datagrams */
		calls = crew->model->calls;
	return calls | (SANITIZED ? SOCKEYE__CALLS_SANITIZER : 0);
}

/* --- in a worker --- */

/* Whether the worker replies to datagrams of UNIX sockets, which may have abstract names. */
static bool answers_abstract(const struct sockeye__worker *w)
{
	for (size_t i = 0; i < w->crew->site_count; i++)
		if (w->crew->sites[i].listener.name.u.sa.sa_family == AF_UNIX &&
		    !w->crew->sites[i].stream)
			return true;
	return false;
}

/* Arenas of malloc(3) per processor, as many as it has by default. */
#define ARENAS 8

/* Lets the C library and the log read what they need while they can open files. If that
 * fails, only lines of the log show less. */
static void libraries_prepare(void)
{
	time_t now = 0;
	struct tm tm;

	gmtime_r(&now, &tm);                         /* reads /etc/localtime */
	mallopt(M_ARENA_MAX, ARENAS * get_nprocs()); /* otherwise it reads /sys later */
	(void)sockeye__zones_prepare();
}

static const struct sockeye__filter *filter_find(const struct sockeye__server *server,
						 unsigned groups)
{
	for (size_t i = 0; i < server->filter_count; i++)
		if (server->filters[i].groups == groups)
			return &server->filters[i];
	return NULL;
}

/* Applies the parts that the supervisor has found on this system. Returns 0 or -errno. */
static int enter(const struct sockeye__worker *w, const struct sockeye__sandbox *needs)
{
	const unsigned parts = w->server->sandbox_parts;
	int err = 0;

	if (parts & SOCKEYE__SANDBOX_FILES)
		err = sockeye__sandbox_files(needs, answers_abstract(w));
	if (err == 0 && (parts & SOCKEYE__SANDBOX_CALLS))
		err = sockeye__filter_apply(filter_find(w->server, needs->calls),
					    w->server->denied_wr);
	return err;
}

int sockeye__sandbox_enter(const struct sockeye__worker *w, int root, bool reads_all)
{
	const struct sockeye__site_request *request = w->crew->request;
	const int status_fd =
	    request->instead != NULL ? open("/proc/self/status", O_RDONLY | O_CLOEXEC) : -1;
	const struct sockeye__sandbox needs = {
	    .calls = calls_of(w->crew),
	    .root = root,
	    .reads_all = reads_all || SANITIZED,
	};
	int err = 0;

	if (w->server->sandbox_parts != 0) {
		libraries_prepare();
		close(w->server->denied_rd);
		err = enter(w, &needs);
	}
	if (err < 0)
		sockeye__cannot_start(w, err);
	else if (request->instead != NULL)
		request->instead(w, &needs, status_fd);
	return err;
}

/* --- in the supervisor --- */

struct making {
	unsigned groups;
	int fd;
};

static int filter_make(const void *arg)
{
	const struct making *making = arg;

	alarm(MAKE_MAX_S);
	return sockeye__filter_make(making->groups, making->fd);
}

/* Reads a filter from a pipe, in which there is room for all of it. Returns 0 or -errno. */
static int filter_read(int fd, struct sockeye__filter *out)
{
	struct sock_filter code[BPF_MAXINSNS];
	ssize_t n = read(fd, code, sizeof code);

	if (n <= 0)
		return n < 0 ? -errno : -EIO;
	out->code = malloc((size_t)n);
	if (out->code == NULL)
		return -ENOMEM;
	memcpy(out->code, code, (size_t)n);
	out->count = (unsigned short)((size_t)n / sizeof *code);
	return 0;
}

/* Makes a filter in a child process, because libseccomp may crash if memory is short. If no
 * process can be started at this time, makes it in this one. A file instead of the pipe
 * would be subject to RLIMIT_FSIZE. Returns 0 or -errno. */
static int filter_open(struct sockeye__filter *filter)
{
	struct making making = {.groups = filter->groups};
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	making.fd = fds[1];
	err = sockeye__process_call(filter_make, &making);
	if (err == -EAGAIN)
		err = sockeye__filter_make(making.groups, making.fd);
	close(fds[1]);
	if (err == 0)
		err = filter_read(fds[0], filter);
	close(fds[0]);
	return err;
}

/* Makes a filter for each set of groups that a crew needs. Returns 0 or -errno. */
static int filters_open(struct sockeye__server *server)
{
	int err = 0;

	server->filters = calloc(server->crew_count, sizeof *server->filters);
	if (server->filters == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < server->crew_count && err == 0; i++) {
		const unsigned groups = calls_of(&server->crews[i]);

		if (filter_find(server, groups) != NULL)
			continue;
		server->filters[server->filter_count].groups = groups;
		err = filter_open(&server->filters[server->filter_count++]);
	}
	return err;
}

/* Reports that the system lacks a part. Returns 0, or a negative code with *fail if the part
 * is required. */
static int part_missing(struct sockeye__server *server, const char *part, const char *text, int err,
			struct sockeye_fail *fail)
{
	if (server->opts->sandbox == SOCKEYE_SANDBOX_REQUIRE)
		return sockeye__fail_set(fail, "sandbox", part, err);
	sockeye__event(server->opts, &(struct sockeye_event){
					 .kind = SOCKEYE_EVENT_WARNING, .text = text, .err = err});
	return 0;
}

static int files_open(struct sockeye__server *server, struct sockeye_fail *fail)
{
	int err = sockeye__sandbox_files_try();

	if (err < 0)
		return part_missing(server, "Landlock",
				    "this system has no Landlock: only file permissions limit the "
				    "files that workers can open",
				    err, fail);
	server->sandbox_parts |= SOCKEYE__SANDBOX_FILES;
	return 0;
}

static int calls_open(struct sockeye__server *server, struct sockeye_fail *fail)
{
	int err = sockeye__filter_try();

	if (err < 0)
		return part_missing(server, "seccomp",
				    "this system has no seccomp filters: nothing limits the "
				    "system calls of workers",
				    err, fail);
	server->sandbox_parts |= SOCKEYE__SANDBOX_CALLS;
	err = filters_open(server);
	return err < 0 ? sockeye__fail_set(fail, "sandbox", "seccomp", err) : 0;
}

int sockeye__sandbox_open(struct sockeye__server *server, struct sockeye_fail *fail)
{
	int err, denied[2];

	if (server->opts->sandbox == SOCKEYE_SANDBOX_OFF)
		return 0;
	err = files_open(server, fail);
	if (err == 0)
		err = calls_open(server, fail);
	if (err < 0)
		return err;
	if (pipe2(denied, O_CLOEXEC | O_NONBLOCK) < 0)
		return sockeye__fail_set(fail, "sandbox", "pipe", -errno);
	server->denied_rd = denied[0];
	server->denied_wr = denied[1];
	return 0;
}

void sockeye__sandbox_close(struct sockeye__server *server)
{
	if (server->denied_rd >= 0)
		close(server->denied_rd);
	if (server->denied_wr >= 0)
		close(server->denied_wr);
	for (size_t i = 0; i < server->filter_count; i++)
		free(server->filters[i].code);
	free(server->filters);
}

static void denied_warn(const struct sockeye__server *server, const struct sockeye__denied *denied)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, denied->call);
	char text[160];

	snprintf(text, sizeof text,
		 "the sandbox denied a system call of worker %d: %s (%d); --sandbox off permits "
		 "all calls",
		 (int)denied->pid, name != NULL ? name : "unknown", (int)denied->call);
	free(name);
	sockeye__event(server->opts,
		       &(struct sockeye_event){.kind = SOCKEYE_EVENT_WARNING, .text = text});
}

void sockeye__sandbox_report(struct sockeye__server *server)
{
	struct sockeye__denied denied[64];
	const uint64_t now = sockeye_now().mono_ns;
	ssize_t n = read(server->denied_rd, denied, sizeof denied);

	if (n < (ssize_t)sizeof denied[0] ||
	    (server->denied_ns != 0 && now - server->denied_ns < SOCKEYE_NS_PER_S))
		return;
	server->denied_ns = now;
	denied_warn(server, &denied[0]);
}
