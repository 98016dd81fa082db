/*
 * check.h: finds out which ports of a host accept connections.
 */
#ifndef SOCKEYE_TALK_CHECK_H
#define SOCKEYE_TALK_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include <sockeye/addr.h>

struct sockeye__check;

/* Resolves the address. Its port is replaced by each of `ports`, which the caller keeps;
 * a single port is that of the address. Returns 0, or a negative code with *fail filled
 * in. Blocks. */
int sockeye__check_open(const struct sockeye_addr *addr, const uint16_t *ports, size_t count,
			struct sockeye__check **out_check, struct sockeye_fail *fail);

/* Connects to the ports, many at once. Returns 0, -EINTR if stop_fd became readable, or
 * another negative errno. Calls on_port for each port, in their order; err is 0 if the
 * port is open. */
int sockeye__check_run(struct sockeye__check *check, uint64_t timeout_ns, int stop_fd,
		       void (*on_port)(void *arg, size_t port, int err, uint64_t ns), void *arg);

/* Reports the remaining ports of an interrupted run as timed out. */
void sockeye__check_expire(struct sockeye__check *check);

void sockeye__check_close(struct sockeye__check *check);

#endif
