/* serve_try.c: tries what a sandbox should forbid (serve_try.h). */
#include "serve_try.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static int result(long value)
{
	return value < 0 ? -errno : 0;
}

/* Closes a descriptor that was opened. Returns 0 or -errno. */
static int opened(int fd)
{
	int err = result(fd);

	if (fd >= 0)
		close(fd);
	return err;
}

/* --- files --- */

static int folder_list(int dir, const char *path)
{
	char entries[1024];
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = result(fd);

	if (err == 0)
		err = result(syscall(SYS_getdents64, fd, entries, sizeof entries));
	if (fd >= 0)
		close(fd);
	return err;
}

/* Creates a file without a name. The mode forbids everything. */
static int file_create(int dir, const char *path)
{
	return opened(openat(dir, path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0));
}

static int read_passwd(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return opened(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int read_shadow(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return opened(open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}

static int read_environment(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return opened(open("/proc/self/environ", O_RDONLY | O_CLOEXEC));
}

static int list_top(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return folder_list(AT_FDCWD, "/");
}

static int list_root(const struct sockeye__sandbox *needs)
{
	return folder_list(needs->root, ".");
}

static int list_above_root(const struct sockeye__sandbox *needs)
{
	return folder_list(needs->root, "..");
}

static int write_root(const struct sockeye__sandbox *needs)
{
	return file_create(needs->root, ".");
}

static int write_above_root(const struct sockeye__sandbox *needs)
{
	return file_create(needs->root, "..");
}

static int write_tmp(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return file_create(AT_FDCWD, "/tmp");
}

/* --- sockets --- */

static int socket_open(int domain, int type, int protocol)
{
	return opened(socket(domain, type | SOCK_CLOEXEC, protocol));
}

static int socket_tcp(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return socket_open(AF_INET, SOCK_STREAM, 0);
}

static int socket_udp(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return socket_open(AF_INET, SOCK_DGRAM, 0);
}

static int socket_udp6(const struct sockeye__sandbox *needs)
{
	int err = socket_open(AF_INET6, SOCK_DGRAM, 0);

	(void)needs;
	return err == -EAFNOSUPPORT ? 0 : err; /* the system has no IPv6, but allows the call */
}

static int socket_unix(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return socket_open(AF_UNIX, SOCK_STREAM, 0);
}

static int socket_netlink(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return socket_open(AF_NETLINK, SOCK_RAW, 0);
}

static int socket_packet(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return socket_open(AF_PACKET, SOCK_RAW, 0);
}

static int socket_raw(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return socket_open(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

/* Uses a TCP socket on 127.0.0.1. Returns the error of the first step that fails. */
static int tcp_use(int (*use)(int fd, const struct sockaddr *name, socklen_t len))
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err = result(fd);

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (use == connect)
		name.sin_port = htons(9);
	if (err == 0)
		err = result(use(fd, (const struct sockaddr *)&name, sizeof name));
	if (fd >= 0)
		close(fd);
	return err == -ECONNREFUSED ? 0 : err; /* no server, but the call was made */
}

static int connect_tcp(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return tcp_use(connect);
}

static int bind_tcp(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return tcp_use(bind);
}

/* --- processes --- */

/* Starts a process or a thread that calls the function. Not fork(3) or pthread_create(3): they
 * may block all signals, and a call that the sandbox denies meanwhile ends the process. Returns
 * its ID or -errno. */
static int start(int (*call)(void *arg), int flags)
{
	static _Alignas(16) char stack[16384]; /* for one at a time */
	int id = clone(call, stack + sizeof stack, flags, NULL);

	return id < 0 ? -errno : id;
}

/* Returns the exit code of a child process as a negative number, or -errno without a child. */
static int in_child(int (*call)(void *arg))
{
	int status, pid = start(call, SIGCHLD);

	if (pid < 0)
		return pid;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int start_process(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return in_child(nothing);
}

static int start_thread(const struct sockeye__sandbox *needs)
{
	int id = start(nothing, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				    CLONE_SYSVSEM);

	(void)needs;
	return id < 0 ? id : 0;
}

/* Executes a program that succeeds without output. */
static int execute(void *arg)
{
	static char name[] = "true";
	static char *const words[] = {name, NULL};

	(void)arg;
	execve("/bin/true", words, words + 1);
	return errno;
}

/* Without a child process, tries to execute a directory: EACCES shows that the call itself is
 * possible. */
static int execute_program(const struct sockeye__sandbox *needs)
{
	static char *const words[] = {NULL};
	int err = in_child(nothing);

	(void)needs;
	if (err == 0)
		return in_child(execute);
	execve("/", words, words);
	return errno == EACCES ? 0 : -errno;
}

static int signal_supervisor(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return result(kill(getppid(), 0));
}

static int trace_supervisor(const struct sockeye__sandbox *needs)
{
	int err = result(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));

	(void)needs;
	if (err == 0)
		(void)ptrace(PTRACE_DETACH, getppid(), NULL, NULL);
	return err;
}

static int read_supervisor(const struct sockeye__sandbox *needs)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)&serve_tries_count, 1};

	(void)needs;
	return result(process_vm_readv(getppid(), &here, 1, &there, 1, 0));
}

/* --- memory --- */

static int executable_map(const struct sockeye__sandbox *needs)
{
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)needs;
	if (page == MAP_FAILED)
		return -errno;
	munmap(page, PAGE);
	return 0;
}

