/* source.c: a sender's bytes, from a file or through a ring (source.h). */
#include "tftp/source.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_PIECE 4096 /* bytes encoded at a time */
#define PAIR       2    /* bytes that one byte may become in netascii */
#define SLACK      (2 * PAIR)

static bool in_place(const struct sockeye__tftp_source *s)
{
	return s->has_size && !s->netascii;
}

int sockeye__tftp_source_open(struct sockeye__tftp_source *s, uint16_t blksize, uint16_t window)
{
	uint8_t *ring;
	size_t cap;

	if (in_place(s))
		return 0;
	/* A byte is encoded only if a pair of bytes fits. The slack ensures that the ring
	 * can nevertheless hold a whole window: the receiver acknowledges no smaller part. */
	cap = (size_t)blksize * window + SLACK;
	if (cap <= s->cap)
		return 0;
	/* No byte was discarded, so the bytes in the ring begin at its start. */
	assert(s->from == 0);
	ring = realloc(s->ring, cap);
	if (ring == NULL)
		return -ENOMEM;
	s->ring = ring;
	s->cap = cap;
	return 0;
}

void sockeye__tftp_source_close(struct sockeye__tftp_source *s)
{
	free(s->ring);
	s->ring = NULL;
	s->cap = 0;
}

static size_t ring_room(const struct sockeye__tftp_source *s)
{
	return s->cap - (size_t)(s->to - s->from);
}

/* Returns the free memory of the ring, at most `max` bytes, as one or two pieces. */
static int ring_free(struct sockeye__tftp_source *s, size_t max, struct iovec iov[2])
{
	size_t room = ring_room(s), at = (size_t)(s->to % s->cap);
	size_t first;

	if (room > max)
		room = max;
	first = room < s->cap - at ? room : s->cap - at;
	iov[0] = (struct iovec){s->ring + at, first};
	iov[1] = (struct iovec){s->ring, room - first};
	return room > first ? 2 : 1;
}

static ssize_t plain_read(struct sockeye__tftp_source *s)
{
	struct iovec iov[2];
	int count = ring_free(s, ring_room(s) - SLACK, iov);
	ssize_t n = s->read(s->arg, s->taken, iov, count);

	if (n > 0)
		s->to += (uint64_t)n;
	return n;
}

static void ring_write(struct sockeye__tftp_source *s, const uint8_t *bytes, size_t len)
{
	struct iovec iov[2];
	size_t first;

	ring_free(s, len, iov);
	first = iov[0].iov_len;
	memcpy(iov[0].iov_base, bytes, first);
	memcpy(iov[1].iov_base, bytes + first, len - first);
	s->to += len;
}

static ssize_t text_read(struct sockeye__tftp_source *s)
{
	uint8_t raw[TEXT_PIECE], wire[PAIR * TEXT_PIECE];
	size_t room = ring_room(s) / PAIR - 1, taken;
	struct iovec iov = {raw, room < sizeof raw ? room : sizeof raw};
	ssize_t n = s->read(s->arg, s->taken, &iov, 1);

	if (n > 0)
		ring_write(
		    s, wire,
		    sockeye__netascii_encode(&s->text, raw, (size_t)n, &taken, wire, sizeof wire));
	return n;
}

/* Frees the bytes before the window, which will not be sent again. */
static void ring_discard(struct sockeye__tftp_source *s, const struct sockeye__tftp *machine)
{
	uint64_t una = sockeye__tftp_acknowledged(machine);

	if (una > s->from)
		s->from = una < s->to ? una : s->to;
}

bool sockeye__tftp_source_wants_input(const struct sockeye__tftp_source *s,
				      const struct sockeye__tftp *machine)
{
	uint64_t window_end =
	    sockeye__tftp_acknowledged(machine) + (uint64_t)machine->window * machine->blksize;

	return !in_place(s) && !s->ended && s->to < window_end + PAIR && ring_room(s) > SLACK;
}

int sockeye__tftp_source_fill(struct sockeye__tftp_source *s, struct sockeye__tftp *machine)
{
	ssize_t n = 1;

	if (in_place(s)) {
		sockeye__tftp_available(machine, s->size, true);
		return 0;
	}
	ring_discard(s, machine);
	while (n > 0 && sockeye__tftp_source_wants_input(s, machine)) {
		n = s->netascii ? text_read(s) : plain_read(s);
		if (n > 0)
			s->taken += (uint64_t)n;
		s->ended = n == 0;
	}
	if (s->ended && s->has_size && s->taken < s->size)
		return -ENODATA;
	if (n < 0 && n != -EAGAIN)
		return (int)n;
	sockeye__tftp_available(machine, s->to, s->ended);
	return 0;
}

static void ring_copy(const struct sockeye__tftp_source *s, uint64_t offset, struct iovec to)
{
	size_t at = (size_t)(offset % s->cap);
	size_t first = to.iov_len < s->cap - at ? to.iov_len : s->cap - at;

	memcpy(to.iov_base, s->ring + at, first);
	memcpy((uint8_t *)to.iov_base + first, s->ring, to.iov_len - first);
}

int sockeye__tftp_source_copy(struct sockeye__tftp_source *s, uint64_t offset,
			      const struct iovec *iov, int count)
{
	uint64_t len = 0;
	ssize_t n;

	for (int i = 0; i < count; i++) {
		if (!in_place(s))
			ring_copy(s, offset + len, iov[i]);
		len += iov[i].iov_len;
	}
	if (!in_place(s) || len == 0)
		return 0;
	n = s->read(s->arg, offset, iov, count);
	if (n < 0)
		return (int)n;
	return (uint64_t)n == len ? 0 : -ENODATA;
}
