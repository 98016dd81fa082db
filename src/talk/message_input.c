/* message_input.c: cutting the input into messages (message_input.h). */
#include "talk/message_input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sockeye/dgram.h>

int sockeye__message_input_init(struct sockeye__message_input *m, const char *const *words,
				size_t count, int fd, enum sockeye__message_per per, size_t size)
{
	*m = (struct sockeye__message_input){
	    .per = per, .size = size, .words = words, .word_count = count};
	if (count > 0)
		fd = -1;
	sockeye__standard_io_open(&m->src, fd, false);
	m->ended = fd < 0;
	m->buf = malloc(SOCKEYE__MESSAGE_MAX);
	return m->buf ? 0 : -ENOMEM;
}

void sockeye__message_input_fini(struct sockeye__message_input *m)
{
	sockeye__standard_io_close(&m->src, false);
	free(m->buf);
	m->buf = NULL;
}

/* The length of the message that waiting bytes begin with, 0 for none. */
static size_t whole(const struct sockeye__message_input *m)
{
	size_t waiting = m->end - m->start;
	const uint8_t *at = m->buf + m->start, *lf;

	if (waiting == 0)
		return 0;
	if (m->per == SOCKEYE__MESSAGE_PER_READ)
		return waiting;
	if (m->per == SOCKEYE__MESSAGE_PER_SIZE && waiting >= m->size)
		return m->size;
	if (m->per == SOCKEYE__MESSAGE_PER_LINE && (lf = memchr(at, '\n', waiting)) != NULL)
		return (size_t)(lf - at) + 1;
	return m->ended ? waiting : 0;
}

bool sockeye__message_input_next(const struct sockeye__message_input *m, const uint8_t **out_data,
				 size_t *out_len)
{
	size_t len;

	if (m->word_count > 0) {
		*out_data = (const uint8_t *)m->words[0];
		*out_len = strlen(m->words[0]);
		return true;
	}
	len = whole(m);
	if (len == 0)
		return false;
	*out_data = m->buf + m->start;
	*out_len = len;
	return true;
}

void sockeye__message_input_consume(struct sockeye__message_input *m, size_t len)
{
	if (m->word_count > 0) {
		m->words++;
		m->word_count--;
	} else {
		m->start += len;
	}
}

bool sockeye__message_input_done(const struct sockeye__message_input *m)
{
	return m->word_count == 0 && m->ended && m->start == m->end;
}

int sockeye__message_input_read(struct sockeye__message_input *m)
{
	/* what a pipe gives at once, 65,536 bytes, is more than UDP takes */
	size_t max =
	    m->per == SOCKEYE__MESSAGE_PER_READ ? SOCKEYE_UDP_PAYLOAD_MAX : SOCKEYE__MESSAGE_MAX;
	ssize_t n;

	memmove(m->buf, m->buf + m->start, m->end - m->start);
	m->end -= m->start;
	m->start = 0;
	if (m->end == max)
		return -EMSGSIZE;
	n = sockeye__standard_io_read(&m->src, m->buf + m->end, max - m->end);
	if (n < 0)
		return (int)n;
	m->end += (size_t)n;
	m->ended = n == 0;
	return 0;
}
