#include "help.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

struct sockeye_addr addr_of(const char *format, ...)
{
	struct sockeye_addr addr;
	struct sockeye_fail why = {0};
	char raw[512], text[512], *mark;
	va_list args;

	va_start(args, format);
	vsnprintf(raw, sizeof raw, format, args);
	va_end(args);
	mark = strchr(raw, '#');
	if (mark == NULL)
		strcpy(text, raw);
	else
		snprintf(text, sizeof text, "%.*s%d%s", (int)(mark - raw), raw, (int)getpid(),
			 mark + 1);
	if (sockeye_addr_parse(text, &addr, &why) < 0)
		fail_msg("%s: %s (%s)", text, sockeye_error_text(why.err), why.detail);
	return addr;
}

struct sockeye_listener listener_on(const char *address)
{
	struct sockeye_addr addr = addr_of("%s", address);
	struct sockeye_listener listener;
	struct sockeye_fail why = {0};
	int count = sockeye_listen(&addr, NULL, &listener, 1, &why);

	if (count < 0)
		fail_msg("%s %s: %s", why.op, why.address, sockeye_error_text(why.err));
	assert_int_equal(count, 1);
	return listener;
}

int connected_to(const struct sockeye_listener *listener)
{
	char text[SOCKEYE_ADDR_TEXT_MAX];
	struct sockeye_addr addr;
	struct sockeye_fail why = {0};
	int fd;

	sockeye_sockaddr_print_url(&listener->name, listener->scheme, text, sizeof text);
	addr = addr_of("%s", text);
	fd = sockeye_connect(&addr, NULL, &why);
	if (fd < 0)
		fail_msg("%s %s: %s", why.op, why.address, sockeye_error_text(why.err));
	return fd;
}

int accepted_from(const struct sockeye_listener *listener)
{
	int fd = sockeye_accept(listener->fd, false, MS(LONG_MS), NULL);

	assert_true(fd > 2);
	return fd;
}

const char *text_of(const struct sockeye_sockaddr *name)
{
	static char text[SOCKEYE_ADDR_TEXT_MAX];

	sockeye_sockaddr_print(name, text, sizeof text);
	return text;
}

struct sockeye_sockaddr name_of(const char *host, uint16_t port)
{
	struct sockeye_sockaddr name = {0};

	if (inet_pton(AF_INET, host, &name.u.in.sin_addr) == 1) {
		name.len = sizeof name.u.in;
		name.u.in.sin_family = AF_INET;
		name.u.in.sin_port = htons(port);
		return name;
	}
	assert_int_equal(inet_pton(AF_INET6, host, &name.u.in6.sin6_addr), 1);
	name.len = sizeof name.u.in6;
	name.u.in6.sin6_family = AF_INET6;
	name.u.in6.sin6_port = htons(port);
	return name;
}

struct black_hole black_hole_open(void)
{
	struct black_hole hole = {.name = name_of("127.0.0.1", 0), .count = 1};
	struct pollfd p = {.events = POLLOUT};

	hole.fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(hole.fds[0], &hole.name.u.sa, hole.name.len), errno);
	assert_return_code(listen(hole.fds[0], 0), errno);
	assert_return_code(sockeye_local_name(hole.fds[0], &hole.name), 0);
	do {
		assert_true(hole.count < COUNT(hole.fds));
		p.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		hole.fds[hole.count++] = p.fd;
		connect(p.fd, &hole.name.u.sa, hole.name.len);
	} while (poll(&p, 1, 100) == 1);
	return hole;
}

void black_hole_close(struct black_hole *hole)
{
	while (hole->count > 0)
		close(hole->fds[--hole->count]);
}

void note(void *attempts, const struct sockeye_sockaddr *name, int err)
{
	struct attempts *a = attempts;

	assert_true(a->count < COUNT(a->list));
	a->list[a->count].name = *name;
	a->list[a->count++].err = err;
}

int ended(const struct attempts *a, const struct sockeye_sockaddr *name)
{
	for (size_t i = 0; i < a->count; i++)
		if (sockeye_sockaddr_equal(&a->list[i].name, name))
			return a->list[i].err;
	return 1;
}

struct sockeye_sockaddr dead_name(const char *host)
{
	struct sockeye_sockaddr name = name_of(host, 0);
	int fd = socket(name.u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_return_code(bind(fd, &name.u.sa, name.len), errno);
	assert_int_equal(sockeye_local_name(fd, &name), 0);
	close(fd);
	return name;
}

void pair_open(int type, int fds[static 2])
{
	assert_return_code(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), errno);
}

uint64_t now_ms(void)
{
	return sockeye_now().mono_ns / SOCKEYE_NS_PER_MS;
}

size_t fds_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

bool is_nonblocking(int fd)
{
	return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

bool is_cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

size_t stuff(int fd)
{
	static const char zeros[65536];
	int flags = fcntl(fd, F_GETFL);
	size_t total = 0;
	ssize_t n;

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while ((n = write(fd, zeros, sizeof zeros)) > 0)
		total += (size_t)n;
	assert_int_equal(errno, EAGAIN);
	while (write(fd, zeros, 1) == 1)
		total++;
	fcntl(fd, F_SETFL, flags);
	return total;
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
	(void)signo;
	alarms = alarms + 1;
}

void storm(void)
{
	const struct sigaction act = {.sa_handler = on_alarm};
	const struct itimerval often = {{0, 500}, {0, 500}};

	alarms = 0;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

unsigned calm(void)
{
	const struct itimerval never = {0};

	setitimer(ITIMER_REAL, &never, NULL);
	return (unsigned)alarms;
}

static int low_fds[2048];
static size_t low_fd_count;

void low_fds_occupy(int lowest)
{
	struct rlimit limit;
	int fd;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 && fd < lowest) {
		assert_true(low_fd_count < COUNT(low_fds));
		low_fds[low_fd_count++] = fd;
	}
	assert_true(fd >= lowest);
	close(fd);
}

void low_fds_release(void)
{
	while (low_fd_count > 0)
		close(low_fds[--low_fd_count]);
}

void in_child(void (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		body(); /* a failed assertion exits the child */
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_SKIPS)
		skip();
	assert_int_equal(status, 0);
}

/* Mounts a file with this text over `target`. */
static bool file_mount(const char *text, const char *target)
{
	char path[] = "/tmp/sockeye-test-XXXXXX";
	int fd = mkstemp(path);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, 0644) == 0 &&
	       mount(path, target, "none", MS_BIND, NULL) == 0;
	close(fd);
	unlink(path); /* the mount keeps the file */
	return done;
}

bool own_network(const char *hosts)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;
	bool up;

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !file_mount(hosts, "/etc/hosts") ||
	    !file_mount("hosts: files\nservices: files\n", "/etc/nsswitch.conf"))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	up = ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
	close(fd);
	return up;
}

static char dir[32];

const char *dir_make(void)
{
	strcpy(dir, "/tmp/sockeye-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return dir;
}

void dir_remove(void)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	assert_return_code(rmdir(dir), errno);
}
