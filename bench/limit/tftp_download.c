/* tftp_download.c: the TFTP protocol and the sockets of tftp_get.c. */
#include "tftp_get.h"

#include <err.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH       64
#define ROOM        (65536 + 4096 + 64) /* not a power of two: cache sets would collide */
#define POOL        4
#define RESEND_S    1.0
#define RESENDS_MAX 20
#define ERRORS_MAX  1000

enum { RRQ = 1, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };

struct download {
	int fd, pool[POOL];
	unsigned turns; /* number of sockets taken from the pool */
	struct sockaddr_in peer;
	bool answered; /* received a first packet, so the socket is connected */
	bool gap;      /* an ACK requested a missing block that has not arrived */
	uint64_t got;  /* blocks received in order */
	uint64_t bytes;
	uint64_t highest;   /* highest block received since the last gap */
	unsigned in_window; /* blocks received since the last ACK */
	unsigned blksize, window, tries;
	uint32_t sum_a, sum_b;
	double started, heard, deadline;
};

static struct download *downloads;
static int epoll_fd;
static uint8_t room[BATCH][ROOM];
static struct iovec iovs[BATCH];
static struct mmsghdr slots[BATCH];

unsigned held;
uint32_t first_sum;
unsigned granted_blksize, granted_window;

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static void transmit(struct download *d, const void *packet, size_t len)
{
	ssize_t n;

	if (d->answered && !want.reuse)
		n = send(d->fd, packet, len, 0);
	else
		n = sendto(d->fd, packet, len, 0, (struct sockaddr *)&d->peer, sizeof(d->peer));
	if (n < 0)
		counts.errors++;
	d->deadline = now + RESEND_S;
}

static void request(struct download *d)
{
	char packet[512] = {0, RRQ};
	size_t len = 2;

	len += (size_t)sprintf(packet + len, "%s%coctet", want.file, 0) + 1;
	if (want.blksize != 512)
		len += (size_t)sprintf(packet + len, "blksize%c%u", 0, want.blksize) + 1;
	if (want.window != 1)
		len += (size_t)sprintf(packet + len, "windowsize%c%u", 0, want.window) + 1;
	if (want.tsize)
		len += (size_t)sprintf(packet + len, "tsize%c0", 0) + 1;
	transmit(d, packet, len);
}

static void acknowledge(struct download *d)
{
	uint8_t packet[4] = {0, ACK, (uint8_t)(d->got >> 8), (uint8_t)d->got};

	d->in_window = 0;
	counts.acks++;
	transmit(d, packet, sizeof(packet));
}

static void give_up(struct download *d)
{
	static const uint8_t packet[] = "\0\5\0\0over";

	if (d->answered)
		transmit(d, packet, sizeof(packet));
}

/* Makes room for two windows. SO_RCVBUF includes the kernel's overhead per datagram. */
static void receive_buffer(int fd)
{
	int bytes = (int)(2 * want.window * (want.blksize + 1280));

	if (bytes < (1 << 18))
		return;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0)
		err(1, "SO_RCVBUF");
}

static int opened(struct download *d)
{
	int on = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct epoll_event event = {.events = EPOLLIN};

	event.data.u64 = (uint64_t)fd << 32 | (uint64_t)(d - downloads);
	if (fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		err(1, "socket");
	receive_buffer(fd);
	if (want.gro && setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) < 0)
		err(1, "UDP_GRO");
	return fd;
}

/* Returns the next of POOL sockets in turn, so that no port is reused soon. */
static int pooled(struct download *d)
{
	int *fd = &d->pool[d->turns % POOL];

	if (d->turns++ < POOL)
		*fd = opened(d);
	return *fd;
}

static void start(struct download *d)
{
	d->fd = want.reuse ? pooled(d) : opened(d);
	d->peer = want.to;
	d->answered = d->gap = false;
	d->got = d->bytes = d->highest = 0;
	d->in_window = d->tries = 0;
	d->blksize = 512;
	d->window = 1;
	d->sum_a = 1;
	d->sum_b = 0;
	d->started = d->heard = now;
	request(d);
}

