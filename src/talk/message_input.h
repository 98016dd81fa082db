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

enum sockeye__message_per {
	SOCKEYE__MESSAGE_PER_LINE, /* a line, its LF included; the last one may have none */
	SOCKEYE__MESSAGE_PER_READ, /* what one read(2) gives */
	SOCKEYE__MESSAGE_PER_ALL,  /* all there is until the end */
	SOCKEYE__MESSAGE_PER_SIZE, /* so many bytes; the last one may be shorter */
};

#define SOCKEYE__MESSAGE_MAX (256 * 1024) /* above what any socket here sends at once */

struct sockeye__message_input {
	struct sockeye__standard_io src;
	enum sockeye__message_per per;
	size_t size;              /* of SOCKEYE__MESSAGE_PER_SIZE */
	const char *const *words; /* instead of src */
	size_t word_count;
	uint8_t *buf;
	size_t start, end;
	bool ended; /* src has */
};

/* The words, when there are any, else descriptor fd (-1: nothing). 0 or -ENOMEM. */
int sockeye__message_input_init(struct sockeye__message_input *m, const char *const *words,
				size_t count, int fd, enum sockeye__message_per per, size_t size);
void sockeye__message_input_fini(struct sockeye__message_input *m);

/* The next whole message, which may be empty: valid until the next read. */
bool sockeye__message_input_next(const struct sockeye__message_input *m, const uint8_t **out_data,
				 size_t *out_len);
void sockeye__message_input_consume(struct sockeye__message_input *m, size_t len);

/* Whether nothing will come any more. */
bool sockeye__message_input_done(const struct sockeye__message_input *m);

/* Reads once: 0, -EAGAIN, -EMSGSIZE for a message longer than
 * SOCKEYE__MESSAGE_MAX, or -errno. Only while there is no whole message. */
int sockeye__message_input_read(struct sockeye__message_input *m);

#endif
