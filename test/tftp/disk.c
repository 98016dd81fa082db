/*
 * disk.c: a disk that is slow or fails, for an unchanged program. Load it with LD_PRELOAD, after
 * the runtime of a sanitizer.
 *
 *     DISK_GATE=FILE          fsync(2) of a file waits while FILE exists
 *     DISK_FAIL="file 28"     fsync(2) of every file (or "dir": directory) fails with ENOSPC
 *     DISK_THREADS=0          no thread can be started
 *     DISK_LOG=FILE           appends the calls that store a file, and the packets ACK and ERROR
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXPORT     __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *gate;
static int log_fd = -1, fail_err;
static char fail_kind[8] = "";

static __attribute__((constructor)) void start(void)
{
	const char *path = getenv("DISK_LOG"), *fail = getenv("DISK_FAIL");

	gate = getenv("DISK_GATE");
	if (path != NULL)
		log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fail != NULL && sscanf(fail, "%7s %d", fail_kind, &fail_err) != 2)
		abort();
}

static void record(const char *text, unsigned number)
{
	char line[64];
	int saved = errno, len = snprintf(line, sizeof line, text, number);

	if (log_fd >= 0)
		(void)!write(log_fd, line, (size_t)len);
	errno = saved;
}

EXPORT int fsync(int fd)
{
	const struct timespec moment = {.tv_nsec = 5000000};
	struct stat st;
	int done;

	if (fstat(fd, &st) < 0)
		return -1;
	record(S_ISDIR(st.st_mode) ? "begin dir\n" : "begin file\n", 0);
	while (!S_ISDIR(st.st_mode) && gate != NULL && fstatat(AT_FDCWD, gate, &st, 0) == 0)
		nanosleep(&moment, NULL);
	if (fstat(fd, &st) == 0 && strcmp(fail_kind, S_ISDIR(st.st_mode) ? "dir" : "file") == 0) {
		errno = fail_err;
		return -1;
	}
	done = NEXT(fsync)(fd);
	record(S_ISDIR(st.st_mode) ? "fsync dir\n" : "fsync file\n", 0);
	return done;
}

EXPORT int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	int done = NEXT(renameat)(from_dir, from, to_dir, to);

	record("rename\n", 0);
	return done;
}

EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	int done = NEXT(renameat2)(from_dir, from, to_dir, to, flags);

	record("rename\n", 0);
	return done;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	return getenv("DISK_THREADS") != NULL ? EAGAIN
					      : NEXT(pthread_create)(thread, attr, run, arg);
}

static void record_packet(const unsigned char *bytes, size_t len)
{
	if (len >= 4 && bytes[0] == 0 && bytes[1] == 4)
		record("ack %u\n", (unsigned)bytes[2] << 8 | bytes[3]);
	if (len >= 4 && bytes[0] == 0 && bytes[1] == 5)
		record("error %u\n", (unsigned)bytes[2] << 8 | bytes[3]);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	if (m->msg_iovlen > 0)
		record_packet(m->msg_iov[0].iov_base, m->msg_iov[0].iov_len);
	return NEXT(sendmsg)(fd, m, flags);
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
		      socklen_t to_len)
{
	record_packet(buf, len);
	return NEXT(sendto)(fd, buf, len, flags, to, to_len);
}
