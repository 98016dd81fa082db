/*
 * filtered_queue.h: the bounded buffer of one direction, with an optional filter on the
 * way in. Full means: do not read.
 */
#ifndef SOCKEYE_CONSOLE_FILTERED_QUEUE_H
#define SOCKEYE_CONSOLE_FILTERED_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#define SOCKEYE__FILTERED_QUEUE_BYTES    (256 * 1024)
#define SOCKEYE__FILTERED_QUEUE_READ_MAX (64 * 1024) /* bytes a filter is given at once */
#define SOCKEYE__NOTE_ROOM               (32 * 1024) /* kept free for notes, ends and the slack */

/* Changes what passes in one direction. encode() writes at most factor * len +
 * SOCKEYE__FILTER_SLACK bytes and may hold some back; end(), which may be
 * NULL, writes what was held back, at most the slack. */
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
	size_t start, end; /* waiting bytes are buf[start..end) */
	const struct sockeye__filter *filter;
	uint8_t *raw; /* what the filter is given; NULL without one */
};

/* 0 or -ENOMEM. filter may be NULL and must outlive the flow. */
int sockeye__filtered_queue_init(struct sockeye__filtered_queue *flow, size_t cap,
				 const struct sockeye__filter *filter);
void sockeye__filtered_queue_fini(struct sockeye__filtered_queue *flow);

/* Bytes that wait to leave, from buf[start]; and that some have left. */
size_t sockeye__filtered_queue_waiting(const struct sockeye__filtered_queue *flow);
void sockeye__filtered_queue_consume(struct sockeye__filtered_queue *flow, size_t len);

/* How many bytes of the source can be taken now (0: full) and where to read
 * them to; and that they have come: they pass the filter. */
size_t sockeye__filtered_queue_room(struct sockeye__filtered_queue *flow, uint8_t **out_where);
void sockeye__filtered_queue_add(struct sockeye__filtered_queue *flow, size_t len);

/* The source has ended: the filter writes what it held back. */
void sockeye__filtered_queue_end(struct sockeye__filtered_queue *flow);

/* Text that goes past the filter: SOCKEYE__NOTE_ROOM bytes, once a read. */
uint8_t *sockeye__filtered_queue_note_room(struct sockeye__filtered_queue *flow);
void sockeye__filtered_queue_note_add(struct sockeye__filtered_queue *flow, size_t len);

#endif
