/*
 * message_input.h: what becomes one message: words of the command line, or a piece
 * of what a descriptor gives.
 */
#ifndef SOCKEYE_TALK_MESSAGE_INPUT_H
#define SOCKEYE_TALK_MESSAGE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/standard_io.h"

enum sockeye__per {
	SOCKEYE__PER_LINE, /* a line, its LF included; the last one may have none */
	SOCKEYE__PER_READ, /* what one read(2) gives */
	SOCKEYE__PER_ALL,  /* all there is until the end */
	SOCKEYE__PER_SIZE, /* so many bytes; the last one may be shorter */
};

#define SOCKEYE__MESSAGE_MAX (256 * 1024) /* above what any socket here sends at once */

struct sockeye__messages {
	struct sockeye__standard_io src;
	enum sockeye__per per;
	size_t size;              /* of SOCKEYE__PER_SIZE */
	const char *const *words; /* instead of src */
	size_t word_count;
	uint8_t *buf;
	size_t start, end;
	bool ended; /* src has */
};

/* The words, when there are any, else descriptor fd (-1: nothing). 0 or -ENOMEM. */
int sockeye__messages_init(struct sockeye__messages *m, const char *const *words, size_t count,
			   int fd, enum sockeye__per per, size_t size);
void sockeye__messages_fini(struct sockeye__messages *m);

/* The next whole message, which may be empty: valid until the next read. */
bool sockeye__messages_next(const struct sockeye__messages *m, const uint8_t **out_data,
			    size_t *out_len);
void sockeye__messages_took(struct sockeye__messages *m, size_t len);

/* Whether nothing will come any more. */
bool sockeye__messages_done(const struct sockeye__messages *m);

/* Reads once: 0, -EAGAIN, -EMSGSIZE for a message longer than
 * SOCKEYE__MESSAGE_MAX, or -errno. Only while there is no whole message. */
int sockeye__messages_read(struct sockeye__messages *m);

#endif
