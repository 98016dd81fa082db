/*
 * net.h: what src/net offers to serve and tool beyond the public headers.
 */
#ifndef SOCKEYE_NET_NET_H
#define SOCKEYE_NET_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include <sockeye/addr.h>
#include <sockeye/error.h>
#include <sockeye/sockaddr.h>

/* The socket(2) arguments of a scheme for one resolved address. 0, or
 * SOCKEYE_E_SCHEME_UNSUPPORTED for schemes that are no kernel socket of this
 * build. */
struct sockeye__kind {
	int domain, type, protocol;
};
int sockeye__kind_of(enum sockeye_scheme scheme, const struct sockeye_sockaddr *name,
                     struct sockeye__kind *out_kind);

/* Applies what the address's options ask of a socket, before bind or connect.
 * 0 or -errno. */
int sockeye__options_apply(int fd, const struct sockeye_addr *addr,
                           const struct sockeye_sockaddr *name);

/* Fills in *fail when it is not NULL, and returns err. */
int sockeye__fail_set(struct sockeye_fail *fail, const char *op, const char *address, int err);

/* Waits until fd is ready for `events` (poll(2) bits) or the deadline (0:
 * none). 0, -ETIMEDOUT or -errno; never -EINTR. */
int sockeye__wait(int fd, short events, uint64_t deadline_ns);

/* Milliseconds for poll(2) until the deadline, rounded up: -1 for none. */
int sockeye__poll_ms(uint64_t deadline_ns, uint64_t mono_ns);

#endif
