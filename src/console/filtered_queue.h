/*
 * filtered_queue.h: the bounded byte queue of one direction. A filter may rewrite
 * the bytes that are added. While the queue is full, the caller does not read from the
 * source.
 */
#ifndef SOCKEYE_CONSOLE_FILTERED_QUEUE_H
#define SOCKEYE_CONSOLE_FILTERED_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#define SOCKEYE__FILTERED_QUEUE_BYTES     (256 * 1024)
#define SOCKEYE__FILTERED_QUEUE_READ_MAX  (64 * 1024) /* a filter's input in one call */
#define SOCKEYE__FILTERED_QUEUE_NOTE_ROOM (32 * 1024) /* reserved for notes and filter ends */

/* Rewrites the bytes of one direction. encode() writes at most factor * len +
 * SOCKEYE__FILTER_SLACK bytes to room and may hold some back until the next call.
 * end(), which may be NULL, writes the bytes held back, at most the slack. Both
 * return the number of bytes written. */
struct sockeye__filter {
	unsigned factor;
	size_t (*encode)(void *arg, const uint8_t *in, size_t len, uint8_t *room);
	size_t (*end)(void *arg, uint8_t *room);
	void *arg;
};

#define SOCKEYE__FILTER_SLACK 1024

struct sockeye__filtered_queue {
	uint8_t *buf;
	size_t cap;
	size_t start, end; /* the queued bytes are buf[start..end) */
	const struct sockeye__filter *filter;
	uint8_t *raw; /* the filter's input; NULL without a filter */
};

/* Allocates a queue of cap bytes, and SOCKEYE__FILTERED_QUEUE_NOTE_ROOM more for notes. filter may
 * be NULL and must outlive the queue. Returns 0 or -ENOMEM. */
int sockeye__filtered_queue_init(struct sockeye__filtered_queue *q, size_t cap,
				 const struct sockeye__filter *filter);
void sockeye__filtered_queue_fini(struct sockeye__filtered_queue *q);

/* Returns the number of queued bytes, of which the first is buf[start]. consume()
 * removes the first len of them. */
size_t sockeye__filtered_queue_waiting(const struct sockeye__filtered_queue *q);
void sockeye__filtered_queue_consume(struct sockeye__filtered_queue *q, size_t len);

/* Returns how many bytes the source may write to *out_where now, 0 if the queue is
 * full. add() passes len bytes from there through the filter into the queue. */
size_t sockeye__filtered_queue_room(struct sockeye__filtered_queue *q, uint8_t **out_where);
void sockeye__filtered_queue_add(struct sockeye__filtered_queue *q, size_t len);

/* Called when the source has ended. Queues the bytes that the filter held back. */
void sockeye__filtered_queue_end(struct sockeye__filtered_queue *q);

/* Queue text that bypasses the filter. note_room() returns where to write at most
 * SOCKEYE__FILTERED_QUEUE_NOTE_ROOM bytes; there is room for only one note after each
 * room() and add(). note_add() queues the first len bytes. */
uint8_t *sockeye__filtered_queue_note_room(struct sockeye__filtered_queue *q);
void sockeye__filtered_queue_note_add(struct sockeye__filtered_queue *q, size_t len);

#endif
