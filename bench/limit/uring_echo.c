/*
 * uring_echo.c: the plainest io_uring echo server that makes the fewest system
 * calls: multishot accept and receive, provided buffers, one send in flight per
 * connection, one io_uring_enter per turn of the loop.
 *
 * Replies are sent with MSG_DONTWAIT, so that each send is complete once
 * io_uring_enter has submitted it, and with IOSQE_CQE_SKIP_SUCCESS, so that its
 * completion does not wake the loop. This makes 1.00 calls per message; waiting
 * for the completions of the sends makes 2.00. With MSG_WAITALL a short send
 * counts as failed and posts a completion. Waiting for 1 + sends in flight makes
 * the same number of calls, but hangs after a short send: the missing completion
 * then arrives only after the server sends the rest.
 */
#include <liburing.h>
#include <stdbool.h>

#include "limit.h"

#define BUFS   128           /* a power of two */
#define ROOM   (256 * 1024)  /* bytes per buffer; the kernel allocates pages on first use */
#define STRIDE (ROOM + 4160) /* not a power of two: cache and TLB sets would collide */
#define FDS    (1 << 20)

enum { ACCEPT, RECV, SEND, CLOSE };

static struct conn {
	uint16_t head, tail; /* queue of buffers to send; 0 is empty */
	bool sending;        /* the send of the head is in flight */
	bool quiet;          /* that send posts a completion only if it fails */
	bool blocked;        /* the send buffer is full: the next send waits */
	bool listed, ended, failed;
} conns[FDS]; /* by descriptor */

static struct buf {
	uint32_t start, end;
	uint16_t next;
} bufs[BUFS + 1];

static struct io_uring ring;
static struct io_uring_buf_ring *pool;
static char *rooms;
static int bufs_free, bufs_back; /* back: not yet returned to the kernel */
static int starved[FDS];         /* connections that wait for a buffer, first in, first out */
static unsigned starved_head, starved_tail;
static int lists[2][FDS], *list = lists[0]; /* connections to settle after this turn */
static unsigned listed;
static uint64_t left;

static struct io_uring_sqe *sqe_get(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (sqe == NULL && io_uring_submit(&ring) >= 0)
		sqe = io_uring_get_sqe(&ring);
	if (sqe == NULL)
		errx(1, "submission queue full");
	return sqe;
}

static void mark(struct io_uring_sqe *sqe, int op, int fd)
{
	sqe->user_data = (uint64_t)op << 32 | (uint32_t)fd;
}

static void accept_arm(int listener)
{
	struct io_uring_sqe *sqe = sqe_get();

	io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
	mark(sqe, ACCEPT, listener);
}

static void arm(int fd)
{
	struct io_uring_sqe *sqe = sqe_get();

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	mark(sqe, RECV, fd);
}

static char *room(int id)
{
	return rooms + (size_t)(id - 1) * STRIDE;
}

static void buf_return(int id)
{
	io_uring_buf_ring_add(pool, room(id), ROOM, (unsigned short)id, BUFS - 1, bufs_back++);
	bufs_free++;
	if (starved_head != starved_tail)
		arm(starved[starved_head++ % FDS]);
}

static void enlist(int fd)
{
	if (!conns[fd].listed)
		list[listed++] = fd;
	conns[fd].listed = true;
}

static void received(int fd, const struct io_uring_cqe *cqe)
{
	struct conn *c = &conns[fd];
	int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

	if (cqe->flags & IORING_CQE_F_BUFFER) {
		bufs_free--;
		left -= left > 0;
		bufs[id] = (struct buf){.end = (uint32_t)cqe->res};
		if (c->head == 0)
			c->head = (uint16_t)id;
		else
			bufs[c->tail].next = (uint16_t)id;
		c->tail = (uint16_t)id;
	}
	/* F_MORE shows whether a multishot request continues; the error code does not. */
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		if (cqe->res == -ENOBUFS && bufs_free == 0)
			starved[starved_tail++ % FDS] = fd;
		else if (cqe->res > 0 || cqe->res == -ENOBUFS)
			arm(fd);
		else
			c->ended = true;
	}
	enlist(fd);
}

