/*
 * dgram.c: messages as datagrams. Datagrams that the generator makes for ECHO or UPPER
 * begin with a number, so that replies may arrive in any order. Datagrams without a
 * number, or too short for one, are sent one at a time. A datagram without a reply within
 * the timeout is counted as lost.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/net.h"
#include "bench/internal.h"

#define BATCH SOCKEYE__BENCH_BATCH

static bool is_numbered(const struct sockeye__bench_run *run)
{
	return run->opts.size >= SOCKEYE__BENCH_NUMBER_BYTES && sockeye__bench_varies(run);
}

static void slot_release(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			 struct sockeye__bench_slot *slot)
{
	slot->begun_ns = 0;
	slot->number += run->opts.in_flight;
	slot->next_free = conn->first_free;
	conn->first_free = (uint32_t)(slot - conn->slots);
	conn->answered++;
}

/* Datagrams sent in one call. */
struct batch {
	struct mmsghdr msgs[BATCH];
	struct iovec iovs[BATCH][2];
	uint8_t numbers[BATCH][SOCKEYE__BENCH_NUMBER_BYTES];
	uint32_t slots[BATCH];
};

static void compose(const struct sockeye__bench_run *run, const struct sockeye__bench_conn *conn,
		    const struct sockeye__bench_slot *slot, struct batch *batch, unsigned i)
{
	size_t head = is_numbered(run) ? SOCKEYE__BENCH_NUMBER_BYTES : 0;

	sockeye__bench_number_put(batch->numbers[i], slot->number);
	batch->iovs[i][0] = (struct iovec){batch->numbers[i], head};
	batch->iovs[i][1] =
	    (struct iovec){run->sent + sockeye__bench_offset(run, conn->index, slot->number) + head,
			   run->opts.size - head};
	batch->msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = batch->iovs[i], .msg_iovlen = 2}};
	batch->slots[i] = (uint32_t)(slot - conn->slots);
}

static unsigned gather(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
		       struct batch *batch)
{
	unsigned n = 0;

	while (n < BATCH && conn->first_free != UINT32_MAX) {
		struct sockeye__bench_slot *slot = &conn->slots[conn->first_free];

		if (!sockeye__bench_begin(run, slot))
			break;
		conn->first_free = slot->next_free;
		conn->begun++;
		compose(run, conn, slot, batch, n++);
	}
	return n;
}

/* Reverses gather() for the datagrams that the kernel did not accept. */
static void ungather(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
		     const struct batch *batch, unsigned from, unsigned to)
{
	for (unsigned i = to; i-- > from;) {
		struct sockeye__bench_slot *slot = &conn->slots[batch->slots[i]];

		slot->next_free = conn->first_free;
		conn->first_free = batch->slots[i];
		conn->begun--;
		sockeye__bench_begin_undo(run, slot);
	}
}

void sockeye__bench_dgram_pump(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	struct batch batch;
	unsigned count;
	int n;

	while ((count = gather(run, conn, &batch)) > 0) {
		n = sendmmsg(conn->fd, batch.msgs, count, MSG_NOSIGNAL);
		if (n > 0 && run->phase == SOCKEYE__BENCH_MEASURE)
			run->result->bytes_out += (uint64_t)n * run->opts.size;
		if (n == (int)count)
			continue;
		ungather(run, conn, &batch, n > 0 ? (unsigned)n : 0, count);
		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS) {
			sockeye__bench_broke(run, conn, -errno);
			return;
		}
		sockeye__bench_watch(run, conn, EPOLLIN | EPOLLOUT);
		return;
	}
	sockeye__bench_watch(run, conn, EPOLLIN);
}

/* Whether a reply belongs to a message in flight. */
enum match {
	MATCH_IN_FLIGHT,
	MATCH_LATE, /* its message already has a reply, or is lost */
	MATCH_NONE, /* no message had that number, or the reply has none */
};

static enum match slot_find(const struct sockeye__bench_run *run,
			    const struct sockeye__bench_conn *conn, const uint8_t *data, size_t len,
			    struct sockeye__bench_slot **out_slot)
{
	struct sockeye__bench_slot *slot = conn->slots;
	uint64_t number;

