/*
 * source.h: where a sender's bytes come from, as they go on the wire.
 *
 * A file of known size is read where a block is, as often as it is sent. What
 * cannot be read twice (a pipe) or is converted on the way (netascii) goes
 * through a ring that holds the bytes of one window.
 */
#ifndef SOCKEYE_TFTP_SOURCE_H
#define SOCKEYE_TFTP_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "proto/tftp_netascii.h"
#include "proto/tftp_transfer.h"

struct sockeye__tftp_source {
	/* Reads from `offset` on, at most what `iov` has room for: the bytes, 0 at
	 * the end, -EAGAIN when there is nothing yet, or -errno. A pipe's knows no
	 * offset and gets them in order. */
	ssize_t (*read)(void *arg, uint64_t offset, const struct iovec *iov, int count);
	void *arg;
	bool has_size; /* read() can be asked for any place below `size` */
	uint64_t size;
	bool netascii;

	/* The rest is the source's own. */
	uint8_t *ring;
	size_t cap;
	uint64_t from, to; /* bytes on the wire that are in the ring */
	uint64_t taken;    /* bytes read */
	bool ended;
	struct sockeye__netascii text;
};

/* For blocks and windows of the transfer's size, once they are known. Zeroed but
 * for the first fields before. 0 or -ENOMEM. */
int sockeye__tftp_source_open(struct sockeye__tftp_source *s, uint16_t blksize, uint16_t window);
void sockeye__tftp_source_close(struct sockeye__tftp_source *s);

/* Reads on as far as the window allows and tells the machine what there is. 0,
 * also when there is nothing yet, or -errno. */
int sockeye__tftp_source_fill(struct sockeye__tftp_source *s, struct sockeye__tftp *x);

/* Whether it would read on now: what it waits for is the input. */
bool sockeye__tftp_source_hungry(const struct sockeye__tftp_source *s,
				 const struct sockeye__tftp *x);

/* Copies bytes of the window from `offset` on into iov[], all of them: 0,
 * -ENODATA when the file has become shorter, or -errno. */
int sockeye__tftp_source_copy(struct sockeye__tftp_source *s, uint64_t offset,
			      const struct iovec *iov, int count);

#endif