/* Ends this download and starts the next. */
static void next(struct download *d)
{
	if (!want.reuse)
		close(d->fd);
	start(d);
}

static void failed(struct download *d, const char *why)
{
	if (counts.errors++ < 3)
		warnx("%s after %llu blocks", why, (unsigned long long)d->got);
	if (counts.errors > ERRORS_MAX)
		errx(1, "too many errors");
	give_up(d);
	next(d);
}

static void finished(struct download *d)
{
	if (want.size && d->bytes != want.size) {
		failed(d, "wrong size");
		return;
	}
	if (want.sum) {
		want.sum = false;
		first_sum = d->sum_b << 16 | d->sum_a;
	}
	counts.gets++;
	span_add(now - d->started);
	next(d);
}

/* Adds to the Adler-32 (RFC 1950) of the first download, which zlib.adler32 checks. */
static void sum(struct download *d, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		d->sum_a = (d->sum_a + p[i]) % 65521;
		d->sum_b = (d->sum_b + d->sum_a) % 65521;
	}
}

/* Handles a block other than the expected one. Requests the missing block with
 * one ACK, and with another only if a later flight lacks it again. */
static void out_of_order(struct download *d, uint16_t block)
{
	int16_t ahead = (int16_t)(block - (uint16_t)(d->got + 1));

	if (ahead >= 0) {
		bool flight = !d->gap || d->got + 1 + (uint64_t)ahead <= d->highest;

		d->highest = d->got + 1 + (uint64_t)ahead;
		d->gap = true;
		if (flight) {
			counts.gaps++;
			acknowledge(d);
		}
		return;
	}
	counts.again++;
	if (block == (uint16_t)d->got && d->in_window == 0)
		acknowledge(d); /* the ACK was lost */
}

/* Returns whether the packet ended the download. */
static bool data(struct download *d, const uint8_t *packet, size_t len)
{
	size_t bytes = len - 4;
	uint32_t word;

	if (want.hold) {
		held += d->got == 0;
		d->got = 1;
		return false;
	}
	if (be16(packet + 2) != (uint16_t)(d->got + 1)) {
		out_of_order(d, (uint16_t)be16(packet + 2));
		return false;
	}
	memcpy(&word, packet + 4, sizeof(word));
	if (bytes > d->blksize || (bytes >= 4 && d->bytes % 4 == 0 && word != word_at(d->bytes))) {
		failed(d, "wrong bytes");
		return true;
	}
	if (want.sum)
		sum(d, packet + 4, bytes);
	d->got++;
	d->bytes += bytes;
	d->gap = false;
	d->tries = 0;
	counts.blocks++;
	counts.bytes += bytes;
	if (bytes < d->blksize || ++d->in_window == d->window)
		acknowledge(d);
	if (bytes == d->blksize)
		return false;
	finished(d);
	return true;
}

static void granted(struct download *d, const char *p, const char *end)
{
	while (p < end) {
		const char *value = p + strlen(p) + 1;

		if (value >= end)
			break;
		if (strcasecmp(p, "blksize") == 0)
			d->blksize = (unsigned)atoi(value);
		else if (strcasecmp(p, "windowsize") == 0)
			d->window = (unsigned)atoi(value);
		p = value + strlen(value) + 1;
	}
	granted_blksize = d->blksize;
	granted_window = d->window;
}

static bool packet_in(struct download *d, uint8_t *packet, size_t len)
{
	if (len < 4)
		return false;
	switch (be16(packet)) {
	case DATA:
		return data(d, packet, len);
	case OACK:
		packet[len - 1] = '\0';
		granted(d, (char *)packet + 2, (char *)packet + len);
		if (d->got == 0)
			acknowledge(d);
		return false;
	case ERROR:
		packet[len - 1] = '\0';
		failed(d, (char *)packet + 4);
		return true;
	default:
		return false;
	}
}

