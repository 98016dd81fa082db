/* sink.c: write a receiver's bytes (sink.h). */
#include "tftp/sink.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TEXT_PIECE 4096

static int file_write(int fd, uint64_t offset, const struct iovec *iov, int count)
{
	for (int i = 0; i < count;) {
		ssize_t n = pwritev(fd, iov + i, count - i, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		offset += (uint64_t)n;
		for (; i < count && (size_t)n >= iov[i].iov_len; i++)
			n -= (ssize_t)iov[i].iov_len;
		if (n > 0) { /* a short write: write the rest of this piece to learn the error */
			const uint8_t *rest = (const uint8_t *)iov[i].iov_base + n;
			size_t len = iov[i].iov_len - (size_t)n;

			n = pwrite(fd, rest, len, (off_t)offset);
			if (n < 0)
				return -errno;
			if ((size_t)n < len)
				return -ENOSPC;
			offset += len;
			i++;
		}
	}
	return 0;
}

int sockeye__tftp_sink_flush(struct sockeye__tftp_sink *s)
{
	uint64_t offset = s->bytes - s->gathered;
	int count = s->count;

	s->count = 0;
	s->gathered = 0;
	if (count == 0)
		return 0;
	return s->write != NULL ? s->write(s->arg, offset, s->pieces, count)
				: file_write(s->fd, offset, s->pieces, count);
}

static int gather(struct sockeye__tftp_sink *s, const uint8_t *at, size_t len)
{
	int err = 0;

	if (s->count == SOCKEYE__TFTP_SINK_PIECES)
		err = sockeye__tftp_sink_flush(s);
	s->pieces[s->count++] = (struct iovec){(void *)(uintptr_t)at, len};
	s->gathered += len;
	s->bytes += len;
	return err;
}

static int text_put(struct sockeye__tftp_sink *s, const uint8_t *at, size_t len)
{
	uint8_t text[TEXT_PIECE + 1];
	int err = 0;

	for (size_t done = 0; done < len && err == 0;) {
		size_t piece = len - done < TEXT_PIECE ? len - done : TEXT_PIECE;
		size_t n = sockeye__netascii_decode(&s->text, at + done, piece, text);

		done += piece;
		if (n > 0)
			err = gather(s, text, n);
		if (err == 0)
			err = sockeye__tftp_sink_flush(s);
	}
	return err;
}

int sockeye__tftp_sink_put(struct sockeye__tftp_sink *s, const struct sockeye__tftp_got *got)
{
	int err = 0;

	for (unsigned i = 0; i < got->count && err == 0; i++) {
		const struct sockeye__span *data = &got->data[i];

		if (data->len > 0)
			err = s->netascii ? text_put(s, data->at, data->len)
					  : gather(s, data->at, data->len);
	}
	/* All pieces but the first are in the machine's memory, which its next call reuses. */
	if (err == 0 && got->count > 1)
		err = sockeye__tftp_sink_flush(s);
	return err;
}

int sockeye__tftp_sink_end(struct sockeye__tftp_sink *s)
{
	uint8_t held[1];
	size_t n = s->netascii ? sockeye__netascii_end(&s->text, held) : 0;
	int err = n > 0 ? gather(s, held, n) : 0;

	return err == 0 ? sockeye__tftp_sink_flush(s) : err;
}
