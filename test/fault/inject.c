/*
 * inject.c: makes one call fail in an unchanged program. Load it with LD_PRELOAD, after
 * the runtime of a sanitizer.
 *
 *     INJECT="recv 3 104"    the third recv(2) of all processes fails with ECONNRESET
 *     INJECT="send 1 0"      the first send(2) takes one byte
 *     INJECT="fork 0 11"     every fork(2) fails with EAGAIN
 *     INJECT_COUNTS=FILE     counts the calls of each function in this file
 *     INJECT_NOFILE=N        getrlimit(2) returns this limit of descriptors
 *
 * The processes of a server share the file and count together, so a run without a fault
 * shows how many calls there are.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* X(name): the calls that can be made to fail. test_injected.py tries each. */
/* clang-format off */
#define CALLS(X) \
	X(accept4) X(aligned_alloc) X(bind) X(calloc) X(epoll_create1) X(epoll_ctl) X(epoll_wait) \
	X(eventfd) X(fork) X(getsockname) X(io_uring_queue_init_params) \
	X(io_uring_register_buf_ring) X(io_uring_submit_and_get_events) \
	X(io_uring_submit_and_wait) X(io_uring_submit_and_wait_timeout) X(listen) X(malloc) \
	X(mmap64) X(open64) X(pidfd_open) X(pipe2) X(poll) X(posix_memalign) X(pthread_create) X(read) X(realloc) \
	X(recv) X(recvmmsg) X(send) X(sendmmsg) X(setsockopt) X(signalfd) X(socket) X(waitid) \
	X(write)
/* clang-format on */

#define CALL_ENUM(name) CALL_##name,
enum call { CALLS(CALL_ENUM) CALL_COUNT };

#define CALL_NAME(name) #name,
static const char *const names[CALL_COUNT] = {CALLS(CALL_NAME)};

static struct {
	int call; /* -1: none */
	unsigned long at;
	int err;
} plan = {.call = -1};

static _Atomic unsigned long private_counts[CALL_COUNT], *counts = private_counts;

static __attribute__((constructor)) void start(void)
{
	const char *text = getenv("INJECT"), *file = getenv("INJECT_COUNTS");
	char name[64] = "";
	int fd = file != NULL ? open(file, O_RDWR | O_CLOEXEC) : -1;
	void *shared = MAP_FAILED;

	if (fd >= 0) {
		shared =
		    mmap(NULL, sizeof private_counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (shared != MAP_FAILED) {
		memset(shared, 0, sizeof private_counts);
		counts = shared;
	}
	if (text == NULL || sscanf(text, "%63s %lu %d", name, &plan.at, &plan.err) != 3)
		return;
	for (int i = 0; i < CALL_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			plan.call = i;
}

/* Counts a call. Returns whether it has to fail. */
static bool hit(enum call call)
{
	unsigned long n = atomic_fetch_add(&counts[call], 1) + 1;

	return (int)call == plan.call && (plan.at == 0 || plan.at == n);
}

static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

#define NEXT(name) ((__typeof__(&name))next(#name))

/* Calls that return -1 and set errno. */
#define WRAP(type, name, parameters, arguments) \
	EXPORT type name parameters \
	{ \
		if (!hit(CALL_##name)) \
			return NEXT(name) arguments; \
		errno = plan.err; \
		return -1; \
	}

WRAP(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))
WRAP(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(int, epoll_create1, (int flags), (flags))
WRAP(int, epoll_wait, (int ep, struct epoll_event *e, int n, int ms), (ep, e, n, ms))
WRAP(int, eventfd, (unsigned n, int flags), (n, flags))
WRAP(pid_t, fork, (void), ())
WRAP(int, getsockname, (int fd, struct sockaddr *restrict a, socklen_t *restrict n), (fd, a, n))
WRAP(int, listen, (int fd, int n), (fd, n))
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(int, poll, (struct pollfd * p, nfds_t n, int ms), (p, n, ms))
WRAP(ssize_t, read, (int fd, void *buf, size_t n), (fd, buf, n))
WRAP(int, recvmmsg, (int fd, struct mmsghdr *m, unsigned n, int flags, struct timespec *t),
     (fd, m, n, flags, t))
WRAP(int, sendmmsg, (int fd, struct mmsghdr *m, unsigned n, int flags), (fd, m, n, flags))
WRAP(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t n),
     (fd, level, name, value, n))
WRAP(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags))
WRAP(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int flags), (type, id, info, flags))
WRAP(ssize_t, write, (int fd, const void *buf, size_t n), (fd, buf, n))

/* -D_FORTIFY_SOURCE replaces three of them with these. */
EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t size)
{
	return size < n ? abort(), 0 : read(fd, buf, n);
}

EXPORT int __poll_chk(struct pollfd *p, nfds_t n, int ms, size_t size)
{
	return size / sizeof *p < n ? abort(), 0 : poll(p, n, ms);
}

EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
	return size < n ? abort(), 0 : recv(fd, buf, n, flags);
}