static int executable_change(const struct sockeye__sandbox *needs)
{
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = 0;

	(void)needs;
	if (page == MAP_FAILED)
		return -errno;
	err = result(mprotect(page, PAGE, PROT_READ | PROT_EXEC));
	munmap(page, PAGE);
	return err;
}

/* --- the system --- */

static int ring_open(const struct sockeye__sandbox *needs)
{
	char params[120] = {0}; /* struct io_uring_params */

	(void)needs;
	return opened((int)syscall(SYS_io_uring_setup, 1, params));
}

static int become_root(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return result(setuid(0));
}

static int change_root(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return result(chroot("/"));
}

/* Last, because it changes what this process may do. */
static int new_namespace(const struct sockeye__sandbox *needs)
{
	(void)needs;
	return result(unshare(CLONE_NEWUSER));
}

#define READS SERVE_TRY_READS_ALL
#define ROOT  SERVE_TRY_ROOT

const struct serve_try serve_tries[] = {
    {"read /etc/passwd", READS, read_passwd},
    {"read /etc/shadow", READS, read_shadow},
    {"read /proc/self/environ", READS, read_environment},
    {"list /", READS, list_top},
    {"list the TFTP root", ROOT | SOCKEYE__CALLS_READ, list_root},
    {"list the directory above the TFTP root", ROOT | READS, list_above_root},
    {"create a file in the TFTP root", ROOT | SOCKEYE__CALLS_WRITE, write_root},
    {"create a file above the TFTP root", ROOT, write_above_root},
    {"create a file in /tmp", 0, write_tmp},
    {"open a TCP socket", 0, socket_tcp},
    {"open a UDP socket", SOCKEYE__CALLS_DATAGRAM, socket_udp},
    {"open a UDP socket for IPv6", SOCKEYE__CALLS_DATAGRAM, socket_udp6},
    {"open a UNIX socket", 0, socket_unix},
    {"open a netlink socket", 0, socket_netlink},
    {"open a packet socket", 0, socket_packet},
    {"open a raw socket", 0, socket_raw},
    {"connect over TCP", 0, connect_tcp},
    {"bind a TCP socket", 0, bind_tcp},
    {"start a process", SOCKEYE__CALLS_PROCESSES, start_process},
    {"start a thread", SOCKEYE__CALLS_THREADS, start_thread},
    {"execute a program", 0, execute_program},
    {"signal another process", 0, signal_supervisor},
    {"trace another process", 0, trace_supervisor},
    {"read the memory of another process", 0, read_supervisor},
    {"map executable memory", 0, executable_map},
    {"make memory executable", 0, executable_change},
    {"open an io_uring ring", 0, ring_open},
    {"become root", 0, become_root},
    {"change the root directory", 0, change_root},
    {"create a user namespace", 0, new_namespace},
};

const size_t serve_tries_count = sizeof serve_tries / sizeof serve_tries[0];

_Static_assert(sizeof serve_tries / sizeof serve_tries[0] <= SERVE_TRIES_MAX,
	       "results have room for all");
