/*
 * tftp_send.c: `PROGRAM PORT FOLDER`, the plainest TFTP server. It supports
 * blksize and windowsize, and has no timeouts, no confinement and one process.
 *
 * Each download has a connected socket. Files stay mapped. The server sends a
 * block with one call, and a window with one UDP_SEGMENT call from the headers
 * and the mapped pages; it receives an ACK with one recv. With the readiness call
 * this makes three calls per block.
 */
#include "limit.h"

#include <netinet/udp.h>
#include <stdbool.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define TRANSFERS 4096
#define BURST     64 /* maximum datagrams per UDP_SEGMENT send */

struct transfer {
	int fd;
	unsigned blksize, window;
	uint64_t acked;
	const struct file *file;
};

struct file {
	char name[512];
	const uint8_t *bytes;
	uint64_t size;
};

static struct transfer transfers[TRANSFERS];
static struct transfer *unused[TRANSFERS];
static int unused_count;
static int epoll_fd;
static const char *folder;
static struct file files[16]; /* the first empty name ends the list */

static struct iovec iovs[2 * BURST];
static uint8_t heads[BURST][4];

static unsigned be16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint64_t last_block(const struct transfer *t)
{
	return t->file->size / t->blksize + 1;
}

/* Puts the header and the bytes of a block into two iovecs; returns their length. */
static size_t block(const struct transfer *t, uint64_t number, int slot)
{
	uint64_t at = (number - 1) * t->blksize;
	uint64_t left = t->file->size - at;
	size_t len = left < t->blksize ? (size_t)left : t->blksize;

	heads[slot][1] = 3;
	heads[slot][2] = (uint8_t)(number >> 8);
	heads[slot][3] = (uint8_t)number;
	iovs[2 * slot] = (struct iovec){heads[slot], 4};
	iovs[2 * slot + 1] = (struct iovec){(uint8_t *)t->file->bytes + at, len};
	return len + 4;
}

static void burst(const struct transfer *t, uint64_t first, int count)
{
	char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
	struct msghdr msg = {.msg_iov = iovs, .msg_iovlen = (size_t)(2 * count)};
	uint16_t segment = (uint16_t)(t->blksize + 4);
	struct cmsghdr *c;

	for (int i = 0; i < count; i++)
		block(t, first + (uint64_t)i, i);
	if (count > 1) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_UDP;
		c->cmsg_type = UDP_SEGMENT;
		c->cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	}
	if (sendmsg(t->fd, &msg, 0) < 0 && errno != EAGAIN && errno != ECONNREFUSED)
		err(1, "sendmsg");
}

static void window(const struct transfer *t)
{
	uint64_t end = t->acked + t->window, last = last_block(t);
	int most = (int)(65507 / (t->blksize + 4));

	most = most < BURST ? most : BURST;
	end = end < last ? end : last;
	for (uint64_t next = t->acked + 1; next <= end; next += (uint64_t)most)
		burst(t, next, end - next + 1 < (uint64_t)most ? (int)(end - next + 1) : most);
}

static void over(struct transfer *t)
{
	close(t->fd);
	unused[unused_count++] = t;
}

static void turn(struct transfer *t)
{
	uint8_t packet[64];
	ssize_t n = recv(t->fd, packet, sizeof(packet), 0);
	uint16_t ahead;

	if (n < 4 || be16(packet) != 4) {
		over(t);
		return;
	}
	ahead = (uint16_t)(be16(packet + 2) - t->acked);
	if (ahead > t->window)
		return;
	t->acked += ahead;
	if (t->acked == last_block(t))
		over(t);
	else
		window(t);
}

static bool option(const char *packet, size_t len, const char *name, unsigned *out)
{
	const char *found = memmem(packet, len, name, strlen(name) + 1);

	if (!found)
		return false;
	*out = (unsigned)atoi(found + strlen(name) + 1);
	return true;
}

static const struct file *map(const char *name)
{
	struct file *f = files;
	char path[512];
	struct stat st;
	int fd;

	while (*f->name && strcmp(f->name, name) != 0)
		f++;
	if (*f->name)
		return f;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f == files + 15 || fd < 0 || fstat(fd, &st) < 0)
		err(1, "%s", path);
	f->size = (uint64_t)st.st_size;
	f->bytes = mmap(NULL, (size_t)f->size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (f->bytes == MAP_FAILED)
		err(1, "%s", path);
	strncpy(f->name, name, sizeof(f->name) - 1);
	close(fd);
	return f;
}

static void request(int listener)
{
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	struct transfer *t;
	char packet[513] = {0}, answer[64] = {0, 6};
	ssize_t n = recvfrom(listener, packet, 512, 0, (struct sockaddr *)&from, &from_len);
	struct epoll_event event = {.events = EPOLLIN};
	size_t len = 2;

	if (n < 4 || packet[1] != 1 || unused_count == 0)
		return;
	t = unused[--unused_count];
	*t = (struct transfer){socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), 512, 1, 0,
			       map(packet + 2)};
	event.data.ptr = t;
	if (t->fd < 0 || connect(t->fd, (struct sockaddr *)&from, from_len) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, t->fd, &event) < 0)
		err(1, "transfer");
	if (option(packet, (size_t)n, "blksize", &t->blksize))
		len += (size_t)sprintf(answer + len, "blksize%c%u", 0, t->blksize) + 1;
	if (option(packet, (size_t)n, "windowsize", &t->window))
		len += (size_t)sprintf(answer + len, "windowsize%c%u", 0, t->window) + 1;
	if (len == 2)
		window(t);
	else
		(void)!send(t->fd, answer, len, 0);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	int listener = limit_socket(SOCK_DGRAM, argc, argv), bytes = 4 << 20;

	if (argc != 3)
		errx(2, "usage: %s port folder", argv[0]);
	folder = argv[2];
	for (int i = 0; i < TRANSFERS; i++)
		unused[unused_count++] = &transfers[i];
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	events[0] = (struct epoll_event){.events = EPOLLIN};
	if (setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &events[0]) < 0)
		err(1, "epoll");
	limit_ready(listener);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, 256, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr)
				turn(events[i].data.ptr);
			else
				request(listener);
		}
	}
}