static void sent(int fd, const struct io_uring_cqe *cqe)
{
	struct conn *c = &conns[fd];
	struct buf *buf = &bufs[c->head];

	buf->start += cqe->res > 0 ? (uint32_t)cqe->res : 0;
	c->failed = cqe->res < 0 && cqe->res != -EAGAIN;
	c->blocked = buf->start < buf->end;
	c->sending = c->quiet = false;
	enlist(fd);
}

static void send_head(int fd)
{
	struct conn *c = &conns[fd];
	struct buf *buf = &bufs[c->head];
	struct io_uring_sqe *sqe = sqe_get();

	io_uring_prep_send(sqe, fd, room(c->head) + buf->start, buf->end - buf->start,
			   MSG_NOSIGNAL | MSG_WAITALL | (c->blocked ? 0 : MSG_DONTWAIT));
	mark(sqe, SEND, fd);
	c->sending = true;
	c->quiet = !c->blocked && buf->next == 0;
	if (c->quiet) {
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
		enlist(fd);
	}
}

static void finish(int fd)
{
	struct io_uring_sqe *sqe = sqe_get();

	conns[fd] = (struct conn){0};
	io_uring_prep_close(sqe, fd);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	mark(sqe, CLOSE, fd);
}

/* All completions of this turn have been handled, so a quiet send that is still
 * marked has sent its whole buffer. */
static void settle(int fd)
{
	struct conn *c = &conns[fd];

	c->listed = false;
	if (c->quiet) {
		bufs[c->head].start = bufs[c->head].end;
		c->sending = c->quiet = false;
	}
	if (c->sending)
		return;
	while (c->head != 0 && (c->failed || bufs[c->head].start == bufs[c->head].end)) {
		int id = c->head;

		c->head = bufs[id].next;
		c->blocked = false;
		buf_return(id);
	}
	if (c->head != 0)
		send_head(fd);
	else if (c->ended)
		finish(fd);
}

static void turn(void)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0, to_settle;
	int *settling = list;

	io_uring_for_each_cqe(&ring, head, cqe)
	{
		int fd = (int)(uint32_t)cqe->user_data;

		seen++;
		switch (cqe->user_data >> 32) {
		case ACCEPT:
			if (cqe->res >= 0)
				arm(cqe->res);
			if (!(cqe->flags & IORING_CQE_F_MORE))
				accept_arm(fd);
			break;
		case RECV:
			received(fd, cqe);
			break;
		case SEND:
			sent(fd, cqe);
			break;
		}
	}
	io_uring_cq_advance(&ring, seen);
	to_settle = listed;
	list = lists[list == lists[0]];
	listed = 0;
	for (unsigned i = 0; i < to_settle; i++)
		settle(settling[i]);
}

static void setup(void)
{
	struct io_uring_params params = {
	    .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		     IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
	    .cq_entries = 16384,
	};
	struct io_uring_buf_reg reg = {.ring_entries = BUFS};

	pool = aligned_alloc(4096, BUFS * sizeof(struct io_uring_buf));
	rooms = malloc((size_t)BUFS * STRIDE);
	if (pool == NULL || rooms == NULL)
		err(1, "memory");
	reg.ring_addr = (uintptr_t)pool;
	if (io_uring_queue_init_params(4096, &ring, &params) < 0 ||
	    io_uring_register_ring_fd(&ring) < 0 || io_uring_register_buf_ring(&ring, &reg, 0) < 0)
		errx(1, "io_uring");
	io_uring_buf_ring_init(pool);
	for (int id = 1; id <= BUFS; id++)
		buf_return(id);
}

int main(int argc, char **argv)
{
	int listener = limit_listen(argc, argv);

	left = limit_messages(argc, argv);
	setup();
	accept_arm(listener);
	while (left > 0) {
		/* Settling quiet sends frees buffers: do not sleep while connections wait for one.
		 */
		unsigned wait = starved_head == starved_tail || listed == 0;

		io_uring_buf_ring_advance(pool, bufs_back);
		bufs_back = 0;
		if (io_uring_submit_and_wait(&ring, wait) < 0 && errno != EINTR)
			err(1, "io_uring_enter");
		turn();
	}
	return io_uring_submit(&ring) < 0; /* submit the last reply */
}
