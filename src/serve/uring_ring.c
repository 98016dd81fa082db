/* uring_ring.c: the ring, its buffers, and the probe for the kernel's support. */
#include "serve/uring_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SQ_ENTRIES 1024
#define CQ_ENTRIES 8192

static int ring_open(struct io_uring *ring, unsigned sq, unsigned cq, unsigned flags)
{
	struct io_uring_params p = {
	    .flags = flags | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		     IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
	    .cq_entries = cq,
	};

	return io_uring_queue_init_params(sq, ring, &p);
}

static int buffers_register(struct io_uring *ring, unsigned count, struct io_uring_buf_ring **out)
{
	struct io_uring_buf_reg reg = {.ring_entries = count, .bgid = SOCKEYE__URING_GROUP};
	void *mem = NULL;
	int err = posix_memalign(&mem, 4096, count * sizeof(struct io_uring_buf));

	if (err != 0)
		return -err;
	reg.ring_addr = (uint64_t)(uintptr_t)mem;
	err = io_uring_register_buf_ring(ring, &reg, 0);
	if (err < 0) {
		free(mem);
		return err;
	}
	io_uring_buf_ring_init(mem);
	*out = mem;
	return 0;
}

#define ALLOW_REQUEST(op) \
	{ \
		.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = (op) \
	}
#define ALLOW_REGISTER(op) \
	{ \
		.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = (op) \
	}

/* Limits the ring to the requests of the loop: the kernel filters no requests by seccomp(2),
 * so that without this limit a ring could open files and sockets. Then starts the ring. */
static int ring_confine(struct io_uring *ring)
{
	struct io_uring_restriction allowed[] = {
	    ALLOW_REQUEST(IORING_OP_ACCEPT),
	    ALLOW_REQUEST(IORING_OP_POLL_ADD),
	    ALLOW_REQUEST(IORING_OP_RECV),
	    ALLOW_REQUEST(IORING_OP_SEND),
	    ALLOW_REQUEST(IORING_OP_ASYNC_CANCEL),
	    {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
	     .sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS},
	    ALLOW_REGISTER(IORING_REGISTER_SYNC_CANCEL),
	    ALLOW_REGISTER(IORING_UNREGISTER_RING_FDS),
	};
	const unsigned fd = (unsigned)ring->ring_fd, count = sizeof allowed / sizeof allowed[0];
	int err = io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, allowed, count);

	/* Debian's liburing lacks io_uring_enable_rings(3). */
	return err < 0 ? err : io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int sockeye__uring_open(struct sockeye__uring *l)
{
	const int32_t count = SOCKEYE__URING_BUFFERS;
	const bool confined = l->worker->server->opts->sandbox != SOCKEYE_SANDBOX_OFF;
	int err =
	    ring_open(&l->ring, SQ_ENTRIES, CQ_ENTRIES, confined ? IORING_SETUP_R_DISABLED : 0);

	if (err < 0)
		return err;
	(void)io_uring_register_ring_fd(&l->ring); /* saves a lookup per call; Linux 5.18 */
	err = buffers_register(&l->ring, count, &l->buffers);
	if (err == 0 && confined)
		err = ring_confine(&l->ring);
	if (err < 0)
		return err;
	l->memory =
	    aligned_alloc(64, (size_t)count * SOCKEYE__URING_STRIDE + SOCKEYE__RECORD_BYTES);
	if (l->memory == NULL)
		return -ENOMEM;
	l->quiet = &l->quiet_lists[0];
	l->quiet_before = &l->quiet_lists[1];
	for (int32_t i = 0; i < count; i++)
		sockeye__uring_buffer_give(l, i, SOCKEYE__URING_OF_LOOP);
	return 0;
}

/* Cancels all requests. The kernel releases a ring only some time after the process has
 * ended; until then a socket that the ring polls would keep its port in use, and the
 * server could not be restarted. */
static void requests_end(struct sockeye__uring *l)
{
	struct io_uring_sync_cancel_reg all = {
	    .flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL,
	    .timeout = {.tv_sec = 1},
	};

	(void)io_uring_register_sync_cancel(&l->ring, &all);
	(void)io_uring_submit_and_get_events(&l->ring);
}

void sockeye__uring_close(struct sockeye__uring *l)
{
	if (l->buffers != NULL) {
		requests_end(l);
		io_uring_queue_exit(&l->ring);
	}
	free(l->buffers);
	free(l->memory);
}

/* Receives once, as the loop does, over a pair of sockets. Containers and sysctls may
 * forbid io_uring, old kernels lack parts of it, and some kernels accept requests that
 * then fail. Returns 0 or -errno. */
static int try_receive(struct io_uring *ring, struct io_uring_buf_ring *buffers, int pair[2])
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts = {.tv_sec = 1};
	uint8_t byte;
	int err;

	io_uring_buf_ring_add(buffers, &byte, 1, 0, io_uring_buf_ring_mask(1), 0);
	io_uring_buf_ring_advance(buffers, 1);
	io_uring_prep_recv_multishot(sqe, pair[0], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = SOCKEYE__URING_GROUP;
	if (send(pair[1], "x", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	err = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &ts, NULL);
	if (err < 0)
		return err;
	return cqe->res == 1 ? 0 : cqe->res < 0 ? cqe->res : -EOPNOTSUPP;
}

int sockeye__uring_probe(void)
{
	struct io_uring ring;
	struct io_uring_buf_ring *buffers = NULL;
	int pair[2], err = ring_open(&ring, 4, 8, 0);

	if (err < 0)
		return err;
	err = buffers_register(&ring, 1, &buffers);
	if (err == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		err = -errno;
	if (err == 0) {
		err = try_receive(&ring, buffers, pair);
		close(pair[0]);
		close(pair[1]);
	}
	io_uring_queue_exit(&ring);
	free(buffers);
	return err;
}
