/*
 * sink.h: writes the bytes of a file that is received.
 */
#ifndef SOCKEYE_TFTP_SINK_H
#define SOCKEYE_TFTP_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "proto/tftp_netascii.h"
#include "proto/tftp_transfer.h"

#define SOCKEYE__TFTP_SINK_PIECES 64

struct sockeye__tftp_sink {
	/* Writes all of iov at `offset`. Returns 0 or -errno. NULL: writes to `fd`. */
	int (*write)(void *arg, uint64_t offset, const struct iovec *iov, int count);
	void *arg;
	int fd;
	bool netascii;

	/* Private. */
	uint64_t bytes; /* written or gathered */
	struct sockeye__netascii text;
	int count;
	size_t gathered;
	struct iovec pieces[SOCKEYE__TFTP_SINK_PIECES];
};

/* Takes the data of a datagram. The data may stay in the datagram's memory until the
 * next flush; blocks that the machine kept from earlier datagrams are written
 * immediately. Returns 0 or -errno. */
int sockeye__tftp_sink_put(struct sockeye__tftp_sink *s, const struct sockeye__tftp_got *got);

/* Writes all gathered data. Call it before the datagrams' memory is used again.
 * Returns 0 or -errno. */
int sockeye__tftp_sink_flush(struct sockeye__tftp_sink *s);

/* Writes all data at the end of the file, including a byte that the netascii decoder
 * held back. Returns 0 or -errno. */
int sockeye__tftp_sink_end(struct sockeye__tftp_sink *s);

#endif