	*out_slot = slot;
	if (!is_numbered(run))
		return slot->begun_ns != 0 ? MATCH_IN_FLIGHT : MATCH_LATE;
	number = len < SOCKEYE__BENCH_NUMBER_BYTES ? UINT64_MAX : sockeye__bench_number_get(data);
	slot += number % run->opts.in_flight;
	*out_slot = slot;
	if (number < slot->number)
		return MATCH_LATE;
	return number == slot->number && slot->begun_ns != 0 ? MATCH_IN_FLIGHT : MATCH_NONE;
}

static void reply_take(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
		       const uint8_t *data, size_t len)
{
	size_t head = is_numbered(run) ? SOCKEYE__BENCH_NUMBER_BYTES : 0, at;
	struct sockeye__bench_slot *slot;
	enum match match = slot_find(run, conn, data, len, &slot);

	if (match == MATCH_LATE) {
		run->result->late++;
		return;
	}
	if (match == MATCH_NONE) { /* every message in flight still waits for its reply */
		sockeye__bench_mismatch(run, conn, slot->number, 0, data, len);
		return;
	}
	if (sockeye__bench_reply_datagram(run, conn, slot->number, head, data, len, &at) ==
	    SOCKEYE__BENCH_REPLY_WRONG) {
		sockeye__bench_mismatch(run, conn, slot->number, at, data + at, len - at);
		sockeye__bench_wronged(run, slot);
	} else {
		sockeye__bench_answered(run, conn, slot);
	}
	slot_release(run, conn, slot);
}

/* Called once: recvmmsg(2) changes no field that must be reset, because there are no
 * names and no control messages. */
void sockeye__bench_dgram_init(struct sockeye__bench_run *run)
{
	for (unsigned i = 0; i < BATCH; i++) {
		run->rooms[i] = (struct iovec){run->room + (size_t)i * SOCKEYE__BENCH_DGRAM_BYTES,
					       SOCKEYE__BENCH_DGRAM_BYTES};
		run->inbox[i] =
		    (struct mmsghdr){.msg_hdr = {.msg_iov = &run->rooms[i], .msg_iovlen = 1}};
	}
}

/* Returns false if the connection has failed. */
static bool receive(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	int n = recvmmsg(conn->fd, run->inbox, BATCH, MSG_DONTWAIT, NULL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		sockeye__bench_broke(run, conn, -errno);
		return false;
	}
	run->now_ns = conn->moved_ns = sockeye__clock_ns(CLOCK_MONOTONIC);
	for (int i = 0; i < n; i++) {
		if (run->phase == SOCKEYE__BENCH_MEASURE)
			run->result->bytes_in += run->inbox[i].msg_len;
		reply_take(run, conn, run->rooms[i].iov_base, run->inbox[i].msg_len);
	}
	return true;
}

void sockeye__bench_dgram_turn(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn,
			       uint32_t events)
{
	if ((events & ~(uint32_t)EPOLLOUT) && !receive(run, conn))
		return;
	sockeye__bench_dgram_pump(run, conn);
}

/* Opens another port for the next message: without numbers, a late reply would be taken for
 * the reply to the next message. */
static void port_change(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	int err;

	sockeye__bench_close(conn, false);
	err = sockeye__bench_open(run, conn);
	if (err < 0)
		sockeye__bench_broke(run, conn, err);
}

void sockeye__bench_dgram_expire(struct sockeye__bench_run *run, struct sockeye__bench_conn *conn)
{
	bool lost = false;

	for (uint32_t i = 0; i < run->opts.in_flight; i++) {
		struct sockeye__bench_slot *slot = &conn->slots[i];

		if (slot->begun_ns == 0 || run->now_ns - slot->begun_ns < run->opts.timeout_ns)
			continue;
		sockeye__bench_lost(run, slot);
		slot_release(run, conn, slot);
		lost = true;
	}
	if (!lost)
		return;
	sockeye__bench_down(run, -ETIMEDOUT);
	if (!is_numbered(run))
		port_change(run, conn);
}

void sockeye__bench_slots_init(const struct sockeye__bench_run *run,
			       struct sockeye__bench_conn *conn)
{
	conn->first_free = 0;
	for (uint32_t i = 0; i < run->opts.in_flight; i++)
		conn->slots[i] = (struct sockeye__bench_slot){
		    .number = i,
		    .next_free = i + 1 < run->opts.in_flight ? i + 1 : UINT32_MAX,
		};
}
