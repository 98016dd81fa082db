/*
 * message_input.h: splits the input into messages: the words of the command line, or
 * pieces of the bytes read from a descriptor.
 */
#ifndef SOCKEYE_TALK_MESSAGE_INPUT_H
#define SOCKEYE_TALK_MESSAGE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/standard_io.h"

enum sockeye__message_per {
	SOCKEYE__MESSAGE_PER_LINE, /* a line with its LF; the last line may have none */
	SOCKEYE__MESSAGE_PER_READ, /* the bytes of one read(2) */
	SOCKEYE__MESSAGE_PER_ALL,  /* the whole input */
	SOCKEYE__MESSAGE_PER_SIZE, /* `size` bytes; the last message may be shorter */
};

#define SOCKEYE__MESSAGE_MAX (256 * 1024) /* larger than the longest message of any socket */

struct sockeye__message_input {
	struct sockeye__standard_io src;
	enum sockeye__message_per per;
	size_t size;              /* for SOCKEYE__MESSAGE_PER_SIZE */
	const char *const *words; /* used instead of src if there are any */
	size_t word_count;
	uint8_t *buf;
	size_t start, end; /* the unused bytes are buf[start..end) */
	bool ended;        /* src is at its end */
};

/* Takes messages from `words`, or from descriptor fd if count is 0; -1 is an empty
 * input. Returns 0 or -ENOMEM. */
int sockeye__message_input_init(struct sockeye__message_input *in, const char *const *words,
				size_t count, int fd, enum sockeye__message_per per, size_t size);
void sockeye__message_input_fini(struct sockeye__message_input *in);

/* Finds the next complete message, which may be empty; it stays valid until the next
 * read. Returns false if there is none yet. consume() removes it. */
bool sockeye__message_input_next(const struct sockeye__message_input *in, const uint8_t **out_data,
				 size_t *out_len);
void sockeye__message_input_consume(struct sockeye__message_input *in, size_t len);

/* Whether the input has no more messages. */
bool sockeye__message_input_done(const struct sockeye__message_input *in);

/* Reads once. Call it only if there is no complete message. Returns 0, -EAGAIN,
 * -EMSGSIZE for a message longer than SOCKEYE__MESSAGE_MAX, or another -errno. */
int sockeye__message_input_read(struct sockeye__message_input *in);

#endif
