/*
 * link.c: words and packets between a worker, its supervisor and the workers of older
 * generations (crew.h).
 *
 * A link is a pair of sockets that keep message boundaries. It is of the type SOCK_SEQPACKET:
 * the kernel limits its queue in bytes, but that of SOCK_DGRAM to a few packets (unix(7)).
 */
#include "serve/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

void sockeye__link_say(int fd, enum sockeye__link_word word)
{
	const uint8_t byte = (uint8_t)word;

	(void)send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

enum sockeye__link_word sockeye__link_hear(int fd, struct sockeye_sockaddr *out_peer,
					   uint8_t *bytes, size_t cap, size_t *out_len)
{
	uint8_t word = SOCKEYE__LINK_NONE;
	struct iovec iov[] = {{&word, 1}, {out_peer, sizeof *out_peer}, {bytes, cap}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
	const size_t head = 1 + sizeof *out_peer;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n <= 0 || word > SOCKEYE__LINK_PACKET)
		return SOCKEYE__LINK_NONE;
	*out_len = (size_t)n > head ? (size_t)n - head : 0;
	if (word == SOCKEYE__LINK_PACKET &&
	    (*out_len == 0 || (msg.msg_flags & MSG_TRUNC) || out_peer->len > sizeof out_peer->u))
		return SOCKEYE__LINK_NONE;
	return word;
}

void sockeye__link_pass(struct sockeye__worker *w, const struct sockeye_sockaddr *peer,
			const uint8_t *bytes, size_t len)
{
	uint8_t word = SOCKEYE__LINK_PACKET;
	struct sockeye_sockaddr to = *peer;
	struct iovec iov[] = {{&word, 1}, {&to, sizeof to}, {(void *)(uintptr_t)bytes, len}};
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};

	/* A packet that finds the queue full is lost, as a network may lose it. */
	for (unsigned i = 0; i < w->older_count; i++)
		if (w->older[i] >= 0)
			(void)sendmsg(w->older[i], &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}
