/*
 * stream.c: messages over streams. Sends as much of a message as the kernel accepts, and
 * reads replies in between, so that messages larger than all buffers do not block. With
 * `burst`, sends a message completely before reading any of its reply.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/net.h"
#include "bench/internal.h"

static bool is_sending(const struct sockeye__bench_run *run, const struct sockeye__bench_conn *conn)
{
	return conn->sent < run->opts.size;
}

static bool begin(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	if (conn->begun - conn->answered >= run->opts.in_flight ||
	    (run->opts.churn != SOCKEYE__BENCH_KEEP && conn->begun > 0) ||
	    !sockeye__bench_begin(run, &conn->slots[conn->begun % run->opts.in_flight]))
		return false;
	conn->begun++;
	conn->sent = 0;
	return true;
}

void sockeye__bench_stream_pump(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	const uint8_t *from;
	ssize_t n = 0;

	while (n >= 0 && (is_sending(run, conn) || begin(run, conn))) {
		from = run->sent + sockeye__bench_offset(run, conn->index, conn->begun - 1);
		n = send(conn->fd, from + conn->sent, run->opts.size - conn->sent, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			sockeye__bench_broke(run, conn, errno == EPIPE ? -ECONNRESET : -errno);
			return;
		}
		if (n > 0) {
			conn->sent += (size_t)n;
			conn->moved_ns = run->now_ns;
			if (run->phase == SOCKEYE__BENCH_MEASURE)
				run->result->bytes_out += (size_t)n;
		}
	}
	if (!is_sending(run, conn))
		sockeye__bench_watch(run, conn, EPOLLIN);
	else
		sockeye__bench_watch(run, conn, run->opts.burst ? EPOLLOUT : EPOLLIN | EPOLLOUT);
}

void sockeye__bench_stream_renew(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	int err;

	sockeye__bench_close(conn, run->opts.churn == SOCKEYE__BENCH_RST);
	conn->begun = conn->answered = 0;
	conn->received = 0;
	if (!begin(run, conn)) {
		conn->sent = run->opts.size;
		return;
	}
	err = sockeye__bench_open(run, conn);
	if (err == -EAGAIN) { /* a UNIX-domain server's backlog is full: try at the next tick */
		conn->begun = 0;
		conn->sent = run->opts.size;
		sockeye__bench_begin_undo(run, &conn->slots[0]);
	} else if (err < 0) {
		sockeye__bench_broke(run, conn, err);
	} else if (conn->life == SOCKEYE__BENCH_CONNECTED) {
		sockeye__bench_stream_pump(run, conn);
	}
}

/* Records the complete reply to message conn->answered. Returns whether to read more
 * from the connection. */
static bool complete(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	struct sockeye__bench_slot *slot = &conn->slots[conn->answered % run->opts.in_flight];

	conn->answered++;
	conn->received = 0;
	sockeye__bench_answered(run, conn, slot);
	slot->begun_ns = 0;
	if (run->opts.churn == SOCKEYE__BENCH_KEEP)
		return true;
	sockeye__bench_stream_renew(run, conn);
	return false;
}

/* Takes the bytes received. Returns whether more is to be read from the connection. */
static bool check(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
		  const uint8_t *data, size_t len)
{
	while (len > 0) {
		enum sockeye__bench_reply reply;
		size_t n;

		reply = sockeye__bench_reply_part(run, conn, data, len, &n);
		if (reply == SOCKEYE__BENCH_REPLY_WRONG) {
			sockeye__bench_mismatch(run, conn, conn->answered, conn->received + n,
						data + n, len - n);
			sockeye__bench_broke(run, conn, SOCKEYE_E_MISMATCH);
			return false;
		}
		conn->received += n;
		data += n;
		len -= n;
		if (reply == SOCKEYE__BENCH_REPLY_WHOLE && !complete(run, conn))
			return false;
	}
	return true;
}

/* Returns false if the connection has been closed, and perhaps opened again. */
static bool receive(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	ssize_t n = recv(conn->fd, run->room, SOCKEYE__BENCH_STREAM_BYTES, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		sockeye__bench_broke(run, conn, n == 0 ? SOCKEYE_E_EOF : -errno);
		return false;
	}
	run->now_ns = conn->moved_ns = sockeye__clock_ns(CLOCK_MONOTONIC);
	if (run->phase == SOCKEYE__BENCH_MEASURE)
		run->result->bytes_in += (size_t)n;
	return check(run, conn, run->room, (size_t)n);
}

void sockeye__bench_stream_turn(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
				uint32_t events)
{
	if (conn->life == SOCKEYE__BENCH_CONNECTING) {
		int err = sockeye__bench_connected(run, conn);

		if (err < 0) {
			sockeye__bench_broke(run, conn, err);
			return;
		}
	} else if ((conn->watched & EPOLLIN) && (events & ~(uint32_t)EPOLLOUT) &&
		   !receive(run, conn)) {
		return;
	}
	sockeye__bench_stream_pump(run, conn);
}
