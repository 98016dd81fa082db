/*
 * sandbox_calls.c: limits the system calls of a worker (seccomp(2)).
 *
 * A call that is not in the table fails with EPERM, and the log names it. It does not kill the
 * worker: another C library or architecture may make a call that this one does not. Killing
 * the worker would end its sessions and prevent nothing, since every forbidden call fails.
 */
#include "serve/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* --- the table --- */

enum {
	SERVE = SOCKEYE__CALLS_SERVE,
	THREADS = SOCKEYE__CALLS_THREADS,
	PROCESSES = SOCKEYE__CALLS_PROCESSES,
	RING = SOCKEYE__CALLS_RING,
	DATAGRAM = SOCKEYE__CALLS_DATAGRAM,
	READ = SOCKEYE__CALLS_READ,
	WRITE = SOCKEYE__CALLS_WRITE,
	SANITIZER = SOCKEYE__CALLS_SANITIZER,
};

/* A call that the workers of a group may make. A call with several rows may be made as any of
 * them allows. Names that an architecture lacks are ignored. */
struct rule {
	unsigned group;
	int call;
	unsigned count; /* of conditions, all of which must hold */
	struct scmp_arg_cmp when[2];
};

#define CALL(group, name) \
	{ \
		group, SCMP_SYS(name), 0, \
		{ \
			{ \
				0 \
			} \
		} \
	}
#define CALL_IF(group, name, when) \
	{ \
		group, SCMP_SYS(name), 1, \
		{ \
			when \
		} \
	}
#define IS(arg, value) \
	{ \
		arg, SCMP_CMP_EQ, value, 0 \
	}
#define BITS(arg, mask, value) \
	{ \
		arg, SCMP_CMP_MASKED_EQ, mask, value \
	}

#ifdef __s390__
#define CLONE_FLAGS 1 /* the argument of clone(2) with the flags */
#else
#define CLONE_FLAGS 0
#endif
/* All flags except those that the C library may set when it forks. The rest must be SIGCHLD, so
 * the process cannot create a namespace. */
#define FORK_BITS (~(scmp_datum_t)(CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID) & UINT32_MAX)

