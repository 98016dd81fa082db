/*
 * firewall.c: a packet filter of this machine. Load it with LD_PRELOAD. It fails each call
 * that sends datagrams of more than FIREWALL_BYTES bytes with the error FIREWALL_ERRNO; if that
 * is 0, the call succeeds, but nothing is sent.
 */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define EXPORT     __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static long variable(const char *name)
{
	const char *text = getenv(name);

	return text != NULL ? atol(text) : 0;
}

static size_t length(const struct msghdr *m)
{
	size_t len = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++)
		len += m->msg_iov[i].iov_len;
	return len;
}

/* Returns the bytes of the largest datagram that the message is split into. */
static size_t largest(const struct msghdr *m)
{
	size_t len = length(m);
	uint16_t segment;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL;
	     c = CMSG_NXTHDR((struct msghdr *)m, c)) {
		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_SEGMENT)
			continue;
		memcpy(&segment, CMSG_DATA(c), sizeof segment);
		len = segment < len ? segment : len;
	}
	return len;
}

/* Returns what the call returns instead of sending `len` bytes, or -2 to send them. */
static ssize_t filter(size_t len, ssize_t result)
{
	if (len <= (size_t)variable("FIREWALL_BYTES"))
		return -2;
	errno = (int)variable("FIREWALL_ERRNO");
	return errno == 0 ? result : -1;
}

EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to,
		      socklen_t len)
{
	ssize_t done = filter(n, (ssize_t)n);

	return done == -2 ? NEXT(sendto)(fd, buf, n, flags, to, len) : done;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	ssize_t done = filter(largest(m), (ssize_t)length(m));

	return done == -2 ? NEXT(sendmsg)(fd, m, flags) : done;
}

EXPORT int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags)
{
	ssize_t done = filter(length(&m->msg_hdr), 1);

	if (done >= 0)
		m->msg_len = (unsigned)length(&m->msg_hdr);
	return done == -2 ? NEXT(sendmmsg)(fd, m, n, flags) : (int)done;
}
