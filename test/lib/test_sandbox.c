/*
 * test_sandbox.c: a worker tries what its sandbox forbids. The service of this test makes
 * the calls that a peer names, as a peer would that has taken over the worker.
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "help.h"
#include "serve/uring_internal.h"

/* A system call with its first arguments. */
struct trial {
	const char *name;
	long number, args[6];
	int err; /* the expected error */
};

#define PATH(p) ((long)(p))

static char *const no_words[] = {NULL};

static const struct trial trials[] = {
    {"open a file", SYS_openat, {AT_FDCWD, PATH("/etc/passwd"), O_RDONLY}, EPERM},
    {"the old call", SYS_open, {PATH("/etc/passwd"), O_RDONLY}, EPERM},
    {"the new call", SYS_openat2, {AT_FDCWD, PATH("/etc/passwd"), 0, 24}, EPERM},
    {"a folder", SYS_mkdirat, {AT_FDCWD, PATH("/tmp/sockeye-trial"), 0700}, EPERM},
    {"a link", SYS_symlinkat, {PATH("/"), AT_FDCWD, PATH("/tmp/sockeye-trial")}, EPERM},
    {"stat", SYS_newfstatat, {AT_FDCWD, PATH("/etc/passwd"), 0, 0}, EPERM},
    {"readlink", SYS_readlinkat, {AT_FDCWD, PATH("/proc/self/exe"), 0, 0}, EPERM},
    {"a file in memory", SYS_memfd_create, {PATH("x"), 0}, EPERM},
    {"TCP", SYS_socket, {AF_INET, SOCK_STREAM, 0}, EPERM},
    {"UDP", SYS_socket, {AF_INET, SOCK_DGRAM, 0}, EPERM},
    {"IPv6", SYS_socket, {AF_INET6, SOCK_STREAM, 0}, EPERM},
    {"UNIX", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, EPERM},
    {"netlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}, EPERM},
    {"packets", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, EPERM},
    {"a pair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, 0}, EPERM},
    {"connect", SYS_connect, {0, 0, 0}, EPERM},
    {"bind", SYS_bind, {0, 0, 0}, EPERM},
    {"listen", SYS_listen, {0, 1}, EPERM},
    {"a ring", SYS_io_uring_setup, {1, 0}, EPERM},
    {"execute", SYS_execve, {PATH("/bin/true"), PATH(no_words), PATH(no_words)}, EPERM},
    {"execute a descriptor", SYS_execveat, {0, PATH(""), 0, 0, AT_EMPTY_PATH}, EPERM},
    {"vfork", SYS_vfork, {0}, EPERM},
    {"a namespace", SYS_clone, {CLONE_NEWUSER | SIGCHLD}, EPERM},
    {"the new clone", SYS_clone3, {0, 0}, ENOSYS},
    {"unshare", SYS_unshare, {CLONE_NEWUSER}, EPERM},
    {"setns", SYS_setns, {0, 0}, EPERM},
    {"a signal", SYS_kill, {1, 0}, EPERM},
    {"a signal to a thread", SYS_tgkill, {1, 1, SIGTERM}, EPERM},
    {"a signal by descriptor", SYS_pidfd_open, {1, 0}, EPERM},
    {"the owner of a socket", SYS_fcntl, {0, F_SETOWN, 1}, EPERM},
    {"trace", SYS_ptrace, {0}, EPERM},
    {"the memory of others", SYS_process_vm_readv, {1}, EPERM},
    {"executable memory",
     SYS_mmap,
     {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1},
     EPERM},
    {"make memory executable", SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}, EPERM},
    {"readable is executable", SYS_personality, {0x0400000}, EPERM},
    {"become root", SYS_setresuid, {0, 0, 0}, EPERM},
    {"mount", SYS_mount, {0}, EPERM},
    {"chroot", SYS_chroot, {PATH("/")}, EPERM},
    {"a program in the kernel", SYS_bpf, {0}, EPERM},
    {"keys", SYS_keyctl, {0}, EPERM},
    {"page faults", SYS_userfaultfd, {0}, EPERM},
    {"performance events", SYS_perf_event_open, {0}, EPERM},
    {"limits", SYS_prlimit64, {0}, EPERM},
    {"a call of the future", 4000, {0}, ENOSYS},
};

/* Bytes that make calls of another architecture. */
#define CALL_32  254
#define CALL_X32 255

static void foreign_call(uint8_t byte)
{
#ifdef __x86_64__
	if (byte == CALL_32)
		__asm__ volatile("int $0x80" : : "a"(20) : "memory"); /* getpid(2) */
	if (byte == CALL_X32)
		syscall(0x40000000 + SYS_getpid);
#else
	(void)byte;
#endif
}

/* Makes the call whose index the peer sends, and replies with the error number. */
static void try_turn(void *state, const void *config, struct sockeye_turn *t)
{
	(void)state;
	(void)config;
	t->in_taken = t->in_len;
	t->close = t->in_end;
	t->out = t->in;
	t->out_len = t->in_len;
	for (size_t i = 0; i < t->in_len; i++) {
		const bool known = t->in[i] < sizeof trials / sizeof trials[0];
		const struct trial *r = &trials[known ? t->in[i] : 0];
		const long *a = r->args;

		if (!known)
			foreign_call(t->in[i]);
		t->in[i] =
		    syscall(r->number, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? (uint8_t)errno : 0;
	}
}

static const struct sockeye_service service = {.name = "try", .turn = try_turn};

struct server {
	struct sockeye_serve_opts opts;
	struct sockeye_addr addr;
	int ready[2], events[2];
	pid_t pid;
};

static int on_ready(void *arg, const struct sockeye_ready *ready)
{
	const struct server *s = arg;
	uint16_t port = sockeye_sockaddr_port(&ready->sites[0].name);

	return write(s->ready[1], &port, sizeof port) == (ssize_t)sizeof port ? 0 : -EIO;
}

static void on_event(void *arg, const struct sockeye_event *event)
{
	const struct server *s = arg;

	if (event->kind == SOCKEYE_EVENT_WARNING)
		dprintf(s->events[1], "%s\n", event->text);
}

/* Returns a connection to a server in a child process. */
static int server_open(struct server *s, const char *model, enum sockeye_sandbox sandbox)
{
	struct sockeye_site site = {.service = &service, .addr = addr_of("tcp://127.0.0.1:0")};
	uint16_t port = 0;
	int fd;

	*s = (struct server){.addr = site.addr};
	s->opts = (struct sockeye_serve_opts){.model = model,
					      .workers = 1,
					      .sandbox = sandbox,
					      .on_ready = on_ready,
					      .on_event = on_event,
					      .arg = s};
	assert_return_code(pipe(s->ready), errno);
	assert_return_code(pipe(s->events), errno);
	s->pid = fork();
	if (s->pid == 0)
		_exit(sockeye_serve(&site, 1, &s->opts, NULL) == 0 ? 0 : 1);
	close(s->ready[1]);
	close(s->events[1]);
	assert_int_equal(read(s->ready[0], &port, sizeof port), sizeof port);
	s->addr = addr_of("tcp://127.0.0.1:%u", port);
	fd = sockeye_connect(&s->addr, NULL, NULL);
	assert_return_code(fd, -fd);
	return fd;
}

static void server_close(struct server *s, int fd)
{
	int status;

	close(fd);
	close(s->ready[0]);
	close(s->events[0]);
	kill(s->pid, SIGTERM);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_int_equal(status, 0);
}

/* Returns the error number of a call in the worker. */
static int tried(int fd, size_t trial)
{
	uint8_t byte = (uint8_t)trial;

	assert_int_equal(send(fd, &byte, 1, 0), 1);
	assert_int_equal(recv(fd, &byte, 1, MSG_WAITALL), 1);
	return byte;
}

/* A sanitizer needs more calls (sandbox_calls.c). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static bool needed_by_sanitizer(long call)
{
	static const long calls[] = {SYS_openat,           SYS_newfstatat,  SYS_readlinkat,
				     SYS_mprotect,         SYS_prlimit64,   SYS_tgkill,
				     SYS_process_vm_readv, SYS_personality, SYS_clone};

	for (size_t i = 0; SANITIZED && i < sizeof calls / sizeof calls[0]; i++)
		if (calls[i] == call)
			return true;
	return false;
}

static void test_every_call_is_denied(void **state)
{
	(void)state;
	for (const char *const *model = sockeye_models; *model != NULL; model++) {
		struct server s;
		int fd = server_open(&s, *model, SOCKEYE_SANDBOX_ON);

		for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++)
			if (!needed_by_sanitizer(trials[i].number) && tried(fd, i) != trials[i].err)
				fail_msg("%s: %s: not denied as expected", *model, trials[i].name);
		server_close(&s, fd);
	}
}

/* The first denied call is reported with its name. */
static void test_denied_calls_are_reported(void **state)
{
	struct server s;
	int fd = server_open(&s, "event", SOCKEYE_SANDBOX_REQUIRE);
	char text[512] = "";
	struct pollfd p = {.fd = s.events[0], .events = POLLIN};

	(void)state;
	assert_int_equal(tried(fd, 1), EPERM);
	assert_int_equal(poll(&p, 1, LONG_MS), 1);
	assert_true(read(s.events[0], text, sizeof text - 1) > 0);
	assert_non_null(strstr(text, ": open (2)"));
	server_close(&s, fd);
}

/* They could be calls that the filter would have to judge by other numbers. */
static void test_calls_of_other_architectures_end_the_worker(void **state)
{
	(void)state;
#ifdef __x86_64__
	for (int byte = CALL_32; byte <= CALL_X32; byte++) {
		struct server s;
		int fd = server_open(&s, "event", SOCKEYE_SANDBOX_ON);
		uint8_t call = (uint8_t)byte;
		char text[512] = "";

		assert_int_equal(send(fd, &call, 1, 0), 1);
		assert_true(recv(fd, &call, 1, 0) <= 0);
		assert_true(read(s.events[0], text, sizeof text - 1) > 0);
		assert_non_null(strstr(text, "killed by"));
		server_close(&s, fd);
	}
#else
	skip();
#endif
}

/* A service of a library's user keeps its rights unless it gives them up. */
static void test_off_by_default(void **state)
{
	struct server s;
	int fd = server_open(&s, "event", (enum sockeye_sandbox)0);

	(void)state;
	assert_int_equal(tried(fd, 0), 0);
	assert_int_equal(tried(fd, 8), 0);
	server_close(&s, fd);
}

/* A ring could open files and sockets: the filter does not see its requests. */
static void test_ring_is_restricted(void **state)
{
	const struct sockeye_serve_opts opts = {.sandbox = SOCKEYE_SANDBOX_ON};
	const struct sockeye__server server = {.opts = &opts};
	struct sockeye__worker worker = {.server = &server};
	struct sockeye__uring *l = calloc(1, sizeof *l);
	struct io_uring_cqe *cqe = NULL;
	struct io_uring_sqe *sqe;

	(void)state;
	if (sockeye__uring_probe() < 0) {
		free(l);
		skip();
	}
	l->worker = &worker;
	assert_return_code(sockeye__uring_open(l), 0);
	for (int i = 0; i < 2; i++) {
		sqe = io_uring_get_sqe(&l->ring);
		if (i == 0)
			io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
		else
			io_uring_prep_connect(sqe, 0, NULL, 0);
		assert_return_code(io_uring_submit_and_wait(&l->ring, 1), 0);
		assert_int_equal(io_uring_peek_cqe(&l->ring, &cqe), 0);
		assert_int_equal(cqe->res, -EACCES);
		io_uring_cqe_seen(&l->ring, cqe);
	}
	sockeye__uring_close(l);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_call_is_denied),
	    cmocka_unit_test(test_denied_calls_are_reported),
	    cmocka_unit_test(test_calls_of_other_architectures_end_the_worker),
	    cmocka_unit_test(test_off_by_default),
	    cmocka_unit_test(test_ring_is_restricted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