static const struct rule rules[] = {
    /* Exchange data with peers, on sockets that the supervisor or accept(2) has opened, and
     * write the log. */
    CALL(SERVE, read),
    CALL(SERVE, readv),
    CALL(SERVE, write),
    CALL(SERVE, writev),
    CALL(SERVE, recv),
    CALL(SERVE, recvfrom),
    CALL(SERVE, recvmsg),
    CALL(SERVE, recvmmsg),
    CALL(SERVE, recvmmsg_time64),
    CALL(SERVE, send),
    CALL(SERVE, sendto),
    CALL(SERVE, sendmsg),
    CALL(SERVE, sendmmsg),
    CALL(SERVE, accept),
    CALL(SERVE, accept4),
    CALL(SERVE, shutdown),
    CALL(SERVE, close),
    CALL(SERVE, getsockname),
    CALL(SERVE, getpeername),
    CALL(SERVE, getsockopt),
    CALL(SERVE, setsockopt),
    CALL_IF(SERVE, ioctl, IS(1, FIONREAD)),
    CALL_IF(SERVE, ioctl, IS(1, SIOCGIFNAME)), /* sockeye_sockaddr_print() */
    /* not F_SETOWN, which sends signals to other processes */
    CALL_IF(SERVE, fcntl, IS(1, F_GETFD)),
    CALL_IF(SERVE, fcntl, IS(1, F_SETFD)),
    CALL_IF(SERVE, fcntl, IS(1, F_GETFL)),
    CALL_IF(SERVE, fcntl, IS(1, F_SETFL)),
    CALL_IF(SERVE, fcntl, IS(1, F_DUPFD_CLOEXEC)),
    CALL_IF(SERVE, fcntl64, IS(1, F_GETFD)),
    CALL_IF(SERVE, fcntl64, IS(1, F_SETFD)),
    CALL_IF(SERVE, fcntl64, IS(1, F_GETFL)),
    CALL_IF(SERVE, fcntl64, IS(1, F_SETFL)),
    CALL_IF(SERVE, fcntl64, IS(1, F_DUPFD_CLOEXEC)),

    /* Wait. The descriptors created here give no access to anything. */
    CALL(SERVE, poll),
    CALL(SERVE, ppoll),
    CALL(SERVE, ppoll_time64),
    CALL(SERVE, epoll_create1),
    CALL(SERVE, epoll_ctl),
    CALL(SERVE, epoll_wait),
    CALL(SERVE, epoll_pwait),
    CALL(SERVE, epoll_pwait2),
    CALL(SERVE, eventfd2),
    CALL(SERVE, signalfd4),
    CALL(SERVE, timerfd_create),
    CALL(SERVE, timerfd_settime),
    CALL(SERVE, timerfd_settime64),
    CALL(SERVE, nanosleep),
    CALL(SERVE, clock_nanosleep),
    CALL(SERVE, clock_nanosleep_time64),

    /* Clocks, which are system calls where the vDSO does not provide them. */
    CALL(SERVE, clock_gettime),
    CALL(SERVE, clock_gettime64),
    CALL(SERVE, clock_getres),
    CALL(SERVE, gettimeofday),
    CALL(SERVE, time),

    /* Memory, but none that is executable. */
    CALL(SERVE, brk),
    CALL(SERVE, munmap),
    CALL(SERVE, mremap),
    CALL(SERVE, madvise),
    CALL_IF(SERVE, mmap, BITS(2, PROT_EXEC, 0)),
    CALL_IF(SERVE, mmap2, BITS(2, PROT_EXEC, 0)),
    CALL_IF(SERVE, mprotect, BITS(2, PROT_EXEC, 0)),

    /* What the C library calls on its own: locks, random numbers, signals, abort(3), and
     * the number of processors and the size of memory in malloc(3) and qsort(3). */
    CALL(SERVE, futex),
    CALL(SERVE, futex_time64),
    CALL(SERVE, set_robust_list),
    CALL(SERVE, rseq),
    CALL(SERVE, getrandom),
    CALL(SERVE, rt_sigreturn),
    CALL(SERVE, sigreturn),
    CALL(SERVE, rt_sigaction),
    CALL(SERVE, rt_sigprocmask),
    CALL(SERVE, sigaltstack),
    CALL(SERVE, restart_syscall),
    CALL(SERVE, sched_getaffinity),
    CALL(SERVE, sched_yield),
    CALL(SERVE, sysinfo),
    CALL(SERVE, fstat),
    CALL(SERVE, fstat64),
    CALL_IF(SERVE, tgkill, IS(2, SIGABRT)),
    CALL(SERVE, exit),
    CALL(SERVE, exit_group),
    CALL(SERVE, getpid),
    CALL(SERVE, gettid),
    CALL(SERVE, getppid),
    CALL(SERVE, getuid),
    CALL(SERVE, geteuid),
    CALL(SERVE, getgid),
    CALL(SERVE, getegid),
    CALL_IF(SERVE, prctl, IS(0, PR_GET_DUMPABLE)), /* --check-sandbox */

    /* Threads of connections, and of uploads that are written to the disk. clone3(2) keeps its
     * flags in memory, which a filter cannot read: it fails with ENOSYS, and the C library uses
     * clone(2). */
    CALL_IF(THREADS, clone, BITS(CLONE_FLAGS, CLONE_THREAD, CLONE_THREAD)),

    /* A process for each connection, which ends with its parent. It inherits the filter. */
    CALL_IF(PROCESSES, clone, BITS(CLONE_FLAGS, FORK_BITS, SIGCHLD)),
    CALL_IF(PROCESSES, prctl, IS(0, PR_SET_PDEATHSIG)),
    CALL(PROCESSES, wait4),
    CALL(PROCESSES, waitid),

    /* The kernel does not filter the requests on a ring: the ring itself is restricted
     * (uring_ring.c). No other ring can be opened. */
    CALL(RING, io_uring_enter),
    CALL(RING, io_uring_register),

    /* A UDP socket for each transfer. */
    {DATAGRAM, SCMP_SYS(socket), 2, {IS(0, AF_INET), BITS(1, 0xf, SOCK_DGRAM)}},
    {DATAGRAM, SCMP_SYS(socket), 2, {IS(0, AF_INET6), BITS(1, 0xf, SOCK_DGRAM)}},
    CALL(DATAGRAM, bind),
    CALL(DATAGRAM, connect),

    /* Files, as far as Landlock and the file permissions allow. */
    CALL(READ, openat),
    CALL(READ, openat2),
    CALL(READ, newfstatat),
    CALL(READ, fstatat64),
    CALL(READ, statx),
    CALL(READ, fstatfs),
    CALL(READ, fstatfs64),
    CALL(READ, faccessat),
    CALL(READ, faccessat2),
    CALL(READ, readlink),
    CALL(READ, readlinkat),
    CALL(READ, getdents64),
    CALL(READ, lseek),
    CALL(READ, _llseek),
    CALL(READ, pread64),
    CALL(READ, preadv),
    CALL(READ, preadv2),
    CALL(READ, fadvise64),
    CALL(READ, fadvise64_64),
    CALL(WRITE, pwrite64),
    CALL(WRITE, pwritev),
    CALL(WRITE, pwritev2),
    CALL(WRITE, ftruncate),
    CALL(WRITE, ftruncate64),
    CALL(WRITE, fallocate),
    CALL(WRITE, fsync),
    CALL(WRITE, fdatasync),
    CALL(WRITE, flock),
    CALL(WRITE, fchmod),
    CALL(WRITE, fchown),
    CALL(WRITE, fchown32),
    CALL(WRITE, linkat),
    CALL(WRITE, renameat),
    CALL(WRITE, renameat2),
    CALL(WRITE, unlinkat),
    CALL(WRITE, mkdirat),
    CALL(WRITE, umask),

    /* A sanitizer maps shadow memory, starts a thread, and reads /proc and the program for a
     * report. */
    CALL(SANITIZER, mprotect),
    CALL(SANITIZER, openat),
    CALL(SANITIZER, newfstatat),
    CALL(SANITIZER, readlink),
    CALL(SANITIZER, readlinkat),
    CALL(SANITIZER, lseek),
    CALL(SANITIZER, pread64),
    CALL(SANITIZER, getdents64),
    CALL(SANITIZER, clone),
    CALL(SANITIZER, prctl),
    CALL(SANITIZER, prlimit64),
    CALL(SANITIZER, personality),
    CALL(SANITIZER, pipe2),
    CALL(SANITIZER, process_vm_readv),
    CALL(SANITIZER, tgkill),
};

