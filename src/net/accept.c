/*
 * accept.c: accepts a connection.
 */
#include <errno.h>
#include <poll.h>

#include "net/net.h"

/* Whether an error of accept(2) concerns only the client at the head of the queue,
 * which has disconnected. Linux returns pending errors of the new connection as errors
 * of accept(2). */
static bool is_client_error(int err)
{
	switch (err) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

int sockeye_accept(int fd, bool nonblocking, uint64_t deadline_ns,
		   struct sockeye_sockaddr *out_peer)
{
	const int flags = SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);

	for (;;) {
		struct sockeye_sockaddr peer = {.len = sizeof peer.u};
		int client, err = deadline_ns ? sockeye__wait(fd, POLLIN, deadline_ns) : 0;

		if (err < 0)
			return err;
		client = accept4(fd, &peer.u.sa, &peer.len, flags);
		if (client >= 0) {
			client = sockeye__fd_above_stdio(client);
			peer.len = sockeye__name_len(peer.len);
			if (client >= 0 && out_peer != NULL)
				*out_peer = peer;
			return client;
		}
		if (errno == EAGAIN && deadline_ns == 0)
			return -EAGAIN;
		/* With a deadline EAGAIN means that another process took the client. */
		if (errno != EAGAIN && !is_client_error(errno))
			return -errno;
	}
}