/* Error 0 means: take or return one byte only. */
EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	if (!hit(CALL_recv))
		return NEXT(recv)(fd, buf, n, flags);
	if (plan.err == 0)
		return NEXT(recv)(fd, buf, 1, flags);
	errno = plan.err;
	return -1;
}

EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	if (!hit(CALL_send))
		return NEXT(send)(fd, buf, n, flags);
	if (plan.err == 0)
		return NEXT(send)(fd, buf, 1, flags);
	errno = plan.err;
	return -1;
}

/* Only EPOLL_CTL_ADD needs memory and can fail. */
EXPORT int epoll_ctl(int ep, int op, int fd, struct epoll_event *e)
{
	if (op != EPOLL_CTL_ADD || !hit(CALL_epoll_ctl))
		return NEXT(epoll_ctl)(ep, op, fd, e);
	errno = plan.err;
	return -1;
}

EXPORT int open64(const char *path, int flags, ...)
{
	if (!hit(CALL_open64))
		return NEXT(open64)(path, flags, 0600);
	errno = plan.err;
	return -1;
}

EXPORT void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t offset)
{
	if (!hit(CALL_mmap64))
		return NEXT(mmap64)(at, n, prot, flags, fd, offset);
	errno = plan.err;
	return MAP_FAILED;
}

/* Calls that return their error. */
EXPORT int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
	return hit(CALL_pthread_create) ? plan.err : NEXT(pthread_create)(t, a, f, arg);
}

#define WRAP_NEGATIVE(name, parameters, arguments) \
	EXPORT int name parameters \
	{ \
		return hit(CALL_##name) ? -plan.err : NEXT(name) arguments; \
	}

WRAP_NEGATIVE(io_uring_queue_init_params,
	      (unsigned n, struct io_uring *r, struct io_uring_params *p), (n, r, p))
WRAP_NEGATIVE(io_uring_register_buf_ring,
	      (struct io_uring * r, struct io_uring_buf_reg *b, unsigned flags), (r, b, flags))
WRAP_NEGATIVE(io_uring_submit_and_get_events, (struct io_uring * r), (r))
WRAP_NEGATIVE(io_uring_submit_and_wait, (struct io_uring * r, unsigned n), (r, n))
WRAP_NEGATIVE(io_uring_submit_and_wait_timeout,
	      (struct io_uring * r, struct io_uring_cqe **c, unsigned n,
	       struct __kernel_timespec *t, sigset_t *s),
	      (r, c, n, t, s))

/* Memory: dlsym(3) allocates memory, so it cannot find these. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

/* libseccomp makes thousands of calls, and crashes when one of them fails. The server runs
 * it in a child process for this reason. */
static bool is_libseccomp(const void *caller)
{
	Dl_info info;

	return dladdr(caller, &info) != 0 && info.dli_fname != NULL &&
	       strstr(info.dli_fname, "libseccomp") != NULL;
}

static bool no_memory(enum call call, const void *caller)
{
	if (is_libseccomp(caller) || !hit(call))
		return false;
	errno = ENOMEM;
	return true;
}

EXPORT void *malloc(size_t n)
{
	return no_memory(CALL_malloc, __builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

EXPORT void *calloc(size_t n, size_t size)
{
	return no_memory(CALL_calloc, __builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t n)
{
	return no_memory(CALL_realloc, __builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return errno = ENOMEM, NULL;
	return realloc(p, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t n)
{
	return no_memory(CALL_aligned_alloc, __builtin_return_address(0))
		   ? NULL
		   : __libc_memalign(alignment, n);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t n)
{
	void *p = no_memory(CALL_posix_memalign, __builtin_return_address(0))
		      ? NULL
		      : __libc_memalign(alignment, n);

	if (p == NULL)
		return ENOMEM;
	*out = p;
	return 0;
}

EXPORT int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit)
{
	const char *text = getenv("INJECT_NOFILE");
	int err = NEXT(getrlimit64)(resource, limit);

	if (err == 0 && text != NULL && resource == RLIMIT_NOFILE)
		limit->rlim_cur = limit->rlim_max = strtoull(text, NULL, 10);
	return err;
}
