/*
 * tftp_get.c: measures many TFTP downloads from one server.
 *
 *   tftp_get [options] PORT FILE     downloads FILE from 127.0.0.1 repeatedly
 *   tftp_get -M SIZE PATH            writes a file whose words depend on their offset
 *
 *   -b N  -w N   request this blksize and windowsize; 512 and 1 send no option
 *   -z           request tsize
 *   -c N         N downloads at the same time, each with a new socket
 *   -r           reuse four sockets per client in turn, which saves calls for small files
 *   -t S  -n N   run for S seconds after a warm-up of -W S seconds, or N downloads
 *   -g           receive several datagrams with one call (UDP_GRO)
 *   -s N         check that the file has this size
 *   -S           compute the checksum of the first download, which is slow
 *   -H           hold each download at its first block until standard input ends
 *
 * All servers are measured with this client. To keep its own cost low it writes no
 * file, and makes one system call to receive a window (or a block in lockstep) and
 * one to acknowledge it. It checks the first word of every block. It prints JSON lines
 * "measuring" and "measured", like `sockeye bench`, so that the caller can read the
 * server's CPU time at both.
 */
#include "tftp_get.h"

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SPANS_MAX (1 << 20)

struct want want = {.blksize = 512, .window = 1, .clients = 1, .seconds = 1, .warm = 0.2};
struct counts counts;
double now;

static float spans[SPANS_MAX]; /* duration of each download, in seconds */
static size_t span_count;

double clock_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void make_file(const char *path, uint64_t size)
{
	FILE *f = fopen(path, "wb");
	uint32_t words[4096];

	if (!f)
		err(1, "%s", path);
	for (uint64_t at = 0; at < size; at += sizeof(words)) {
		size_t len = size - at < sizeof(words) ? (size_t)(size - at) : sizeof(words);

		for (size_t i = 0; i < 4096; i++)
			words[i] = word_at(at + 4 * i);
		if (fwrite(words, 1, len, f) != len)
			err(1, "%s", path);
	}
	if (fclose(f) != 0)
		err(1, "%s", path);
}

void span_add(double span)
{
	if (span_count < SPANS_MAX)
		spans[span_count++] = (float)span;
}

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double percentile(double p)
{
	return span_count ? (double)spans[(size_t)(p * (double)(span_count - 1))] * 1e6 : 0;
}

static double used_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void report(double seconds, double cpu)
{
	const struct counts *c = &counts;

	qsort(spans, span_count, sizeof(*spans), by_size);
	printf(
	    "{\"event\":\"measured\",\"seconds\":%.6f,\"cpu\":%.6f,\"gets\":%llu,\"blocks\":%llu,"
	    "\"bytes\":%llu,\"acks\":%llu,\"gaps\":%llu,\"again\":%llu,\"resends\":%llu,"
	    "\"errors\":%llu,\"silence_us\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f,"
	    "\"blksize\":%u,\"window\":%u,\"sum\":%u}\n",
	    seconds, cpu, (unsigned long long)c->gets, (unsigned long long)c->blocks,
	    (unsigned long long)c->bytes, (unsigned long long)c->acks, (unsigned long long)c->gaps,
	    (unsigned long long)c->again, (unsigned long long)c->resends,
	    (unsigned long long)c->errors, c->silence * 1e6, percentile(0.5), percentile(0.99),
	    granted_blksize, granted_window, first_sum);
	fflush(stdout);
}

static void measure(void)
{
	double begin = clock_s(), end, cpu;

	while (!want.gets && clock_s() - begin < want.warm)
		downloads_turn();
	counts = (struct counts){0};
	span_count = 0;
	puts("{\"event\":\"measuring\"}");
	fflush(stdout);
	cpu = used_s();
	begin = clock_s();
	end = want.gets ? begin + 600 : begin + want.seconds;
	while (now < end && (!want.gets || counts.gets < want.gets))
		downloads_turn();
	report(clock_s() - begin, used_s() - cpu);
}

static void hold(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

	while (held < want.clients)
		downloads_turn();
	printf("{\"event\":\"held\",\"downloads\":%u,\"errors\":%llu,\"blksize\":%u,"
	       "\"window\":%u}\n",
	       held, (unsigned long long)counts.errors, granted_blksize, granted_window);
	fflush(stdout);
	while (poll(&input, 1, 0) == 0)
		downloads_turn();
}

static void options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "b:w:c:t:W:n:s:SzgrHM:")) != -1)
		switch (c) {
		case 'b':
			want.blksize = (unsigned)atoi(optarg);
			break;
		case 'w':
			want.window = (unsigned)atoi(optarg);
			break;
		case 'c':
			want.clients = (unsigned)atoi(optarg);
			break;
		case 't':
			want.seconds = atof(optarg);
			break;
		case 'W':
			want.warm = atof(optarg);
			break;
		case 'n':
			want.gets = strtoull(optarg, NULL, 10);
			break;
		case 's':
			want.size = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			want.sum = true;
			break;
		case 'z':
			want.tsize = true;
			break;
		case 'g':
			want.gro = true;
			break;
		case 'r':
			want.reuse = true;
			break;
		case 'H':
			want.hold = true;
			break;
		case 'M':
			make_file(argv[optind], strtoull(optarg, NULL, 10));
			exit(0);
		default:
			exit(2);
		}
	if (argc - optind != 2 || want.clients == 0)
		errx(2, "usage: %s [options] port file", argv[0]);
	want.to = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_port = htons((uint16_t)atoi(argv[optind])),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	want.file = argv[optind + 1];
	if (strlen(want.file) > 200)
		errx(2, "file name too long");
}

static void many_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	options(argc, argv);
	many_files();
	downloads_start();
	if (want.hold)
		hold();
	else
		measure();
	downloads_end();
	return 0;
}
