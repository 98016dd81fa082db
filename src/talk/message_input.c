/* message_input.c: splits the input into messages (message_input.h). */
#include "talk/message_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/dgram.h>

int sockeye__message_input_init(struct sockeye__message_input *in, const char *const *words,
				size_t count, int fd, enum sockeye__message_per per, size_t size)
{
	*in = (struct sockeye__message_input){
	    .per = per, .size = size, .words = words, .word_count = count};
	if (count > 0)
		fd = -1;
	sockeye__standard_io_open(&in->src, fd, false);
	in->ended = fd < 0;
	in->buf = malloc(SOCKEYE__MESSAGE_MAX);
	return in->buf ? 0 : -ENOMEM;
}

void sockeye__message_input_fini(struct sockeye__message_input *in)
{
	sockeye__standard_io_close(&in->src, false);
	free(in->buf);
	in->buf = NULL;
}

/* The length of the complete message at the start of the unused bytes; 0: none. */
static size_t message_len(const struct sockeye__message_input *in)
{
	size_t waiting = in->end - in->start;
	const uint8_t *at = in->buf + in->start, *lf;

	if (waiting == 0)
		return 0;
	if (in->per == SOCKEYE__MESSAGE_PER_READ)
		return waiting;
	if (in->per == SOCKEYE__MESSAGE_PER_SIZE && waiting >= in->size)
		return in->size;
	if (in->per == SOCKEYE__MESSAGE_PER_LINE && (lf = memchr(at, '\n', waiting)) != NULL)
		return (size_t)(lf - at) + 1;
	return in->ended ? waiting : 0;
}

bool sockeye__message_input_next(const struct sockeye__message_input *in, const uint8_t **out_data,
				 size_t *out_len)
{
	size_t len;

	if (in->word_count > 0) {
		*out_data = (const uint8_t *)in->words[0];
		*out_len = strlen(in->words[0]);
		return true;
	}
	len = message_len(in);
	if (len == 0)
		return false;
	*out_data = in->buf + in->start;
	*out_len = len;
	return true;
}

void sockeye__message_input_consume(struct sockeye__message_input *in, size_t len)
{
	if (in->word_count > 0) {
		in->words++;
		in->word_count--;
	} else {
		in->start += len;
	}
}

bool sockeye__message_input_done(const struct sockeye__message_input *in)
{
	return in->word_count == 0 && in->ended && in->start == in->end;
}

int sockeye__message_input_read(struct sockeye__message_input *in)
{
	/* A read from a pipe can return 65,536 bytes, which is more than a UDP payload. */
	size_t max =
	    in->per == SOCKEYE__MESSAGE_PER_READ ? SOCKEYE_UDP_PAYLOAD_MAX : SOCKEYE__MESSAGE_MAX;
	ssize_t n;

	memmove(in->buf, in->buf + in->start, in->end - in->start);
	in->end -= in->start;
	in->start = 0;
	if (in->end == max)
		return -EMSGSIZE;
	n = sockeye__standard_io_read_job(&in->src, in->buf + in->end, max - in->end);
	if (n < 0)
		return (int)n;
	in->end += (size_t)n;
	in->ended = n == 0;
	return 0;
}