/* Accepts further packets only from the address of the first reply. */
static void connect_to(struct download *d, const struct sockaddr_in *from)
{
	if (!want.reuse && connect(d->fd, (const struct sockaddr *)from, sizeof(*from)) < 0)
		err(1, "connect");
	d->answered = true;
	d->peer = *from;
	granted_blksize = d->blksize;
	granted_window = d->window;
}

static void refused(struct download *d)
{
	if (errno != EAGAIN && errno != EINTR)
		failed(d, strerror(errno));
}

static void heard(struct download *d)
{
	if (now - d->heard > counts.silence)
		counts.silence = now - d->heard;
	d->heard = now;
}

static void readable_from(struct download *d)
{
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(d->fd, room[0], ROOM, 0, (struct sockaddr *)&from, &from_len);

	if (n < 0) {
		refused(d);
		return;
	}
	if (d->answered && from.sin_port != d->peer.sin_port)
		return;
	heard(d);
	if (!d->answered)
		connect_to(d, &from);
	packet_in(d, room[0], (size_t)n);
}

static void readable_one(struct download *d)
{
	ssize_t n = recv(d->fd, room[0], ROOM, 0);

	if (n < 0) {
		refused(d);
		return;
	}
	heard(d);
	packet_in(d, room[0], (size_t)n);
}

static void readable_window(struct download *d)
{
	int n = recvmmsg(d->fd, slots, d->window < BATCH ? d->window : BATCH, 0, NULL);

	if (n < 0) {
		refused(d);
		return;
	}
	heard(d);
	for (int i = 0; i < n; i++)
		if (packet_in(d, room[i], slots[i].msg_len))
			return;
}

static size_t segment_of(struct msghdr *msg, size_t len)
{
	int size;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
			memcpy(&size, CMSG_DATA(c), sizeof(size));
			return (size_t)size;
		}
	return len ? len : 1;
}

static void readable_joined(struct download *d)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {room[0], ROOM};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(d->fd, &msg, 0);
	size_t len = (size_t)n, segment;

	if (n < 0) {
		refused(d);
		return;
	}
	heard(d);
	segment = segment_of(&msg, len);
	for (size_t at = 0; at < len; at += segment)
		if (packet_in(d, room[0] + at, len - at < segment ? len - at : segment))
			return;
}

static void readable(struct download *d)
{
	if (!d->answered || want.reuse)
		readable_from(d);
	else if (want.gro)
		readable_joined(d);
	else if (d->window > 1)
		readable_window(d);
	else
		readable_one(d);
}

static void overdue(struct download *d)
{
	if (now < d->deadline || (want.hold && d->got))
		return;
	counts.resends++;
	if (++d->tries > RESENDS_MAX)
		failed(d, "no reply");
	else if (d->answered)
		acknowledge(d);
	else
		request(d);
}

void downloads_turn(void)
{
	static double checked;
	struct epoll_event events[256];
	int n = epoll_wait(epoll_fd, events, 256, 50);

	now = clock_s();
	for (int i = 0; i < n; i++) {
		struct download *d = &downloads[(uint32_t)events[i].data.u64];
		int fd = (int)(events[i].data.u64 >> 32);

		if (fd == d->fd)
			readable(d);
		else /* discard the rest of an earlier download */
			(void)!recv(fd, room[0], ROOM, 0);
	}
	if (now - checked < 0.1)
		return;
	checked = now;
	for (unsigned i = 0; i < want.clients; i++)
		overdue(&downloads[i]);
}

void downloads_start(void)
{
	for (int i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){room[i], ROOM};
		slots[i].msg_hdr = (struct msghdr){.msg_iov = &iovs[i], .msg_iovlen = 1};
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	downloads = calloc(want.clients, sizeof(*downloads));
	if (epoll_fd < 0 || !downloads)
		err(1, "downloads");
	now = clock_s();
	for (unsigned i = 0; i < want.clients; i++)
		start(&downloads[i]);
}

void downloads_end(void)
{
	for (unsigned i = 0; i < want.clients; i++)
		give_up(&downloads[i]);
}
