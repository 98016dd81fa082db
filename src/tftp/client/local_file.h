/*
 * local_file.h: the local end of a client's transfer: a new file that appears when
 * it is complete, a file to read, or a pipe, terminal or device.
 */
#ifndef SOCKEYE_TFTP_CLIENT_LOCAL_FILE_H
#define SOCKEYE_TFTP_CLIENT_LOCAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console/filters.h"
#include "console/standard_io.h"
#include "files/atomic_file.h"
#include "tftp/sink.h"
#include "tftp/source.h"

/* If more bytes than this wait for an output stream, nothing is read from the
 * network. */
#define SOCKEYE__TFTP_LOCAL_FILE_FULL (1U << 20)

/* Must not move in memory while it is open. */
struct sockeye__tftp_local_file {
	int fd;        /* of a file to read, or of a stream opened here; -1: none */
	uint64_t base; /* offset at which reading begins */
	struct sockeye__atomic_file newfile;
	struct sockeye__standard_io stream; /* of kind NONE for files */
	bool awaited;                       /* an input stream that has not been readable yet */
	struct sockeye__filter_safe safe;   /* escapes output to a terminal */
	uint8_t *buf;                       /* bytes that the stream has not accepted yet, */
	size_t cap, start, len;             /* in buf[start..start + len) */
};

/* Opens a path for writing and fills in *out_sink. A device or FIFO is written to;
 * for any other path a new file is made, which replaces a regular file. Follows a
 * symbolic link to a file. Returns 0 or -errno. */
int sockeye__tftp_local_file_create(struct sockeye__tftp_local_file *f, const char *path,
				    struct sockeye__tftp_sink *out_sink);

/* Opens a regular file or FIFO for reading and fills in *out_source. Returns 0 or
 * -errno, -EISDIR or -ENXIO for other files. */
int sockeye__tftp_local_file_open(struct sockeye__tftp_local_file *f, const char *path,
				  struct sockeye__tftp_source *out_source);

/* Like the two functions above, for standard output and standard input, which the caller
 * keeps open. */
void sockeye__tftp_local_file_create_at(struct sockeye__tftp_local_file *f, int fd,
					struct sockeye__tftp_sink *out_sink);
void sockeye__tftp_local_file_open_at(struct sockeye__tftp_local_file *f, int fd,
				      struct sockeye__tftp_source *out_source);

/* Writes as many waiting bytes as the stream accepts now. Returns 0 or -errno. */
int sockeye__tftp_local_file_drain(struct sockeye__tftp_local_file *f);

/* Call it after the last byte: adds bytes that the filter held back to the waiting
 * bytes. Returns 0 or -errno. */
int sockeye__tftp_local_file_end(struct sockeye__tftp_local_file *f);

/* Gives a new file its name. Returns 0 or -errno. */
int sockeye__tftp_local_file_commit(struct sockeye__tftp_local_file *f);

/* Closes everything and removes a new file that was not committed. Legal when
 * zeroed. */
void sockeye__tftp_local_file_close(struct sockeye__tftp_local_file *f);

#endif
