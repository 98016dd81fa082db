/*
 * calibrate.c: prints what the parts of a round trip cost on this machine, one
 * name and nanoseconds per line. In "tcp" and "udp" one thread owns both ends of
 * a connection over 127.0.0.1 and needs no wake-up and no readiness call, so no
 * server can be cheaper.
 *
 *   null         a system call that does nothing
 *   tcp, udp     a round trip of 64 bytes: send, recv, send, recv
 *   connection   socket, connect, accept, close, close
 *   wake-same    waking another thread on the same CPU
 *   wake-cross   waking a thread on another CPU
 */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

#include "limit.h"

#define ROUNDS 20000

static int wakes[2];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void report(const char *what, double start, int count)
{
	printf("%s %.0f\n", what, (now() - start) / count);
}

static void pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		warn("CPU %zu", cpu);
}

/* Returns a socket bound to a free port of 127.0.0.1. */
static int bound(int type, struct sockaddr_in *out_name)
{
	socklen_t len = sizeof(*out_name);
	int fd = socket(AF_INET, type, 0);

	*out_name =
	    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0 || bind(fd, (struct sockaddr *)out_name, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)out_name, &len) < 0)
		err(1, "socket");
	return fd;
}

static int connected(int type, const struct sockaddr_in *name)
{
	int fd = socket(AF_INET, type, 0), on = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)name, sizeof(*name)) < 0)
		err(1, "connect");
	if (type == SOCK_STREAM)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void round_trips(const char *what, int a, int b)
{
	char room[64] = {0};
	double start = now();

	for (int i = 0; i < ROUNDS; i++)
		if (send(a, room, 64, 0) != 64 || recv(b, room, 64, 0) != 64 ||
		    send(b, room, 64, 0) != 64 || recv(a, room, 64, 0) != 64)
			err(1, "%s", what);
	report(what, start, ROUNDS);
}

static void tcp(void)
{
	struct sockaddr_in name;
	int listener = bound(SOCK_STREAM, &name), a, b, count = ROUNDS / 10;
	double start;

	if (listen(listener, 16) < 0)
		err(1, "listen");
	a = connected(SOCK_STREAM, &name);
	b = accept(listener, NULL, NULL);
	round_trips("tcp", a, b);
	start = now();
	for (int i = 0; i < count; i++) {
		a = connected(SOCK_STREAM, &name);
		b = accept(listener, NULL, NULL);
		close(a);
		close(b);
	}
	report("connection", start, count);
}

static void udp(void)
{
	struct sockaddr_in name, peer;
	int b = bound(SOCK_DGRAM, &name), a = connected(SOCK_DGRAM, &name);
	socklen_t len = sizeof(peer);

	if (getsockname(a, (struct sockaddr *)&peer, &len) < 0 ||
	    connect(b, (struct sockaddr *)&peer, len) < 0)
		err(1, "udp");
	round_trips("udp", a, b);
}

static void *echo_wakes(void *cpu)
{
	eventfd_t v;

	pin((size_t)cpu);
	for (int i = 0; i < ROUNDS; i++)
		if (eventfd_read(wakes[0], &v) < 0 || eventfd_write(wakes[1], 1) < 0)
			err(1, "eventfd");
	return NULL;
}

static void wake(const char *what, size_t cpu)
{
	pthread_t thread;
	double start;
	eventfd_t v;

	wakes[0] = eventfd(0, 0);
	wakes[1] = eventfd(0, 0);
	if (pthread_create(&thread, NULL, echo_wakes, (void *)cpu) != 0)
		err(1, "thread");
	start = now();
	for (int i = 0; i < ROUNDS; i++)
		if (eventfd_write(wakes[0], 1) < 0 || eventfd_read(wakes[1], &v) < 0)
			err(1, "eventfd");
	report(what, start, 2 * ROUNDS);
	pthread_join(thread, NULL);
}

int main(void)
{
	double start;

	pin(0);
	start = now();
	for (int i = 0; i < 10 * ROUNDS; i++)
		syscall(SYS_getppid);
	report("null", start, 10 * ROUNDS);
	tcp();
	udp();
	wake("wake-same", 0);
	wake("wake-cross", 1);
	return 0;
}