/* --- denied calls --- */

/* Calls that were added since Linux 5.1 have the same number on all architectures. A C library
 * that tries a call newer than this one has a fallback, which it uses after ENOSYS and not after
 * EPERM. */
#define CALL_NEWEST 450 /* of Linux 6.1 */

static int report_fd = -1;

/* The register with the result of a call. */
#if defined(__x86_64__)
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__i386__)
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_EAX])
#elif defined(__aarch64__)
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#elif defined(__arm__)
#define RESULT(context) ((context)->uc_mcontext.arm_r0)
#elif defined(__riscv)
#define RESULT(context) ((context)->uc_mcontext.__gregs[REG_A0])
#elif defined(__s390__)
#define RESULT(context) ((context)->uc_mcontext.gregs[2])
#endif

#ifdef RESULT
#define DENY SCMP_ACT_TRAP

/* Makes the call fail. Runs in the place of the call, perhaps within malloc(3), so it leaves
 * the report to the supervisor. */
static void on_denied(int sig, siginfo_t *info, void *arg)
{
	const struct sockeye__denied denied = {(int32_t)getpid(), info->si_syscall};
	ucontext_t *context = arg;

	(void)sig;
	RESULT(context) = info->si_syscall > CALL_NEWEST ? -ENOSYS : -EPERM;
	(void)!write(report_fd, &denied, sizeof denied);
}

static int denied_watch(int denied_fd)
{
	struct sigaction action = {.sa_sigaction = on_denied, .sa_flags = SA_SIGINFO | SA_NODEFER};

	report_fd = denied_fd;
	sigemptyset(&action.sa_mask);
	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

#else /* the call fails without a line in the log */
#define DENY SCMP_ACT_ERRNO(EPERM)

static int denied_watch(int denied_fd)
{
	report_fd = denied_fd;
	return 0;
}
#endif

/* --- the filter --- */

static int rules_add(scmp_filter_ctx filter, unsigned groups)
{
	int err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	/* free(3) in a thread tries to read /proc/sys/vm/overcommit_memory, and works without
	 * it. A line in the log would not help. */
	if (err == 0 && (groups & THREADS) && !(groups & (READ | SANITIZER)))
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 0);
	for (size_t i = 0; i < sizeof rules / sizeof rules[0] && err == 0; i++)
		if (rules[i].group & groups)
			err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call,
						     rules[i].count, rules[i].when);
	return err;
}

int sockeye__filter_make(unsigned groups, int fd)
{
	scmp_filter_ctx filter = seccomp_init(DENY);
	int err;

	if (filter == NULL)
		return -ENOMEM;
	/* Only a process that has been taken over makes calls of another architecture. */
	err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (err == 0)
		err = rules_add(filter, groups | SERVE);
	if (err == 0) /* a tree instead of a list */
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (err == 0)
		err = seccomp_export_bpf(filter, fd);
	seccomp_release(filter);
	return err;
}

int sockeye__filter_try(void)
{
	const uint32_t action = DENY & SECCOMP_RET_ACTION_FULL;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ? -errno : 0;
}

int sockeye__filter_apply(const struct sockeye__filter *filter, int denied_fd)
{
	const struct sock_fprog program = {.len = filter->count, .filter = filter->code};
	/* Without this flag, kernels before 5.16 disable the prediction of memory accesses in
	 * this process, which slows it. It needs no such protection, because it runs no code
	 * of peers. */
	unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	int err = denied_watch(denied_fd);

	if (err < 0)
		return err;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0)
		return 0;
	if (errno == EINVAL && /* before Linux 4.17 */
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
		return 0;
	return -errno;
}
