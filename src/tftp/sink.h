/*
 * sink.h: where a receiver's bytes go.
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
	/* Writes all of it at `offset`: 0 or -errno. NULL: into the file `fd`. */
	int (*write)(void *arg, uint64_t offset, const struct iovec *iov, int count);
	void *arg;
	int fd;
	bool netascii;

	/* The rest is the sink's own. */
	uint64_t bytes; /* written or gathered */
	struct sockeye__netascii text;
	int count;
	size_t gathered;
	struct iovec pieces[SOCKEYE__TFTP_SINK_PIECES];
};

/* Takes what a datagram brought. It may stay in the datagram's memory until the
 * next flush; what the machine kept from earlier ones is written at once.
 * 0 or -errno. */
int sockeye__tftp_sink_put(struct sockeye__tftp_sink *s, const struct sockeye__tftp_got *got);

/* Writes what was gathered. Before the datagrams' memory is used again. */
int sockeye__tftp_sink_flush(struct sockeye__tftp_sink *s);

/* The end of the file: what is still held, too. */
int sockeye__tftp_sink_end(struct sockeye__tftp_sink *s);

#endif
