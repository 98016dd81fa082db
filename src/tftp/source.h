/*
 * source.h: the bytes that a sender transfers.
 *
 * A file of known size is read at the offset of each block, each time the block is
 * sent. Input that cannot be read twice (a pipe) or is converted (netascii) goes
 * through a ring buffer of one window.
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
	/* Reads from `offset` into iov. Returns the number of bytes, 0 at the end,
	 * -EAGAIN if there is no input yet, or -errno. For a pipe it ignores the
	 * offset: the calls are in order. */
	ssize_t (*read)(void *arg, uint64_t offset, const struct iovec *iov, int count);
	void *arg;
	bool has_size; /* read() accepts any offset below `size` */
	uint64_t size;
	bool netascii;

	/* Private. */
	uint8_t *ring;
	size_t cap;
	uint64_t from, to; /* bytes of the transfer that the ring holds */
	uint64_t taken;    /* bytes read */
	bool ended;
	struct sockeye__netascii text;
};

/* Allocates the ring, if one is needed, for the transfer's blocks and windows. The
 * caller has zeroed all private members, or begins the transfer again with other blocks, of
 * which none was acknowledged: the bytes that were read stay. Returns 0 or -ENOMEM. */
int sockeye__tftp_source_open(struct sockeye__tftp_source *s, uint16_t blksize, uint16_t window);
void sockeye__tftp_source_close(struct sockeye__tftp_source *s);

/* Reads as much input as the window needs and reports it to the machine.
 * Returns 0, also if there is no input yet, or -errno. */
int sockeye__tftp_source_fill(struct sockeye__tftp_source *s, struct sockeye__tftp *machine);

/* Whether the window needs input that has not been read yet. */
bool sockeye__tftp_source_wants_input(const struct sockeye__tftp_source *s,
				      const struct sockeye__tftp *machine);

/* Fills iov[] with bytes of the window from `offset` on. Returns 0, -ENODATA if the
 * file has become shorter, or -errno. */
int sockeye__tftp_source_copy(struct sockeye__tftp_source *s, uint64_t offset,
			      const struct iovec *iov, int count);

#endif
